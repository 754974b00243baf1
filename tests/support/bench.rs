//! A project, a store and a plan whose inputs are all there, for tests of the line with a recording engine: only the
//! engine is recorded; plan, store, collect and pack are the real ones.

use snpforge::build::plan::{self, Documents, Plan};
use snpforge::build::{self, Borders, Options, pack::Packed};
use snpforge::cancel::Cancel;
use snpforge::component::{Component, Profile};
use snpforge::date::Epoch;
use snpforge::digest::Digest;
use snpforge::document;
use snpforge::engine::Engine;
use snpforge::engine::recorder::Recorder;
use snpforge::environment::Environment;
use snpforge::error::Result;
use snpforge::fetch::Offline;
use snpforge::lock::{ImageLock, Pin, ReleaseLock, SourceLock};
use snpforge::project::Project;
use snpforge::release::Release;
use snpforge::report::Collected;
use snpforge::source::git::Program;
use snpforge::store::{Store, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a test chooses beyond the plan.
#[derive(Default)]
pub struct Wish<'a> {
    /// Pack the bundle.
    pub package: bool,
    /// Copy the usr/local tree there.
    pub install: Option<PathBuf>,
    /// What the user does to the project when the builds are about to run.
    pub meanwhile: Option<&'a dyn Fn()>,
}

/// A project with the real recipes, a store and a release of the given tables.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub project: Project,
    release: Release,
    blobs: (Digest, Digest),
}

/// The files of this repository that stand in the bench's project.
const FILES: [&str; 6] =
    ["Containerfile.kernel", "Containerfile.qemu", "Containerfile.ovmf", "images", "kvm.conf", "releases/known"];

impl Bench {
    /// A bench for a release with `tables` (TOML) below its head.
    pub fn new(tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = folder.path().join("project");
        for from in FILES {
            copy(&root.join(from), &project.join(from));
        }
        let archive = "family = \"debian\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeyring = \"k\"\nmirrors = []\n";
        let image =
            format!("format = 1\nsummary = \"s\"\n[archive]\n{archive}[root]\nmerged-usr = true\npackages = []\n");
        let release = format!("format = 1\nsummary = \"s\"\nimage = \"i\"\n{tables}");
        files::write_whole(&project.join("images/i.toml"), image.as_bytes()).unwrap();
        files::write_whole(&project.join("images/k"), b"keys").unwrap();
        files::write_whole(&project.join("releases/r.toml"), release.as_bytes()).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let blobs = (store.put(&[0; 1024]).unwrap(), store.put(&[0; 1024]).unwrap());
        let project = Project::find(&project).unwrap();
        Bench { release: project.release("r").unwrap(), folder, store, project, blobs }
    }

    /// What the plan is made from, from the project as it is now.
    pub fn documents(&self) -> Documents {
        let (layer, source) = self.blobs;
        let lock = |(component, folder, _): (Component, &str, _)| SourceLock {
            component,
            folder: folder.into(),
            version: version(component).into(),
            epoch: Epoch(1_700_000_000),
            digest: Some(source),
            wish: None,
            pin: Pin::Tarball { urls: vec!["http://h/it's.tar".into()], sha256: source },
        };
        let image = self.project.image("i").unwrap();
        let method = |component| (component, self.project.method(component, &self.release).unwrap());
        Documents {
            release_name: "r".into(),
            release: self.release.clone(),
            release_lock: ReleaseLock {
                format: 1,
                definition: document::identity(&self.release).unwrap(),
                date: "2026-11-23".parse().unwrap(),
                epoch: Epoch(1_700_000_000),
                suite: vec![],
                source: self.release.sources().into_iter().map(lock).collect(),
            },
            image_name: "i".into(),
            image_lock: ImageLock {
                format: 1,
                definition: document::identity(&image).unwrap(),
                epoch: Epoch(1_700_000_000),
                diff_id: layer,
                suite: vec![],
                package: vec![],
                base: None,
            },
            image,
            methods: self.release.components().into_iter().map(method).collect(),
            compatibility: self.project.compatibility().unwrap(),
            unpinned: BTreeMap::new(),
        }
    }

    /// The plan, from the project as it is now.
    pub fn plan(&self) -> Plan {
        plan::make(self.documents(), &[], Profile::Lean).unwrap()
    }

    /// Builds everything with a recorded engine.
    pub fn build(&self, recorder: &Recorder, wish: Wish<'_>) -> (Result<Packed>, Collected) {
        self.build_plan(&self.plan(), recorder, wish)
    }

    /// Builds everything of a plan with a recorded engine.
    pub fn build_plan(&self, plan: &Plan, recorder: &Recorder, wish: Wish<'_>) -> (Result<Packed>, Collected) {
        let report = Collected::default();
        let cancel = Cancel::new();
        let borders = Borders {
            project: &self.project,
            store: &self.store,
            fetch: &Offline(self.store.clone()),
            registry: &snpforge::registry::Offline(self.store.clone()),
            git: &Program::new(self.store.root(), &Environment::default(), true).unwrap(),
            mirrors: &|_, _| Ok(Default::default()),
            now: Epoch(1_800_000_000),
            report: &report,
            cancel: &cancel,
        };
        let engine = || -> Result<&dyn Engine> {
            wish.meanwhile.iter().for_each(|act| act());
            Ok(recorder)
        };
        let options = Options {
            engine: &engine,
            jobs: 2,
            out: self.folder.path().join("out"),
            package: wish.package,
            install: wish.install,
            keep: false,
        };
        let made = build::build(plan, &borders, &options);
        (made, report)
    }

    /// Every path below the bench's folder but the store's own blobs, logs and results.
    pub fn files(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(self.folder.path()).sort_by_file_name();
        let all = walk.into_iter().map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
        let all = all.map(|entry| entry.path().strip_prefix(self.folder.path()).unwrap().display().to_string());
        all.filter(|path| {
            !path.starts_with("project/") && !path.starts_with("store/blobs/") && !path.starts_with("store/logs/")
        })
        .collect()
    }
}

/// Versions that fit together.
fn version(component: Component) -> &'static str {
    match component {
        Component::KernelHost | Component::KernelGuest => "6.12-1",
        Component::Qemu => "1:10.0-1",
        Component::Ovmf => "2025.02-1",
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(|entry| entry.unwrap()) {
        if entry.file_type().is_file() {
            let inner = entry.path().strip_prefix(from).unwrap();
            let to = if inner.as_os_str().is_empty() { to.to_owned() } else { to.join(inner) };
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
