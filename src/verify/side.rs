//! What a bundle says of itself, for comparing it with another. Nothing is judged here: `verify` does that, and whoever
//! compares a bundle from elsewhere verifies it first.

use super::place::{INNER, Place, Unfit, read};
use crate::component::Component;
use crate::difference::Side;
use crate::error::{Error, Kind, Result};
use crate::lock::{ImageLock, ReleaseLock};
use crate::sums;
use serde::Deserialize;
use std::path::Path;

/// Bytes of the largest document of a bundle that is read: a kernel configuration has 150 kB, a lock 60 kB.
const LIMIT: u64 = 16 << 20;

/// The two names that `manifest.json` says; it has much more.
#[derive(Deserialize)]
struct Manifest {
    release: String,
    image: Image,
}

#[derive(Deserialize)]
struct Image {
    name: String,
}

/// The bundle at `path`: its folder, its outer sums file, or a folder that holds exactly one.
///
/// # Errors
/// [`Kind::Usage`] when there is none, [`Kind::Trust`] when a part of it is missing or cannot be understood.
pub fn side(path: &Path) -> Result<Side> {
    let place = Place::find(path)?;
    let text = |name: &str| text(&place, name);
    let manifest = required(&place, "manifest.json")?;
    let manifest: Manifest =
        serde_json::from_str(&manifest).map_err(|error| damaged(&place, "manifest.json", error))?;
    let lock = |folder: &str, name: &str| -> Result<(String, String)> {
        let path = format!("recipe/{folder}/{name}.lock");
        sums::check(&path)?;
        Ok((required(&place, &path)?, path))
    };
    let (release, release_path) = lock("releases", &manifest.release)?;
    let (image, image_path) = lock("images", &manifest.image.name)?;
    let mut side = Side {
        name: place.name.clone(),
        release: Some(ReleaseLock::parse(&release_path, &release)?),
        image: Some(ImageLock::parse(&image_path, &image)?),
        ..Side::default()
    };
    for component in Component::ALL {
        let Some(role) = component.role() else { continue };
        side.configs.extend(text(&format!("config.{role}"))?.map(|text| (component, text)));
    }
    side.files = sums::parse(INNER, &required(&place, INNER)?)?;
    Ok(side)
}

fn text(place: &Place, name: &str) -> Result<Option<String>> {
    match read(&place.path(&place.name).join(name), LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| damaged(place, name, error)),
        Err(Unfit::Absent) => Ok(None),
        Err(Unfit::Odd(why)) => Err(damaged(place, name, why)),
        Err(Unfit::Unreadable(error)) => Err(error),
    }
}

fn required(place: &Place, name: &str) -> Result<String> {
    text(place, name)?.ok_or_else(|| damaged(place, name, "is missing"))
}

fn damaged(place: &Place, name: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Trust, format!("{}/{name}", place.name), cause)
        .remedy("`snpforge verify` says what else is wrong with the bundle; get it again")
}
