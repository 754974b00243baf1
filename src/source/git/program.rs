//! Running the `git` program: with an environment of its own, no configuration of this machine, no prompt, no pager; it
//! is stopped when the user stops or when it says nothing for too long.

use super::address::PROTOCOLS;
use super::heard::Heard;
use super::running::{Running, not_started};
use crate::cancel::Cancel;
use crate::environment::Environment;
use crate::error::{Error, Result};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// What git and its helpers (ssh, curl) need of the environment; all else, GIT_DIR and its kin above all, is kept away.
const PASSED: [&str; 26] = [
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
    "GIT_SSH_VARIANT",
    "GIT_ASKPASS",
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

/// The environment variable that names a credential helper, as `credential.helper` of git's configuration would.
const HELPER: &str = "SNPFORGE_GIT_CREDENTIAL_HELPER";

/// Configuration that is the same on every machine. `unpackLimit` keeps what comes in packs, which are there whole or
/// not at all; a transfer below 1000 bytes a second for 30 seconds counts as stalled.
const CONFIG: [&str; 13] = [
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "protocol.version=2",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "color.ui=false",
];

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
        // By the environment: arguments of processes are for everybody to see.
        let helpers = ["", environment.get(HELPER).unwrap_or_default()];
        set("GIT_CONFIG_COUNT", &helpers.len().to_string());
        for (number, helper) in helpers.iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{number}"), "credential.helper");
            set(&format!("GIT_CONFIG_VALUE_{number}"), helper);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_is_told_comes_from_the_argument() {
        let environment = Environment::from_iter([
            ("SSL_CERT_FILE", "/roots.pem"),
            ("GIT_ASKPASS", "/ask"),
            ("GIT_DIR", "/elsewhere"),
            (HELPER, "!mine"),
        ]);
        let command = Runner::new(&environment).command(Path::new("/r"), &["fetch"]);
        let value = |name: &str| command.get_envs().find(|(known, _)| *known == name).and_then(|(_, value)| value);
        assert_eq!(value("GIT_SSL_CAINFO"), Some("/roots.pem".as_ref()));
        assert_eq!(value("GIT_ASKPASS"), Some("/ask".as_ref()));
        assert_eq!((value("GIT_DIR"), value(HELPER)), (None, None));
        assert!(!command.get_args().any(|argument| argument == "credential.helper=!mine"), "arguments are seen by all");
        assert_eq!((value("GIT_CONFIG_COUNT"), value("GIT_CONFIG_VALUE_0")), (Some("2".as_ref()), Some("".as_ref())));
        assert_eq!(value("GIT_CONFIG_VALUE_1"), Some("!mine".as_ref()));
        let own =
            environment.get("SSL_CERT_FILE").map(|file| [("SSL_CERT_FILE", file), ("GIT_SSL_CAINFO", "/git.pem")]);
        let command = Runner::new(&Environment::from_iter(own.unwrap())).command(Path::new("/r"), &["fetch"]);
        let both = command.get_envs().filter(|(name, _)| *name == "GIT_SSL_CAINFO");
        assert_eq!(both.map(|(_, value)| value).collect::<Vec<_>>(), [Some("/git.pem".as_ref())]);
    }
}
