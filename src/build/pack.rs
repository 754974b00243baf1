//! Packing artifacts into products: one tarball per component with its checksum beside it. The tarball is made whole
//! before it gets its name, and a product of other content is never replaced.

use super::cache::RunRecord;
use super::collect::Artifacts;
use super::plan::{Inputs, Plan, Task};
use super::{Borders, Options};
use crate::component::Component;
use crate::compress;
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::store::{BlobWriter, files};
use crate::tarball::{Attributes, Writer};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A finished product on the disk. Made by [`products`] only.
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

/// Packs all artifacts into `options.out`.
///
/// # Errors
/// [`Kind::Output`] when a product of the same name and other content is there, [`Kind::Trust`] when an artifact in the
/// store was damaged, [`Kind::Io`].
pub fn products(
    plan: &Plan,
    artifacts: Vec<Artifacts<'_>>,
    borders: &Borders<'_>,
    options: &Options<'_>,
) -> Result<Vec<Product>> {
    borders.report.phase("pack");
    artifacts.into_iter().map(|one| product(plan, &one, borders, options)).collect()
}

fn product(plan: &Plan, artifacts: &Artifacts<'_>, borders: &Borders<'_>, options: &Options<'_>) -> Result<Product> {
    let task = artifacts.task;
    let members = members(artifacts, borders)?;
    let files: BTreeMap<String, Digest> =
        members.iter().map(|(install, (_, sha256, _))| (install.clone(), *sha256)).collect();
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
    let name = name(task);
    let (sha256, size) = write_tarball(&name, plan.epoch.0, &members, &manifest, borders, options.jobs)?;
    let path = deliver(&name, &sha256, borders, &options.out)?;
    let record =
        Record { component: task.component, key: task.key, cached: artifacts.cached, run: &artifacts.result.record };
    files::write_whole(&options.out.join(format!("{name}.run.json")), &document::canonical(&record)?)?;
    Ok(Product { component: task.component, path, sha256, size, cached: artifacts.cached, pinned: task.pinned, files })
}

/// `NAME-VERSION-<id>`: the id is the action key's beginning, so that other inputs give another name.
fn name(task: &Task) -> String {
    format!("{}-{}-{}", task.component, task.version, task.key.short())
}

type Members = BTreeMap<String, (PathBuf, Digest, u32)>;

/// Every artifact's verified blob by its path in the product.
fn members(artifacts: &Artifacts<'_>, borders: &Borders<'_>) -> Result<Members> {
    let mut made = Members::new();
    for artifact in &artifacts.result.artifacts {
        let expected = artifacts.task.expected.iter().find(|file| file.path == artifact.path).ok_or_else(|| {
            Error::new(Kind::Output, &artifact.path, "is in the stored result but not expected any more")
                .remedy("this is a fault of snpforge: please report it with `snpforge plan --json`")
        })?;
        let blob = borders.store.verified(&artifact.sha256)?;
        made.insert(expected.install.clone(), (blob, artifact.sha256, artifact.mode));
    }
    Ok(made)
}

fn write_tarball(
    name: &str,
    mtime: u64,
    members: &Members,
    manifest: &[u8],
    borders: &Borders<'_>,
    jobs: usize,
) -> Result<(Digest, u64)> {
    let blob = borders.store.writer()?;
    let failed = |error| Error::io(borders.store.root(), "write in", error);
    let gzip = compress::GzipWriter::new(blob, jobs);
    let mut writer = Writer::new(gzip);
    let at = |mode| Attributes { mode, mtime, owner: 0 };
    let mut folders = BTreeSet::from([name.to_owned()]);
    for install in members.keys() {
        let parents = Path::new(install).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        folders.extend(parents.map(|parent| format!("{name}/{}", parent.display())));
    }
    for folder in &folders {
        writer.folder(folder.as_bytes(), at(0o755)).map_err(failed)?;
    }
    writer
        .file(format!("{name}/manifest.json").as_bytes(), at(0o644), manifest.len() as u64, &mut &*manifest)
        .map_err(failed)?;
    for (install, (blob, _, mode)) in members {
        let mut file = File::open(blob).map_err(|error| Error::io(blob, "open", error))?;
        let size = file.metadata().map_err(|error| Error::io(blob, "read", error))?.len();
        writer.file(format!("{name}/{install}").as_bytes(), at(*mode), size, &mut file).map_err(failed)?;
    }
    let blob: BlobWriter = writer.finish().and_then(compress::GzipWriter::finish).map_err(failed)?;
    blob.commit(None)
}

/// Copies the finished tarball to its name in `out`, with its checksum file.
fn deliver(name: &str, sha256: &Digest, borders: &Borders<'_>, out: &Path) -> Result<PathBuf> {
    let path = out.join(format!("{name}.tar.gz"));
    let blob = borders.store.verified(sha256)?;
    if path.exists() {
        let mut old = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
        let (found, _) = Digest::of_reader(&mut old).map_err(|error| Error::io(&path, "read", error))?;
        if found != *sha256 {
            return Err(Error::new(
                Kind::Output,
                path.display(),
                format!("exists with other content: sha256 {found}, now {sha256}"),
            )
            .remedy(
                "move it away or choose another --out; if snpforge made both from the same lock, please report it",
            ));
        }
    } else {
        files::copy_whole(&blob, &path)?;
    }
    files::write_whole(&out.join(format!("{name}.tar.gz.sha256")), format!("{sha256}  {name}.tar.gz\n").as_bytes())?;
    Ok(path)
}
