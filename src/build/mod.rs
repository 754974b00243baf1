//! The line from a release to its products, one step per module: each step takes what the step before it made, and only
//! that step can make it.
//!
//! `plan` decides everything and touches nothing; `fetch` is the only one that may use the network.

pub mod base;
pub mod cache;
pub mod collect;
pub mod fetch;
pub mod image;
pub mod kernel_release;
pub mod locking;
pub mod pack;
pub mod plan;
pub mod run;

use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::definition::Archive;
use crate::engine::Engine;
use crate::error::Result;
use crate::fetch::Fetch;
use crate::mirror::Bases;
use crate::project::Project;
use crate::registry::Registry;
use crate::report::Report;
use crate::source::git::Git;
use crate::store::{Store, files};
use std::path::{Path, PathBuf};

/// The borders a command works through.
pub struct Borders<'a> {
    /// What a person wrote.
    pub project: &'a Project,
    /// Where inputs and results are kept.
    pub store: &'a Store,
    /// The network, or its absence.
    pub fetch: &'a dyn Fetch,
    /// The second door to the network.
    pub git: &'a dyn Git,
    /// The third one.
    pub registry: &'a dyn Registry,
    /// Base URLs of an archive at a date, in order of preference.
    pub mirrors: &'a dyn Fn(&Archive, Option<Epoch>) -> Result<Bases>,
    /// The wall clock when the command started, for the expiry of signatures and the run record only.
    pub now: Epoch,
    /// Who listens.
    pub report: &'a dyn Report,
    /// The wish to stop.
    pub cancel: &'a Cancel,
}

/// What the user chose beyond the plan. None of it can change a product.
pub struct Options<'a> {
    /// Chosen when something must really run, and only then: before anything is fetched for it.
    pub engine: &'a dyn Fn() -> Result<&'a dyn Engine>,
    /// Processor count handed to the builds.
    pub jobs: usize,
    /// Where products go.
    pub out: PathBuf,
    /// Pack the whole bundle too.
    pub package: bool,
    /// Copy the products' usr/local tree to this folder.
    pub install: Option<PathBuf>,
    /// Keep containers after the build, for autopsy.
    pub keep: bool,
}

/// Builds what the plan says: the whole program on one screen.
///
/// # Errors
/// Whatever a step fails with; the error names the step's object.
pub fn build<'a>(plan: &'a plan::Plan, borders: &'a Borders<'a>, options: &Options<'a>) -> Result<pack::Packed> {
    let recipe = options.package.then(|| pack::Recipe::read(plan, borders.project)).transpose()?;
    prepare(plan, borders, options)?;
    let sources = fetch::sources(plan, borders)?;
    let builders = image::builders(plan, sources, borders)?;
    let mut artifacts = Vec::new();
    for builder in builders {
        let finished = run::component(builder, borders, options)?;
        artifacts.push(collect::artifacts(finished, borders, options)?);
    }
    pack::products(plan, &artifacts, recipe.as_ref(), borders, options)
}

/// Tries at the beginning what would fail late: the engine, if something must run, and the folders that products go to.
fn prepare(plan: &plan::Plan, borders: &Borders<'_>, options: &Options<'_>) -> Result<()> {
    let earlier = plan.tasks.iter().map(|task| cache::look_up(task, borders.store));
    if earlier.collect::<Result<Option<Vec<_>>>>()?.is_none() {
        (options.engine)()?;
    }
    let install = options.install.as_deref().map(|folder| ("--install", folder));
    let folders: Vec<(&str, &Path)> = [("--out", options.out.as_path())].into_iter().chain(install).collect();
    writable(&folders)
}

/// Makes folders and a passing file in each. A refusal leaves no folder that was not there.
fn writable(folders: &[(&str, &Path)]) -> Result<()> {
    let parents = folders.iter().flat_map(|(_, folder)| folder.ancestors());
    let new: Vec<&Path> = parents.filter(|folder| !folder.exists()).collect();
    let tried = folders.iter().try_for_each(|(option, folder)| {
        let file = files::Whole::create(&folder.join("trial")).map(drop);
        file.map_err(|error| error.also(format!("name another folder with {option}")))
    });
    if tried.is_err() {
        // The deepest first; one that is not empty stays.
        new.into_iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
    tried
}
