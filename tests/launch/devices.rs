//! What the launcher learns from the machine and from disks: the C-bit, the accelerator, the format.

use crate::answers::{OLD, UPSTREAM};
use crate::seed::qcow2;
use crate::stage::{Shell, Stage, Test, said};
use libtest_mimic::Failed;

pub const TESTS: &[(&str, Test)] = &[
    ("devices::c_bit", c_bit),
    ("devices::accelerator", accelerator),
    ("devices::disk_format", disk_format),
    ("devices::more_processors", more_processors),
    ("devices::guest_output_and_exit_code", guest_output_and_exit_code),
    ("devices::nothing_is_left", nothing_is_left),
    ("devices::dumps_of_one_guest", dumps_of_one_guest),
    ("devices::installed_elsewhere", installed_elsewhere),
];

fn expect(stage: &Stage, shell: &Shell, arguments: &[&str], wanted: &[&str]) -> Result<(), Failed> {
    let output = stage.run(shell, &[&["-dry-run"], arguments].concat());
    let text = format!("\n{}", String::from_utf8_lossy(&output.stdout));
    match wanted.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("{arguments:?}: no {part:?}: {}", said(&output)).into()),
    }
}

fn c_bit(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&UPSTREAM);
    expect(&stage, shell, &["-sev-snp"], &["cbitpos=51,"])?;
    stage.cpuid(*b"AuthenticAMD", 0x8000_001f, 0b10, 47);
    expect(&stage, shell, &["-sev"], &["cbitpos=47,"])?;
    expect(&stage, shell, &["-sev", "-cbitpos", "50"], &["cbitpos=50,"])?;
    // Without the device QEMU is asked.
    stage.remove("cpuid");
    stage.answer(
        "qmp",
        r#"{"return": {"reduced-phys-bits": 1, "cbitpos": 49, "cert-chain": "", "pdh": "", "cpu0-id": ""}}"#,
    );
    expect(&stage, shell, &["-sev-snp"], &["cbitpos=49,"])
}

fn accelerator(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    expect(&stage, shell, &[], &["\n-accel\nkvm\n-cpu\nEPYC-v4\n"])?;
    expect(&stage, shell, &["-accel", "tcg"], &["\n-accel\ntcg\n-cpu\nmax\n"])?;
    expect(&stage, shell, &["-accel", "tcg,thread=single"], &["\n-accel\ntcg,thread=single\n-cpu\nmax\n"])?;
    expect(&stage, shell, &["-accel", "auto"], &["\n-accel\nkvm\n"])?;
    stage.remove("kvm");
    expect(&stage, shell, &["-accel", "auto", "-cpu", "qemu64"], &["\n-accel\ntcg\n-cpu\nqemu64\n"])?;
    expect(&stage, shell, &["-accel", "auto", "-sev"], &["\n-accel\nkvm\n"])
}

fn disk_format(shell: &Shell) -> Result<(), Failed> {
    let mut backed = qcow2();
    backed[8..16].copy_from_slice(&104_u64.to_be_bytes());
    let stage = Stage::new(&OLD);
    for (name, bytes, more, format) in [
        ("a.img", b"some bytes".as_slice(), None, "raw"),
        ("empty", b"", None, "raw"),
        ("a.img", &qcow2(), None, "qcow2"),
        ("a.qcow2", &qcow2(), None, "qcow2"),
        ("a.qcow2", &backed, None, "qcow2"),
        ("a.img", &backed, Some("qcow2"), "qcow2"),
        ("a.raw", &qcow2(), Some("raw"), "raw"),
    ] {
        stage.write(&format!("work/{name}"), bytes);
        let mut arguments = vec!["-hda", name];
        arguments.extend(more.iter().flat_map(|format| ["-hda-format", format]));
        expect(&stage, shell, &arguments, &[&format!("/work/{name},if=none,id=disk0,format={format}\n")])?;
    }
    Ok(())
}

fn more_processors(shell: &Shell) -> Result<(), Failed> {
    expect(&Stage::new(&OLD), shell, &["-smp", "384"], &["\n384,maxcpus=384\n"])
}

fn guest_output_and_exit_code(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest("echo to stdout; echo to stderr >&2; read -r line; echo \"read $line\"; exit 7\n");
    stage.write("input", b"typed\n");
    let output = stage.command(shell, &["-log", "log"]).stdin(std::fs::File::open(stage.path("input"))?).output()?;
    let log = std::fs::read_to_string(stage.path("work/log"))?;
    let console = "to stdout\nto stderr\nread typed\n";
    if output.status.code() != Some(7) || output.stdout != console.as_bytes() || !log.ends_with(console) {
        return Err(format!("{}\n--- log\n{log}", said(&output)).into());
    }
    Ok(())
}

/// A closed input is no reason to fail; what the launcher made for itself is gone afterwards.
fn nothing_is_left(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest("ls \"$TMPDIR\" >\"$here/seen\"\n");
    let launch = format!("'{}' <&-", stage.path("the bundle/launch-qemu.sh").display());
    let output = stage.command(shell, &["-help"]).arg("-help").output()?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(said(&output).into());
    }
    let mut closed = std::process::Command::new("sh");
    closed.args(["-c", &format!("{} {launch}", shell.command.join(" "))]).current_dir(stage.path("work"));
    let output = closed.env("TMPDIR", stage.path("tmp")).output()?;
    let seen = std::fs::read_to_string(stage.path("the bundle/usr/local/bin/seen")).unwrap_or_default();
    match (output.status.success(), seen.starts_with("launch-qemu."), stage.list("tmp").as_slice()) {
        (true, true, []) => Ok(()),
        (_, _, left) => Err(format!("seen {seen:?}, left {left:?}: {}", said(&output)).into()),
    }
}

/// What -allow-debug switches on holds for all guests: it is as before when this one has ended.
fn dumps_of_one_guest(shell: &Shell) -> Result<(), Failed> {
    for before in ["N\n", "Y\n"] {
        let stage = Stage::new(&OLD);
        stage.write("parameters/dump_all_vmcbs", before.as_bytes());
        stage.guest(&format!("cat '{}' >\"$here/seen\"; exit 3\n", stage.path("parameters/dump_all_vmcbs").display()));
        let output = stage.run(shell, &["-sev", "-allow-debug"]);
        let seen = std::fs::read_to_string(stage.path("the bundle/usr/local/bin/seen")).unwrap_or_default();
        let after = std::fs::read_to_string(stage.path("parameters/dump_all_vmcbs"))?;
        // A plain file keeps what is written to it; the kernel's says Y for 1.
        let restored = after == if before == "N\n" { before } else { "1\n" };
        if output.status.code() != Some(3) || seen != "1\n" || !restored {
            return Err(format!("{before:?} became {seen:?}, then {after:?}: {}", said(&output)).into());
        }
    }
    Ok(())
}

/// Installed, the script lies in a folder beside bin and share, and is called through a link or from where it lies.
fn installed_elsewhere(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    std::fs::rename(stage.path("the bundle/usr/local"), stage.path("opt"))?;
    std::fs::create_dir(stage.path("opt/libexec"))?;
    std::fs::rename(stage.path("the bundle/launch-qemu.sh"), stage.path("opt/libexec/launch-qemu.sh"))?;
    std::os::unix::fs::symlink("../opt/libexec/launch-qemu.sh", stage.path("work/link"))?;
    let wanted = stage.path("opt/share/qemu/OVMF_CODE.fd").canonicalize()?;
    for (folder, name) in [("work", "link"), ("opt/libexec", "launch-qemu.sh"), ("", "opt/libexec/launch-qemu.sh")] {
        let mut command = std::process::Command::new(shell.command[0]);
        command.args(&shell.command[1..]).args([name, "-dry-run"]).current_dir(stage.path(folder));
        let output = command.output()?;
        if !String::from_utf8_lossy(&output.stdout).contains(&format!("file={},readonly=on", wanted.display())) {
            return Err(format!("{name} in '{folder}': {}", said(&output)).into());
        }
    }
    Ok(())
}
