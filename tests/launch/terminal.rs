//! The terminal is as it was, however the launcher ends. A real one is made by util-linux's `script`.

use crate::answers::OLD;
use crate::stage::{Shell, Stage};
use libtest_mimic::Failed;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits to be ended, in a terminal that it has made unusable as QEMU does.
const WAITS: &str = "stty raw -echo; stty -a <&0 >\"$here/inside\"; : >\"$here/ready\"
trap 'exit 0' TERM\nwhile :; do sleep 0.1; done\n";
/// Like QEMU, lets signals through: only then a key can make one.
const WAITS_FOR_KEYS: &str = "stty -icanon -echo; stty -a <&0 >\"$here/inside\"; : >\"$here/ready\"
trap 'exit 0' TERM\n[ \"$(dd bs=1 count=1 2>/dev/null | od -An -tx1)\" != ' 03' ] || echo got a Ctrl-C\nwhile :; do sleep 0.1; done\n";

pub struct Exit {
    pub name: &'static str,
    guest: &'static str,
    arguments: &'static str,
    /// Typed once the guest is ready.
    keys: &'static [u8],
    code: &'static str,
    console: &'static str,
}

pub const EXITS: &[Exit] = &[
    exit("guest_ends", "stty raw -echo\n", "0", "Ctrl-] ends it"),
    exit("guest_fails", "stty raw -echo; exit 3\n", "3", "QEMU ended with 3"),
    exit("guest_is_killed", "stty raw -echo; kill -KILL $$\n", "137", "QEMU ended with 137"),
    exit("terminated", concat_kill("15"), "143", ""),
    exit("hung_up", concat_kill("1"), "129", ""),
    exit("interrupted_from_elsewhere", concat_kill("2"), "130", ""),
    Exit {
        name: "keys",
        guest: WAITS_FOR_KEYS,
        arguments: "",
        keys: b"\x03\x1d",
        code: "130",
        console: "got a Ctrl-C",
    },
    Exit { name: "refused", guest: "", arguments: "-mem x", keys: b"", code: "64", console: "such as 4096" },
];

const fn exit(name: &'static str, guest: &'static str, code: &'static str, console: &'static str) -> Exit {
    Exit { name, guest, arguments: "", keys: b"", code, console }
}

/// The guest's parent is the launcher: it signals it and then waits.
const fn concat_kill(signal: &str) -> &'static str {
    match signal.as_bytes() {
        b"15" => "(sleep 0.3; kill -15 $PPID) & :\n. \"$here/waits\"\n",
        b"1" => "(sleep 0.3; kill -1 $PPID) & :\n. \"$here/waits\"\n",
        _ => "(sleep 0.3; kill -2 $PPID) & :\n. \"$here/waits\"\n",
    }
}

pub fn missing() -> Option<String> {
    let run = Command::new("script").args(["-qec", "true", "/dev/null"]).stdin(Stdio::null()).output();
    (!run.is_ok_and(|output| output.status.success())).then(|| "script (util-linux) does not run here".to_owned())
}

impl Exit {
    pub fn check(&self, shell: &Shell) -> Result<(), Failed> {
        let stage = Stage::new(&OLD);
        stage.guest(self.guest);
        stage.write("the bundle/usr/local/bin/waits", WAITS.as_bytes());
        let run = format!(
            "trap : INT\nstty -g >before\n{} '{}' {}\necho $? >code\nstty -g >after\n",
            shell.command.join(" "),
            stage.path("the bundle/launch-qemu.sh").display(),
            self.arguments
        );
        stage.write("work/run", run.as_bytes());
        let mut session = Command::new("script");
        session.args(["-qefc", "sh run", "typescript"]).current_dir(stage.path("work"));
        session.env("TMPDIR", stage.path("tmp")).env("HOME", stage.path("home"));
        let mut session = session.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let start = Instant::now();
        let mut keys = session.stdin.take().ok_or("no input")?;
        for key in self.keys {
            while !stage.path("the bundle/usr/local/bin/ready").exists() && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(50));
            }
            keys.write_all(&[*key])?;
            std::thread::sleep(Duration::from_millis(300));
        }
        while session.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                session.kill()?;
                session.wait()?;
                return Err(format!("not ended after {} s", PATIENCE.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.compare(&stage)
    }

    fn compare(&self, stage: &Stage) -> Result<(), Failed> {
        let read = |name: &str| std::fs::read_to_string(stage.path("work").join(name)).unwrap_or_default();
        let (before, after, code, console) = (read("before"), read("after"), read("code"), read("typescript"));
        if before.is_empty() || before != after {
            return Err(format!("the terminal was {before} and is {after}\n{console}").into());
        }
        if code.trim() != self.code || !console.contains(self.console) {
            return Err(format!("code {code}instead of {}, or no {:?} in:\n{console}", self.code, self.console).into());
        }
        let inside = std::fs::read_to_string(stage.path("the bundle/usr/local/bin/inside")).unwrap_or_default();
        if !self.keys.is_empty() && !inside.contains("intr = ^];") {
            return Err(format!("Ctrl-C was not moved to Ctrl-]: {inside}").into());
        }
        if !stage.list("tmp").is_empty() {
            return Err(format!("{:?} is left", stage.list("tmp")).into());
        }
        Ok(())
    }
}
