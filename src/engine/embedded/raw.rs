//! The system calls for which no safe wrapper exists: with `heap` the only unsafe code of the project. Each is called by a
//! stage of the sandbox, a process of its own with one thread.

#![allow(unsafe_code, reason = "some system calls have no safe wrapper; each says why it is sound")]

use super::filter::Instruction;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;
use std::io;

/// Moves this process into new namespaces.
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES));
    // SAFETY: only `CLONE_FILES` is unsafe, by splitting the table of descriptors between threads; it is never asked for.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Makes a copy of this process, which a stage may do because it has one thread: the copy's process id in the one that
/// calls, nothing in the copy. Starting the program once more would cost a quarter of a sandbox's start.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: fork(2) leaves the copy with the calling thread only; in a process with one thread that is all there was,
    // and no lock can be held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        process => Ok(Pid::from_raw(process)),
    }
}

/// Lets Ctrl-C and Ctrl-\ reach only the shell in an entered sandbox, not the processes that hold it.
pub(super) fn ignore_interrupts() {
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: SIG_IGN runs no code of this process.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives every signal its default action. What was ignored stays ignored over `exec`, and a shell cannot even trap it:
/// under `nohup` or in the background of a script a build would behave differently.
pub(super) fn default_signals() {
    // The kernel's `sigaction`, all zero: SIG_DFL, no flags, no restorer, empty mask. The C library's own function
    // refuses the two signals it keeps for itself, which can be inherited as ignored too.
    let action = [0_u64; 4];
    for signal in 1..=64_i64 {
        // SAFETY: the kernel reads one `sigaction` from `action`, which is as large on every machine. SIG_DFL runs no
        // code of this process, and no handler of Rust's runtime is needed any more, because the command is started
        // next. SIGKILL and SIGSTOP are refused, which changes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0_i64, 8_i64) };
    }
}

/// Closes every descriptor from 3 on when the command starts: what the driver's own parents left open (a make job
/// server, a socket) is not the build's.
pub(super) fn close_on_exec() -> io::Result<()> {
    // SAFETY: the flag changes nothing for this process, only for the program it becomes.
    let done = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if done == 0 {
        return Ok(());
    }
    // Before Linux 5.11.
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<libc::c_int>().ok()) else {
            continue;
        };
        if number > 2 {
            // SAFETY: as above; a number that is closed by now is refused with EBADF.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Puts this process and all it starts under a system call filter, for good. Needs no_new_privs.
pub(super) fn filter(program: &[Instruction]) -> io::Result<()> {
    let mut code: Vec<libc::sock_filter> =
        program.iter().map(|one| libc::sock_filter { code: one.code, jt: one.yes, jf: one.no, k: one.value }).collect();
    let len = u16::try_from(code.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel checks and copies them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
