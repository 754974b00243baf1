//! One component's product: `NAME-VERSION-<id>.tar.gz` with its checksum and its run record beside it.

use super::members::{Member, Part};
use super::{archive, deliver};
use crate::build::Borders;
use crate::build::cache::RunRecord;
use crate::build::plan::{Inputs, Plan, Task};
use crate::component::Component;
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::store::files;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A finished product on the disk. Made by [`super::products`] only.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// The component.
    pub component: Component,
    /// The tarball.
    pub path: PathBuf,
    /// Digest of the tarball.
    pub sha256: Digest,
    /// Bytes of the tarball.
    pub size: u64,
    /// Whether an earlier run's result was used.
    pub cached: bool,
    /// Whether every source was pinned.
    pub pinned: bool,
    /// Digest of every file in the product, by its path there.
    pub files: BTreeMap<String, Digest>,
}

/// What a product says of itself: `manifest.json` inside the tarball. Holds no fact of any machine.
#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    release: &'a str,
    date: String,
    component: Component,
    version: &'a str,
    pinned: bool,
    key: Digest,
    inputs: &'a Inputs,
    files: &'a BTreeMap<String, Digest>,
}

/// The run record beside a product: `NAME.run.json`.
#[derive(Serialize)]
struct Record<'a> {
    component: Component,
    key: Digest,
    cached: bool,
    run: &'a RunRecord,
}

/// Packs one component's files into `out`.
///
/// # Errors
/// As [`super::products`].
pub fn product(plan: &Plan, part: &Part<'_>, borders: &Borders<'_>, out: &Path, jobs: usize) -> Result<Product> {
    let artifacts = part.artifacts;
    let task = artifacts.task;
    let files: BTreeMap<String, Digest> =
        part.members.iter().map(|(path, member)| (path.clone(), member.sha256)).collect();
    let manifest = document::canonical(&Manifest {
        format: task.inputs.format,
        release: &plan.release,
        date: plan.date.to_string(),
        component: task.component,
        version: &task.version,
        pinned: task.pinned,
        key: task.key,
        inputs: &task.inputs,
        files: &files,
    })?;
    let mut members = part.members.clone();
    let said = Member { sha256: borders.store.put(&manifest)?, size: manifest.len() as u64, mode: 0o644 };
    members.insert("manifest.json".to_owned(), said);
    let name = name(task);
    let (sha256, size) = archive::write(&name, task.epoch, &members, borders.store, jobs)?;
    let path = deliver::tarball(&name, &sha256, borders.store, out)?;
    files::write_whole(&out.join(format!("{name}.tar.gz.sha256")), format!("{sha256}  {name}.tar.gz\n").as_bytes())?;
    let record =
        Record { component: task.component, key: task.key, cached: artifacts.cached, run: &artifacts.result.record };
    files::write_whole(&out.join(format!("{name}.run.json")), &document::canonical(&record)?)?;
    Ok(Product { component: task.component, path, sha256, size, cached: artifacts.cached, pinned: task.pinned, files })
}

/// `NAME-VERSION-<id>`: the id is the action key's beginning, so that other inputs give another name. Debian's epoch is
/// left out, for a colon in a file name means a host to tar and a drive to others.
fn name(task: &Task) -> String {
    let version = task.version.split_once(':').map_or(task.version.as_str(), |(_, rest)| rest);
    format!("{}-{version}-{}", task.component, task.key.short())
}
