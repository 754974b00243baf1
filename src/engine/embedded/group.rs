//! A control group for one run, where this process may make one: the only way to a memory limit. Version 2 and the
//! older one-controller hierarchies; it must never be a condition for a run.

use crate::engine::contract;
use rustix::fs::{Access, access};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the names of the folders begin with.
const PREFIX: &str = "snpforge-";

/// One folder per hierarchy, removed when dropped.
pub(super) struct Group {
    folders: Vec<PathBuf>,
    /// Where the kernel counts what it killed for lack of memory.
    kills: PathBuf,
}

/// Whether a memory limit can be kept here, as far as that can be told without trying.
pub(super) fn possible() -> bool {
    places().is_some()
}

/// Where groups can be made: the folder for memory, that for numbers of processes, and whether it is version 2.
struct Places {
    memory: PathBuf,
    processes: Option<PathBuf>,
    unified: bool,
}

fn places() -> Option<Places> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let writable = |folder: &Path| {
        access(folder, Access::WRITE_OK).is_ok() && access(folder.join("cgroup.procs"), Access::WRITE_OK).is_ok()
    };
    if let Some(memory) = hierarchy(&own, &mounts, Some("memory")).filter(|folder| writable(folder)) {
        let processes = hierarchy(&own, &mounts, Some("pids")).filter(|folder| writable(folder));
        return Some(Places { memory, processes, unified: false });
    }
    // A group with processes cannot limit its children, so the new one stands beside this process's own or higher.
    let mine = hierarchy(&own, &mounts, None)?;
    let above = mine.ancestors().skip(1).take_while(|folder| folder.join("cgroup.subtree_control").exists());
    let memory = above.into_iter().find(|folder| {
        let passes = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        passes.split_whitespace().any(|word| word == "memory") && writable(folder)
    })?;
    Some(Places { memory: memory.to_owned(), processes: None, unified: true })
}

/// This process's folder in the hierarchy of `controller`, or in the unified one.
fn hierarchy(own: &str, mounts: &str, controller: Option<&str>) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let wanted =
            controller.map_or(number == "0" && names.is_empty(), |name| names.split(',').any(|one| one == name));
        wanted.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let (mut place, mut kind) = (place.split(' ').skip(3), kind.split(' '));
        let (root, point) = (place.next()?, place.next()?);
        let (name, _, options) = (kind.next()?, kind.next()?, kind.next()?);
        let wanted = controller
            .map_or(name == "cgroup2", |one| name == "cgroup" && options.split(',').any(|option| option == one));
        let below = if root == "/" { path } else { path.strip_prefix(root)? };
        wanted.then(|| Path::new(point).join(below.trim_start_matches('/')))
    })
}

impl Group {
    /// A group with a limit of `memory` bytes; `None` where that is not possible.
    pub(super) fn make(name: &str, memory: u64) -> Option<Self> {
        let places = places()?;
        let folder = places.memory.join(format!("{PREFIX}{name}"));
        fs::create_dir(&folder).ok()?;
        let kills = folder.join(if places.unified { "memory.events" } else { "memory.oom_control" });
        // From here on dropping it removes the folder.
        let mut group = Group { folders: vec![folder.clone()], kills };
        let (limit, swap, swap_value) = if places.unified {
            ("memory.max", "memory.swap.max", memory)
        } else {
            // Memory and swap together.
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", memory.saturating_mul(2))
        };
        set(&folder, limit, memory)?;
        // As much swap as memory, as the other engines give; a kernel without swap accounting has no such file.
        let _ = set(&folder, swap, swap_value);
        if places.unified {
            let _ = set(&folder, "pids.max", contract::PIDS);
        } else if let Some(processes) = places.processes {
            let folder = processes.join(format!("{PREFIX}{name}"));
            if fs::create_dir(&folder).is_ok() {
                let _ = set(&folder, "pids.max", contract::PIDS);
                group.folders.push(folder);
            }
        }
        Some(group)
    }

    /// The files a process writes itself into.
    pub(super) fn doors(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Its folders, for a later run to remove when this process is killed.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Whether anything in it was killed for lack of memory.
    pub(super) fn out_of_memory(&self) -> Option<bool> {
        let text = fs::read_to_string(&self.kills).ok()?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        Some(count.trim() != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.folders);
    }
}

/// Removes the folders of a group. They are empty once its processes are gone; one that is not stays, and harms nobody.
pub(super) fn remove(folders: &[PathBuf]) {
    for folder in folders {
        if folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn set(folder: &Path, file: &str, value: u64) -> Option<()> {
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(file)).ok()?;
    file.write_all(value.to_string().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_folders_are_found_in_old_and_unified_hierarchies() {
        let own = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/user.slice/x\n";
        let mounts = "35 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(hierarchy(own, mounts, Some("memory")), Some("/sys/fs/cgroup/memory/a/b".into()));
        assert_eq!(hierarchy(own, mounts, None), Some("/sys/fs/cgroup/unified/user.slice/x".into()));
        assert_eq!(hierarchy(own, mounts, Some("pids")), None);
        let part = "35 31 0:29 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(hierarchy(own, part, Some("memory")), Some("/sys/fs/cgroup/memory/b".into()));
    }
}
