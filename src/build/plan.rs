//! What a build will do, decided in pure code: every input with its digest, every variable, every expected file, and the
//! key that names it all. Nothing is read or run here; `snpforge plan --json` prints the result.

use crate::component::Component;
use crate::date::{Day, Epoch};
use crate::definition::ImageDefinition;
use crate::digest::Digest;
use crate::document;
use crate::engine::contract;
use crate::error::{Error, Kind, Result};
use crate::lock::{FORMAT, ImageLock, ReleaseLock, SourceLock};
use crate::project::{Method, RecipeFile};
use crate::release::{OvmfBuild, Release};
use serde::Serialize;
use std::collections::BTreeMap;

/// All documents a plan is made from, read by the caller.
pub struct Documents {
    /// The release's name.
    pub release_name: String,
    /// The release file.
    pub release: Release,
    /// Its lock.
    pub release_lock: ReleaseLock,
    /// The image's name.
    pub image_name: String,
    /// The image definition.
    pub image: ImageDefinition,
    /// Its lock.
    pub image_lock: ImageLock,
    /// Containerfile and recipe of every wished component.
    pub methods: BTreeMap<Component, Method>,
    /// The current digest of every unpinned source, by component and folder.
    pub unpinned: BTreeMap<(Component, String), Digest>,
}

/// A file that a component's build must deliver, and where it stands in the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Path relative to /out.
    pub path: String,
    /// Path in the product.
    pub install: String,
    /// More bytes than this are refused.
    pub limit: u64,
}

/// All that may influence a component's bytes. Its canonical JSON's digest is the action key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inputs {
    /// Format of locks and of normalisation.
    pub format: u32,
    /// The component.
    pub component: Component,
    /// Digest of each normalised source tar, by its folder below /src.
    pub sources: BTreeMap<String, Digest>,
    /// The image's identity.
    pub image: Digest,
    /// Digest of the Containerfile's text.
    pub containerfile: Digest,
    /// Digest of each file of the recipe, and whether it may be run.
    pub recipe: BTreeMap<String, (Digest, bool)>,
    /// Every variable the build sees, JOBS aside.
    pub environment: BTreeMap<String, String>,
    /// Paths of the expected files.
    pub expected: Vec<String>,
}

/// One component's build.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    /// The component.
    pub component: Component,
    /// Version for names, from the main source.
    pub version: String,
    /// The action key: the digest of `inputs`.
    pub key: Digest,
    /// All that may influence the result.
    pub inputs: Inputs,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Working folder.
    pub workdir: String,
    /// What must come out.
    pub expected: Vec<Expected>,
    /// Whether every source is pinned.
    pub pinned: bool,
    /// The locked sources.
    pub sources: Vec<SourceLock>,
    /// The recipe's files.
    pub recipe: Vec<RecipeFile>,
}

/// The plan of a build. Made by [`make`] only.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::manual_non_exhaustive, reason = "only this module may make one, not only this crate")]
pub struct Plan {
    /// The release's name.
    pub release: String,
    /// Its DATE.
    pub date: Day,
    /// SOURCE_DATE_EPOCH of every build.
    pub epoch: Epoch,
    /// The image's name.
    pub image: String,
    /// The image's identity.
    pub diff_id: Digest,
    /// The components' builds, in build order.
    pub tasks: Vec<Task>,
    /// The image definition and its lock, for the step that makes the image.
    #[serde(skip)]
    pub image_documents: (ImageDefinition, ImageLock),
    /// The release's lock and archives, for the step that fetches.
    #[serde(skip)]
    pub release_documents: (Release, ReleaseLock),
    #[serde(skip)]
    _sealed: (),
}

/// Decides everything for the wished components (all of the release's when none is named).
///
/// # Errors
/// [`Kind::Usage`] when the release does not declare a wished component, [`Kind::Lock`] when a lock does not fit its
/// document.
pub fn make(documents: Documents, wished: &[Component]) -> Result<Plan> {
    let declared = documents.release.components();
    check_wishes(&documents, wished, &declared)?;
    let chosen = declared.into_iter().filter(|component| wished.is_empty() || wished.contains(component));
    let tasks = chosen.map(|component| task(&documents, component)).collect::<Result<Vec<_>>>()?;
    Ok(Plan {
        release: documents.release_name,
        date: documents.release_lock.date,
        epoch: documents.release_lock.epoch,
        image: documents.image_name,
        diff_id: documents.image_lock.diff_id,
        tasks,
        image_documents: (documents.image, documents.image_lock),
        release_documents: (documents.release, documents.release_lock),
        _sealed: (),
    })
}

fn check_wishes(documents: &Documents, wished: &[Component], declared: &[Component]) -> Result<()> {
    if let Some(missing) = wished.iter().find(|component| !declared.contains(component)) {
        let names: Vec<&str> = declared.iter().map(|component| component.name()).collect();
        return Err(Error::new(
            Kind::Usage,
            format!("release `{}`", documents.release_name),
            format!("does not declare {missing}"),
        )
        .remedy(format!("it declares: {}", names.join(", "))));
    }
    Ok(())
}

fn task(documents: &Documents, component: Component) -> Result<Task> {
    let method = documents.methods.get(&component).ok_or_else(|| {
        Error::new(Kind::Document, format!("component {component}"), "has no Containerfile or recipe in this project")
    })?;
    let sources: Vec<SourceLock> =
        documents.release_lock.source.iter().filter(|source| source.component == component).cloned().collect();
    let version = sources.first().map(|source| source.version.clone()).ok_or_else(|| {
        Error::new(
            Kind::Lock,
            format!("releases/{}.lock", documents.release_name),
            format!("has no source for {component}"),
        )
        .remedy(format!("run `snpforge lock --release {} --update`", documents.release_name))
    })?;
    let expected = expected(component);
    let inputs = Inputs {
        format: FORMAT,
        component,
        sources: digests(documents, component, &sources)?,
        image: documents.image_lock.diff_id,
        containerfile: method.containerfile_sha256,
        recipe: method.recipe.iter().map(|file| (file.path.clone(), (file.sha256, file.executable))).collect(),
        environment: environment(documents, component, method),
        expected: expected.iter().map(|file| file.path.clone()).collect(),
    };
    Ok(Task {
        component,
        version,
        key: document::identity(&inputs)?,
        command: method.containerfile.entrypoint.clone(),
        workdir: method.containerfile.workdir.clone(),
        expected,
        pinned: sources.iter().all(|source| source.digest.is_some()),
        sources,
        recipe: method.recipe.clone(),
        inputs,
    })
}

fn digests(documents: &Documents, component: Component, sources: &[SourceLock]) -> Result<BTreeMap<String, Digest>> {
    let mut made = BTreeMap::new();
    for source in sources {
        let now = documents.unpinned.get(&(component, source.folder.clone())).copied();
        let digest = source.digest.or(now).ok_or_else(|| {
            Error::new(
                Kind::Lock,
                format!("source `{}` of {component}", source.folder),
                "is not pinned and was not read",
            )
        })?;
        made.insert(source.folder.clone(), digest);
    }
    Ok(made)
}

/// Contract's variables, then the Containerfile's, then the component's parameters. JOBS is added at run time.
fn environment(documents: &Documents, component: Component, method: &Method) -> BTreeMap<String, String> {
    let fixed = contract::ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut made: BTreeMap<String, String> = fixed.collect();
    made.extend(method.containerfile.environment.clone());
    made.insert("SOURCE_DATE_EPOCH".into(), documents.release_lock.epoch.to_string());
    made.extend(parameters(&documents.release, component));
    made
}

/// A component's own variables, as its recipe reads them.
fn parameters(release: &Release, component: Component) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    if let (Component::Ovmf, Some(ovmf)) = (component, &release.ovmf) {
        let build = match ovmf.build {
            OvmfBuild::Debug => "DEBUG",
            OvmfBuild::Release => "RELEASE",
        };
        let defines: Vec<String> = ovmf.defines.iter().map(|(name, value)| format!("{name}={value}")).collect();
        made.insert("OVMF_BUILD".into(), build.into());
        made.insert("OVMF_DEFINES".into(), defines.join(" "));
        made.insert("OVMF_FLAVOURS".into(), "OvmfPkgX64 AmdSevX64".into());
    }
    made
}

/// What a component's build must deliver.
fn expected(component: Component) -> Vec<Expected> {
    let names: &[&str] = match component {
        Component::Ovmf => &["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd"],
        // These components are not declared by any release yet, so no plan asks for them.
        Component::KernelHost | Component::KernelGuest | Component::Qemu => &[],
    };
    let file = |name: &&str| Expected {
        path: (*name).to_owned(),
        install: format!("usr/local/share/qemu/{name}"),
        // A flash image is a few MiB; QEMU refuses more than 16 MiB.
        limit: 16 << 20,
    };
    names.iter().map(file).collect()
}
