//! The step that makes the builder's root file system: a layer from the locked packages, a pure function of the lock.
//! Needs no engine. The layer is kept in the store under its diff_id.

use super::cache::ActionResult;
use super::fetch::{Source, Sources};
use super::plan::{Plan, Task};
use super::{Borders, base};
use crate::date::Epoch;
use crate::definition::ImageDefinition;
use crate::digest::Digest;
use crate::document;
use crate::engine::contract;
use crate::error::{Error, Kind, Result};
use crate::heap;
use crate::lock::{BaseLock, ImageLock, PackageLock};
use crate::oci::image::Description;
use crate::oci::{self, Image, Open, layer};
use crate::store::Store;
use rayon::prelude::*;
use std::fs::File;

/// A component with all it needs to run, or its earlier result. Made by [`builders`] only.
pub enum Builder<'plan> {
    /// An earlier run had the same key.
    Earlier(&'plan Task, ActionResult),
    /// Everything is in the store.
    Ready {
        /// What to run.
        task: &'plan Task,
        /// Where to run it.
        image: Image,
        /// Digests of the normalised source tars.
        sources: Vec<Digest>,
    },
}

/// Makes the image if something must run.
///
/// # Errors
/// [`Kind::Trust`] when the layer is not the one in the lock.
pub fn builders<'plan>(
    plan: &'plan Plan,
    sources: Sources<'plan>,
    borders: &Borders<'_>,
) -> Result<Vec<Builder<'plan>>> {
    let (definition, lock) = &plan.image_documents;
    let mut image = None;
    sources
        .into_iter()
        .map(|source| match source {
            Source::Earlier(task, result) => Ok(Builder::Earlier(task, result)),
            Source::Ready { task, sources } => {
                if image.is_none() {
                    borders.report.phase("image");
                    image = Some(build(&plan.image, definition, lock, borders)?);
                }
                let image = image.clone().ok_or_else(|| Error::new(Kind::Engine, &plan.image, "was not made"))?;
                Ok(Builder::Ready { task, image, sources })
            }
        })
        .collect()
}

/// The image of a lock: its layer is taken from the store or made from the packages there.
///
/// # Errors
/// [`Kind::Trust`] when the layer made is not the one in the lock, or a package was damaged.
pub fn build(name: &str, definition: &ImageDefinition, lock: &ImageLock, borders: &Borders<'_>) -> Result<Image> {
    if !borders.store.contains(&lock.diff_id) {
        let (made, _) = make_layer(definition, lock.epoch, &lock.package, lock.base.as_ref(), borders)?;
        if made != lock.diff_id {
            return Err(Error::new(Kind::Trust, format!("image {name}"), format!("its layer has diff_id {made}, the lock says {}", lock.diff_id))
                .remedy(format!("if the lock was written by another snpforge version, run `snpforge lock --image {name} --update`; else please report it")));
        }
    }
    assemble(name, definition, lock, borders)
}

/// Configuration and manifest around a layer that is in the store.
fn assemble(name: &str, definition: &ImageDefinition, lock: &ImageLock, borders: &Borders<'_>) -> Result<Image> {
    let path = borders.store.path(&lock.diff_id);
    let size = std::fs::metadata(&path).map_err(|error| Error::io(&path, "read", error))?.len();
    let reference = format!("localhost/snpforge/{name}:{}", lock.diff_id.short());
    let description = Description {
        reference: &reference,
        architecture: definition.architecture(),
        epoch: lock.epoch,
        lock: document::identity(lock)?,
        title: name,
        summary: &definition.summary,
        path: contract::PATH,
    };
    oci::image::describe(&layer::Layer { diff_id: lock.diff_id, size, entries: 0 }, &path, &description)
}

/// Makes the layer from packages and a base in the store and puts it there; its diff_id and length.
///
/// # Errors
/// [`Kind::Trust`] for a damaged or hostile package or base, [`Kind::Unavailable`] for one that is not in the store,
/// [`Kind::Lock`] when only one of definition and lock has a base.
pub fn make_layer(
    definition: &ImageDefinition,
    epoch: Epoch,
    packages: &[PackageLock],
    base: Option<&BaseLock>,
    borders: &Borders<'_>,
) -> Result<(Digest, u64)> {
    let base = match (&definition.base, base) {
        (Some(definition), Some(lock)) => Some(base::open(definition, lock, borders)?),
        (None, None) => None,
        _ => {
            return Err(Error::new(Kind::Lock, "base image", "only one of the definition and its lock has one")
                .remedy("run `snpforge lock`"));
        }
    };
    let inputs: Vec<layer::Package> =
        packages.par_iter().map(|package| input(package, borders.store)).collect::<Result<_>>()?;
    let contract = layer::Contract {
        folders: &["src", "build", "out"],
        owned: &contract::OWNED,
        id: contract::UID,
        user: contract::HOSTNAME,
        home: contract::BUILD,
    };
    let recipe = layer::Recipe { root: &definition.root, base: base.as_ref(), epoch, contract };
    let (mut blob, scratch) = (borders.store.writer()?, borders.store.unnamed()?);
    let workers = rayon::current_num_threads();
    layer::build(&inputs, &recipe, workers, &scratch, &mut blob, borders.report, borders.cancel)?;
    heap::give_back();
    blob.commit(None)
}

/// A package whose bytes were checked just now.
fn input(package: &PackageLock, store: &Store) -> Result<layer::Package> {
    Ok(layer::Package {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        open: opener(&package.sha256, &format!("package {} {}", package.name, package.version), store)?,
    })
}

/// Opens a blob of the store whose bytes were checked just now; `object` is what errors call it.
pub(super) fn opener(sha256: &Digest, object: &str, store: &Store) -> Result<Open> {
    if !store.contains(sha256) {
        return Err(Error::new(Kind::Unavailable, object, "is not in the store")
            .remedy("run `snpforge fetch` where there is a network"));
    }
    let path = store.verified(sha256)?;
    Ok(Box::new(move || Ok(Box::new(std::io::BufReader::new(File::open(&path)?)))))
}
