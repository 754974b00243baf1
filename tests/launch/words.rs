//! Words that break careless scripts: they reach QEMU as they are, and the log's command line gives them back.

use crate::answers::AMD_8_2;
use crate::stage::{Shell, Stage, said, text};
use libtest_mimic::Failed;
use std::process::Command;

pub const TESTS: &[(&str, fn(&Shell) -> Result<(), Failed>)] = &[
    ("words::file_names", file_names),
    ("words::kernel_command_line", kernel_command_line),
    ("words::after_the_double_dash", after_the_double_dash),
    ("words::the_script_in_a_strange_folder", the_script_in_a_strange_folder),
];

/// As file names and as arguments; none holds a slash.
const STRANGE: &[&str] = &[
    "two words",
    " around ",
    "it's \"quoted\"",
    "'",
    "a\nb",
    "the end\n",
    "-dash",
    "-sev",
    "*",
    "[a-z]?",
    "$HOME `id` $(id)",
    "back\\slash\\",
    ";&|<>(){}#!~",
    "a,b,,c",
    "nbd:localhost",
    "%s\\n",
    "\u{e4}\u{4e2d}",
    "\t",
];

fn doubled(path: &str) -> String {
    path.replace(',', ",,")
}

fn run(stage: &Stage, shell: &Shell, arguments: &[&str]) -> Result<Vec<String>, Failed> {
    let output = stage.run(shell, arguments);
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", said(&output)).into());
    }
    let argv = stage.argv().ok_or("QEMU was not started")?;
    logged(stage, shell, &argv)?;
    Ok(argv)
}

/// The log begins with the command: a shell that reads it must see the words that QEMU saw.
fn logged(stage: &Stage, shell: &Shell, argv: &[String]) -> Result<(), Failed> {
    let log = std::fs::read_to_string(stage.path("work/stdout.log"))?;
    let script = format!("set -- {log}\nprintf '%s\\0' \"$@\"");
    let output = Command::new(shell.command[0]).args(&shell.command[1..]).args(["-c", &script]).output()?;
    let mut words: Vec<String> = String::from_utf8(output.stdout)?.split('\0').map(str::to_owned).collect();
    words.pop();
    if words.get(1..) != Some(argv) {
        return Err(format!("the log says {words:?}, QEMU got {argv:?}").into());
    }
    Ok(())
}

fn expect(argv: &[String], wanted: &str) -> Result<(), Failed> {
    if argv.iter().any(|word| word == wanted) {
        return Ok(());
    }
    Err(format!("{wanted:?} is not among {argv:?}").into())
}

fn file_names(shell: &Shell) -> Result<(), Failed> {
    for name in STRANGE {
        let stage = Stage::new(&AMD_8_2);
        for suffix in ["", ".cd", ".kernel", ".initrd", ".certs"] {
            stage.write(&format!("work/{name}{suffix}"), b"some bytes");
        }
        let [cd, kernel, initrd, certs] =
            [".cd", ".kernel", ".initrd", ".certs"].map(|suffix| format!("{name}{suffix}"));
        let monitor = format!("{name}.m");
        let argv = run(
            &stage,
            shell,
            &[
                "-hda", name, "-cdrom", &cd, "-kernel", &kernel, "-initrd", &initrd, "-sev-snp", "-certs", &certs,
                "-monitor", &monitor,
            ],
        )?;
        let path = |name: &str| doubled(&text(&stage.path("work").canonicalize().unwrap().join(name)));
        expect(&argv, &format!("file={},if=none,id=disk0,format=raw", path(name)))?;
        expect(&argv, &format!("file={},media=cdrom,format=raw", path(&cd)))?;
        expect(&argv, &kernel)?;
        expect(&argv, &initrd)?;
        expect(&argv, &format!("unix:{},server=on,wait=off", doubled(&monitor)))?;
        let snp = "sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1";
        expect(&argv, &format!("{snp},certs-path={}", path(&certs)))?;
        expect(&argv, &format!("if=pflash,format=raw,unit=1,file={}", path(&format!("{name}.fd"))))?;
    }
    Ok(())
}

fn kernel_command_line(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&AMD_8_2);
    stage.write("work/kernel", b"some bytes");
    for text in STRANGE.iter().chain(&["", "root=/dev/vda  quiet"]) {
        let argv = run(&stage, shell, &["-kernel", "kernel", "-append", text])?;
        let position = argv.iter().position(|word| word == "-append").ok_or("no -append")?;
        if argv[position + 1] != *text {
            return Err(format!("-append {text:?} became {:?}", argv[position + 1]).into());
        }
    }
    Ok(())
}

fn after_the_double_dash(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&AMD_8_2);
    let strange = [STRANGE, &["", "--", "-hda"]].concat();
    let argv = run(&stage, shell, &[&["-mem", "512", "--"], &strange[..]].concat())?;
    if argv[argv.len() - strange.len()..] != strange {
        return Err(format!("{strange:?} does not end {argv:?}").into());
    }
    expect(&argv, "512M,slots=5,maxmem=8704M")
}

fn the_script_in_a_strange_folder(shell: &Shell) -> Result<(), Failed> {
    for name in STRANGE {
        let stage = Stage::new(&AMD_8_2);
        std::fs::rename(stage.path("the bundle"), stage.path(name))?;
        // As a person would who stands beside it; a dash would be the shell's option.
        let script = format!("./{name}/launch-qemu.sh");
        let mut command = Command::new(shell.command[0]);
        command.args(&shell.command[1..]).arg(&script).arg("-dry-run").current_dir(stage.path("")).env_remove("HOME");
        let output = command.output()?;
        let folder = stage.path("").canonicalize()?.join(name);
        let code = doubled(&text(&folder.join("usr/local/share/qemu/OVMF_CODE.fd")));
        if !String::from_utf8(output.stdout.clone())?.contains(&format!("file={code},readonly=on")) {
            return Err(format!("{name:?}: {}", said(&output)).into());
        }
    }
    Ok(())
}
