//! Sources of components: from what a release file says to a pin, and from a pin to one normalised tar in the store.
//! What such a tar looks like is said in `spool`; it does not depend on how or in which order the source was published.
//!
//! Knows the four ways sources are published, one file each, and asks the network only through [`Fetch`] and [`Git`].
//! Nothing here knows mirrors, engines or components.

mod debian;
pub mod git;
mod members;
mod name;
mod path;
mod spool;
mod tarball;

pub use git::Git;

use crate::cancel::Cancel;
use crate::component::Component;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::fetch::Fetch;
use crate::lock::{FORMAT, FileLock, Pin, SourceLock};
use crate::release::Source;
use crate::report::Report;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A Debian source package as an archive's signed index names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianPackage {
    /// Full version.
    pub version: String,
    /// Its files, by path below the archive's base URL. A .dsc among them is not needed and left out of the lock: it
    /// only repeats what the signed index says, and mirrors were seen that had lost just it.
    pub files: Vec<FileLock>,
}

/// Finds a source package: archive name, package, exact version where one is wished.
pub type FindDebian<'a> = dyn Fn(&str, &str, Option<&str>) -> Result<DebianPackage> + 'a;

/// All that is needed to make source tars.
pub struct Workshop<'a> {
    /// Where downloads and finished tars are.
    pub store: &'a Store,
    /// The door for files.
    pub fetch: &'a dyn Fetch,
    /// The door for git.
    pub git: &'a dyn Git,
    /// Base URLs for files known by digest, by archive name.
    pub bases: BTreeMap<String, Vec<String>>,
    /// The folder of the release file, which local paths are relative to.
    pub folder: &'a Path,
    /// Who listens.
    pub report: &'a dyn Report,
    /// The wish to stop.
    pub cancel: &'a Cancel,
}

/// A source while it is made.
struct Made {
    version: String,
    epoch: Epoch,
    digest: Digest,
    pin: Pin,
}

/// What the store remembers of a pin that was normalised before.
#[derive(Serialize, Deserialize)]
struct Remembered {
    epoch: Epoch,
    digest: Digest,
}

impl Workshop<'_> {
    /// Pins a source as it is now, and makes its tar. `debian` is asked for Debian source packages.
    ///
    /// # Errors
    /// As the doors for what cannot be had, [`Kind::Document`] for a source that cannot be understood, [`Kind::Io`].
    pub fn resolve(
        &self,
        component: Component,
        folder: &str,
        source: &Source,
        debian: &FindDebian<'_>,
    ) -> Result<SourceLock> {
        let made = match source {
            Source::Debian { archive, package, version } => {
                let found = debian(archive, package, version.as_deref())?;
                self.resolve_debian(folder, archive, package, found)?
            }
            Source::Git { url, rev, without_submodules } => self.resolve_git(folder, url, rev, without_submodules)?,
            Source::Tarball { urls, sha256, version } => self.resolve_tarball(folder, urls, sha256, version)?,
            Source::Path(path) => self.resolve_path(path),
        };
        let Made { version, epoch, digest, pin } = made;
        Ok(SourceLock { component, folder: folder.to_owned(), version, epoch, digest, pin })
    }

    /// Has the tar of a locked source in the store and says its digest: the lock's, or for a path, which nothing pins,
    /// that of its files as they are now.
    ///
    /// # Errors
    /// As the doors for what cannot be had; [`Kind::Trust`] when the tar is not what the lock says.
    pub fn obtain(&self, lock: &SourceLock) -> Result<Digest> {
        if let Pin::Path { path } = &lock.pin {
            return self.pack_path(&lock.folder, path);
        }
        if self.store.contains(&lock.digest) {
            return Ok(lock.digest);
        }
        let promised = Some((&lock.digest, lock.epoch));
        let (_, digest) = match &lock.pin {
            Pin::Debian { archive, package, files } => {
                self.make_debian(&lock.folder, archive, package, files, promised)?
            }
            Pin::Tarball { urls, sha256 } => self.make_tarball(&lock.folder, urls, sha256, promised)?,
            Pin::Git { .. } => self.obtain_git(lock)?,
            Pin::Path { path } => (lock.epoch, self.pack_path(&lock.folder, path)?),
        };
        Ok(digest)
    }

    /// What the store knows of `pin` in `folder`, or else what `make` gives, which it then knows.
    fn remembered(
        &self,
        folder: &str,
        pin: &Pin,
        make: impl FnOnce() -> Result<(Epoch, Digest)>,
    ) -> Result<(Epoch, Digest)> {
        let key = document::identity(&("source", FORMAT, folder, pin))?;
        let old: Option<Remembered> = self.store.action(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(old) = old.filter(|old| self.store.contains(&old.digest)) {
            return Ok((old.epoch, old.digest));
        }
        let (epoch, digest) = make()?;
        self.store.put_action(&key, &document::canonical(&Remembered { epoch, digest })?)?;
        Ok((epoch, digest))
    }
}

/// The time of a tar: the lock's where there is one, which the newest member must not contradict.
fn settle(name: &str, newest: u64, promised: Option<(&Digest, Epoch)>) -> Result<Epoch> {
    match promised {
        Some((_, epoch)) if epoch.0 != newest => {
            let cause = format!("its newest member is of {newest}, the lock says {epoch}");
            Err(Error::new(Kind::Trust, name, cause).remedy("renew the lock with `snpforge lock --update`"))
        }
        _ => Ok(Epoch(newest)),
    }
}
