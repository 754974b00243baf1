//! The bundle `snp-release-<DATE>`: all components with scripts, recipe, licences and a manifest, as a folder and as a
//! tarball, and beside them the outer sums file, the one file that signers sign. Nothing in it knows a machine or a time.

use super::component::Product;
use super::members::{Member, Members, Part};
use super::{archive, deliver, recipe, seed};
use crate::build::Borders;
use crate::build::plan::{Inputs, Plan};
use crate::component::{Component, Profile};
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::lock::{FORMAT, PackageLock, SourceLock};
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

/// The project's files that stand at the top of a bundle: path there and path in the project.
const TOP: [(&str, &str); 3] = [
    ("install.sh", "images/bundle/install.sh"),
    ("launch-qemu.sh", "images/bundle/launch-qemu.sh"),
    ("kvm.conf", "kvm.conf"),
];

/// Where a release's bundles are, below the folder for products.
pub fn folder(plan: &Plan) -> String {
    format!("{}-{}", plan.release, plan.profile)
}

/// Writes the bundle into `out`.
///
/// # Errors
/// [`crate::error::Kind::Output`] when a bundle of this date and other content is there,
/// [`crate::error::Kind::Trust`] for a damaged blob, [`crate::error::Kind::Io`].
pub fn write(
    plan: &Plan,
    parts: &[Part<'_>],
    products: &[Product],
    borders: &Borders<'_>,
    out: &Path,
    jobs: usize,
) -> Result<Bundle> {
    let name = format!("snp-release-{}", plan.date);
    let store = borders.store;
    let (members, inner) = members(plan, parts, borders)?;
    let (sha256, _) = archive::write(&name, plan.epoch, &members, store, jobs)?;
    let path = deliver::folder(&out.join(&name), &members, store)?;
    let tarball = deliver::tarball(&name, &sha256, store, out)?;
    let mut outer = BTreeMap::from([(format!("{name}.tar.gz"), sha256), (format!("{name}/{SUMS}"), inner)]);
    outer.extend(products.iter().map(|product| (file_name(&product.path), product.sha256)));
    let sums = out.join(format!("{name}.{SUMS}"));
    files::write_whole(&sums, sums::render(&outer).as_bytes())?;
    Ok(Bundle { path, tarball, sha256, sums, files: members.len() })
}

/// The name of a sums file.
const SUMS: &str = "SHA256SUMS";

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Every file of the bundle, its sums file among them, whose digest comes beside.
fn members(plan: &Plan, parts: &[Part<'_>], borders: &Borders<'_>) -> Result<(Members, Digest)> {
    let store = borders.store;
    let mut members = Members::new();
    for part in parts {
        members.extend(part.members.clone());
    }
    let recipe = recipe::files(plan, borders)?;
    for (path, from) in TOP {
        let mut file = borders.project.file(from)?;
        file.executable = path.ends_with(".sh");
        members.insert(path.to_owned(), kept(&file.content, file.executable, store)?);
    }
    for (path, file) in &recipe {
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
    Ok((members, sums.sha256))
}

fn kept(content: &[u8], executable: bool, store: &Store) -> Result<Member> {
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(Member { sha256: store.put(content)?, size: content.len() as u64, mode })
}

/// `manifest.json`: what is in the bundle and what it was made of.
#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    release: &'a str,
    date: String,
    epoch: Epoch,
    profile: Profile,
    image: Image<'a>,
    components: BTreeMap<Component, Built<'a>>,
    files: BTreeMap<&'a str, Listed>,
}

/// The builder's root: guest firmware that QEMU's source lacks comes from its packages.
#[derive(Serialize)]
struct Image<'a> {
    name: &'a str,
    diff_id: String,
    packages: &'a [PackageLock],
}

#[derive(Serialize)]
struct Built<'a> {
    version: &'a str,
    key: Digest,
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_release: Option<&'a str>,
    sources: &'a [SourceLock],
    inputs: &'a Inputs,
}

#[derive(Serialize)]
struct Listed {
    sha256: Digest,
    size: u64,
    mode: String,
}

impl<'a> Manifest<'a> {
    fn of(plan: &'a Plan, parts: &'a [Part<'a>], members: &'a Members) -> Self {
        let built = |part: &'a Part<'a>| {
            let task = part.artifacts.task;
            let built = Built {
                version: &task.version,
                key: task.key,
                pinned: task.pinned,
                kernel_release: part.release.as_ref().map(|release| release.whole.as_str()),
                sources: &task.sources,
                inputs: &task.inputs,
            };
            (task.component, built)
        };
        let listed =
            |member: &Member| Listed { sha256: member.sha256, size: member.size, mode: format!("{:04o}", member.mode) };
        Manifest {
            format: FORMAT,
            release: &plan.release,
            date: plan.date.to_string(),
            epoch: plan.epoch,
            profile: plan.profile,
            image: Image { name: &plan.image, diff_id: plan.diff_id.oci(), packages: &plan.image_documents.1.package },
            components: parts.iter().map(built).collect(),
            files: members.iter().map(|(path, member)| (path.as_str(), listed(member))).collect(),
        }
    }
}
