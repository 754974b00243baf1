//! A running git: waited for while it speaks, stopped with all of its children when it is silent or when the user stops.

use super::heard::Heard;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Between two looks at a running git.
const LOOK: Duration = Duration::from_millis(20);
/// What git gets to clean up after it was asked to end.
const GRACE: Duration = Duration::from_millis(600);

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
    pub(super) fn wait(&mut self, silence: Duration, heard: &Heard, cancel: &Cancel) -> Result<ExitStatus> {
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
