//! The step that brings every input of the plan into the store. Afterwards no step needs the network.

use super::cache::{self, ActionResult};
use super::plan::{Plan, Task};
use super::{Borders, base, locking};
use crate::archive::from_those_that_answer;
use crate::component::Component;
use crate::date::Epoch;
use crate::definition::{Archive, ImageDefinition};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fetch::Wanted;
use crate::lock::{ImageLock, PackageLock, Pin, ReleaseLock, SourceLock};
use crate::release::Release;
use crate::source::{BasesOf, Workshop};
use std::collections::BTreeMap;

/// A component whose sources are in the store, or its earlier result. Made by [`sources`] only.
pub enum Source<'plan> {
    /// An earlier run had the same key: nothing is needed.
    Earlier(&'plan Task, ActionResult),
    /// Its normalised source tars are in the store.
    Ready {
        /// What to run.
        task: &'plan Task,
        /// Digests of the tars, in the order of the lock.
        sources: Vec<Digest>,
    },
}

/// All components of the plan, in its order.
pub type Sources<'plan> = Vec<Source<'plan>>;

/// Brings what is missing into the store: packages and base if the image must be made, sources of what must run.
///
/// # Errors
/// [`crate::error::Kind::Gone`] and [`crate::error::Kind::Unavailable`] name what is missing and where it was looked for.
pub fn sources<'plan>(plan: &'plan Plan, borders: &Borders<'_>) -> Result<Sources<'plan>> {
    let mut made = Vec::new();
    for task in &plan.tasks {
        match cache::look_up(task, borders.store)? {
            Some(result) => made.push(Source::Earlier(task, result)),
            None => made.push(Source::Ready { task, sources: Vec::new() }),
        }
    }
    if made.iter().all(|source| matches!(source, Source::Earlier(..))) {
        return Ok(made);
    }
    borders.report.phase("fetch");
    let (definition, lock) = &plan.image_documents;
    if !borders.store.contains(&lock.diff_id) {
        image(definition, lock, borders)?;
    }
    for source in &mut made {
        if let Source::Ready { task, sources } = source {
            *sources = task_sources(task, &plan.release_documents.0, borders)?;
        }
    }
    Ok(made)
}

/// Brings the packages and the base of an image's lock into the store.
///
/// # Errors
/// As [`sources`]; [`Kind::Lock`] for packages without an archive.
pub fn image(definition: &ImageDefinition, lock: &ImageLock, borders: &Borders<'_>) -> Result<()> {
    match &definition.archive {
        _ if lock.package.is_empty() => {}
        Some(archive) => packages(archive, lock, borders)?,
        None => {
            return Err(Error::new(Kind::Lock, "image", "its lock has packages, its definition no [archive]")
                .remedy("run `snpforge lock`"));
        }
    }
    lock.base.as_ref().map_or(Ok(()), |lock| base::bring(lock, borders))
}

fn packages(archive: &Archive, lock: &ImageLock, borders: &Borders<'_>) -> Result<()> {
    // Of the suites, not of the whole image: its base may be newer, and a snapshot of that day may lack these packages.
    let date = lock.suite.iter().map(|suite| suite.date).max();
    let bases = (borders.mirrors)(archive, date)?.files;
    let bring = |bases: &[String]| {
        let missing = lock.package.iter().filter(|package| !borders.store.contains(&package.sha256));
        let wanted: Vec<Wanted> = missing.map(|package| wanted(package, bases)).collect();
        borders.fetch.all(&wanted, borders.cancel)
    };
    from_those_that_answer(archive, &bases, borders.fetch, borders.cancel, &bring)
}

/// A package as the door to the network wants it named.
pub fn wanted(package: &PackageLock, bases: &[String]) -> Wanted {
    Wanted {
        name: format!("package {} {}", package.name, package.version),
        urls: bases.iter().map(|base| format!("{base}/{}", package.path)).collect(),
        sha256: package.sha256,
        size: Some(package.size),
    }
}

/// Brings the normalised source tars of a task into the store.
///
/// # Errors
/// As [`sources`].
pub fn task_sources(task: &Task, release: &Release, borders: &Borders<'_>) -> Result<Vec<Digest>> {
    task.sources
        .iter()
        .map(|lock| match task.inputs.sources.get(&lock.folder).filter(|digest| borders.store.contains(digest)) {
            Some(digest) => Ok(*digest),
            None => obtain(lock, release, borders),
        })
        .collect()
}

/// Makes one source's normalised tar, from the network where needed.
///
/// # Errors
/// As [`sources`]; [`crate::error::Kind::Trust`] when it is not the one in the lock.
pub fn obtain(lock: &SourceLock, release: &Release, borders: &Borders<'_>) -> Result<Digest> {
    let from = |bases: &[String]| workshop(borders, &|_: &str, _: Option<Epoch>| Ok(bases.to_vec())).obtain(lock);
    match &lock.pin {
        Pin::Debian { archive, .. } | Pin::BinaryPackage { archive, .. } => {
            let bases = locking::bases(release, archive, None, borders)?;
            let archive = locking::declared(release, archive)?;
            from_those_that_answer(archive, &bases, borders.fetch, borders.cancel, &from)
        }
        Pin::Git { .. } | Pin::Tarball { .. } | Pin::Path { .. } => from(&[]),
    }
}

/// The current digest of every source that is a folder of this machine, packed just now into the store.
///
/// # Errors
/// As [`sources`].
pub fn unpinned(lock: &ReleaseLock, borders: &Borders<'_>) -> Result<BTreeMap<(Component, String), Digest>> {
    let none = |_: &str, _: Option<Epoch>| Ok(Vec::new());
    let loose = lock.source.iter().filter(|source| source.digest.is_none());
    loose
        .map(|source| Ok(((source.component, source.folder.clone()), workshop(borders, &none).obtain(source)?)))
        .collect()
}

/// The workshop that makes source tars, on these borders.
pub fn workshop<'a>(borders: &'a Borders<'a>, bases: &'a BasesOf<'a>) -> Workshop<'a> {
    Workshop {
        store: borders.store,
        fetch: borders.fetch,
        git: borders.git,
        bases,
        root: borders.project.root(),
        report: borders.report,
        cancel: borders.cancel,
    }
}
