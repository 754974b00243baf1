//! From artifacts to the files of a product: where each stands, by name, with its blob in the store. Nothing here reads
//! or writes a file of this machine but the store's blobs.

use super::archive;
use crate::build::cache::Artifact;
use crate::build::collect::Artifacts;
use crate::build::kernel_release::{self, KernelRelease};
use crate::build::plan::{Expected, Form};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::store::Store;
use serde::Serialize;
use std::collections::BTreeMap;

/// One file of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Digest of the content; also its name in the store.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Permission bits, 0644 or 0755.
    pub mode: u32,
}

/// The files of a product by their path in it.
pub type Members = BTreeMap<String, Member>;

/// One component's files, with what its kernel calls itself.
pub struct Part<'a> {
    /// What was built.
    pub artifacts: &'a Artifacts<'a>,
    /// Its files.
    pub members: Members,
    /// The kernel's release, for kernels.
    pub release: Option<KernelRelease>,
}

/// Names every artifact's place in the product; folders that become a tarball are packed here.
///
/// # Errors
/// [`Kind::Output`] when the stored result does not fit the plan, [`Kind::Trust`] for a damaged blob, [`Kind::Io`].
pub fn part<'a>(artifacts: &'a Artifacts<'a>, store: &Store, jobs: usize) -> Result<Part<'a>> {
    let task = artifacts.task;
    let found = &artifacts.result.artifacts;
    let release = kernel_release::of(task, found, store, &|cause| unfit(task.component.name(), cause))?;
    let place = |name: &str| release.as_ref().map_or_else(|| name.to_owned(), |release| release.fill(name));
    let mut members = Members::new();
    for expected in &task.expected {
        let own: Vec<&Artifact> = found.iter().filter(|artifact| expected.takes(&artifact.path)).collect();
        let install = place(&expected.install);
        match expected.form {
            Form::Release => {}
            Form::File => members.extend(own.iter().map(|artifact| (install.clone(), member(artifact)))),
            Form::Folder => members.extend(below(expected, &own).map(|(path, one)| (format!("{install}/{path}"), one))),
            Form::Tarball => {
                let inner: Members = below(expected, &own).map(|(path, one)| (path.to_owned(), one)).collect();
                let (sha256, size) = archive::write("", task.epoch, &inner, store, jobs)?;
                members.insert(install, Member { sha256, size, mode: 0o644 });
            }
        }
    }
    if let Some(lost) = found.iter().find(|artifact| !task.expected.iter().any(|one| one.takes(&artifact.path))) {
        return Err(unfit(&lost.path, "is in the stored result but not expected any more".to_owned()));
    }
    Ok(Part { artifacts, members, release })
}

/// The files of all components in one tree.
///
/// # Errors
/// [`Kind::Output`] when two components have different files of one path.
pub fn together(parts: &[Part<'_>]) -> Result<Members> {
    let mut all = Members::new();
    for part in parts {
        for (path, member) in &part.members {
            if all.insert(path.clone(), *member).is_none_or(|other| other == *member) {
                continue;
            }
            let owners = parts.iter().filter(|one| one.members.contains_key(path));
            let owners: Vec<&str> = owners.map(|one| one.artifacts.task.component.name()).collect();
            return Err(Error::new(Kind::Output, path, format!("differs between {}", owners.join(" and ")))
                .remedy("change the recipe of one of them in images/, so that it does not deliver this file"));
        }
    }
    Ok(all)
}

fn below<'a>(expected: &'a Expected, own: &'a [&Artifact]) -> impl Iterator<Item = (&'a str, Member)> {
    own.iter().filter_map(|artifact| Some((expected.inside(&artifact.path)?, member(artifact))))
}

fn member(artifact: &Artifact) -> Member {
    Member { sha256: artifact.sha256, size: artifact.size, mode: artifact.mode }
}

fn unfit(object: &str, cause: String) -> Error {
    Error::new(Kind::Output, object, cause)
        .remedy("this is a fault of snpforge: please report it with `snpforge plan --json`")
}
