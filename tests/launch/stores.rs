//! The guest's variable store: made once, kept, and never the template itself. The firmware that stands beside it.

use crate::answers::{AMD_8_2, OLD, UPSTREAM};
use crate::stage::{STORE_GUID, Shell, Stage, Test, said, text};
use libtest_mimic::Failed;
use rustix::process::{Pid, Signal};
use std::io::Write;
use std::time::{Duration, Instant};

pub const TESTS: &[(&str, Test)] = &[
    ("stores::made_beside_the_disk_and_kept", made_beside_the_disk_and_kept),
    ("stores::thrown_away_without_a_disk", thrown_away_without_a_disk),
    ("stores::of_a_cdrom_is_in_the_state_folder", of_a_cdrom_is_in_the_state_folder),
    ("stores::never_the_disk_itself", never_the_disk_itself),
    ("stores::not_left_half_made", not_left_half_made),
    ("stores::where_the_user_says", where_the_user_says),
    ("stores::firmware_files", firmware_files),
    ("stores::kernel_hashes", kernel_hashes),
];

const TEMPLATE: &str = "the bundle/usr/local/share/qemu/OVMF_VARS.fd";

/// The argument that begins so, if one does.
fn argument(argv: &[String], beginning: &str) -> Option<String> {
    argv.iter().find_map(|word| word.strip_prefix(beginning)).map(str::to_owned)
}

fn run(stage: &Stage, shell: &Shell, arguments: &[&str]) -> Result<Vec<String>, Failed> {
    let output = stage.run(shell, arguments);
    match (output.status.success(), stage.argv()) {
        (true, Some(argv)) => Ok(argv),
        _ => Err(format!("{arguments:?}: {}", said(&output)).into()),
    }
}

fn store(argv: &[String]) -> Result<String, Failed> {
    argument(argv, "if=pflash,format=raw,unit=1,file=").ok_or_else(|| format!("no variable store in {argv:?}").into())
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Result<(), Failed> {
    if found == wanted { Ok(()) } else { Err(format!("{found:?} instead of {wanted:?}").into()) }
}

fn made_beside_the_disk_and_kept(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.write("in/my.disk.raw", b"some bytes");
    let template = std::fs::read(stage.path(TEMPLATE))?;
    let disk = text(&stage.path("in/my.disk.raw"));
    // The guest writes to the file that it is given.
    stage.guest("case $* in *unit=1,file=*) f=${*##*unit=1,file=}; printf X | dd of=\"${f%% *}\" conv=notrunc 2>/dev/null ;; esac\n");
    let first = store(&run(&stage, shell, &["-hda", &disk])?)?;
    same(&first, &text(&stage.path("in/my.disk.fd")))?;
    same(&stage.list("in"), &vec!["my.disk.fd".to_owned(), "my.disk.raw".to_owned()])?;
    same(&std::fs::read(stage.path(TEMPLATE))?, &template)?;
    let written = [b"X", &template[1..]].concat();
    same(&std::fs::read(stage.path("in/my.disk.fd"))?, &written)?;
    stage.guest(":\n");
    run(&stage, shell, &["-hda", &disk])?;
    same(&std::fs::read(stage.path("in/my.disk.fd"))?, &written)
}

fn thrown_away_without_a_disk(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest("f=${*##*unit=1,file=}; cp \"${f%% *}\" \"$here/seen\"\n");
    let file = store(&run(&stage, shell, &[])?)?;
    same(&std::fs::read(stage.path("the bundle/usr/local/bin/seen"))?, &std::fs::read(stage.path(TEMPLATE))?)?;
    same(&std::path::Path::new(&file).exists(), &false)?;
    same(&stage.list("tmp"), &Vec::new())
}

fn of_a_cdrom_is_in_the_state_folder(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    let mut stores = Vec::new();
    for cd in ["a/debian.iso", "b/debian.iso", "a/debian.iso"] {
        stage.write(cd, b"some bytes");
        stores.push(store(&run(&stage, shell, &["-cdrom", &text(&stage.path(cd))])?)?);
    }
    same(&stores[2], &stores[0])?;
    same(&(stores[0] != stores[1]), &true)?;
    same(&stage.list("home/.local/state/launch-qemu").len(), &2)?;
    same(&stage.list("a"), &vec!["debian.iso".to_owned()])
}

/// A disk or a CD-ROM may be called as the disk's store would be.
fn never_the_disk_itself(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    let states = stage.path("home/.local/state/launch-qemu");
    let [disk, cd] = ["in/guest.img", "in/guest.fd"].map(|name| text(&stage.path(name)));
    stage.write("in/guest.fd", b"some bytes");
    for (arguments, known) in [(["-hda", &cd].as_slice(), 1), (&["-hda", &cd], 1), (&["-hda", &disk, "-cdrom", &cd], 2)]
    {
        stage.write("in/guest.img", b"some bytes");
        let file = store(&run(&stage, shell, arguments)?)?;
        same(&(std::path::Path::new(&file).parent(), file.ends_with(".fd")), &(Some(states.as_path()), true))?;
        same(&std::fs::read(&file)?, &std::fs::read(stage.path(TEMPLATE))?)?;
        same(&stage.list("home/.local/state/launch-qemu").len(), &known)?;
        same(&stage.list("in"), &vec!["guest.fd".to_owned(), "guest.img".to_owned()])?;
        same(&std::fs::read(&cd)?, &b"some bytes".to_vec())?;
    }
    Ok(())
}

/// Ctrl-C while the store is copied: the template is a pipe, which gives no byte before the signal is there.
fn not_left_half_made(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.remove(TEMPLATE);
    let pipe = stage.path(TEMPLATE);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into())?;
    let mut command = stage.command(shell, &["-vars", "v.fd"]);
    // Opened for both, so that nobody waits for the other end; what the launcher leaves of it does not matter.
    let mut template = std::fs::File::options().read(true).write(true).open(&pipe)?;
    template.write_all(&[[0; 16], STORE_GUID].concat())?;
    let mut launcher = command.spawn()?;
    let start = Instant::now();
    while !stage.list("work").iter().any(|name| name.starts_with(".vars.")) {
        if start.elapsed() > Duration::from_secs(60) {
            launcher.kill()?;
            launcher.wait()?;
            return Err(format!("no store was begun: {:?}", stage.list("work")).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let launched = Pid::from_raw(i32::try_from(launcher.id())?).ok_or("no process")?;
    rustix::process::kill_process(launched, Signal::INT)?;
    // Shells wait for the copying tool, which waits for the end of the pipe.
    std::thread::sleep(Duration::from_millis(300));
    drop(template);
    let status = launcher.wait()?;
    same(&(status.code(), stage.list("work")), &(Some(130), Vec::new()))
}

fn where_the_user_says(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    run(&stage, shell, &["-vars", "mine.fd"])?;
    same(&std::fs::read(stage.path("work/mine.fd"))?, &std::fs::read(stage.path(TEMPLATE))?)?;
    let used = [[0; 16], STORE_GUID, [7; 16]].concat();
    stage.write("work/mine.fd", &used);
    run(&stage, shell, &["-vars", "mine.fd"])?;
    same(&std::fs::read(stage.path("work/mine.fd"))?, &used)
}

fn firmware_files(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&UPSTREAM);
    let share = stage.path("the bundle/usr/local/share/qemu");
    let whole = text(&share.join("OVMF.fd"));
    // A distribution's names, and the pair by itself.
    stage.write("fw/OVMF_CODE_4M.fd", b"code");
    let template = [[0; 16], STORE_GUID].concat();
    stage.write("fw/OVMF_VARS_4M.fd", &template);
    let code = text(&stage.path("fw/OVMF_CODE_4M.fd"));
    let code_drive = format!("if=pflash,format=raw,unit=0,file={code},readonly=on");
    let bios =
        |argv: &[String]| argv.iter().position(|word| word == "-bios").map(|position| argv[position + 1].clone());
    same(&bios(&run(&stage, shell, &["-bios", &whole])?), &Some(whole.clone()))?;
    same(&bios(&run(&stage, shell, &["-sev-snp", "-bios", &text(&share)])?), &Some(whole.clone()))?;
    same(&bios(&run(&stage, shell, &["-sev-snp", "-bios", &code])?), &Some(code.clone()))?;
    let argv = run(&stage, shell, &["-bios", &code])?;
    same(&(bios(&argv), argv.contains(&code_drive)), &(None, true))?;
    let argv = run(&stage, shell, &["-bios", &code, "-vars", "v.fd"])?;
    same(&argv.contains(&code_drive), &true)?;
    same(&std::fs::read(stage.path("work/v.fd"))?, &template)
}

/// Hashes are asked for only if the firmware has a page for them, which its name says.
fn kernel_hashes(shell: &Shell) -> Result<(), Failed> {
    for (answers, kinds) in [(&UPSTREAM, ["-sev", "-sev-es", "-sev-snp"].as_slice()), (&AMD_8_2, &["-sev-snp"])] {
        let stage = Stage::new(answers);
        stage.write("work/kernel", b"some bytes");
        let amdsev = text(&stage.path("the bundle/usr/local/share/qemu/OVMF.amdsev.fd"));
        for kind in kinds {
            let has = |arguments: &[&str]| -> Result<bool, Failed> {
                let argv = run(&stage, shell, &[&[*kind], arguments].concat())?;
                Ok(argv.iter().any(|word| word.contains("-guest,") && word.contains("kernel-hashes=on")))
            };
            same(&has(&["-kernel", "kernel", "-bios", &amdsev])?, &true)?;
            same(&has(&["-kernel", "kernel", "-bios", &amdsev, "-kernel-hashes", "off"])?, &false)?;
            same(&has(&["-kernel", "kernel"])?, &false)?;
            same(&has(&["-kernel", "kernel", "-kernel-hashes", "on"])?, &true)?;
            same(&has(&["-bios", &amdsev])?, &false)?;
        }
    }
    Ok(())
}
