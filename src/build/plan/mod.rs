//! What a build will do, decided in pure code: every input with its digest, every variable, every expected file, and the
//! key that names it all. Nothing is read or run here; `snpforge plan --json` prints the result.

mod outputs;
pub mod parameters;

pub use outputs::{Expected, Form, MOST_FILES};

use crate::compatibility::{Advice, Compatibility};
use crate::component::{Component, Profile};
use crate::date::{Day, Epoch};
use crate::definition::ImageDefinition;
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::lock::{FORMAT, ImageLock, ReleaseLock, SourceLock};
use crate::project::{Method, RecipeFile};
use crate::release::{Preview, Release, is_version};
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
    /// What is known of which parts fit together.
    pub compatibility: Compatibility,
    /// The current digest of every unpinned source, by component and folder.
    pub unpinned: BTreeMap<(Component, String), Digest>,
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
    /// Paths of the expected files and folders.
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
    /// Newest date of the component's own sources: SOURCE_DATE_EPOCH of its build and the date of all it delivers, so
    /// that a newer kernel does not rebuild the firmware.
    pub epoch: Epoch,
    /// The locked sources, the main one first.
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
    /// Set for a development preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What is known of its parts together.
    pub advice: Advice,
    /// The kernels' profile.
    pub profile: Profile,
    /// Newest date of all sources: the date of everything in the bundle.
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
    /// Containerfiles and recipes as they were read, for the step that packs: files may be edited while a build runs.
    #[serde(skip)]
    pub methods: BTreeMap<Component, Method>,
    #[serde(skip)]
    _sealed: (),
}

/// Decides everything for the wished components (all of the release's when none is named).
///
/// # Errors
/// [`Kind::Usage`] when the release does not declare a wished component, [`Kind::Lock`] when a lock does not fit its
/// document or its parts do not fit together.
pub fn make(documents: Documents, wished: &[Component], profile: Profile) -> Result<Plan> {
    check_wishes(&documents.release_name, &documents.release, wished)?;
    let advice = documents.compatibility.judge(&documents.release_name, &documents.release_lock)?;
    let declared = documents.release.components();
    let chosen = declared.into_iter().filter(|component| wished.is_empty() || wished.contains(component));
    let tasks = chosen.map(|component| task(&documents, component, profile)).collect::<Result<Vec<_>>>()?;
    Ok(Plan {
        release: documents.release_name,
        date: documents.release_lock.date,
        preview: documents.release.preview.clone(),
        advice,
        profile,
        epoch: documents.release_lock.epoch,
        image: documents.image_name,
        diff_id: documents.image_lock.diff_id,
        tasks,
        image_documents: (documents.image, documents.image_lock),
        release_documents: (documents.release, documents.release_lock),
        methods: documents.methods,
        _sealed: (),
    })
}

/// Whether a release declares all wished components. Needs no lock, so a wrong wish fails before anything is resolved.
///
/// # Errors
/// [`Kind::Usage`] naming what it declares.
pub fn check_wishes(name: &str, release: &Release, wished: &[Component]) -> Result<()> {
    let declared = release.components();
    if let Some(missing) = wished.iter().find(|component| !declared.contains(component)) {
        let names: Vec<&str> = declared.iter().map(|component| component.name()).collect();
        return Err(Error::new(Kind::Usage, format!("release `{name}`"), format!("does not declare {missing}"))
            .remedy(format!("it declares: {}", names.join(", "))));
    }
    Ok(())
}

fn task(documents: &Documents, component: Component, profile: Profile) -> Result<Task> {
    let method = documents.methods.get(&component).ok_or_else(|| {
        Error::new(Kind::Document, format!("component {component}"), "has no Containerfile or recipe in this project")
    })?;
    let sources: Vec<SourceLock> =
        documents.release_lock.source.iter().filter(|source| source.component == component).cloned().collect();
    let version = version(&documents.release_name, component, &sources)?;
    let epoch = sources.iter().map(|source| source.epoch).max().unwrap_or(Epoch(0));
    let digests = digests(documents, component, &sources)?;
    let part =
        parameters::Part { release: &documents.release, component, profile, sources: &sources, digests: &digests };
    let (recipe, parameters) = part.decide(&method.recipe)?;
    let expected = outputs::expected(component, &parameters);
    let inputs = Inputs {
        format: FORMAT,
        component,
        image: documents.image_lock.diff_id,
        containerfile: method.containerfile_sha256,
        recipe: recipe.iter().map(|file| (file.path.clone(), (file.sha256, file.executable))).collect(),
        environment: parameters::environment(method, epoch, parameters),
        expected: expected.iter().map(Expected::shown).collect(),
        sources: digests,
    };
    Ok(Task {
        component,
        version,
        key: document::identity(&inputs)?,
        command: method.containerfile.entrypoint.clone(),
        workdir: method.containerfile.workdir.clone(),
        expected,
        pinned: sources.iter().all(|source| source.digest.is_some()),
        epoch,
        sources,
        recipe,
        inputs,
    })
}

/// The version of a component's main source. It becomes part of file names, and locks are not always written by this
/// program.
fn version(release: &str, component: Component, sources: &[SourceLock]) -> Result<String> {
    let version = sources.first().map(|source| source.version.as_str());
    let cause = match version {
        Some(version) if is_version(version) => return Ok(version.to_owned()),
        Some(bad) => format!("version `{}` of {component} cannot stand in a file name", bad.escape_debug()),
        None => format!("has no source for {component}"),
    };
    Err(Error::new(Kind::Lock, format!("releases/{release}.lock"), cause)
        .remedy(format!("run `snpforge lock --release {release} --update`")))
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
