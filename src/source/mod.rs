//! Sources of components: from what a release file says to a pin, and from a pin to one normalised tar in the store.
//! What such a tar looks like is said in `spool`; it does not depend on how or in which order the source was published.
//!
//! Knows the five ways sources are published, one file each, and asks the network only through [`Fetch`] and [`Git`].
//! Nothing here knows an archive's mirrors, engines or components; mirrors of repositories are git's own affair.

mod binary;
mod debian;
pub mod git;
mod members;
mod name;
mod path;
mod spool;
mod tarball;

pub use git::Git;

use crate::archive::SourcePackage;
use crate::cancel::Cancel;
use crate::component::Component;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::fetch::{Fetch, Wanted};
use crate::heap;
use crate::lock::{FORMAT, FileLock, PackageLock, Pin, SourceLock};
use crate::release::Source;
use crate::report::{Report, Unit};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Base URLs for files of an archive of the release known by digest, by its name and the date of its state.
pub type BasesOf<'a> = dyn Fn(&str, Option<Epoch>) -> Result<Vec<String>> + 'a;

/// All that is needed to make source tars.
pub struct Workshop<'a> {
    /// Where downloads and finished tars are.
    pub store: &'a Store,
    /// The door for files.
    pub fetch: &'a dyn Fetch,
    /// The door for git.
    pub git: &'a dyn Git,
    /// Base URLs of archives.
    pub bases: &'a BasesOf<'a>,
    /// The folder that local paths start from.
    pub root: &'a Path,
    /// Who listens.
    pub report: &'a dyn Report,
    /// The wish to stop.
    pub cancel: &'a Cancel,
}

/// What an archive's index has for a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A source package.
    Source(SourcePackage),
    /// A binary package.
    Binary(PackageLock),
}

impl Entry {
    /// The package's full version.
    pub fn version(&self) -> &str {
        match self {
            Entry::Source(package) => &package.version,
            Entry::Binary(package) => &package.version,
        }
    }
}

/// A source that was resolved, with its tar made if it is pinned.
struct Resolved {
    version: String,
    epoch: Epoch,
    digest: Option<Digest>,
    pin: Pin,
}

/// What a tar must turn out to be.
#[derive(Clone, Copy)]
struct Promised {
    epoch: Epoch,
    digest: Digest,
}

/// A tar that was made. The store remembers it by pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// A commit's date, else the newest member's.
    epoch: Epoch,
    digest: Digest,
}

impl Workshop<'_> {
    /// Pins a source as it is now, and makes its tar. `entry` is the index's entry for a source that comes from an
    /// archive.
    ///
    /// # Errors
    /// As the doors for what cannot be had, [`Kind::Document`] for a source that cannot be understood or holds what no
    /// source may hold, [`Kind::Io`].
    pub fn resolve(
        &self,
        component: Component,
        folder: &str,
        source: &Source,
        entry: Option<&Entry>,
    ) -> Result<SourceLock> {
        let unlisted = |package: &str| Error::new(Kind::Resolve, package, "is not in the archive's index");
        let resolved = match source {
            Source::Debian { archive, package, .. } => {
                let Some(Entry::Source(found)) = entry else { return Err(unlisted(package)) };
                self.resolve_debian(folder, archive, found)?
            }
            Source::BinaryPackage { archive, package, .. } => {
                let Some(Entry::Binary(found)) = entry else { return Err(unlisted(package)) };
                self.resolve_binary(folder, archive, found)?
            }
            Source::Git { url, rev, version, without_submodules } => {
                self.resolve_git(folder, (url, rev), version.as_deref(), without_submodules)?
            }
            Source::Tarball { urls, sha256, version } => self.resolve_tarball(folder, urls, sha256, version)?,
            Source::Path(path) => self.resolve_path(path)?,
        };
        let Resolved { version, epoch, digest, pin } = resolved;
        Ok(SourceLock { component, folder: folder.to_owned(), version, epoch, digest, wish: None, pin })
    }

    /// Has the tar of a locked source in the store and says its digest: the lock's, or for a path, which nothing pins,
    /// that of its files as they are now.
    ///
    /// # Errors
    /// As the doors for what cannot be had; [`Kind::Trust`] when the tar is not what the lock says.
    pub fn obtain(&self, lock: &SourceLock) -> Result<Digest> {
        let promised = lock.digest.map(|digest| Promised { epoch: lock.epoch, digest });
        if let Some(promised) = promised.filter(|promised| self.store.contains(&promised.digest)) {
            return Ok(promised.digest);
        }
        let folder = &lock.folder;
        self.telling(folder, || match &lock.pin {
            Pin::Debian { archive, package, files } => self.make_debian(folder, archive, package, files, promised),
            Pin::BinaryPackage { archive, package, file } => self.make_binary(folder, archive, package, file, promised),
            Pin::Tarball { urls, sha256 } => self.make_tarball(folder, urls, sha256, promised),
            Pin::Git { url, reference, commit, tree, submodules } => {
                let pinned = git::Pinned { url, reference: reference.as_deref(), commit, tree, submodules };
                self.make_git(folder, &pinned, promised)
            }
            Pin::Path { path } => self.pack_path(folder, path),
        })
        .map(|made| made.digest)
    }

    /// Brings those of an archive's files that the store does not have; with all of them there, nobody asks where the
    /// archive is.
    fn bring(&self, archive: &str, files: &[&FileLock]) -> Result<()> {
        let missing: Vec<&FileLock> = files.iter().copied().filter(|file| !self.store.contains(&file.sha256)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let bases = (self.bases)(archive, None)?;
        let wanted = missing.iter().map(|file| Wanted {
            name: file.path.rsplit('/').next().unwrap_or(&file.path).to_owned(),
            urls: bases.iter().map(|base| format!("{base}/{}", file.path)).collect(),
            sha256: file.sha256,
            size: Some(file.size),
        });
        self.fetch.all(&wanted.collect::<Vec<_>>(), self.cancel)
    }

    /// Makes a tar and says so: large sources take a while.
    fn telling(&self, folder: &str, make: impl FnOnce() -> Result<Made>) -> Result<Made> {
        let task = format!("source {folder}");
        self.report.begin(&task, None, Unit::Steps);
        let made = make()?;
        heap::give_back();
        self.report.end(&task, format!("sha256 {}", made.digest.short()));
        Ok(made)
    }

    /// What the store knows of `pin` in `folder`, or else what `make` gives, which it then knows.
    fn remembered(&self, folder: &str, pin: &Pin, make: impl FnOnce() -> Result<Made>) -> Result<Made> {
        let key = document::identity(&("source", FORMAT, folder, pin))?;
        let old: Option<Made> = self.store.action(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(old) = old.filter(|old| self.store.contains(&old.digest)) {
            return Ok(old);
        }
        let made = self.telling(folder, make)?;
        self.store.put_action(&key, &document::canonical(&made)?)?;
        Ok(made)
    }
}

/// The time of a tar: the lock's where there is one, which the newest member must not contradict.
fn settle(name: &str, newest: u64, promised: Option<Promised>) -> Result<Epoch> {
    match promised {
        Some(promised) if promised.epoch.0 != newest => {
            let cause = format!("its newest member is of {newest}, the lock says {}", promised.epoch);
            Err(Error::new(Kind::Trust, name, cause).remedy("renew the lock with `snpforge lock --update`"))
        }
        _ => Ok(Epoch(newest)),
    }
}
