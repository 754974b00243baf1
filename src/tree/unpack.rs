//! A tar into a folder. Modes and times are the tar's, independent of the umask; nothing outside the folder is touched,
//! whatever the tar says and whatever lies in the folder already.

use super::walk::Walker;
use super::{Member, MemberKind, Owners, damaged, members, no_folder, parts, refused};
use crate::cancel::{self, Cancel};
use crate::engine::contract;
use crate::error::{Error, Result};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, openat, symlinkat,
    utimensat,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// A folder whose mode and time are set last: its content would change the time, and the mode may forbid content.
struct Later {
    path: Vec<u8>,
    mode: u32,
    mtime: i64,
    owner: (u32, u32),
}

/// Puts the members of `tar` into the existing folder `into`. A member `./` sets the mode and time of `into` itself.
/// Folders the tar does not list are made with mode 0755.
///
/// # Errors
/// [`crate::error::Kind::Trust`] for a member that would leave the folder, goes through a symbolic link, is there
/// already, is no file, folder or symbolic link, or belongs to an unknown user, and for a damaged tar;
/// [`crate::error::Kind::Io`] when writing fails; [`crate::error::Kind::Interrupted`].
pub fn unpack(tar: &mut dyn Read, into: &Path, owners: Owners, cancel: &Cancel) -> Result<()> {
    let mut walker = Walker::new(into).map_err(|error| Error::io(into, "open", error))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut later = Vec::new();
    members(tar, &mut |member, content| {
        cancel::check(cancel, "unpacking")?;
        known_owner(member, owners)?;
        let path = parts(&member.name).map_err(|why| refused(&member.name, why))?;
        let made = match path.split_last() {
            None if member.kind == MemberKind::Folder => Ok(()),
            None => return Err(refused(&member.name, "has no name")),
            Some(_) if member.kind == MemberKind::Folder => walker.make_folder(&path).map(drop),
            Some((name, parents)) => walker.make_folder(parents).and_then(|folder| match &member.kind {
                MemberKind::Symlink(target) => symlink(folder, name, target, member, owners),
                _ => file(folder, name, member, owners, content, &mut buffer),
            }),
        };
        if member.kind == MemberKind::Folder {
            let (mode, mtime, owner) = (member.mode, member.mtime, member.owner);
            later.push(Later { path: member.name.clone(), mode, mtime, owner });
        }
        made.map_err(|error| failed(into, member, error))
    })?;
    // Deepest last in a tar, so first here: a parent that forbids entering comes after its children.
    for folder in later.iter().rev() {
        let path = parts(&folder.path).map_err(|why| refused(&folder.path, why))?;
        let set = walker.folder(&path).and_then(|open| settle(open, folder.mode, folder.mtime, folder.owner, owners));
        set.map_err(|error| Error::io(into, "set the mode of a folder in", error))?;
    }
    Ok(())
}

fn known_owner(member: &Member, owners: Owners) -> Result<()> {
    let known = |id| id == 0 || id == contract::UID;
    if owners == Owners::FromTar && !(known(member.owner.0) && known(member.owner.1)) {
        return Err(refused(
            &member.name,
            format!("belongs to the unknown user {}:{}", member.owner.0, member.owner.1),
        ));
    }
    Ok(())
}

fn failed(into: &Path, member: &Member, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => refused(&member.name, "is there twice"),
        io::ErrorKind::UnexpectedEof => damaged(format!("`{}` is cut off", super::shown(&member.name))),
        _ if no_folder(&error) => refused(&member.name, "goes through something that is no folder"),
        _ => Error::io(&into.join(super::shown(&member.name)), "unpack", error),
    }
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Owner before mode, because a change of owner clears the setuid bits; time last.
fn settle(open: BorrowedFd<'_>, mode: u32, mtime: i64, owner: (u32, u32), owners: Owners) -> io::Result<()> {
    if owners == Owners::FromTar {
        fchown(open, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
    }
    fchmod(open, Mode::from_raw_mode(mode))?;
    Ok(futimens(open, &times(mtime))?)
}

fn file(
    folder: BorrowedFd<'_>,
    name: &[u8],
    member: &Member,
    owners: Owners,
    content: &mut dyn Read,
    buffer: &mut [u8],
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    let mut left = member.size;
    while left > 0 {
        let count = content.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all(&buffer[..count])?;
        left = left.saturating_sub(count as u64);
    }
    settle(file.as_fd(), member.mode, member.mtime, member.owner, owners)
}

fn symlink(folder: BorrowedFd<'_>, name: &[u8], target: &[u8], member: &Member, owners: Owners) -> io::Result<()> {
    symlinkat(target, folder, name)?;
    if owners == Owners::FromTar {
        let (user, group) = (Uid::from_raw(member.owner.0), Gid::from_raw(member.owner.1));
        chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(utimensat(folder, name, &times(member.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}
