//! Packing artifacts into products: one tarball per component with its checksum beside it and, if wished, the whole
//! bundle. A tarball is made whole before it gets its name, and a product of other content is never replaced.

pub mod archive;
pub mod bundle;
mod component;
mod deliver;
mod install;
mod manifest;
pub mod members;
mod recipe;
mod seed;

pub use bundle::Bundle;
pub use component::Product;
pub use recipe::Recipe;

use super::collect::Artifacts;
use super::plan::Plan;
use super::{Borders, Options};
use crate::error::Result;
use members::Part;
use serde::Serialize;

/// What a build made. Made by [`products`] only.
#[derive(Clone, Debug, Serialize)]
pub struct Packed {
    /// One product per component.
    pub products: Vec<Product>,
    /// The bundle, if it was wished.
    pub bundle: Option<Bundle>,
}

/// Packs all artifacts below `options.out`, and with a `recipe` the bundle that carries it.
///
/// # Errors
/// [`crate::error::Kind::Output`] when a product of the same name and other content is there or components contradict,
/// [`crate::error::Kind::Trust`] when an artifact in the store was damaged, [`crate::error::Kind::Io`].
pub fn products(
    plan: &Plan,
    artifacts: &[Artifacts<'_>],
    recipe: Option<&Recipe>,
    borders: &Borders<'_>,
    options: &Options<'_>,
) -> Result<Packed> {
    borders.report.phase("pack");
    let store = borders.store;
    let parts =
        artifacts.iter().map(|one| members::part(one, store, options.jobs)).collect::<Result<Vec<Part<'_>>>>()?;
    let content = recipe.map(|recipe| bundle::content(plan, &parts, recipe, store)).transpose()?;
    let out = if recipe.is_some() { options.out.join(bundle::folder(plan)) } else { options.out.clone() };
    let products = parts
        .iter()
        .map(|part| component::product(plan, part, borders, &out, options.jobs))
        .collect::<Result<Vec<Product>>>()?;
    let bundle =
        content.map(|content| bundle::write(plan, &content, &products, store, &out, options.jobs)).transpose()?;
    if let Some(folder) = &options.install {
        install::copy(&members::together(&parts)?, borders, folder)?;
    }
    Ok(Packed { products, bundle })
}
