//! What a release file wishes of each source, and when what a lock already has of it still stands.

use super::Freshness;
use crate::archive::Need;
use crate::component::Component;
use crate::definition::Archive;
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::lock::{ReleaseLock, SourceLock};
use crate::release::{Release, Source};
use std::collections::BTreeMap;

/// A source of the release file on its way into the lock.
pub(super) struct Wish<'a> {
    pub(super) component: Component,
    pub(super) folder: &'a str,
    pub(super) source: &'a Source,
    /// Digest of what the release file says of it and of its archive; none of a path, which nothing pins.
    pub(super) digest: Option<Digest>,
}

impl<'a> Wish<'a> {
    /// Everything that a release wishes, in the lock's order.
    pub(super) fn all(release: &'a Release) -> Result<Vec<Wish<'a>>> {
        let wish = |(component, folder, source): (Component, &'a str, &'a Source)| {
            let archive = archive_of(source).and_then(|(name, ..)| release.archives.get(name));
            // Where an archive is found changes nothing in it.
            let archive = archive.map(|archive| Archive { mirrors: Vec::new(), snapshot: None, ..archive.clone() });
            let pinned = !matches!(source, Source::Path(_));
            let digest = pinned.then(|| document::identity(&(source, &archive))).transpose()?;
            Ok(Wish { component, folder, source, digest })
        };
        release.sources().into_iter().map(wish).collect()
    }

    /// What `old` has of this source, whatever it was wished to be.
    pub(super) fn of<'l>(&self, old: &'l ReleaseLock) -> Option<&'l SourceLock> {
        old.source.iter().find(|source| source.component == self.component && source.folder == self.folder)
    }

    /// What `old` has of this source, if it is still what is wished and is not to be asked for anew. `fits` is `old` if
    /// the whole release file says the same: a lock that knows no wishes is of use then, too.
    pub(super) fn kept(
        &self,
        old: Option<&ReleaseLock>,
        fits: Option<&ReleaseLock>,
        freshness: Freshness<'_>,
    ) -> Option<SourceLock> {
        let digest = self.digest.filter(|_| !freshness.renews(self.component))?;
        let kept = self.of(old?)?;
        let stands = kept.wish.map_or(fits.is_some(), |wish| wish == digest);
        stands.then(|| SourceLock { wish: Some(digest), ..kept.clone() })
    }
}

/// The archive that a source comes from, with the index and the package's name that it is found by.
fn archive_of(source: &Source) -> Option<(&str, Need, &str)> {
    match source {
        Source::Debian { archive, package, .. } => Some((archive, Need::Sources, package)),
        Source::BinaryPackage { archive, package, .. } => Some((archive, Need::Packages, package)),
        Source::Git { .. } | Source::Tarball { .. } | Source::Path(_) => None,
    }
}

/// What is wanted of one archive.
pub(super) struct Ask<'a> {
    /// The indexes that its sources are found in, also of those that are kept: the lock names all.
    pub(super) need: Need,
    /// The packages that are to be found in it.
    pub(super) packages: Vec<&'a str>,
    /// Whether its state is asked for as it is now.
    pub(super) renewed: bool,
}

/// The archives that sources come from; those in `kept` are not looked for.
pub(super) fn archives<'a>(
    wishes: &[Wish<'a>],
    kept: &[Option<SourceLock>],
    freshness: Freshness<'_>,
) -> BTreeMap<&'a str, Ask<'a>> {
    let mut archives: BTreeMap<&str, Ask<'_>> = BTreeMap::new();
    for (wish, kept) in wishes.iter().zip(kept) {
        let Some((archive, need, package)) = archive_of(wish.source) else { continue };
        let wanted = archives.entry(archive).or_insert(Ask { need, packages: Vec::new(), renewed: false });
        wanted.need = wanted.need.and(need);
        wanted.renewed |= freshness.renews(wish.component);
        wanted.packages.extend(kept.is_none().then_some(package));
    }
    archives
}
