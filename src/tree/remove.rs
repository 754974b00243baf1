//! Removing a folder that a build has filled: folders without rights, and folders nested deeper than any path or number
//! of descriptors allows. Constant depth: a folder found in a folder is first moved to the top.

use super::walk::{enterable, names};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes the folder (or file) at `path` and all it holds; what is gone already is no error. Nothing may work in it
/// any more.
///
/// # Errors
/// [`crate::error::Kind::Io`] when something cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| Error::io(path, "remove", error)),
    }
}

fn all(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if !is_folder(parent.as_fd(), name)? {
        return Ok(unlinkat(&parent, name, AtFlags::empty())?);
    }
    let top = open(parent.as_fd(), name)?;
    let mut pending = Vec::new();
    for child in names(top.as_fd())? {
        if is_folder(top.as_fd(), &child)? {
            pending.push(child);
        } else {
            unlinkat(&top, child.as_slice(), AtFlags::empty())?;
        }
    }
    let mut moved = 0_u64;
    while let Some(folder) = pending.pop() {
        match flatten(top.as_fd(), &folder, &mut pending, &mut moved) {
            // Replaced by a folder that was moved to this very name, which is pending itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
}

/// Removes one folder of the top after its folders were moved to the top.
fn flatten(top: BorrowedFd<'_>, folder: &[u8], pending: &mut Vec<Vec<u8>>, moved: &mut u64) -> io::Result<()> {
    let inside = open(top, folder)?;
    for child in names(inside.as_fd())? {
        if !is_folder(inside.as_fd(), &child)? {
            unlinkat(&inside, child.as_slice(), AtFlags::empty())?;
            continue;
        }
        // A folder that changes its parent must itself be writable.
        enterable(inside.as_fd(), &child)?;
        loop {
            let name = format!("removed-{moved}").into_bytes();
            *moved += 1;
            match renameat(&inside, child.as_slice(), top, name.as_slice()) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                other => {
                    other?;
                    pending.push(name);
                    break;
                }
            }
        }
    }
    Ok(unlinkat(top, folder, AtFlags::REMOVEDIR)?)
}

fn is_folder(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) == FileType::Directory)
}

/// The folder, after its owner has got all rights to it.
fn open(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    enterable(at, name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}
