//! `manifest.json` of a bundle: every input and every file with its digest. A document for programs: canonical JSON, and no
//! fact of any machine.

use super::members::{Member, Members, Part};
use crate::build::plan::{Inputs, Plan};
use crate::component::{Component, Profile};
use crate::date::Epoch;
use crate::digest::Digest;
use crate::lock::{BaseLock, FORMAT, PackageLock, SourceLock};
use serde::Serialize;
use std::collections::BTreeMap;

/// `manifest.json`: what is in the bundle and what it was made of.
#[derive(Serialize)]
pub struct Manifest<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a BaseLock>,
}

/// A component: what it was made of, and the paths of what it delivered. The rest of `files` is the project's own. Of QEMU's
/// firmware, `licenses/qemu/PACKAGE` says which of the image's packages have files in it.
#[derive(Serialize)]
struct Built<'a> {
    version: &'a str,
    key: Digest,
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_release: Option<&'a str>,
    sources: &'a [SourceLock],
    inputs: &'a Inputs,
    files: Vec<&'a str>,
}

#[derive(Serialize)]
struct Listed {
    sha256: Digest,
    size: u64,
    mode: String,
}

impl<'a> Manifest<'a> {
    /// The manifest of a bundle of `members`.
    pub fn of(plan: &'a Plan, parts: &'a [Part<'a>], members: &'a Members) -> Self {
        let built = |part: &'a Part<'a>| {
            let task = part.artifacts.task;
            let built = Built {
                version: &task.version,
                key: task.key,
                pinned: task.pinned,
                kernel_release: part.release.as_ref().map(|release| release.whole.as_str()),
                sources: &task.sources,
                inputs: &task.inputs,
                files: part.members.keys().map(String::as_str).collect(),
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
            image: Image {
                name: &plan.image,
                diff_id: plan.diff_id.oci(),
                packages: &plan.image_documents.1.package,
                base: plan.image_documents.1.base.as_ref(),
            },
            components: parts.iter().map(built).collect(),
            files: members.iter().map(|(path, member)| (path.as_str(), listed(member))).collect(),
        }
    }
}
