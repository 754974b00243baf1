//! One guest, started by the bundle's launch-qemu.sh as a user would, in a folder of its own.

use crate::bundle::{Bundle, Role};
use crate::guest::{self, MARK};
use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// An idle machine needs 15 s; CI machines are neither fast nor idle.
const PATIENCE: Duration = Duration::from_secs(400);
/// How many lines of a log a failure shows.
const LAST_LINES: usize = 40;

/// What a guest that came to its end has shown.
pub struct Boot {
    pub number: String,
    pub log: String,
}

impl Boot {
    /// What the guest said about `what`.
    pub fn seen(&self, what: &str) -> Result<String, Failed> {
        let beginning = format!("{MARK}{what}=");
        let line = self.log.lines().find_map(|line| line.split_once(&beginning));
        match line {
            Some((_, value)) => Ok(value.trim_end().to_owned()),
            None => Err(format!("the guest said nothing about {what}:\n{}", last(&self.log)).into()),
        }
    }
}

/// A number that no other boot had, so that no old log can answer for a new one.
pub fn number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub struct Machine {
    launcher: Child,
    folder: tempfile::TempDir,
    number: String,
}

impl Machine {
    /// Starts the kernel of `role`; `task` is what init shall do, and more of the command line.
    pub fn start(bundle: &Bundle, role: Role, arguments: &[String], task: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let kernel = bundle.kernel(role)?;
        let number = number();
        std::fs::write(folder.path().join("kernel"), &kernel.image)?;
        std::fs::write(folder.path().join("initrd"), guest::initramfs(&kernel)?)?;
        // A starved TCG guest misses timer ticks; the kernel must not take that for a broken timer.
        let line = format!("console=ttyS0 quiet no_timer_check panic=-1 snpforge.number={number} snpforge.task={task}");
        let mut command = Command::new(bundle.path("launch-qemu.sh"));
        command.args(["-accel", "tcg", "-log", "a log", "-kernel", "kernel", "-initrd", "initrd", "-append", &line]);
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        let complaints = std::fs::File::create(folder.path().join("complaints"))?;
        let launcher = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints).spawn()?;
        Ok(Self { launcher, folder, number })
    }

    /// Starts it and waits for its end.
    pub fn run(bundle: &Bundle, role: Role, arguments: &[String], task: &str) -> Result<Boot, Failed> {
        let mut machine = Self::start(bundle, role, arguments, task)?;
        let status = machine.end()?;
        let boot = Boot { number: machine.number.clone(), log: machine.log() };
        match (status.success(), boot.seen("end")) {
            (true, Ok(_)) => Ok(boot),
            _ => Err(machine.failure(&format!("launch-qemu.sh ended with {status} before the guest was done")).into()),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("a log")).unwrap_or_default()).into_owned()
    }

    pub fn wait_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Failed> {
        let start = Instant::now();
        while !done(self) {
            if let Some(status) = self.launcher.try_wait()? {
                return Err(self.failure(&format!("before {what}: launch-qemu.sh ended with {status}")).into());
            }
            if start.elapsed() > PATIENCE {
                return Err(self.failure(&format!("{what}: not within {} s", PATIENCE.as_secs())).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    pub fn end(&mut self) -> Result<ExitStatus, Failed> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.launcher.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                return Err(self.failure(&format!("the guest did not end within {} s", PATIENCE.as_secs())).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn failure(&self, verdict: &str) -> String {
        let complaints = std::fs::read_to_string(self.folder.path().join("complaints")).unwrap_or_default();
        format!("{verdict}\n{complaints}--- last lines of the log\n{}", last(&self.log()))
    }
}

/// Ends the guest whatever becomes of the test: the launcher passes the signal on to QEMU.
impl Drop for Machine {
    fn drop(&mut self) {
        if matches!(self.launcher.try_wait(), Ok(None)) {
            let pid = i32::try_from(self.launcher.id()).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        let _ = self.launcher.wait();
    }
}

fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
