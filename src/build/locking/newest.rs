//! Which version of an archive's package a source gets: the wished one, else the newest whose files can really be had.
//! An archive's index may name files that its mirrors have lost; then the next older version in the index is taken, and
//! said so. Mirrors that do not answer say nothing about a file: while none answers, nothing older is taken.

use super::super::Borders;
use super::super::fetch::workshop;
use super::wish::Wish;
use super::{bases, declared};
use crate::archive::{self, Indexes};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use crate::lock::SourceLock;
use crate::release::{Release, Source};
use crate::source::Entry;
use std::collections::BTreeMap;

impl Wish<'_> {
    /// Resolves the source.
    pub(super) fn lock(
        &self,
        indexes: &BTreeMap<&str, Indexes>,
        release: &Release,
        borders: &Borders<'_>,
    ) -> Result<SourceLock> {
        let index = |name: &str| {
            indexes.get(name).ok_or_else(|| Error::new(Kind::Document, name, "is not an archive of this release"))
        };
        let (archive, entries): (&str, Vec<Entry>) = match self.source {
            Source::Debian { archive, package, version } => {
                let found = index(archive)?.source(package, version.as_deref())?;
                (archive, found.into_iter().map(Entry::Source).collect())
            }
            Source::BinaryPackage { archive, package, version } => {
                let architecture = &declared(release, archive)?.architecture;
                let found = index(archive)?.binary(package, version.as_deref(), architecture)?;
                (archive, found.into_iter().map(Entry::Binary).collect())
            }
            Source::Git { .. } | Source::Tarball { .. } | Source::Path(_) => {
                return self.attempt(None, None, release, borders);
            }
        };
        for pair in entries.windows(2) {
            match self.unless_lost(&pair[0], archive, release, borders)? {
                Some(lock) => return Ok(lock),
                None => borders.report.warn(format!(
                    "source `{}` is NOT the newest: no mirror that answers has the files of {}, taking {}",
                    self.folder,
                    named(&pair[0]),
                    pair[1].version()
                )),
            }
        }
        self.attempt(entries.last(), None, release, borders)
    }

    fn attempt(
        &self,
        entry: Option<&Entry>,
        only: Option<&[String]>,
        release: &Release,
        borders: &Borders<'_>,
    ) -> Result<SourceLock> {
        let bases = |archive: &str, epoch: Option<Epoch>| match only {
            Some(only) => Ok(only.to_vec()),
            None => bases(release, archive, epoch, borders),
        };
        let lock = workshop(borders, &bases).resolve(self.component, self.folder, self.source, entry)?;
        Ok(SourceLock { wish: self.digest, ..lock })
    }

    /// The source from this entry; `None` when every mirror that answers has lost a file of it.
    fn unless_lost(
        &self,
        entry: &Entry,
        archive: &str,
        release: &Release,
        borders: &Borders<'_>,
    ) -> Result<Option<SourceLock>> {
        let all = bases(release, archive, None, borders)?;
        let attempt = |only: &[String]| self.attempt(Some(entry), Some(only), release, borders);
        let declared = declared(release, archive)?;
        match archive::from_those_that_answer(declared, &all, borders.fetch, borders.cancel, &attempt) {
            Err(error) if error.kind() == Kind::Gone => Ok(None),
            other => other.map(Some),
        }
    }
}

fn named(entry: &Entry) -> String {
    match entry {
        Entry::Source(package) => format!("source package {} {}", package.name, package.version),
        Entry::Binary(package) => format!("binary package {} {}", package.name, package.version),
    }
}
