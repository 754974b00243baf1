//! Folders of this machine and tars, in both directions: unpacking without ever leaving the folder, comparing a folder
//! with the tar it came from, packing a folder, removing one whatever its modes are.
//!
//! Nothing here follows a symbolic link below the folder it was given, and no path is looked up twice as text: every
//! step goes from one open folder to the next. It knows nothing of images, engines or sources.

mod compare;
mod pack;
mod remove;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;

pub use compare::compare;
pub use pack::pack;
pub use remove::remove;
pub use unpack::unpack;
pub(crate) use walk::{Found, Limits, Unlistable, Walker, list};

use crate::error::{Error, Kind, Result};
use crate::tarball::Whole;
use rustix::io::Errno;
use std::io::Read;

/// Whose the files of a tar are once they are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The user who unpacks, whatever the tar says: all an unprivileged user can do.
    Mine,
    /// As the tar says. Only root (0) and the contract's user are known; others are refused.
    FromTar,
}

/// The parts of a member's name, or why it is refused: nothing may leave the folder.
fn parts(name: &[u8]) -> std::result::Result<Vec<&[u8]>, &'static str> {
    if name.first() == Some(&b'/') {
        return Err("has an absolute name");
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err("has a name with `..`");
    }
    if parts.len() > walk::DEEPEST {
        return Err("lies deeper than any real file");
    }
    Ok(parts)
}

/// Whether a step failed because a part of the path is a symbolic link or a file.
fn no_folder(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTDIR | Errno::LOOP))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// A member that is refused for what it is.
fn refused(name: &[u8], why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Trust, format!("tar member `{}`", shown(name)), why)
}

/// A tar that cannot be read to its end.
fn damaged(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Trust, "tar", format!("is damaged or cut off: {why}"))
        .remedy("run the command again; the input is fetched or made anew if its digest does not match")
}

/// A member of one of our tars: what both unpacking and comparing need to know.
struct Member {
    name: Vec<u8>,
    kind: MemberKind,
    mode: u32,
    mtime: i64,
    owner: (u32, u32),
    size: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum MemberKind {
    File,
    Folder,
    Symlink(Vec<u8>),
}

/// Gives every member of `tar` with its content to `take`, to the end of the tar, and then reads the rest of the
/// stream, so that a reader that hashes has seen all of it.
fn members(tar: &mut dyn Read, take: &mut dyn FnMut(&Member, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut archive = tar::Archive::new(Whole::new(tar));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let member = member(&entry)?;
        take(&member, &mut entry)?;
    }
    let mut rest = archive.into_inner();
    if rest.is_cut() {
        return Err(damaged("it ends too early"));
    }
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(damaged)?;
    Ok(())
}

fn member<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Member> {
    let header = entry.header();
    let name = entry.path_bytes().into_owned();
    let number = |value: std::io::Result<u64>| {
        value
            .ok()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| refused(&name, "has an owner beyond 32 bits"))
    };
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => MemberKind::File,
        tar::EntryType::Directory => MemberKind::Folder,
        tar::EntryType::Symlink => MemberKind::Symlink(entry.link_name_bytes().unwrap_or_default().into_owned()),
        other => return Err(refused(&name, format!("is neither file, folder nor symbolic link but {other:?}"))),
    };
    let mtime = header.mtime().ok().and_then(|mtime| i64::try_from(mtime).ok());
    Ok(Member {
        kind,
        mode: header.mode().map_err(damaged)? & 0o7777,
        mtime: mtime.ok_or_else(|| refused(&name, "has a time beyond the calendar"))?,
        owner: (number(header.uid())?, number(header.gid())?),
        size: entry.size(),
        name,
    })
}
