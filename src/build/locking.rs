//! From documents to locks: the only step that decides what "now" means. An existing lock is kept as it is while it fits
//! its document; when the document changed, only the sources of which it says something else are resolved, and the
//! archives' old state is replayed by hash before a new one is asked for.

pub mod history;
pub mod kconfig;
mod kind;
mod newest;
mod refs;
mod wish;

pub use history::{Changes, changes};
pub use kind::Lock;

use super::{Borders, base, image};
use crate::archive::{Indexes, Keep, Need, Site, resolve};
use crate::component::Component;
use crate::date::Epoch;
use crate::definition::Archive;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::fetch::Wanted;
use crate::heap;
use crate::lock::{FORMAT, ImageLock, PackageLock, ReleaseLock, SourceLock, SuiteLock};
use crate::mirror;
use crate::release::Release;
use std::collections::BTreeMap;
use wish::{Ask, Wish};

/// The archive name that an image lock's suites carry.
const IMAGE: &str = "image";

/// What is asked for anew although the lock has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness<'a> {
    /// Nothing.
    Keep,
    /// The sources of these components, and nothing of an image.
    Components(&'a [Component]),
    /// Everything.
    Update,
}

impl Freshness<'_> {
    fn renews(self, component: Component) -> bool {
        match self {
            Freshness::Keep => false,
            Freshness::Components(components) => components.contains(&component),
            Freshness::Update => true,
        }
    }
}

/// Resolves an image: its base asked for by digest, packages chosen, all downloaded and made into a layer, whose digest
/// completes the lock.
///
/// # Errors
/// [`Kind::Trust`] for a bad signature or digest, [`Kind::Resolve`] for packages that cannot be had together,
/// [`Kind::Unavailable`] without a network; of a base as `base::lock`.
pub fn image(
    name: &str,
    old: Option<&ImageLock>,
    freshness: Freshness<'_>,
    borders: &Borders<'_>,
) -> Result<ImageLock> {
    borders.report.phase(&format!("lock image {name}"));
    let definition = borders.project.image(name)?;
    let base = definition.base.as_ref().map(|wish| base::lock(wish, borders)).transpose()?;
    let (base, made) = base.map_or((None, None), |(lock, made)| (Some(lock), made));
    let (suite, package) = match definition.resolves() {
        Some(archive) => packages(archive, &definition.root.packages, old, freshness, borders)?,
        None => (Vec::new(), Vec::new()),
    };
    let epoch = suite.iter().map(|suite| suite.date).chain(made).max().unwrap_or(Epoch(0));
    let (diff_id, _) = image::make_layer(&definition, epoch, &package, base.as_ref(), borders)?;
    Ok(ImageLock { format: FORMAT, definition: document::identity(&definition)?, epoch, diff_id, suite, package, base })
}

/// The packages of an image, chosen and downloaded, and the suites that they were chosen from.
fn packages(
    archive: &Archive,
    wished: &[String],
    old: Option<&ImageLock>,
    freshness: Freshness<'_>,
    borders: &Borders<'_>,
) -> Result<(Vec<SuiteLock>, Vec<PackageLock>)> {
    let kept = old.filter(|_| freshness != Freshness::Update).map(|lock| lock.suite.as_slice());
    let keyring = borders.project.keyring("images", &archive.keyring)?;
    let (suite, indexes) = state(archive, IMAGE, &keyring, (Need::Packages, Keep::Reachable(wished)), kept, borders)?;
    let packages = indexes.packages();
    let package = resolve::resolve(&packages, &archive.architecture, wished)?;
    borders.report.say(format!("{} packages chosen of {} that could be", package.len(), packages.len()));
    // The index is large, and making the layer wants memory too.
    drop(indexes);
    heap::give_back();
    let bases = (borders.mirrors)(archive, None)?.files;
    let missing = package.iter().filter(|package| !borders.store.contains(&package.sha256));
    let wanted: Vec<Wanted> = missing.map(|package| super::fetch::wanted(package, &bases)).collect();
    borders.fetch.all(&wanted, borders.cancel)?;
    Ok((suite, package))
}

/// Resolves a release's sources.
///
/// # Errors
/// As [`image()`]; [`Kind::Gone`] when a wished version or ref does not exist any more, [`Kind::Lock`] when the parts do not
/// fit together.
pub fn release(
    name: &str,
    old: Option<&ReleaseLock>,
    freshness: Freshness<'_>,
    borders: &Borders<'_>,
) -> Result<ReleaseLock> {
    borders.report.phase(&format!("lock release {name}"));
    let release = borders.project.release(name)?;
    let definition = document::identity(&release)?;
    let wishes = Wish::all(&release)?;
    let fits = old.filter(|old| old.definition == definition);
    let kept: Vec<Option<SourceLock>> = wishes.iter().map(|wish| wish.kept(old, fits, freshness)).collect();
    let (suite, indexes) = archives(&release, wish::archives(&wishes, &kept, freshness), old, borders)?;
    let resolve = |(wish, kept): (&Wish<'_>, Option<SourceLock>)| match kept {
        Some(kept) => Ok(kept),
        None => wish.lock(&indexes, &release, borders).map_err(|error| refs::vanished(error, name, wish, old)),
    };
    let source = wishes.iter().zip(kept).map(resolve).collect::<Result<Vec<SourceLock>>>()?;
    let epoch = source.iter().map(|source| source.epoch).max().unwrap_or(Epoch(0));
    let date = borders.now.day()?;
    let mut lock = ReleaseLock { format: FORMAT, definition, date, epoch, suite, source };
    if let Some(old) = old.filter(|old| is_same(old, &lock)) {
        lock.date = old.date;
    }
    borders.project.compatibility()?.judge(name, &lock)?;
    Ok(lock)
}

/// Whether nothing but the day has come, and maybe what was wished: a release is not of another day for that.
fn is_same(old: &ReleaseLock, new: &ReleaseLock) -> bool {
    let mut old = ReleaseLock { date: new.date, ..old.clone() };
    old.source.iter_mut().zip(&new.source).for_each(|(old, new)| old.wish = new.wish);
    old == *new
}

/// The state of every archive that sources come from, and the indexes of those in which something is to be found.
fn archives<'r>(
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
pub(super) fn declared<'r>(release: &'r Release, archive: &str) -> Result<&'r Archive> {
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
fn state(
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
