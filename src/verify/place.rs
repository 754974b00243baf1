//! Where the parts of a release are on this machine, and opening them without following a link: what is checked must be
//! what is used.

use crate::date::Day;
use crate::error::{Error, Kind, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How every release's name begins; the day follows.
const PREFIX: &str = "snp-release-";
/// Name of the sums file in the release's folder.
pub(super) const INNER: &str = "SHA256SUMS";
/// How the name of the outer sums file ends.
const SUMS: &str = ".SHA256SUMS";

/// The folder that holds a release and what stands beside it.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder.
    pub(super) base: PathBuf,
    /// The release's name: `snp-release-<DATE>`.
    pub(super) name: String,
}

impl Place {
    /// The release that `bundle` means: its folder, its outer sums file, or a folder that holds exactly one of them.
    pub(super) fn find(bundle: &Path) -> Result<Self> {
        // Resolved, so that `.` has a name and a link `latest` leads to one place only.
        let path = fs::canonicalize(bundle).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => no_release(bundle, "does not exist".into()),
            _ => Error::io(bundle, "open", error),
        })?;
        let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let base = || path.parent().unwrap_or(Path::new("/")).to_owned();
        if path.is_dir() {
            return match release(own) {
                Some(name) => Ok(Place { base: base(), name: name.to_owned() }),
                None => Place::only_one_in(path),
            };
        }
        match own.strip_suffix(SUMS).and_then(release) {
            Some(name) => Ok(Place { base: base(), name: name.to_owned() }),
            None => Err(no_release(bundle, format!("is not named {PREFIX}<DATE>{SUMS}"))),
        }
    }

    fn only_one_in(base: PathBuf) -> Result<Self> {
        let entries = fs::read_dir(&base).map_err(|error| Error::io(&base, "list", error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(&base, "list", error))?.file_name();
            let entry = entry.to_str().unwrap_or_default();
            names.extend(release(entry.strip_suffix(SUMS).unwrap_or(entry)).map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [name] => Ok(Place { name: name.clone(), base }),
            [] => Err(no_release(&base, "holds no release".into())),
            several => Err(no_release(&base, format!("holds several releases: {}", several.join(", ")))),
        }
    }

    /// Name of the outer sums file, the one that is signed.
    pub(super) fn sums(&self) -> String {
        format!("{}{SUMS}", self.name)
    }

    /// The path of one of the release's files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// The entry of the outer sums file that stands for the folder.
    pub(super) fn inner(&self) -> String {
        format!("{}/{}", self.name, INNER)
    }

    /// The folder of the signatures.
    pub(super) fn signatures(&self) -> PathBuf {
        self.base.join(format!("{}.sigs", self.sums()))
    }
}

fn release(name: &str) -> Option<&str> {
    let day = name.strip_prefix(PREFIX)?;
    (day.parse::<Day>().ok()?.to_string() == day).then_some(name)
}

fn no_release(bundle: &Path, cause: String) -> Error {
    Error::new(Kind::Usage, bundle.display(), cause)
        .remedy(format!("name the folder {PREFIX}<DATE>, the file {PREFIX}<DATE>{SUMS}, or the folder that holds them"))
}

/// Why a file is not taken.
#[derive(Debug)]
pub(super) enum Unfit {
    /// Nothing of this name is there.
    Absent,
    /// It is there and something else than a plain file of reasonable size.
    Odd(&'static str),
    /// This machine cannot read it.
    Unreadable(Error),
}

/// Opens the regular file at `path`; its last part is no link.
pub(super) fn open(path: &Path) -> std::result::Result<File, Unfit> {
    open_in(CWD, path.as_os_str().as_bytes(), path)
}

/// Opens the regular file `name` of an open folder; it is no link. Errors show `path`.
pub(super) fn open_in(folder: BorrowedFd<'_>, name: &[u8], path: &Path) -> std::result::Result<File, Unfit> {
    // Not blocking: a named pipe would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => Unfit::Absent,
        Errno::LOOP => Unfit::Odd("is a link"),
        Errno::NXIO => Unfit::Odd("is no regular file"),
        error => Unfit::Unreadable(Error::io(path, "open", error.into())),
    })?);
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        Ok(_) => Err(Unfit::Odd("is no regular file")),
        Err(error) => Err(Unfit::Unreadable(Error::io(path, "read", error))),
    }
}

/// Opens the folder at `path`, which is no link.
pub(super) fn folder(path: &Path) -> std::result::Result<OwnedFd, Unfit> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => Unfit::Absent,
        Errno::NOTDIR | Errno::LOOP => Unfit::Odd("is no folder"),
        error => Unfit::Unreadable(Error::io(path, "open", error.into())),
    })
}

/// The content of the regular file at `path`, of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> std::result::Result<Vec<u8>, Unfit> {
    content(open(path)?, path, limit)
}

/// The content of an opened file of at most `limit` bytes; errors show `path`.
pub(super) fn content(file: File, path: &Path, limit: u64) -> std::result::Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Unfit::Unreadable(Error::io(path, "read", error)))?;
    if bytes.len() as u64 > limit { Err(Unfit::Odd("is too large")) } else { Ok(bytes) }
}
