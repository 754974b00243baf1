//! Hands out what a build left in /out. The build may have left anything: nothing is followed, nothing but regular files
//! is opened, and a listing that no product has is refused instead of read.

use crate::cancel::{self, Cancel};
use crate::engine::{Member, MemberKind, Take};
use crate::error::{Error, Kind, Result};
use crate::tree::{Found, Limits, Unlistable, Walker, list};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, chmodat, openat};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

/// More than any product has.
const LIMITS: Limits = Limits { entries: 200_000, depth: 64 };

/// Gives every member of `out` to `take`: folders before what they hold, neighbours by their bytes. The second name of a
/// file with several is [`MemberKind::Other`], as in the other engines' tars.
pub(super) fn hand_out(out: &Path, take: &mut Take<'_>, cancel: &Cancel) -> Result<()> {
    let refused = |why| match why {
        Unlistable::TooMuch(what) => {
            Error::new(Kind::Output, "/out", what).remedy("the recipe must leave only its products there")
        }
        other => other.about(out),
    };
    let mut walker = Walker::forcing(out).map_err(|error| Error::io(out, "open", error))?;
    let mut named = HashSet::new();
    for found in list(&mut walker, &LIMITS).map_err(refused)? {
        cancel::check(cancel, "taking over the build's files")?;
        let kind = match found.kind() {
            FileType::RegularFile if found.stat.st_nlink < 2 || named.insert(found.stat.st_ino) => MemberKind::File,
            FileType::Directory => MemberKind::Folder,
            FileType::Symlink => MemberKind::Symlink,
            _ => MemberKind::Other,
        };
        let file = kind == MemberKind::File;
        let member = Member {
            path: String::from_utf8_lossy(&found.name()).into_owned(),
            kind,
            mode: found.stat.st_mode & 0o7777,
            size: if file { found.stat.st_size.cast_unsigned() } else { 0 },
        };
        if file {
            let mut content =
                open(&mut walker, &found).map_err(|error| Error::io(&out.join(&member.path), "open", error))?;
            take(&member, &mut content)?;
        } else {
            take(&member, &mut io::empty())?;
        }
    }
    Ok(())
}

/// A regular file, even one whose mode forbids its owner to read it.
fn open(walker: &mut Walker, found: &Found) -> io::Result<File> {
    let parts: Vec<&[u8]> = found.path.iter().map(Vec::as_slice).collect();
    let Some((name, parents)) = parts.split_last() else { return Err(io::ErrorKind::NotFound.into()) };
    let folder = walker.folder(parents)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(folder, *name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            chmodat(folder, *name, Mode::RUSR, AtFlags::empty())?;
            Ok(File::from(openat(folder, *name, flags, Mode::empty())?))
        }
        other => Ok(File::from(other?)),
    }
}
