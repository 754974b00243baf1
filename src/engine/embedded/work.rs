//! The work folders of containers: `src`, `build` and `out`, the job for entering later, and a lock file that is held
//! for as long as the container's driver lives, so that a later run knows what a killed one has left.

use super::group::{self, Group};
use super::privileges::Rights;
use super::roots::{open_lock, try_lock};
use crate::engine::{Spec, contract};
use crate::error::{Error, Result};
use crate::store::files;
use crate::tree;
use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, Uid, chmod, chownat};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The lock of a container, in its folder.
const LOCK: &str = "lock";
/// What entering the container needs. Its presence says that the user wants to keep the folder.
const KEPT: &str = "job.json";

/// The folders of its control group, as a JSON list.
const GROUP: &str = "group.json";

/// A new container's folder and its lock. The name is the container's id.
pub(super) fn create(folder: &Path, spec: &Spec, rights: Rights) -> Result<(PathBuf, File)> {
    files::make_folder(folder)?;
    // Between making a folder and locking it, it looks like one of the dead.
    let _all = lock_all(folder)?;
    let mut prefix: String =
        spec.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    prefix.push('.');
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(folder)
        .map_err(|error| Error::io(folder, "make a folder in", error))?;
    let path = made.path().to_owned();
    let lock = open_lock(&path.join(LOCK))?;
    try_lock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    for name in [contract::SRC, contract::BUILD, contract::OUT] {
        let inner = path.join(name.trim_start_matches('/'));
        files::make_folder(&inner)?;
        let mode = chmod(&inner, Mode::from_raw_mode(0o755));
        let owned = if rights == Rights::Root && name != contract::SRC {
            let (user, group) = (Uid::from_raw(contract::UID), Gid::from_raw(contract::UID));
            chownat(CWD, &inner, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
        } else {
            Ok(())
        };
        mode.and(owned).map_err(|error| Error::io(&inner, "set owner and mode of", error.into()))?;
    }
    // Mode 0700 from here on keeps this machine's other users away from a build that runs as user 1000 of theirs.
    let path = made.keep();
    Ok((path, lock))
}

/// Where the job of a kept container is written down.
pub(super) fn job(work: &Path) -> PathBuf {
    work.join(KEPT)
}

/// Writes down which control group the container is in, for [`reap`].
pub(super) fn note_group(work: &Path, group: &Group) -> Result<()> {
    let path = work.join(GROUP);
    let text = serde_json::to_vec(group.folders()).map_err(|error| Error::io(&path, "describe", error.into()))?;
    files::write_whole(&path, &text)
}

/// Spares the folder from [`reap`] and writes down what entering it needs.
pub(super) fn keep(work: &Path, job: &[u8]) -> Result<()> {
    files::write_whole(&self::job(work), job)
}

/// Removes the folders whose drivers are gone; how many.
pub(super) fn reap(folder: &Path) -> Result<usize> {
    if !folder.exists() {
        return Ok(0);
    }
    let _all = lock_all(folder)?;
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, "list", error))?;
    let mut removed = 0;
    for entry in entries {
        let path = entry.map_err(|error| Error::io(folder, "list", error))?.path();
        if path.is_dir() && !path.join(KEPT).exists() && remove_dead(&path)? {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes the container in `work`, whose lock the caller holds. The lock's file goes last and while nobody else looks: a
/// [`reap`] that comes across the folder without it would take it for one whose driver is gone.
pub(super) fn remove(work: &Path) -> Result<()> {
    let entries = fs::read_dir(work).map_err(|error| Error::io(work, "list", error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(work, "list", error))?;
        if entry.file_name() != LOCK {
            tree::remove(&entry.path())?;
        }
    }
    let _all = lock_all(work.parent().unwrap_or(work))?;
    tree::remove(work)
}

/// Removes the container in `work` unless its driver lives; whether it did.
pub(super) fn remove_dead(work: &Path) -> Result<bool> {
    let lock = open_lock(&work.join(LOCK))?;
    if !try_lock(&lock, FlockOperation::NonBlockingLockExclusive)? {
        return Ok(false);
    }
    if let Some(folders) = fs::read(work.join(GROUP)).ok().and_then(|text| serde_json::from_slice::<Vec<_>>(&text).ok())
    {
        group::remove(&folders);
    }
    tree::remove(work)?;
    Ok(true)
}

fn lock_all(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let lock = open_lock(&path)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| Error::io(&path, "lock", error.into()))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn nobody_takes_a_folder_that_is_being_removed_for_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let (name, workdir) = ("t".to_owned(), "/build".to_owned());
        let spec = Spec { name, command: Vec::new(), environment: BTreeMap::new(), workdir, memory: None };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(reap(folder.path()).unwrap(), 0, "a driver lives");
                }
            });
            for _ in 0..40 {
                let (work, lock) = create(folder.path(), &spec, Rights::here()).unwrap();
                for number in 0..50 {
                    files::write_whole(&work.join(format!("out/{number}")), b"x").unwrap();
                }
                remove(&work).unwrap();
                assert!(!work.exists());
                drop(lock);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
