//! The log is a file of its own, whatever had its name before.

use crate::answers::OLD;
use crate::refusals::NOBODY;
use crate::stage::{Shell, Stage, Test, said};
use libtest_mimic::Failed;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::process::CommandExt;

pub const TESTS: &[(&str, Test)] = &[("logs::replaces_links", replaces_links), ("logs::dev_null", dev_null)];

/// A file, a link to it or a second name for it: the name is taken, the file stays.
fn replaces_links(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest("echo console\n");
    stage.write("in/precious", b"precious");
    let (log, precious) = (stage.path("work/stdout.log"), stage.path("in/precious"));
    std::fs::write(&log, "of the guest before")?;
    let mode = log.metadata()?.permissions().mode();
    let check = |what: &str| -> Result<(), Failed> {
        let output = stage.run(shell, &[] as &[&str]);
        let text = std::fs::read_to_string(&log)?;
        let good = text.contains("-machine q35") && text.ends_with("\nconsole\n") && text.lines().count() == 2;
        let plain = log.symlink_metadata()?;
        if !output.status.success() || !good || !plain.is_file() || plain.permissions().mode() != mode {
            return Err(format!("{what}: {plain:?} holds {text:?}: {}", said(&output)).into());
        }
        let left = (stage.list("work"), std::fs::read(&precious)?);
        if left != (vec!["stdout.log".to_owned()], b"precious".to_vec()) {
            return Err(format!("{what}: {left:?}").into());
        }
        Ok(())
    };
    check("a file")?;
    std::fs::remove_file(&log)?;
    std::os::unix::fs::symlink("../in/precious", &log)?;
    check("a link")?;
    std::fs::remove_file(&log)?;
    std::fs::hard_link(&precious, &log)?;
    check("a second name")
}

/// Whoever wants no log has none, and the device stays one. Not as root: a fault would cost the machine its device.
fn dev_null(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest("echo console\n");
    for (name, mode) in [("work", 0o777), ("tmp", 0o777), ("the bundle/usr/local/bin", 0o777), ("kvm", 0o666)] {
        std::fs::set_permissions(stage.path(name), PermissionsExt::from_mode(mode))?;
    }
    let mut command = stage.command(shell, &["-log", "/dev/null"]);
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output()?;
    if !output.status.success() || output.stdout != b"console\n" || !stage.list("work").is_empty() {
        return Err(format!("{:?} is left: {}", stage.list("work"), said(&output)).into());
    }
    if !std::fs::metadata("/dev/null")?.file_type().is_char_device() {
        return Err("/dev/null is no device any more".into());
    }
    Ok(())
}
