//! The step that makes the builder's root file system: a layer from the locked packages, a pure function of the lock.
//! Needs no engine. The layer is kept in the store under its diff_id.

use super::Borders;
use super::cache::ActionResult;
use super::fetch::{Source, Sources};
use super::plan::{Plan, Task};
use crate::definition::ImageDefinition;
use crate::digest::Digest;
use crate::document;
use crate::engine::contract;
use crate::error::{Error, Kind, Result};
use crate::lock::{ImageLock, PackageLock};
use crate::oci::{self, Image, layer};
use crate::report::Unit;
use std::fs::File;
use std::io::Read;

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
pub fn builders<'plan>(plan: &'plan Plan, sources: Sources<'plan>, borders: &Borders<'_>) -> Result<Vec<Builder<'plan>>> {
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
        let (made, _) = make_layer(name, definition, lock.epoch.0, &lock.package, borders)?;
        if made != lock.diff_id {
            return Err(Error::new(Kind::Trust, format!("image {name}"), format!("its layer has diff_id {made}, the lock says {}", lock.diff_id))
                .remedy(format!("if the lock was written by another snpforge version, run `snpforge lock --image {name} --update`; else please report it")));
        }
    }
    assemble(name, lock, borders)
}

/// Configuration and manifest around a layer that is in the store.
fn assemble(name: &str, lock: &ImageLock, borders: &Borders<'_>) -> Result<Image> {
    let path = borders.store.path(&lock.diff_id);
    let size = std::fs::metadata(&path).map_err(|error| Error::io(&path, "read", error))?.len();
    oci::image::assemble(&oci::image::Request {
        name,
        layer: path,
        layer_size: size,
        diff_id: lock.diff_id,
        epoch: lock.epoch,
        lock: document::identity(lock)?,
    })
}

/// Makes the layer from packages in the store and puts it there; its diff_id and length.
///
/// # Errors
/// [`Kind::Trust`] for a damaged or hostile package, [`Kind::Io`].
pub fn make_layer(name: &str, definition: &ImageDefinition, epoch: u64, packages: &[PackageLock], borders: &Borders<'_>) -> Result<(Digest, u64)> {
    let task = format!("image {name}");
    borders.report.begin(&task, Some(packages.len() as u64), Unit::Steps);
    let inputs: Vec<layer::Package> = packages.iter().map(|package| input(package, borders)).collect::<Result<_>>()?;
    let rules = layer::Rules {
        epoch,
        root: &definition.root,
        owned: &contract::OWNED,
        owner: contract::UID,
    };
    let mut blob = borders.store.writer()?;
    let progress = |done: usize| borders.report.progress(&task, done as u64);
    layer::write(&inputs, &rules, &mut blob, &progress)?;
    let (digest, size) = blob.commit(None)?;
    borders.report.end(&task, format!("{} packages, {} MB, diff_id {}", packages.len(), size / 1_000_000, digest.short()));
    Ok((digest, size))
}

fn input(package: &PackageLock, borders: &Borders<'_>) -> Result<layer::Package> {
    let path = borders.store.path(&package.sha256);
    if !path.is_file() {
        return Err(Error::new(Kind::Unavailable, format!("package {} {}", package.name, package.version), "is not in the store")
            .remedy("run `snpforge fetch` where there is a network"));
    }
    let sha256 = package.sha256;
    let open = move || -> std::io::Result<Box<dyn Read + Send>> {
        // What is used as an input is verified, not trusted for existing.
        let mut file = File::open(&path)?;
        let (found, _) = Digest::of_reader(&mut file)?;
        if found != sha256 {
            return Err(std::io::Error::other(format!("{} was damaged: its bytes have sha256 {found}", path.display())));
        }
        std::io::Seek::rewind(&mut file)?;
        Ok(Box::new(std::io::BufReader::new(file)))
    };
    Ok(layer::Package {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        open: Box::new(open),
    })
}
