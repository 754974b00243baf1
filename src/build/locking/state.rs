//! Archives' states for a lock: the one that the old lock has, replayed by hash, or as it is now.

use super::super::Borders;
use super::wish::Ask;
use crate::archive::{Indexes, Keep, Need, Site};
use crate::date::Epoch;
use crate::definition::Archive;
use crate::error::{Error, Kind, Result};
use crate::lock::{ReleaseLock, SuiteLock};
use crate::mirror;
use crate::release::Release;
use std::collections::BTreeMap;

/// The state of every archive that sources come from, and the indexes of those in which something is to be found.
pub(super) fn archives<'r>(
    release: &'r Release,
    wanted: BTreeMap<&'r str, Ask<'r>>,
    old: Option<&ReleaseLock>,
    borders: &Borders<'_>,
) -> Result<(Vec<SuiteLock>, BTreeMap<&'r str, Indexes>)> {
    let (mut suite, mut indexes) = (Vec::new(), BTreeMap::new());
    for (name, Ask { need, packages, renewed }) in wanted {
        let known = || old.into_iter().flat_map(|old| &old.suite).filter(|suite| suite.archive == name).cloned();
        if packages.is_empty() {
            suite.extend(known().map(|mut suite| {
                suite.index.retain(|file| need.covers(&file.path));
                suite
            }));
            continue;
        }
        let archive = declared(release, name)?;
        let keyring = borders.project.keyring("releases", &archive.keyring)?;
        let kept: Option<Vec<SuiteLock>> = (!renewed).then(|| known().collect());
        let (read, index) = state(archive, name, &keyring, (need, Keep::Named(&packages)), kept.as_deref(), borders)?;
        suite.extend(read);
        indexes.insert(name, index);
    }
    suite.sort();
    Ok((suite, indexes))
}

/// One of a release's archives.
pub(in crate::build) fn declared<'r>(release: &'r Release, archive: &str) -> Result<&'r Archive> {
    release.archives.get(archive).ok_or_else(|| {
        Error::new(Kind::Lock, format!("archive `{archive}`"), "is named by the lock but not declared by the release")
            .remedy("run `snpforge lock`")
    })
}

/// File mirrors of one of a release's archives.
///
/// # Errors
/// [`Kind::Lock`] when the release does not declare it.
pub fn bases(release: &Release, archive: &str, epoch: Option<Epoch>, borders: &Borders<'_>) -> Result<Vec<String>> {
    Ok((borders.mirrors)(declared(release, archive)?, epoch)?.files)
}

/// Adds to the error about an archive that only a snapshot service tells of how to name a mirror of that.
fn of_service(error: Error, archive: &Archive) -> Error {
    if archive.snapshot_time.is_none() || error.kind() != Kind::Unavailable {
        return error;
    }
    let variable = mirror::variable(archive.family);
    error.also(format!(
        "a mirror of the snapshot service has {{time}} in its URL in {variable}; others are not asked here"
    ))
}

/// An archive's state: the one in the lock replayed by hash, if wished and possible, else as it is now.
pub(super) fn state(
    archive: &Archive,
    name: &str,
    keyring: &[u8],
    (need, keep): (Need, Keep<'_>),
    kept: Option<&[SuiteLock]>,
    borders: &Borders<'_>,
) -> Result<(Vec<SuiteLock>, Indexes)> {
    let own = |suites: &&[SuiteLock]| {
        let is = |kept: &SuiteLock, suite: &String| {
            kept.archive == name && kept.suite == *suite && kept.snapshot_time == archive.snapshot_time
        };
        archive.suites.iter().all(|suite| suites.iter().any(|kept| is(kept, suite)))
    };
    // A suite that is new has no old state, and one state of an archive is of one time.
    let kept = kept.filter(own);
    let date = kept.and_then(|suites| suites.iter().map(|suite| suite.date).max());
    let bases = (borders.mirrors)(archive, date)?.indexes;
    let site = Site { definition: archive, name, keyring, bases: &bases, fetch: borders.fetch, store: borders.store };
    let mut locks: Option<Vec<SuiteLock>> = None;
    if let Some(kept) = kept {
        let own: Vec<SuiteLock> = kept.iter().filter(|suite| suite.archive == name).cloned().collect();
        match site.replay(need, &own, borders.cancel) {
            Ok(replayed) => locks = Some(replayed),
            Err(error) if matches!(error.kind(), Kind::Gone | Kind::Unavailable) => {
                borders.report.warn(format!("the archive's old state cannot be had ({error}); taking today's"));
            }
            Err(error) => return Err(error),
        }
    }
    let locks = match locks {
        Some(locks) => locks,
        None => site.refresh(need, borders.now, borders.cancel).map_err(|error| of_service(error, archive))?,
    };
    let indexes = site.indexes(&locks, keep)?;
    Ok((locks, indexes))
}
