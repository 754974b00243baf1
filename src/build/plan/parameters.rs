//! A component's own parameters: the variables its recipe reads and the recipe files that are meant for it. What a file or
//! variable does not reach, it cannot rebuild: the guest's kernel never sees the host's fragment.

use crate::component::{Component, Profile};
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::engine::contract;
use crate::error::{Error, Kind, Result};
use crate::lock::{Pin, SourceLock};
use crate::project::{Method, RecipeFile};
use crate::release::{Base, Kernel, OvmfBuild, Release, fragment};
use serde::Serialize;
use std::collections::BTreeMap;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What a component's parameters are decided from.
pub struct Part<'a> {
    /// The release file.
    pub release: &'a Release,
    /// The component.
    pub component: Component,
    /// The kernels' profile.
    pub profile: Profile,
    /// Its locked sources, the main one first.
    pub sources: &'a [SourceLock],
    /// Digests of their tars, by folder.
    pub digests: &'a BTreeMap<String, Digest>,
}

/// Contract's variables, then the Containerfile's, then the component's parameters. JOBS is added at run time.
pub fn environment(method: &Method, epoch: Epoch, parameters: Variables) -> Variables {
    let fixed = contract::ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut made: Variables = fixed.collect();
    made.extend(method.containerfile.environment.clone());
    made.insert("SOURCE_DATE_EPOCH".into(), epoch.to_string());
    made.extend(parameters);
    made
}

impl Part<'_> {
    /// The recipe's files that the component's build gets, and its variables.
    ///
    /// # Errors
    /// [`Kind::Document`] when the recipe lacks a fragment.
    pub fn decide(&self, recipe: &[RecipeFile]) -> Result<(Vec<RecipeFile>, Variables)> {
        if let Some((kernel, role)) = self.release.kernel(self.component).zip(self.component.role()) {
            return self.kernel(kernel, role, recipe);
        }
        let variables = match self.component {
            Component::Ovmf => self.ovmf(),
            _ => self.qemu(),
        };
        Ok((recipe.to_vec(), variables))
    }

    fn ovmf(&self) -> Variables {
        let Some(ovmf) = &self.release.ovmf else { return Variables::new() };
        let build = match ovmf.build {
            OvmfBuild::Debug => "DEBUG",
            OvmfBuild::Release => "RELEASE",
        };
        let defines: Vec<String> = ovmf.defines.iter().map(|(name, value)| format!("{name}={value}")).collect();
        variables([
            ("OVMF_BUILD", build.to_owned()),
            ("OVMF_DEFINES", defines.join(" ")),
            ("OVMF_FLAVOURS", "OvmfPkgX64 AmdSevX64".to_owned()),
        ])
    }

    fn qemu(&self) -> Variables {
        let version = self.sources.first().map_or("", |source| source.version.as_str());
        variables([("QEMU_PKGVERSION", format!("snpforge {version}"))])
    }

    fn kernel(&self, kernel: &Kernel, role: &str, recipe: &[RecipeFile]) -> Result<(Vec<RecipeFile>, Variables)> {
        let names = self.fragments(kernel, role, recipe)?;
        let files: Vec<RecipeFile> = recipe.iter().filter(|file| is_for(file, &names)).cloned().collect();
        let base = self.base(kernel);
        let configuration = configuration(&base, &names, &files)?;
        let localversion = format!("-snp-{role}-{}-{}", self.source_id()?, &configuration.to_string()[..8]);
        let variables = variables([
            ("KERNEL_ROLE", role.to_owned()),
            ("KERNEL_BASE", base),
            ("KERNEL_FRAGMENTS", names.join(" ")),
            ("KERNEL_LOCALVERSION", localversion),
            ("KERNEL_REVISION", kernel.revision.to_string()),
        ]);
        Ok((files, variables))
    }

    /// The fragments in the order they are merged: for all kernels, for the role, for the profile, for both, the user's.
    fn fragments(&self, kernel: &Kernel, role: &str, recipe: &[RecipeFile]) -> Result<Vec<String>> {
        let profile = self.profile.name();
        let there = |name: &str| recipe.iter().any(|file| fragment_of(file) == Some(name));
        let mut names = Vec::new();
        for (name, optional) in
            [("common", false), (role, false), (profile, false), (&*format!("{profile}-{role}"), true)]
        {
            if there(name) {
                names.push(name.to_owned());
            } else if !optional {
                return Err(Error::new(Kind::Document, format!("images/kernel/config/{name}.config"), "is missing")
                    .remedy("restore it: every kernel of this profile and role is configured with it"));
            }
        }
        for name in kernel.fragments.iter().filter_map(|path| fragment(path)) {
            if !there(name) {
                return Err(Error::new(Kind::Document, format!("fragment `{name}`"), "is not among the recipe's own")
                    .remedy(
                        "give a name of images/kernel/config, or a file NAME.config relative to the release file",
                    ));
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn base(&self, kernel: &Kernel) -> String {
        match (&kernel.base, self.profile) {
            (Some(Base::Target(target)), _) => target.clone(),
            (Some(Base::File { .. }), _) => "file".to_owned(),
            (None, Profile::Lean) => "alldefconfig".to_owned(),
            (None, Profile::Server) => "x86_64_defconfig".to_owned(),
        }
    }

    /// The first 12 digits of the main source's commit, or of its tar's digest.
    fn source_id(&self) -> Result<String> {
        let missing = || Error::new(Kind::Lock, format!("component {}", self.component), "has no source in the lock");
        let source = self.sources.first().ok_or_else(missing)?;
        source_id(source, self.digests.get(&source.folder).ok_or_else(missing)?)
    }
}

/// The first 12 digits of a source's commit, or of its tar's digest.
pub fn source_id(source: &SourceLock, digest: &Digest) -> Result<String> {
    let whole = match &source.pin {
        Pin::Git { commit, .. } => commit.clone(),
        _ => digest.to_string(),
    };
    whole.get(..12).map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Lock, format!("source `{}`", source.folder), format!("`{whole}` is no whole commit"))
            .remedy("run `snpforge lock --update`")
    })
}

fn variables<const N: usize>(pairs: [(&str, String); N]) -> Variables {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// NAME of a recipe file `config/NAME.config`.
fn fragment_of(file: &RecipeFile) -> Option<&str> {
    file.path.strip_prefix("config/")?.strip_suffix(".config")
}

fn is_for(file: &RecipeFile, fragments: &[String]) -> bool {
    fragment_of(file).is_none_or(|name| fragments.iter().any(|one| one == name))
}

/// The digest of a kernel's configuration as it is wished: its base and its fragments in order.
fn configuration(base: &str, names: &[String], files: &[RecipeFile]) -> Result<Digest> {
    #[derive(Serialize)]
    struct Wish<'a> {
        base: &'a str,
        file: Option<Digest>,
        fragments: Vec<(&'a str, Option<Digest>)>,
    }
    let digest = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.sha256);
    let fragments = names.iter().map(|name| (name.as_str(), digest(&format!("config/{name}.config")))).collect();
    document::identity(&Wish { base, file: digest("base.config"), fragments })
}
