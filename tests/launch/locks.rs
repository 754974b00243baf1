//! Two guests started in one folder: the second gets neither the monitor nor the log of the first.

use crate::answers::OLD;
use crate::stage::{Shell, Stage, Test, said};
use libtest_mimic::Failed;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub const TESTS: &[(&str, Test)] = &[
    ("locks::second_guest_of_a_folder", second_guest_of_a_folder),
    ("locks::left_by_a_dead_process", left_by_a_dead_process),
    ("locks::left_without_a_number", left_without_a_number),
];

const PATIENCE: Duration = Duration::from_secs(60);

/// Says that it is there once the locks bear its own number, which QEMU's end frees; ends when it is told to.
const WAITS: &str = "until [ -e monitor.lock/$$ ] && [ -e stdout.log.lock/$$ ]; do sleep 0.1; done
echo of the first; : >\"$here/ready\"; until [ -e \"$here/end\" ]; do sleep 0.1; done\n";

/// Expects a refusal that says all this.
fn refused(stage: &Stage, shell: &Shell, arguments: &[&str], says: &[&str]) -> Result<(), Failed> {
    let output = stage.run(shell, arguments);
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(66) || says.iter().any(|part| !words.contains(part)) {
        return Err(format!("{arguments:?}: 66 and {says:?} were expected: {}", said(&output)).into());
    }
    Ok(())
}

/// Expects a launch that leaves its log and nothing else.
fn works(stage: &Stage, shell: &Shell) -> Result<(), Failed> {
    let output = stage.run(shell, &[] as &[&str]);
    if !output.status.success() || stage.list("work") != ["stdout.log"] {
        return Err(format!("{:?} is left: {}", stage.list("work"), said(&output)).into());
    }
    Ok(())
}

fn second_guest_of_a_folder(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    stage.guest(WAITS);
    let mut command = stage.command(shell, &["-smp", "7"]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    let ready = stage.path("the bundle/usr/local/bin/ready");
    while !ready.exists() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = stage.list("work");
    let outcome = refused(&stage, shell, &[], &["monitor 'monitor' belongs to another", "-monitor and -log"])
        .and_then(|()| refused(&stage, shell, &["-monitor", "m"], &["stdout.log' belongs to another", "-monitor and"]));
    let (after, log) = (stage.list("work"), std::fs::read_to_string(stage.path("work/stdout.log")));
    stage.write("the bundle/usr/local/bin/end", b"");
    if !ready.exists() {
        first.kill()?;
    }
    let status = first.wait()?;
    outcome?;
    let log = log?;
    if !status.success() || found != after || !log.contains("7,maxcpus") || !log.contains("of the first") {
        return Err(format!("{status}, {found:?} became {after:?}, the first's log is {log:?}").into());
    }
    works(&stage, shell)
}

fn left_by_a_dead_process(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    // Above all numbers that Linux gives.
    stage.write("work/monitor.lock/99999999", b"");
    stage.write("work/stdout.log.lock/99999999", b"");
    works(&stage, shell)?;
    let alive = std::process::id();
    stage.write(&format!("work/monitor.lock/{alive}"), b"");
    refused(&stage, shell, &[], &[&format!("(process {alive})"), "remove 'monitor.lock'"])?;
    match stage.list("work/monitor.lock").as_slice() {
        [number] if *number == alive.to_string() => Ok(()),
        other => Err(format!("the lock holds {other:?}").into()),
    }
}

/// Its maker was killed before it was done, or it is somebody's folder.
fn left_without_a_number(shell: &Shell) -> Result<(), Failed> {
    let stage = Stage::new(&OLD);
    std::fs::create_dir(stage.path("work/monitor.lock"))?;
    refused(&stage, shell, &[], &["process unknown", "remove 'monitor.lock'"])?;
    std::fs::remove_dir(stage.path("work/monitor.lock"))?;
    works(&stage, shell)
}
