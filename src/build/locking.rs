//! From documents to locks: the only step that decides what "now" means. An existing lock is kept as it is while it fits
//! its document; when the document changed, only the sources of which it says something else are resolved, and the
//! archives' old state is replayed by hash before a new one is asked for.

pub mod history;
pub mod kconfig;
mod kind;
mod newest;
mod refs;
mod state;
mod wish;

pub use history::{Changes, changes};
pub use kind::Lock;
pub use state::bases;
pub(in crate::build) use state::declared;

use super::{Borders, base, image};
use crate::archive::{Keep, Need, resolve};
use crate::component::Component;
use crate::date::Epoch;
use crate::definition::Archive;
use crate::document;
use crate::error::Result;
use crate::fetch::Wanted;
use crate::heap;
use crate::lock::{FORMAT, ImageLock, PackageLock, ReleaseLock, SourceLock, SuiteLock};
use state::state;
use wish::Wish;

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
/// [`crate::error::Kind::Trust`] for a bad signature or digest, [`crate::error::Kind::Resolve`] for packages that cannot be
/// had together, [`crate::error::Kind::Unavailable`] without a network; of a base as `base::lock`.
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
/// As [`image()`]; [`crate::error::Kind::Gone`] when a wished version or ref does not exist any more,
/// [`crate::error::Kind::Lock`] when the parts do not fit together.
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
    let (suite, indexes) = state::archives(&release, wish::archives(&wishes, &kept, freshness), old, borders)?;
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
