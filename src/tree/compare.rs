//! Whether a folder is exactly what a tar says: every member with kind, mode, time, owner, size and bytes, and nothing
//! else. Nothing is trusted for having been unpacked once.

use super::walk::{DEEPEST, Limits, Walker, list};
use super::{Member, MemberKind, Owners, damaged, members, no_folder, parts, refused, shown};
use crate::cancel::{self, Cancel};
use crate::error::{Error, Kind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::{Component, Path};

/// Compares every member of `layer` with the folder `root`, and looks for what is in the folder only. Of members the
/// tar lists, folders included, nothing may be missing. The whole stream is read, so a hashing reader sees all of it.
///
/// # Errors
/// [`Kind::Trust`] naming the first path that differs and how; the same for a damaged tar; [`Kind::Io`] when reading
/// fails; [`Kind::Interrupted`].
pub fn compare(layer: &mut dyn Read, root: &Path, owners: Owners, cancel: &Cancel) -> Result<()> {
    let mut walker = Walker::new(root).map_err(|error| Error::io(root, "open", error))?;
    let mut expected = HashSet::new();
    let mut buffers = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    members(layer, &mut |member, content| {
        cancel::check(cancel, "comparing the image's files")?;
        let path = parts(&member.name).map_err(|why| refused(&member.name, why))?;
        let found = same(&mut walker, &path, member, owners, content, &mut buffers);
        expected.insert(path.join(&b'/'));
        match found {
            Ok(None) => Ok(()),
            Ok(Some(how)) => Err(differs(root, &member.name, how)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged(error)),
            Err(error) => Err(differs(root, &member.name, unreadable(&error))),
        }
    })?;
    nothing_else(&mut walker, root, &expected)
}

fn differs(root: &Path, name: &[u8], how: impl std::fmt::Display) -> Error {
    let name = shown(name);
    let path = Path::new(&name).components().filter(|part| matches!(part, Component::Normal(_)));
    Error::new(Kind::Trust, path.fold(root.to_owned(), |path, part| path.join(part)).display(), how)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "is missing".into(),
        _ if no_folder(error) => "lies behind something that is no folder".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// How the member differs from what is on the disk, if it does.
fn same(
    walker: &mut Walker,
    path: &[&[u8]],
    member: &Member,
    owners: Owners,
    content: &mut dyn Read,
    buffers: &mut (Vec<u8>, Vec<u8>),
) -> io::Result<Option<String>> {
    let Some((name, parents)) = path.split_last() else {
        return Ok(attributes(member, &fstat(walker.folder(&[])?)?, owners));
    };
    let folder = walker.folder(parents)?;
    let stat = statat(folder, *name, AtFlags::SYMLINK_NOFOLLOW)?;
    if let Some(how) = attributes(member, &stat, owners) {
        return Ok(Some(how));
    }
    match &member.kind {
        MemberKind::Folder => Ok(None),
        MemberKind::Symlink(target) => {
            let found = readlinkat(folder, *name, Vec::new())?;
            Ok((found.to_bytes() != target).then(|| format!("points to `{}`", shown(found.to_bytes()))))
        }
        MemberKind::File => {
            Ok((!same_bytes(folder, name, member.size, content, buffers)?).then(|| "has other bytes".into()))
        }
    }
}

fn attributes(member: &Member, stat: &Stat, owners: Owners) -> Option<String> {
    let kind = match member.kind {
        MemberKind::File => FileType::RegularFile,
        MemberKind::Folder => FileType::Directory,
        MemberKind::Symlink(_) => FileType::Symlink,
    };
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Some(format!("is a {:?} instead of a {kind:?}", FileType::from_raw_mode(stat.st_mode)));
    }
    let mode = stat.st_mode & 0o7777;
    if kind != FileType::Symlink && mode != member.mode {
        return Some(format!("has mode {mode:o} instead of {:o}", member.mode));
    }
    if kind == FileType::RegularFile && stat.st_size.cast_unsigned() != member.size {
        return Some(format!("has {} bytes instead of {}", stat.st_size, member.size));
    }
    if (stat.st_mtime, stat.st_mtime_nsec) != (member.mtime, 0) {
        return Some(format!("was changed: its time is {} instead of {}", stat.st_mtime, member.mtime));
    }
    let owner = (stat.st_uid, stat.st_gid);
    (owners == Owners::FromTar && owner != member.owner)
        .then(|| format!("belongs to {}:{} instead of {}:{}", owner.0, owner.1, member.owner.0, member.owner.1))
}

fn same_bytes(
    folder: BorrowedFd<'_>,
    name: &[u8],
    size: u64,
    content: &mut dyn Read,
    (theirs, ours): &mut (Vec<u8>, Vec<u8>),
) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::empty())?);
    let mut left = size;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(theirs.len());
        let count = content.read(&mut theirs[..want])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a member is shorter than announced"));
        }
        match file.read_exact(&mut ours[..count]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if theirs[..count] != ours[..count] {
            return Ok(false);
        }
        left -= count as u64;
    }
    Ok(true)
}

/// Whether the folder holds only what is expected. The first thing that is not, in the order of the bytes, is named.
fn nothing_else(walker: &mut Walker, root: &Path, expected: &HashSet<Vec<u8>>) -> Result<()> {
    let limits = Limits { entries: usize::MAX, depth: DEEPEST };
    let found = list(walker, &limits).map_err(|why| why.about(root))?;
    let more = found.iter().map(super::Found::name).find(|name| !expected.contains(name));
    more.map_or(Ok(()), |name| Err(differs(root, &name, "is not part of the image")))
}
