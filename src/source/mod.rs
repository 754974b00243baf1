//! Sources: from what a release file says to a pin in the lock, and from the lock to one normalised tar in the store.
//! Each kind of origin is one file here; none knows what is built from it.

pub mod debian;
pub mod git;
pub mod normal;
pub mod path;
pub mod tarball;

use crate::archive::SourcePackage;
use crate::cancel::Cancel;
use crate::component::Component;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fetch::Fetch;
use crate::lock::{Pin, SourceLock};
use crate::release::Source;
use crate::report::Report;
use crate::store::Store;
use git::Git;
use std::path::Path;

/// Base URLs of an archive of the release, by its name and the date of its state.
pub type BasesOf<'a> = dyn Fn(&str, Option<Epoch>) -> Result<Vec<String>> + 'a;

/// What a normalised tar was made of: digest, the source's own date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Digest of the tar; its name in the store.
    pub digest: Digest,
    /// A commit's date, else the newest member's.
    pub epoch: Epoch,
}

/// Where source tars are made.
pub struct Workshop<'a> {
    /// Where they go.
    pub store: &'a Store,
    /// Files by digest.
    pub fetch: &'a dyn Fetch,
    /// Commits.
    pub git: &'a dyn Git,
    /// Base URLs of archives.
    pub bases: &'a BasesOf<'a>,
    /// The folder that relative paths start from.
    pub root: &'a Path,
    /// Who listens.
    pub report: &'a dyn Report,
    /// The wish to stop.
    pub cancel: &'a Cancel,
}

impl Workshop<'_> {
    /// Pins a source: resolves what moves, downloads it and makes its tar. `debian` is the index's entry for a source
    /// that comes from an archive.
    ///
    /// # Errors
    /// [`Kind::Gone`], [`Kind::Unavailable`] or [`Kind::Trust`] for what cannot be had; [`Kind::Document`] for a source
    /// that holds what no source may hold.
    pub fn resolve(
        &self,
        component: Component,
        folder: &str,
        source: &Source,
        debian: Option<&SourcePackage>,
    ) -> Result<SourceLock> {
        let (version, pin) = match source {
            Source::Debian { archive, package, .. } => {
                let found =
                    debian.ok_or_else(|| Error::new(Kind::Resolve, package, "is not in the archive's index"))?;
                (found.version.clone(), debian::pin(archive, found)?)
            }
            Source::Git { url, rev, without_submodules } => git::pin(self, url, rev, without_submodules)?,
            Source::Tarball { urls, sha256, version } => {
                (version.clone(), Pin::Tarball { urls: urls.clone(), sha256: *sha256 })
            }
            Source::Path(path) => ("unpinned".into(), Pin::Path { path: path.clone() }),
        };
        let made = self.make(folder, &pin)?;
        let digest = (!matches!(pin, Pin::Path { .. })).then_some(made.digest);
        let epoch = if digest.is_some() { made.epoch } else { Epoch(0) };
        Ok(SourceLock { component, folder: folder.to_owned(), version, epoch, digest, pin })
    }

    /// The source's normalised tar in the store, made if it is not there.
    ///
    /// # Errors
    /// As [`Workshop::resolve`]; [`Kind::Trust`] when the tar is not the one in the lock.
    pub fn obtain(&self, lock: &SourceLock) -> Result<Digest> {
        if let Some(digest) = lock.digest.filter(|digest| self.store.contains(digest)) {
            return Ok(digest);
        }
        let made = self.make(&lock.folder, &lock.pin)?;
        match lock.digest.filter(|digest| *digest != made.digest) {
            Some(digest) => Err(Error::new(Kind::Trust, format!("source `{}`", lock.folder), format!("its tar has sha256 {}, the lock says {digest}", made.digest))
                .remedy("if the lock was written by another snpforge version, run `snpforge lock --update`; else please report it")),
            None => Ok(made.digest),
        }
    }

    fn make(&self, folder: &str, pin: &Pin) -> Result<Made> {
        match pin {
            Pin::Debian { archive, package, files } => debian::make(self, folder, archive, package, files),
            Pin::Tarball { urls, sha256 } => tarball::make(self, folder, urls, sha256),
            Pin::Git { url, reference, commit, tree, submodules } => {
                git::make(self, folder, &git::Pinned { url, reference: reference.as_deref(), commit, tree, submodules })
            }
            Pin::Path { path } => path::make(self, folder, path),
        }
    }
}
