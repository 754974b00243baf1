//! Running the `git` program: with an environment of its own, no configuration of this machine, no prompt, no pager; it
//! is stopped when the user stops or when it says nothing for too long.

use super::address::PROTOCOLS;
use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What git and its helpers (ssh, curl) need of the environment; all else, GIT_DIR and its kin above all, is kept away.
const PASSED: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "KRB5CCNAME",
    "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH",
];

/// Configuration that is the same on every machine. `unpackLimit` keeps what comes in packs, which are there whole or
/// not at all; a transfer below 1000 bytes a second for 30 seconds counts as stalled.
const CONFIG: [&str; 14] = [
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "protocol.version=2",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "color.ui=false",
];

/// Between two looks at a running git.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of git's own words that an error repeats.
const LAST_LINES: usize = 6;
/// What git gets to clean up after it was asked to end.
const GRACE: Duration = Duration::from_millis(600);

/// How git is started.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    environment: Vec<(String, String)>,
}

/// What git left behind.
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    /// The last lines it said on standard error.
    pub(super) words: String,
}

impl Runner {
    pub(super) fn new(environment: &Environment) -> Self {
        let passed = PASSED.iter().filter_map(|name| environment.get(name).map(|value| (*name, value.to_owned())));
        let mut all: Vec<(String, String)> = passed.map(|(name, value)| (name.to_owned(), value)).collect();
        let mut set = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
        set("GIT_CONFIG_NOSYSTEM", "1");
        set("GIT_CONFIG_GLOBAL", "/dev/null");
        set("GIT_ATTR_NOSYSTEM", "1");
        set("GIT_TERMINAL_PROMPT", "0");
        set("GIT_NO_REPLACE_OBJECTS", "1");
        set("GIT_ALLOW_PROTOCOL", &PROTOCOLS.join(":"));
        set("LC_ALL", "C");
        if environment.get("GIT_SSH").is_none() && environment.get("GIT_SSH_COMMAND").is_none() {
            set("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=5");
        }
        if let (Some(file), None) = (environment.get("SSL_CERT_FILE"), environment.get("GIT_SSL_CAINFO")) {
            set("GIT_SSL_CAINFO", file);
        }
        Runner { environment: all }
    }

    /// A git command on the bare repository at `repository`.
    pub(super) fn command(&self, repository: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.arg("--git-dir").arg(repository);
        for setting in CONFIG {
            command.args(["-c", setting]);
        }
        // Its own process group: a Ctrl-C reaches it through the wish to stop, with time to clean up.
        command.args(arguments).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs git to its end. It is stopped when it says nothing on standard error for `silence`, or when it takes
    /// longer than that and says nothing at all; `hear` gets each line it says.
    pub(super) fn run(
        &self,
        mut command: Command,
        silence: Duration,
        cancel: &Cancel,
        hear: &(dyn Fn(&str) + Sync),
    ) -> Result<Outcome> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Running(command.spawn().map_err(not_started)?);
        let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
        let heard = Heard::default();
        std::thread::scope(|scope| {
            let output = scope.spawn(move || {
                let mut bytes = Vec::new();
                stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
            });
            if let Some(pipe) = stderr {
                let heard = &heard;
                scope.spawn(move || heard.listen(pipe, hear));
            }
            let waited = child.wait(silence, &heard, cancel);
            // The pipes end with the process group, so the readers do too.
            let output = output.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
            let status = waited?;
            let output = output.map_err(|error| Error::io(Path::new("git"), "read from", error))?;
            Ok((status, output))
        })
        .map(|(status, output)| Outcome { status, output, words: heard.words() })
    }
}

/// git could not be started at all.
pub(super) fn not_started(error: std::io::Error) -> Error {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let cause = if missing { "is not installed".to_owned() } else { format!("cannot be started: {error}") };
    Error::new(Kind::Unavailable, "git", cause)
        .remedy("install git, which fetches the sources that come from git repositories")
}

/// A git process that never outlives its handle.
pub(super) struct Running(pub(super) Child);

impl Running {
    fn wait(&mut self, silence: Duration, heard: &Heard, cancel: &Cancel) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().map_err(|error| Error::io(Path::new("git"), "wait for", error))? {
                return Ok(status);
            }
            if cancel.is_cancelled() {
                self.stop();
                return Err(Error::new(Kind::Interrupted, "git", "interrupted"));
            }
            if heard.last().unwrap_or(start).elapsed() > silence {
                self.stop();
                let cause = format!("said nothing for {} s and was stopped", silence.as_secs());
                return Err(Error::new(Kind::Unavailable, "git", cause).remedy("check the network, or try again"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends the whole process group, gently first.
    fn stop(&mut self) {
        let Some(group) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) else { return };
        let start = Instant::now();
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
            // A group that is gone already needs no signal.
            let _ = rustix::process::kill_process_group(group, signal);
            while start.elapsed() < GRACE {
                if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// What git says on standard error, and when it last did.
#[derive(Default)]
struct Heard(Arc<Mutex<(Option<Instant>, VecDeque<String>)>>);

impl Heard {
    /// Lines end with a newline or, in progress, with a carriage return.
    fn listen(&self, pipe: ChildStderr, hear: &(dyn Fn(&str) + Sync)) {
        let mut line = Vec::new();
        for byte in BufReader::new(pipe).bytes().map_while(std::io::Result::ok) {
            if byte == b'\n' || byte == b'\r' {
                self.take(&String::from_utf8_lossy(&std::mem::take(&mut line)), byte == b'\n', hear);
            } else if line.len() < 4096 {
                line.push(byte);
            }
        }
        self.take(&String::from_utf8_lossy(&line), true, hear);
    }

    fn take(&self, line: &str, lasting: bool, hear: &(dyn Fn(&str) + Sync)) {
        let line = line.trim();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(Instant::now());
        if line.is_empty() {
            return;
        }
        hear(line);
        if lasting {
            state.1.push_back(line.to_owned());
            if state.1.len() > LAST_LINES {
                state.1.pop_front();
            }
        }
    }

    fn last(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn words(&self) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ")
    }
}
