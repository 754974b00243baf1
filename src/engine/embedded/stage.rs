//! The two processes between the driver and the command: this very program started anew, because namespaces cannot be
//! entered by a process with threads, and a copy of that. The outer one makes the namespaces and waits; the inner one is
//! process 1 in them, builds the sandbox and becomes the command, as on the other engines. Whoever of the chain dies, the
//! rest dies.

use super::privileges::{self, Rights};
use super::wire::{During, Failure, Job, Message, Step};
use super::{STAGE, filter, loopback, mounts, raw};
use crate::engine::contract;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, chdir, getppid, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal, setsid, umask, waitpid,
};
use rustix::thread::UnshareFlags;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

/// Status of a stage whose message tells why it failed.
const FAILED: u8 = 1;

/// Runs a stage and gives its exit code if the process was started as one, `None` otherwise. A program that uses
/// [`super::Embedded`] calls this first thing in `main`, before any thread exists, with all its arguments.
pub fn stage(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let marked = arguments.nth(1).is_some_and(|first| first == STAGE);
    if !marked {
        return None;
    }
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["enter", work] = words[..] {
        return Some(super::visit::enter(work.as_ref()));
    }
    let Ok(driver) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return Some(ExitCode::from(FAILED));
    };
    let ended = match words[..] {
        ["outer", parent, ref groups @ ..] => outer(&driver, parent, groups),
        _ => Err(Step::Talk.failed("", io::Error::other("unknown stage"))),
    };
    match ended {
        Ok(Ended::Command(code)) => tell(&driver, &Message::Ended(code)),
        // The inner stage of a probe ends here; any other has become the command.
        Ok(Ended::Probe) => {}
        Err(failure) => {
            tell(&driver, &Message::Failed(failure));
            return Some(ExitCode::from(FAILED));
        }
    }
    Some(ExitCode::SUCCESS)
}

/// How a stage ended, and which: both processes come back from [`outer`].
enum Ended {
    /// The outer one: the command ended with this status.
    Command(i32),
    /// The inner one, which had nothing to start.
    Probe,
}

/// When nobody listens any more, nobody is left to tell.
fn tell(mut driver: &UnixStream, message: &Message) {
    let _ = serde_json::to_string(message).map(|line| writeln!(driver, "{line}"));
}

/// Namespaces, then the inner stage, then waiting.
fn outer(driver: &UnixStream, parent: &str, groups: &[&str]) -> Result<Ended, Failure> {
    die_with_parent()?;
    if getppid().map(Pid::as_raw_nonzero).map(|pid| pid.to_string()).as_deref() != Some(parent) {
        return Err(Step::Talk.failed("", io::Error::other("the driver is gone")));
    }
    for group in groups {
        let mut file = std::fs::OpenOptions::new().write(true).open(group).during(Step::Group, group)?;
        file.write_all(b"0").during(Step::Group, group)?;
    }
    let rights = Rights::here();
    if rights == Rights::OneId {
        user_namespace()?;
    }
    let all = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWCGROUP;
    raw::unshare(all).during(Step::Namespaces, "")?;
    match raw::fork().during(Step::Start, "the inner stage")? {
        Some(process) => wait(driver, process).map(Ended::Command),
        None => inner(driver, rights).map(|()| Ended::Probe),
    }
}

fn die_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).during(Step::Talk, "")
}

/// The invoking user becomes the contract's user; it is the only id there is.
fn user_namespace() -> Result<(), Failure> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    raw::unshare(UnshareFlags::NEWUSER).during(Step::User, "")?;
    let uid = contract::UID;
    let lines =
        [("uid_map", format!("{uid} {user} 1")), ("setgroups", "deny".into()), ("gid_map", format!("{uid} {group} 1"))];
    for (file, line) in lines {
        let path = format!("/proc/self/{file}");
        let mut map = std::fs::OpenOptions::new().write(true).open(&path).during(Step::Map, &path)?;
        map.write_all(line.as_bytes()).during(Step::Map, &path)?;
    }
    Ok(())
}

/// Waits for process 1; kills it, and with it the whole pid namespace, when the driver closes its end.
fn wait(driver: &UnixStream, number: Pid) -> Result<i32, Failure> {
    let what = "wait for the command";
    let process = pidfd_open(number, PidfdFlags::empty()).during(Step::Start, what)?;
    loop {
        let mut events = [PollFd::new(&process, PollFlags::IN), PollFd::new(driver, PollFlags::RDHUP)];
        match poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.during(Step::Start, what)?,
        };
        if !events[0].revents().is_empty() {
            break;
        }
        if !events[1].revents().is_empty() {
            // Ended by itself meanwhile: no harm.
            let _ = pidfd_send_signal(&process, Signal::KILL);
            break;
        }
    }
    // The kernel reports the end of process 1 only after every process of its namespace is gone.
    loop {
        match waitpid(Some(number), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            other => {
                let (_, status) =
                    other.during(Step::Start, what)?.ok_or(io::ErrorKind::NotFound).during(Step::Start, what)?;
                return Ok(status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
        }
    }
}

/// Builds the sandbox around itself and becomes the command. Returns only for a probe.
fn inner(driver: &UnixStream, rights: Rights) -> Result<(), Failure> {
    die_with_parent()?;
    let mut line = String::new();
    BufReader::new(driver).read_line(&mut line).during(Step::Talk, "")?;
    let job: Job = serde_json::from_str(&line).during(Step::Talk, "")?;
    mounts::enter(&job, rights)?;
    rustix::system::sethostname(contract::HOSTNAME.as_bytes()).during(Step::Privileges, "set the host name")?;
    let loopback = loopback::up();
    privileges::limit()?;
    umask(Mode::from_raw_mode(0o022));
    if !job.interactive {
        // A session without a terminal.
        setsid().during(Step::Privileges, "start a session")?;
    }
    privileges::give_up(rights)?;
    // A change of user clears it.
    die_with_parent()?;
    driver_lives(driver)?;
    raw::default_signals();
    if job.command.is_empty() {
        return install_filter();
    }
    if let Err(error) = loopback {
        let _ = writeln!(io::stderr(), "snpforge: the loopback interface stays down: {error}");
    }
    start(&job)
}

/// When the driver and the outer stage died before this process asked to die with them.
fn driver_lives(driver: &UnixStream) -> Result<(), Failure> {
    let mut events = [PollFd::new(driver, PollFlags::RDHUP)];
    let found = poll(&mut events, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).during(Step::Talk, "")?;
    if found == 0 { Ok(()) } else { Err(Step::Talk.failed("", io::Error::other("the driver is gone"))) }
}

fn install_filter() -> Result<(), Failure> {
    if filter::THERE {
        raw::filter(&filter::program()).during(Step::Privileges, "install the system call filter")?;
    }
    Ok(())
}

fn start(job: &Job) -> Result<(), Failure> {
    // The socket is on stdin; a terminal is open for reading on stdout as well.
    let terminal = io::stdout().as_fd().try_clone_to_owned().during(Step::Start, "stdin")?;
    let stdin = if job.interactive { Stdio::from(terminal) } else { Stdio::null() };
    chdir(job.workdir.as_str()).during(Step::Start, &job.workdir)?;
    let (program, arguments) =
        job.command.split_first().ok_or(io::ErrorKind::InvalidInput).during(Step::Start, "no command")?;
    raw::close_on_exec().during(Step::Start, "close descriptors")?;
    install_filter()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).env_clear().envs(job.environment.iter().map(|(name, value)| (name, value)));
    Err(Step::Start.failed(program, command.exec()))
}
