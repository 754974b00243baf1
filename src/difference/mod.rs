//! What differs between two releases, images or bundles: sources, packages, kernel options, files. Pure: documents in, a
//! value out, and the value as words for a terminal ([`text`]) or in Markdown ([`markdown`]).
//!
//! Knows nothing of where the documents came from, and asks nobody what lies between two commits: a caller that knows
//! fills in [`SourceChange::commits`].

pub mod config;
pub mod markdown;
pub mod text;

use crate::component::Component;
use crate::date::Day;
use crate::digest::Digest;
use crate::lock::{ImageLock, Pin, ReleaseLock, SourceLock};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One of the two that are compared: what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What a person calls it.
    pub name: String,
    /// The lock of its release.
    pub release: Option<ReleaseLock>,
    /// The lock of its image.
    pub image: Option<ImageLock>,
    /// The kernels' resolved configurations, by kernel.
    pub configs: BTreeMap<Component, String>,
    /// Digests of its files by path.
    pub files: BTreeMap<String, Digest>,
}

/// Something that is on both sides, differently, or on one of them only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// What it is called.
    pub name: String,
    /// On the old side.
    pub old: Option<T>,
    /// On the new side.
    pub new: Option<T>,
}

/// What a source is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Its version.
    pub version: String,
    /// What it is pinned to: a commit, a tarball's or a package's digest, `unpinned`.
    pub pin: String,
    /// Of a git source: where it comes from.
    pub url: Option<String>,
    /// Of a git source: the ref that was resolved.
    pub reference: Option<String>,
    /// Digest of the normalised source tar.
    pub digest: Option<Digest>,
}

/// A source that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceChange {
    /// The component that is built from it.
    pub component: Component,
    /// Its folder below /src.
    pub folder: String,
    /// On the old side.
    pub old: Option<State>,
    /// On the new side.
    pub new: Option<State>,
    /// Submodules that moved, by path: commits, with their repositories where these moved, too.
    pub submodules: Vec<Change<String>>,
    /// What lies between the commits, where somebody asked.
    pub commits: Option<Commits>,
}

/// What lies between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Commits {
    /// How many are in the new history and not in the old one.
    pub come: u64,
    /// How many are in the old history and not in the new one: above 0 a ref that is still the same was rebased or pushed
    /// anew.
    pub gone: u64,
    /// The newest of those that came, newest first.
    pub newest: Vec<Subject>,
}

/// A commit's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Full hash.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
}

/// All that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The day of the release.
    pub date: Option<Change<Day>>,
    /// The image's identity.
    pub diff_id: Option<Change<Digest>>,
    /// The image of a registry below the packages.
    pub base: Option<Change<String>>,
    /// Versions of the image's packages.
    pub packages: Vec<Change<String>>,
    /// Sources, in build order.
    pub sources: Vec<SourceChange>,
    /// Options of the kernels' configurations.
    pub options: BTreeMap<Component, Vec<Change<String>>>,
    /// Files of the bundles.
    pub files: Vec<Change<Digest>>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// A kind of thing that sides are compared by, and whether a side knows of it.
type Part = (&'static str, fn(&Side) -> bool);

/// All that sides are compared by.
const PARTS: [Part; 4] = [
    ("sources", |side| side.release.is_some()),
    ("packages", |side| side.image.is_some()),
    ("kernel options", |side| !side.configs.is_empty()),
    ("files", |side| !side.files.is_empty()),
];

/// What one of two sides does not know of and the other does; and whether there is anything that both know of.
pub fn uncompared(old: &Side, new: &Side) -> (Vec<&'static str>, bool) {
    let one = PARTS.iter().filter(|(_, knows)| knows(old) != knows(new)).map(|(name, _)| *name).collect();
    (one, PARTS.iter().any(|(_, knows)| knows(old) && knows(new)))
}

/// What differs between two sides. What only one of them knows of at all (a lock has no files) is not compared.
pub fn between(old: &Side, new: &Side) -> Difference {
    let mut made = Difference::default();
    if let (Some(old), Some(new)) = (&old.release, &new.release) {
        made.date = one("date", old.date, new.date);
        made.sources = sources(old, new);
    }
    if let (Some(old), Some(new)) = (&old.image, &new.image) {
        made.diff_id = one("diff_id", old.diff_id, new.diff_id);
        made.base = changes(&base(old), &base(new)).pop();
        made.packages = changes(&packages(old), &packages(new));
    }
    for (component, text) in &old.configs {
        let Some(other) = new.configs.get(component) else { continue };
        let moved = changes(&config::options(text), &config::options(other));
        if !moved.is_empty() {
            made.options.insert(*component, moved);
        }
    }
    if !old.files.is_empty() && !new.files.is_empty() {
        made.files = changes(&old.files, &new.files);
    }
    made
}

fn one<T: PartialEq>(name: &str, old: T, new: T) -> Option<Change<T>> {
    (old != new).then(|| Change { name: name.to_owned(), old: Some(old), new: Some(new) })
}

fn base(lock: &ImageLock) -> BTreeMap<String, String> {
    lock.base.iter().map(|base| ("base".to_owned(), base.image.to_string())).collect()
}

fn packages(lock: &ImageLock) -> BTreeMap<String, String> {
    lock.package.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
}

/// What is not the same in two maps, by name.
fn changes<T: Clone + PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> Vec<Change<T>> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| Change { name: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() })
        .collect()
}

fn sources(old: &ReleaseLock, new: &ReleaseLock) -> Vec<SourceChange> {
    let by_place = |lock: &ReleaseLock| -> BTreeMap<(Component, String), SourceLock> {
        lock.source.iter().map(|source| ((source.component, source.folder.clone()), source.clone())).collect()
    };
    let (old, new) = (by_place(old), by_place(new));
    let places: BTreeSet<&(Component, String)> = old.keys().chain(new.keys()).collect();
    let places = places.into_iter().filter(|place| old.get(*place) != new.get(*place));
    let made = places.filter_map(|place| {
        let (old, new) = (old.get(place), new.get(place));
        let submodules = submodules(old, new);
        let (old, new) = (old.map(state), new.map(state));
        // The lock says it in other words and means the same: a mirror moved, a date was read anew.
        (old != new || !submodules.is_empty()).then(|| SourceChange {
            component: place.0,
            folder: place.1.clone(),
            old,
            new,
            submodules,
            commits: None,
        })
    });
    made.collect()
}

fn submodules(old: Option<&SourceLock>, new: Option<&SourceLock>) -> Vec<Change<String>> {
    let by_path = |source: Option<&SourceLock>| -> BTreeMap<String, (String, String)> {
        match source.map(|source| &source.pin) {
            Some(Pin::Git { submodules, .. }) => {
                submodules.iter().map(|one| (one.path.clone(), (one.commit.clone(), one.url.clone()))).collect()
            }
            _ => BTreeMap::new(),
        }
    };
    let moved = changes(&by_path(old), &by_path(new)).into_iter();
    let shown = moved.map(|Change { name, old, new }| {
        let elsewhere = matches!((&old, &new), (Some((_, old)), Some((_, new))) if old != new);
        let text = |(commit, url): (String, String)| if elsewhere { format!("{commit} of {url}") } else { commit };
        Change { name, old: old.map(text), new: new.map(text) }
    });
    shown.collect()
}

fn state(source: &SourceLock) -> State {
    let (mut url, mut reference) = (None, None);
    let pin = match &source.pin {
        Pin::Git { url: from, reference: name, commit, .. } => {
            (url, reference) = (Some(from.clone()), name.clone());
            format!("commit {commit}")
        }
        Pin::Tarball { sha256, .. } => format!("sha256 {sha256}"),
        Pin::BinaryPackage { package, file, .. } => format!("package {package}, sha256 {}", file.sha256),
        Pin::Debian { package, .. } => format!("source package {package}"),
        Pin::Path { path } => format!("unpinned folder {path}"),
    };
    State { version: source.version.clone(), pin, url, reference, digest: source.digest }
}

impl SourceChange {
    /// The repository and the commits of a git source that moved within it.
    pub fn moved(&self) -> Option<(&str, &str, &str)> {
        let (old, new) = (self.old.as_ref()?, self.new.as_ref()?);
        let commit = |state: &'_ State| -> Option<usize> { state.pin.starts_with(COMMIT).then_some(COMMIT.len()) };
        let (from, to) = (&old.pin[commit(old)?..], &new.pin[commit(new)?..]);
        (from != to && old.url == new.url).then_some((new.url.as_deref()?, from, to))
    }
}

/// How a pin to a commit begins.
const COMMIT: &str = "commit ";

#[cfg(test)]
mod tests;
