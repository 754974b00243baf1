//! The bundle `snp-release-<DATE>`: all components with scripts, recipe, licences and a manifest, as a folder and as a
//! tarball, and beside them the outer sums file, the one file that signers sign. Nothing in it knows a machine or a time.

use super::component::Product;
use super::members::{self, Member, Members, Part};
use super::{Recipe, archive, deliver, manifest::Manifest, seed};
use crate::build::plan::Plan;
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::store::{Store, files};
use crate::sums;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A finished bundle on the disk.
#[derive(Clone, Debug, Serialize)]
pub struct Bundle {
    /// Its folder.
    pub path: PathBuf,
    /// Its tarball.
    pub tarball: PathBuf,
    /// Digest of the tarball.
    pub sha256: Digest,
    /// The sums file beside it, with the digests of all tarballs and of the inner sums file.
    pub sums: PathBuf,
    /// Files in it.
    pub files: usize,
}

/// What will be in a bundle, all of it in the store. Made by [`content`] only.
pub struct Content {
    members: Members,
    /// Digest of its sums file.
    sums: Digest,
}

/// The name of a sums file.
const SUMS: &str = "SHA256SUMS";

/// Where a release's bundles are, below the folder for products.
pub fn folder(plan: &Plan) -> String {
    format!("{}-{}", plan.release, plan.profile)
}

/// Gathers every file of the bundle, its sums file among them. Writes into the store only.
///
/// # Errors
/// [`crate::error::Kind::Output`] when two components have different files of one path, [`crate::error::Kind::Trust`] for a
/// name that cannot stand in a sums file, [`crate::error::Kind::Io`].
pub fn content(plan: &Plan, parts: &[Part<'_>], recipe: &Recipe, store: &Store) -> Result<Content> {
    let mut members = members::together(parts)?;
    for (path, file) in &recipe.top {
        members.insert((*path).to_owned(), kept(&file.content, file.executable, store)?);
    }
    for (path, file) in &recipe.files {
        members.insert(format!("recipe/{path}"), kept(&file.content, file.executable, store)?);
    }
    for (path, text) in seed::files(plan, parts)? {
        members.insert(path, kept(text.as_bytes(), false, store)?);
    }
    let manifest = document::canonical(&Manifest::of(plan, parts, &members))?;
    members.insert("manifest.json".into(), kept(&manifest, false, store)?);
    for path in members.keys() {
        sums::check(path)?;
    }
    let digests: BTreeMap<String, Digest> =
        members.iter().map(|(path, member)| (path.clone(), member.sha256)).collect();
    let sums = kept(sums::render(&digests).as_bytes(), false, store)?;
    members.insert(SUMS.into(), sums);
    Ok(Content { members, sums: sums.sha256 })
}

fn kept(content: &[u8], executable: bool, store: &Store) -> Result<Member> {
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(Member { sha256: store.put(content)?, size: content.len() as u64, mode })
}

/// Writes the bundle into `out`.
///
/// # Errors
/// [`crate::error::Kind::Output`] when a bundle of this date and other content is there,
/// [`crate::error::Kind::Trust`] for a damaged blob, [`crate::error::Kind::Io`].
pub fn write(
    plan: &Plan,
    content: &Content,
    products: &[Product],
    store: &Store,
    out: &Path,
    jobs: usize,
) -> Result<Bundle> {
    let name = format!("snp-release-{}", plan.date);
    let members = &content.members;
    let (sha256, _) = archive::write(&name, plan.epoch, members, store, jobs)?;
    let mut outer = BTreeMap::from([(format!("{name}.tar.gz"), sha256), (format!("{name}/{SUMS}"), content.sums)]);
    outer.extend(products.iter().map(|product| (file_name(&product.path), product.sha256)));
    for path in outer.keys() {
        sums::check(path)?;
    }
    let path = deliver::folder(&out.join(&name), members, store)?;
    let tarball = deliver::tarball(&name, &sha256, store, out)?;
    let sums = out.join(format!("{name}.{SUMS}"));
    files::write_whole(&sums, sums::render(&outer).as_bytes())?;
    Ok(Bundle { path, tarball, sha256, sums, files: members.len() })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
