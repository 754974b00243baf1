//! What the build sees of file systems: the image read-only, /src read-only, its own /build and /out, and private /proc,
//! /dev and temporary folders: in places, modes and masks as Docker and Podman show them. There is no /sys: it holds
//! only facts about this machine.
//!
//! All mounts happen inside the new root: what comes from outside is opened before the root changes, so a symbolic link
//! in an image can never lead a mount outside.

use super::privileges::Rights;
use super::wire::{During, Failure, Job, Step};
use crate::engine::contract;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, mkdirat, openat, statat, statvfs, symlink};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];
/// Of /proc, what tells about the machine as a whole (the OCI runtimes' default list).
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
];
/// Of /proc, what would change the machine (the same list).
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const STRICT: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const PRIVATE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// What is taken along from outside: descriptors of detached mounts.
struct Luggage {
    nodes: Vec<OwnedFd>,
    work: Vec<(&'static str, OwnedFd)>,
}

/// Builds the sandbox's file systems and makes them this process's only ones.
pub(super) fn enter(job: &Job, rights: Rights) -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during(Step::Mount, "/ as private")?;
    let luggage = pack(job)?;
    let old = open("/")?;
    let root = new_root(job)?;
    fchdir(&root).during(Step::Pivot, "")?;
    // Puts the old root over the new one; it goes away below, once /proc is mounted: the kernel allows a new /proc in a
    // user namespace only where a complete one is visible already.
    pivot_root(".", ".").during(Step::Pivot, "")?;
    proc_and_dev(&luggage, rights)?;
    for (path, flags, size, mode) in [
        ("/tmp", PRIVATE, contract::TMP_BYTES, 0o1777),
        ("/var/tmp", PRIVATE, contract::VAR_TMP_BYTES, 0o1777),
        // Root's on the other engines; here the build may own it, so it is read-only.
        ("/run", STRICT | MountFlags::RDONLY, 1 << 20, 0o755),
    ] {
        tmpfs(path, flags, size, mode)?;
    }
    for (path, tree) in &luggage.work {
        attach(tree, path)?;
        let read_only = if *path == contract::SRC { MountFlags::RDONLY } else { MountFlags::empty() };
        restrict(path, PRIVATE | read_only)?;
    }
    masks()?;
    fchdir(&old).during(Step::Pivot, "")?;
    unmount(".", UnmountFlags::DETACH).during(Step::Pivot, "")?;
    chdir("/").during(Step::Pivot, "")
}

fn open(path: impl AsRef<Path>) -> Result<OwnedFd, Failure> {
    let path = path.as_ref();
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .during(Step::Mount, &path.display().to_string())
}

fn pack(job: &Job) -> Result<Luggage, Failure> {
    let take = |path: &Path| {
        open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .during(Step::Mount, &path.display().to_string())
    };
    let nodes = NODES.iter().map(|name| take(&Path::new("/dev").join(name))).collect::<Result<_, _>>()?;
    let mut work = Vec::new();
    if job.root.is_some() {
        for path in [contract::SRC, contract::BUILD, contract::OUT] {
            work.push((path, take(&job.work.join(path.trim_start_matches('/')))?));
        }
    }
    Ok(Luggage { nodes, work })
}

/// The new root as a mount of its own, read-only.
fn new_root(job: &Job) -> Result<OwnedFd, Failure> {
    let Some(root) = &job.root else { return empty_root(&job.work) };
    let name = root.display().to_string();
    mount_bind(root, root).during(Step::Mount, &name)?;
    restrict(root, PRIVATE | MountFlags::RDONLY)?;
    open(root)
}

/// A root with nothing in it but the places to mount on, for the probe.
fn empty_root(over: &Path) -> Result<OwnedFd, Failure> {
    let name = over.display().to_string();
    mount("tmpfs", over, "tmpfs", PRIVATE, c"mode=755,size=64k").during(Step::Mount, &name)?;
    let root = open(over)?;
    for folder in ["proc", "dev", "tmp", "var", "var/tmp", "run"] {
        mkdirat(&root, folder, Mode::from_raw_mode(0o755)).during(Step::Mount, folder)?;
    }
    restrict(over, PRIVATE | MountFlags::RDONLY)?;
    open(over)
}

fn proc_and_dev(luggage: &Luggage, rights: Rights) -> Result<(), Failure> {
    mount("proc", "/proc", "proc", STRICT, None).during(Step::Mount, "/proc")?;
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", "/dev", "tmpfs", quiet, c"mode=755,size=65536k").during(Step::Mount, "/dev")?;
    for folder in ["/dev/pts", "/dev/shm"] {
        mkdirat(CWD, folder, Mode::from_raw_mode(0o755)).during(Step::Mount, folder)?;
    }
    for (name, tree) in NODES.iter().zip(&luggage.nodes) {
        let path = format!("/dev/{name}");
        openat(CWD, &path, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .during(Step::Mount, &path)?;
        attach(tree, &path)?;
    }
    for (link, target) in LINKS {
        symlink(target, link).during(Step::Mount, link)?;
    }
    // Terminals belong to the group tty (5), which a namespace with one id does not have.
    let group = if rights == Rights::Root {
        c"newinstance,ptmxmode=0666,mode=620,gid=5"
    } else {
        c"newinstance,ptmxmode=0666,mode=620"
    };
    mount("devpts", "/dev/pts", "devpts", quiet, group).during(Step::Mount, "/dev/pts")?;
    tmpfs("/dev/shm", STRICT, contract::SHM_BYTES, 0o1777)?;
    restrict("/dev", quiet | MountFlags::RDONLY)
}

fn tmpfs(path: &str, flags: MountFlags, size: u64, mode: u32) -> Result<(), Failure> {
    let options = CString::new(format!("size={size},mode={mode:o}")).unwrap_or_default();
    mount("tmpfs", path, "tmpfs", flags, options.as_c_str()).during(Step::Mount, path)
}

fn attach(tree: &OwnedFd, path: &str) -> Result<(), Failure> {
    move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).during(Step::Mount, path)
}

/// Adds `flags` to those of the mount at `path`. What came from a less trusted place is locked and has to be kept.
fn restrict(path: impl AsRef<Path>, flags: MountFlags) -> Result<(), Failure> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let now = statvfs(path).during(Step::Mount, &name)?.f_flag;
    let mut all = flags | MountFlags::BIND;
    for (have, flag) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ] {
        if now.contains(have) {
            all |= flag;
        }
    }
    mount_remount(path, all, "").during(Step::Mount, &name)
}

fn masks() -> Result<(), Failure> {
    for path in MASKED {
        match statat(CWD, path, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            Ok(stat) if stat.st_mode & 0o170_000 == 0o040_000 => tmpfs(path, STRICT | MountFlags::RDONLY, 0, 0o555)?,
            _ => mount_bind("/dev/null", path).during(Step::Mount, path)?,
        }
    }
    for path in READ_ONLY {
        match mount_bind(path, path) {
            Err(Errno::NOENT) => {}
            other => {
                other.during(Step::Mount, path)?;
                restrict(path, STRICT | MountFlags::RDONLY)?;
            }
        }
    }
    Ok(())
}
