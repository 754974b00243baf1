//! The image below an image's packages: from its name to what the lock knows of it, from there to blobs in the store, and
//! from these to the paths that a layer takes from it.

use super::{Borders, image};
use crate::date::Epoch;
use crate::definition::Base;
use crate::error::{Error, Kind, Result};
use crate::heap;
use crate::lock::{BaseLayerLock, BaseLock, BlobLock};
use crate::oci::base::{self, Layer};
use crate::oci::manifest::{self, DOCUMENT_MAX, Named};
use crate::registry::Wanted;
use crate::report::number_of;

/// Asks the registry for the manifest and the configuration, by digest, and brings the layers into the store; also when
/// the image was made, if it says so.
///
/// # Errors
/// [`Kind::Document`] for an index or another platform, [`Kind::Gone`], [`Kind::Unavailable`], [`Kind::Trust`].
pub(super) fn lock(base: &Base, borders: &Borders<'_>) -> Result<(BaseLock, Option<Epoch>)> {
    let image = &base.image;
    let bytes = borders.registry.manifest(image, borders.cancel)?;
    let manifest = manifest::manifest(image, &bytes)?;
    if manifest.config.size > DOCUMENT_MAX {
        let cause = format!("its configuration has {} bytes, more than {DOCUMENT_MAX}", manifest.config.size);
        return Err(Error::new(Kind::Trust, format!("base image {image}"), cause).remedy(base::REMEDY));
    }
    borders.registry.blobs(image, &[wanted(&manifest.config)], borders.cancel)?;
    let config = borders.store.read(&manifest.config.sha256)?;
    let config = manifest::config(image, &config, manifest.layers.len())?;
    let layers = manifest.layers.into_iter().zip(config.diff_ids);
    let lock = BaseLock {
        image: image.clone(),
        manifest: BlobLock { sha256: image.digest(), size: bytes.len() as u64 },
        config: BlobLock { sha256: manifest.config.sha256, size: manifest.config.size },
        layer: layers
            .map(|(layer, diff_id)| BaseLayerLock {
                sha256: layer.sha256,
                size: layer.size,
                diff_id,
                media_type: layer.media_type,
            })
            .collect(),
    };
    bring(&lock, borders)?;
    borders.report.say(format!("base {image}: {}", words(&lock)));
    Ok((lock, config.created))
}

/// Brings the layers into the store.
///
/// # Errors
/// [`Kind::Gone`] and [`Kind::Unavailable`] name the registry.
pub(super) fn bring(lock: &BaseLock, borders: &Borders<'_>) -> Result<()> {
    let wanted: Vec<Wanted> =
        lock.layer.iter().map(|layer| Wanted { sha256: layer.sha256, size: layer.size }).collect();
    borders.registry.blobs(&lock.image, &wanted, borders.cancel)
}

/// What the layers in the store come to; the image must be what the definition claims.
///
/// # Errors
/// [`Kind::Trust`] for damaged or hostile layers and for another os-release, [`Kind::Unavailable`] for a layer that is not
/// in the store.
pub(super) fn open(base: &Base, lock: &BaseLock, borders: &Borders<'_>) -> Result<base::Base> {
    let layers = lock.layer.iter().map(|layer| input(layer, lock, borders)).collect::<Result<Vec<_>>>()?;
    let opened = base::Base::read(layers, borders.cancel)?;
    heap::give_back();
    let found = opened.os_release();
    for (name, claimed) in &base.os_release {
        let value = found.as_ref().and_then(|found| found.get(name));
        if value != Some(claimed) {
            let says = match (&found, value) {
                (None, _) => "has neither /etc/os-release nor /usr/lib/os-release".to_owned(),
                (_, None) => format!("its os-release file does not say what {name} is"),
                (_, Some(value)) => format!("its os-release file says {name} is `{}`", value.escape_debug()),
            };
            let cause = format!("{says}; base.os-release of the definition claims `{claimed}`");
            return Err(Error::new(Kind::Trust, format!("base image {}", lock.image), cause).remedy(
                "write the digest of the image that is meant, or correct base.os-release; a tag beside a digest says nothing",
            ));
        }
    }
    Ok(opened)
}

/// The base in a few words.
pub fn words(lock: &BaseLock) -> String {
    format!("{}, {} bytes", number_of(lock.layer.len(), "layer"), lock.size())
}

fn wanted(named: &Named) -> Wanted {
    Wanted { sha256: named.sha256, size: named.size }
}

/// A layer whose bytes were checked just now.
fn input(layer: &BaseLayerLock, lock: &BaseLock, borders: &Borders<'_>) -> Result<Layer> {
    let object = || format!("layer {} of base image {}", layer.sha256.oci(), lock.image);
    let format = manifest::packing(&layer.media_type).ok_or_else(|| {
        Error::new(Kind::Lock, object(), format!("is of media type `{}`, which is not known", layer.media_type))
            .remedy("resolve the image anew: snpforge lock --update")
    })?;
    let open = image::opener(&layer.sha256, &object(), borders.store)?;
    Ok(Layer { sha256: layer.sha256, diff_id: layer.diff_id, format, open })
}
