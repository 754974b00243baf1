//! Walking below one folder by open descriptors, never through a symbolic link. It must work in trees that a hostile
//! build made, so depth and number of entries are bounded.

use crate::error::{Error, Kind};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmodat, fchmod, mkdirat, openat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Levels of folders that are walked: each holds a descriptor, and soft limits start at 1024.
pub(crate) const DEEPEST: usize = 128;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What is created on the way to a member whose folders the tar does not list.
const IMPLIED: Mode = Mode::from_raw_mode(0o755);

/// Open folders along the path that was last asked for, so that neighbours cost no second look-up.
pub(crate) struct Walker {
    root: OwnedFd,
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// Folders that their owner may not enter are made enterable.
    force: bool,
}

impl Walker {
    /// Starts at `root`, which may itself be reached through symbolic links.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let root = openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Walker::within(root))
    }

    /// Starts at a folder that is open already.
    pub(crate) fn within(root: OwnedFd) -> Self {
        Walker { root, open: Vec::new(), force: false }
    }

    /// The same, opening also what a build of the same user made unreadable.
    pub(crate) fn forcing(root: &Path) -> io::Result<Self> {
        Ok(Walker { force: true, ..Walker::new(root)? })
    }

    /// The folder at `path`. Fails with `ELOOP` or `ENOTDIR` where a part is something else.
    pub(crate) fn folder(&mut self, path: &[&[u8]]) -> io::Result<BorrowedFd<'_>> {
        self.walk(path, false)
    }

    /// The folder at `path`, made with its parents where it is not there.
    pub(crate) fn make_folder(&mut self, path: &[&[u8]]) -> io::Result<BorrowedFd<'_>> {
        self.walk(path, true)
    }

    fn walk(&mut self, path: &[&[u8]], make: bool) -> io::Result<BorrowedFd<'_>> {
        let known = self.open.iter().zip(path).take_while(|((name, _), part)| name == *part).count();
        self.open.truncate(known);
        for part in &path[known..] {
            let at = self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd());
            let made = make
                && match mkdirat(at, *part, IMPLIED) {
                    Ok(()) => true,
                    Err(Errno::EXIST) => false,
                    Err(error) => return Err(error.into()),
                };
            let folder = self.enter(at, part)?;
            if made {
                // The umask does not count.
                fchmod(&folder, IMPLIED)?;
            }
            self.open.push((part.to_vec(), folder));
        }
        Ok(self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd()))
    }

    fn enter(&self, at: BorrowedFd<'_>, part: &[u8]) -> io::Result<OwnedFd> {
        match openat(at, part, FOLDER, Mode::empty()) {
            Err(Errno::ACCESS) if self.force => {
                enterable(at, part)?;
                Ok(openat(at, part, FOLDER, Mode::empty())?)
            }
            other => Ok(other?),
        }
    }
}

/// Gives the owner of the folder `name` all rights to it. A symbolic link in its place is left alone.
pub(super) fn enterable(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    if FileType::from_raw_mode(statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) == FileType::Directory {
        chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
    }
    Ok(())
}

/// The names in a folder, sorted by their bytes.
pub(super) fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Something below the folder that was listed.
pub(crate) struct Found {
    /// The parts of its path.
    pub(crate) path: Vec<Vec<u8>>,
    /// What it is; of a symbolic link, the link's own.
    pub(crate) stat: Stat,
}

impl Found {
    /// Its kind.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// The path as one name.
    pub(crate) fn name(&self) -> Vec<u8> {
        self.path.join(&b'/')
    }
}

/// How much a listing may find before it gives up: a hostile build can make millions of files in a minute.
pub(crate) struct Limits {
    /// Entries.
    pub(crate) entries: usize,
    /// Levels of folders, at most [`DEEPEST`].
    pub(crate) depth: usize,
}

/// Why a folder cannot be listed.
pub(crate) enum Unlistable {
    /// It holds more, or deeper, than the limits allow.
    TooMuch(String),
    /// Something in it cannot be read.
    Unreadable(Vec<u8>, io::Error),
}

impl Unlistable {
    /// As an error about the folder at `root`.
    pub(crate) fn about(self, root: &Path) -> Error {
        match self {
            Unlistable::TooMuch(what) => Error::new(Kind::Io, root.display(), what),
            Unlistable::Unreadable(name, error) => Error::io(&root.join(OsStr::from_bytes(&name)), "list", error),
        }
    }
}

/// Everything below the walker's folder: a folder before what it holds, neighbours in the order of their bytes.
pub(crate) fn list(walker: &mut Walker, limits: &Limits) -> Result<Vec<Found>, Unlistable> {
    let depth = limits.depth.min(DEEPEST);
    let mut found: Vec<Found> = Vec::new();
    let mut next = vec![Vec::new()];
    while let Some(path) = next.pop() {
        let unreadable = |error| Unlistable::Unreadable(path.join(&b'/'), error);
        let parts: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
        if let Some((name, parents)) = parts.split_last() {
            let stat = walker.folder(parents).and_then(|at| Ok(statat(at, *name, AtFlags::SYMLINK_NOFOLLOW)?));
            let entry = Found { path: path.clone(), stat: stat.map_err(unreadable)? };
            let folder = entry.kind() == FileType::Directory;
            found.push(entry);
            if !folder {
                continue;
            }
            if path.len() >= depth {
                return Err(Unlistable::TooMuch(format!("holds folders deeper than {depth}")));
            }
        }
        let names = walker.folder(&parts).and_then(names).map_err(unreadable)?;
        if found.len() + next.len() + names.len() > limits.entries {
            return Err(Unlistable::TooMuch(format!("holds more than {} files", limits.entries)));
        }
        // Taken from the end, so the last goes in first.
        next.extend(names.into_iter().rev().map(|name| [path.as_slice(), &[name]].concat()));
    }
    Ok(found)
}
