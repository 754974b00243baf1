//! What the locks of images and of releases have in common, so that commands treat both alike.

use super::{Borders, Freshness};
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::lock::{ImageLock, ReleaseLock, SourceLock};
use crate::project::Project;
use std::collections::BTreeMap;

/// A lock of either kind.
pub trait Lock: Sized + PartialEq {
    /// The project's folder of its documents and locks.
    const FOLDER: &'static str;

    /// Reads the lock of `name`, or with `tracked` false its untracked stand-in; `None` when there is none.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when it cannot be understood.
    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>>;

    /// Resolves the document of `name`.
    ///
    /// # Errors
    /// As [`super::image`] and [`super::release`].
    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness, borders: &Borders<'_>) -> Result<Self>;

    /// Whether the lock was resolved from the document of `name` as it is now.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when the document cannot be understood.
    fn fits(&self, name: &str, project: &Project) -> Result<bool>;

    /// What moved from this lock to `new`, one line each.
    fn changes(&self, new: &Self) -> Vec<String>;

    /// The lock as text.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when it has no TOML form.
    fn text(&self, name: &str) -> Result<String>;
}

impl Lock for ImageLock {
    const FOLDER: &'static str = "images";

    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>> {
        project.image_lock(name, tracked)
    }

    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness, borders: &Borders<'_>) -> Result<Self> {
        super::image(name, old, freshness, borders)
    }

    fn fits(&self, name: &str, project: &Project) -> Result<bool> {
        Ok(self.definition == document::identity(&project.image(name)?)?)
    }

    fn changes(&self, new: &Self) -> Vec<String> {
        let versions = |lock: &Self| -> BTreeMap<String, String> {
            lock.package.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
        };
        let mut lines = moved(&versions(self), &versions(new));
        let base = |lock: &Self| -> BTreeMap<String, String> {
            lock.base.iter().map(|base| ("base".to_owned(), base.image.to_string())).collect()
        };
        lines.extend(moved(&base(self), &base(new)));
        if self.diff_id != new.diff_id {
            lines.push(format!("diff_id {} -> {}", self.diff_id.short(), new.diff_id.short()));
        }
        lines
    }

    fn text(&self, name: &str) -> Result<String> {
        self.render(name)
    }
}

impl Lock for ReleaseLock {
    const FOLDER: &'static str = "releases";

    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>> {
        project.release_lock(name, tracked)
    }

    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness, borders: &Borders<'_>) -> Result<Self> {
        super::release(name, old, freshness, borders)
    }

    fn fits(&self, name: &str, project: &Project) -> Result<bool> {
        Ok(self.definition == document::identity(&project.release(name)?)?)
    }

    fn changes(&self, new: &Self) -> Vec<String> {
        let versions = |lock: &Self| -> BTreeMap<String, String> {
            let digest = |digest: Option<Digest>| digest.map_or("unpinned".to_owned(), |digest| digest.short());
            let name = |source: &SourceLock| format!("{} {}", source.component, source.folder);
            lock.source.iter().map(|s| (name(s), format!("{} ({})", s.version, digest(s.digest)))).collect()
        };
        moved(&versions(self), &versions(new))
    }

    fn text(&self, name: &str) -> Result<String> {
        self.render(name)
    }
}

fn moved(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let gone =
        old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, version)| format!("- {name} {version}"));
    let come = new.iter().filter_map(|(name, version)| match old.get(name) {
        None => Some(format!("+ {name} {version}")),
        Some(before) if before != version => Some(format!("  {name} {before} -> {version}")),
        Some(_) => None,
    });
    gone.chain(come).collect()
}
