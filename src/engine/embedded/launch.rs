//! The driver's side of a run: starts the outer stage, hands it the job, carries the log and sees how it ended.

use super::STAGE;
use super::wire::{Failure, Job, Message};
use crate::error::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How long a wish to stop may go unseen while the command says nothing.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How a sandbox ended.
pub(super) enum End {
    /// The command ended with this status.
    Code(i32),
    /// It was stopped because `stop` said so.
    Stopped,
    /// It never ran.
    Failed(Failure),
}

/// Where the command's output goes.
pub(super) enum Output<'a> {
    /// Both streams, as they come.
    Log(&'a mut (dyn Write + Send)),
    /// Straight to this process's own streams.
    Terminal,
}

/// Runs the job in a sandbox made by `program`, in the control groups whose `cgroup.procs` are given.
///
/// # Errors
/// [`Kind::Engine`] when the stages cannot be started or die without a word; [`Kind::Io`] when the log cannot be written.
pub(super) fn run(
    program: &Path,
    job: &Job,
    groups: &[PathBuf],
    output: Output<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<End> {
    let line = serde_json::to_string(job).map_err(|error| lost("describe the job", io::Error::other(error)))?;
    let (ours, theirs) = UnixStream::pair().map_err(|error| lost("make a socket", error))?;
    let (log, pipe) = match output {
        Output::Log(log) => {
            let (reader, writer) = io::pipe().map_err(|error| lost("make a pipe", error))?;
            (Some((log, reader)), Some(writer))
        }
        Output::Terminal => (None, None),
    };
    let mut child = start(program, groups, theirs, pipe).map_err(|error| lost("start the outer stage", error))?;
    // When the stage is dead already, its message says why.
    let _ = writeln!(&ours, "{line}");
    let carried = match log {
        Some((log, pipe)) => carry(log, pipe, stop, &ours),
        None => Ok(false),
    };
    let waited = child.wait();
    let stopped = carried?;
    waited.map_err(|error| lost("wait for the outer stage", error))?;
    if stopped {
        return Ok(End::Stopped);
    }
    outcome(ours)
}

fn lost(what: &str, error: io::Error) -> Error {
    Error::new(Kind::Engine, "sandbox", format!("cannot {what}: {error}")).because(error)
}

/// The program as the outer stage, in a process group of its own: Ctrl-C in a terminal is the driver's to handle.
fn start(program: &Path, groups: &[PathBuf], socket: UnixStream, pipe: Option<io::PipeWriter>) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg(STAGE).arg("outer").arg(std::process::id().to_string()).args(groups).env_clear();
    command.stdin(OwnedFd::from(socket));
    if let Some(pipe) = pipe {
        command.stdout(pipe.try_clone()?).stderr(pipe).process_group(0);
    } else {
        command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    }
    command.spawn()
}

/// Copies the output to the log until every holder of the pipe is gone, the outer stage being the last. Whether it was
/// stopped.
fn carry(
    log: &mut (dyn Write + Send),
    mut pipe: PipeReader,
    stop: &dyn Fn() -> bool,
    ours: &UnixStream,
) -> Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    let mut stopped = false;
    let mut failed = None;
    loop {
        if !stopped && stop() {
            stopped = true;
            // The outer stage takes the closed end as the wish to stop.
            ours.shutdown(Shutdown::Write).map_err(|error| lost("stop the sandbox", error))?;
        }
        let mut events = [PollFd::new(&pipe, PollFlags::IN)];
        match poll(&mut events, Some(&GLANCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(|error| lost("wait for the log", error.into()))?,
        };
        let count = pipe.read(&mut buffer).map_err(|error| lost("read the log", error))?;
        if count == 0 {
            return failed.map_or(Ok(stopped), Err);
        }
        if failed.is_none()
            && let Err(error) = log.write_all(&buffer[..count])
        {
            failed = Some(Error::io(Path::new("the build's log"), "write", error));
            ours.shutdown(Shutdown::Write).map_err(|error| lost("stop the sandbox", error))?;
        }
    }
}

/// The stages' messages: a failure counts more than the status that follows it.
fn outcome(mut ours: UnixStream) -> Result<End> {
    let mut bytes = Vec::new();
    match ours.read_to_end(&mut bytes) {
        // A stage that ended without reading its job; what it said is there all the same.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => other.map(drop).map_err(|error| lost("read the stages' messages", error))?,
    }
    let text = String::from_utf8_lossy(&bytes);
    let messages: Vec<Message> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failure = messages.iter().find_map(|message| match message {
        Message::Failed(failure) => Some(End::Failed(failure.clone())),
        Message::Ended(_) => None,
    });
    let code = messages.iter().find_map(|message| match message {
        Message::Ended(code) => Some(End::Code(*code)),
        Message::Failed(_) => None,
    });
    failure.or(code).ok_or_else(|| {
        Error::new(Kind::Engine, "sandbox", "its processes were killed from outside")
            .remedy("look for the out-of-memory killer in the kernel's log (dmesg), then run the command again")
    })
}
