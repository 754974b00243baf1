//! What the locks of images and of releases have in common, so that commands treat both alike.

use super::{Borders, Freshness};
use crate::difference::Side;
use crate::document;
use crate::error::Result;
use crate::lock::{ImageLock, ReleaseLock, SourceLock};
use crate::project::Project;

/// A lock of either kind.
pub trait Lock: Sized + PartialEq {
    /// The project's folder of its documents and locks.
    const FOLDER: &'static str;
    /// The option of commands that names one.
    const OPTION: &'static str;

    /// The sources it pins: none of an image.
    fn sources(&self) -> &[SourceLock];

    /// Reads the lock of `name`, or with `tracked` false its untracked stand-in; `None` when there is none.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when it cannot be understood.
    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>>;

    /// Resolves the document of `name`.
    ///
    /// # Errors
    /// As [`super::image()`] and [`super::release()`].
    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness<'_>, borders: &Borders<'_>) -> Result<Self>;

    /// Whether the lock was resolved from the document of `name` as it is now.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when the document cannot be understood.
    fn fits(&self, name: &str, project: &Project) -> Result<bool>;

    /// This lock as one of two that are compared.
    fn side(&self, name: &str) -> Side;

    /// The lock as text.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`] when it has no TOML form.
    fn text(&self, name: &str) -> Result<String>;
}

impl Lock for ImageLock {
    const FOLDER: &'static str = "images";
    const OPTION: &'static str = "--image";

    fn sources(&self) -> &[SourceLock] {
        &[]
    }

    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>> {
        project.image_lock(name, tracked)
    }

    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness<'_>, borders: &Borders<'_>) -> Result<Self> {
        super::image(name, old, freshness, borders)
    }

    fn fits(&self, name: &str, project: &Project) -> Result<bool> {
        Ok(self.definition == document::identity(&project.image(name)?)?)
    }

    fn side(&self, name: &str) -> Side {
        Side { name: name.to_owned(), image: Some(self.clone()), ..Side::default() }
    }

    fn text(&self, name: &str) -> Result<String> {
        self.render(name)
    }
}

impl Lock for ReleaseLock {
    const FOLDER: &'static str = "releases";
    const OPTION: &'static str = "--release";

    fn sources(&self) -> &[SourceLock] {
        &self.source
    }

    fn read(name: &str, tracked: bool, project: &Project) -> Result<Option<Self>> {
        project.release_lock(name, tracked)
    }

    fn resolve(name: &str, old: Option<&Self>, freshness: Freshness<'_>, borders: &Borders<'_>) -> Result<Self> {
        super::release(name, old, freshness, borders)
    }

    fn fits(&self, name: &str, project: &Project) -> Result<bool> {
        Ok(self.definition == document::identity(&project.release(name)?)?)
    }

    fn side(&self, name: &str) -> Side {
        Side { name: name.to_owned(), release: Some(self.clone()), ..Side::default() }
    }

    fn text(&self, name: &str) -> Result<String> {
        self.render(name)
    }
}
