//! The line with a recording engine: what a build may deliver, what is refused, and what is left behind. Only the engine
//! is recorded; plan, store, collect and pack are the real ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

use snpforge::build::plan::{self, Documents, Plan};
use snpforge::build::{self, Borders, Options, pack::Packed};
use snpforge::cancel::Cancel;
use snpforge::component::{Component, Profile};
use snpforge::date::Epoch;
use snpforge::definition::ImageDefinition;
use snpforge::digest::Digest;
use snpforge::engine::recorder::{Left, Recorder, Scripted, Verb};
use snpforge::engine::{Member, MemberKind, Outcome};
use snpforge::environment::Environment;
use snpforge::error::{Kind, Result};
use snpforge::fetch::Offline;
use snpforge::lock::{ImageLock, Pin, ReleaseLock, SourceLock};
use snpforge::project::Project;
use snpforge::release::Release;
use snpforge::report::Collected;
use snpforge::source::git::Program;
use snpforge::store::{Store, files};
use std::collections::BTreeMap;
use std::path::Path;

const NAMES: [&str; 5] = ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd", "licenses/edk2/License.txt"];

/// A project, a store and a plan whose inputs are all in the store.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    project: Project,
    plan: Plan,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (from, to) in [("Containerfile.ovmf", "Containerfile.ovmf"), ("images/ovmf/build", "images/ovmf/build")] {
        files::write_whole(&folder.path().join("project").join(to), &std::fs::read(root.join(from)).unwrap()).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("project/releases")).unwrap();
    let project = Project::find(&folder.path().join("project")).unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let layer = store.put(&[0; 1024]).unwrap();
    let source = store.put(&[0; 1024]).unwrap();
    let mut documents = documents(layer, source);
    let method = project.method(Component::Ovmf, &documents.release).unwrap();
    documents.methods.insert(Component::Ovmf, method);
    let plan = plan::make(documents, &[], Profile::Lean).unwrap();
    Bench { folder, store, project, plan }
}

fn documents(layer: Digest, source: Digest) -> Documents {
    let archive = "family = \"debian\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeyring = \"k\"\nmirrors = []\n";
    let image = format!("format = 1\nsummary = \"s\"\n[archive]\n{archive}[root]\nmerged-usr = true\npackages = []\n");
    let release = "format = 1\nsummary = \"s\"\nimage = \"i\"\n[ovmf]\nbuild = \"DEBUG\"\nsource = { path = \"x\" }\n";
    let lock = SourceLock {
        component: Component::Ovmf,
        folder: "edk2".into(),
        version: "1".into(),
        epoch: Epoch(1_700_000_000),
        digest: Some(source),
        pin: Pin::Tarball { urls: vec![], sha256: source },
    };
    Documents {
        release_name: "r".into(),
        release: Release::parse("r.toml", release).unwrap(),
        release_lock: ReleaseLock {
            format: 1,
            definition: Digest::of(b""),
            date: "2026-11-23".parse().unwrap(),
            epoch: Epoch(1_700_000_000),
            suite: vec![],
            source: vec![lock],
        },
        image_name: "i".into(),
        image: ImageDefinition::parse("i.toml", &image).unwrap(),
        image_lock: ImageLock {
            format: 1,
            definition: Digest::of(b""),
            epoch: Epoch(1_700_000_000),
            diff_id: layer,
            suite: vec![],
            package: vec![],
        },
        methods: BTreeMap::new(),
        unpinned: BTreeMap::new(),
    }
}

impl Bench {
    fn build(&self, recorder: &Recorder) -> (Result<Packed>, Collected) {
        let report = Collected::default();
        let cancel = Cancel::new();
        let borders = Borders {
            project: &self.project,
            store: &self.store,
            fetch: &Offline(self.store.clone()),
            git: &Program::new(self.store.root(), &Environment::default(), true),
            mirrors: &|_, _| Ok(Default::default()),
            now: Epoch(1_800_000_000),
            report: &report,
            cancel: &cancel,
        };
        let options = Options {
            engine: &|| Ok(recorder),
            jobs: 2,
            out: self.folder.path().join("out"),
            package: false,
            install: None,
            keep: false,
        };
        let made = build::build(&self.plan, &borders, &options);
        (made, report)
    }

    /// Every path below the bench's folder but the store's own blobs, logs and results.
    fn files(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(self.folder.path()).sort_by_file_name();
        let all = walk.into_iter().map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
        let all = all.map(|entry| entry.path().strip_prefix(self.folder.path()).unwrap().display().to_string());
        all.filter(|path| {
            !path.starts_with("project/") && !path.starts_with("store/blobs/") && !path.starts_with("store/logs/")
        })
        .collect()
    }
}

fn member(path: &str, kind: MemberKind, size: u64) -> Member {
    Member { path: path.into(), kind, mode: 0o100_644 & 0o7777, size }
}

fn good() -> Left {
    NAMES.iter().map(|name| (member(name, MemberKind::File, 3), b"abc".to_vec())).collect()
}

fn run(code: i64, out: Left) -> Scripted {
    Scripted {
        log: b"one\n@snpforge step 1/2 two\nlast words\n".to_vec(),
        outcome: Outcome { code, out_of_memory: None },
        out,
    }
}

#[test]
fn a_build_is_packed_once_and_the_second_runs_nothing() {
    let bench = bench();
    let recorder = Recorder::new([run(0, good())]);
    let (made, _) = bench.build(&recorder);
    let first = made.unwrap().products;
    assert!(!first[0].cached && first[0].pinned);
    assert!(recorder.left().is_empty(), "the container must be gone");
    let verbs = recorder.verbs().len();
    let (made, _) = bench.build(&recorder);
    let second = made.unwrap().products;
    assert!(second[0].cached);
    assert_eq!(recorder.verbs().len(), verbs, "the second build must not touch the engine");
    assert_eq!(first[0].sha256, second[0].sha256);
    let name = first[0].path.file_name().unwrap().to_str().unwrap().to_owned();
    let sum = std::fs::read_to_string(bench.folder.path().join("out").join(format!("{name}.sha256"))).unwrap();
    assert_eq!(sum, format!("{}  {name}\n", first[0].sha256));
    let record = name.replace(".tar.gz", ".run.json");
    let record = std::fs::read_to_string(bench.folder.path().join("out").join(record)).unwrap();
    assert!(record.contains("\"name\":\"recorder\""), "{record}");
}

#[test]
fn the_engine_is_asked_in_order_and_sees_the_contract() {
    let bench = bench();
    let recorder = Recorder::new([run(0, good())]);
    bench.build(&recorder).0.unwrap();
    let created = recorder.verbs().into_iter().find_map(|verb| match verb {
        Verb::Create { spec, .. } => Some(spec),
        _ => None,
    });
    let spec = created.unwrap();
    assert_eq!(spec.command, ["/src/recipe/build"]);
    assert_eq!(spec.environment["SOURCE_DATE_EPOCH"], "1700000000");
    assert_eq!(spec.environment["OVMF_BUILD"], "DEBUG");
    assert_eq!(spec.environment["JOBS"], "2");
    assert!(!bench.plan.tasks[0].inputs.environment.contains_key("JOBS"), "JOBS is no input");
}

#[test]
fn hostile_output_is_refused_by_name_and_touches_nothing() {
    let huge = member("OVMF.fd", MemberKind::File, 10 << 30);
    let lying = member("OVMF.fd", MemberKind::File, 2);
    let cases = [
        ("absolute", (member("/etc/passwd", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("parent", (member("../../escape", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("device", (member("OVMF.fd", MemberKind::Other, 0), vec![]), "not a regular file"),
        ("symlink", (member("OVMF.fd", MemberKind::Symlink, 0), vec![]), "not a regular file"),
        ("name", (member("extra.fd", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("folder", (member("usr", MemberKind::Folder, 0), vec![]), "not an expected file"),
        ("sparse", (huge, vec![]), "larger than"),
        ("short", (member("OVMF.fd", MemberKind::File, 9), b"abc".to_vec()), "shorter"),
        ("lying", (lying, b"abc".to_vec()), "announced"),
    ];
    for (name, hostile, cause) in cases {
        let bench = bench();
        let before = bench.files();
        let recorder = Recorder::new([run(0, vec![hostile])]);
        let error = bench.build(&recorder).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Output, "{name}: {error}");
        assert!(error.to_string().contains(cause), "{name}: {error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("OVMF_CODE.fd")), "{name}");
        assert_eq!(bench.files(), before, "{name}");
        assert!(recorder.left().is_empty(), "{name}: the container must be gone");
        assert!(!Path::new("/escape").exists());
    }
}

#[test]
fn a_missing_or_doubled_file_is_named() {
    let bench = bench();
    let error = bench.build(&Recorder::new([run(0, good()[1..].to_vec())])).0.unwrap_err();
    assert!(error.to_string().contains("OVMF.amdsev.fd") && error.to_string().contains("missing"), "{error}");
    let doubled = [good(), good()].concat();
    let error = bench.build(&Recorder::new([run(0, doubled)])).0.unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn a_failed_build_shows_its_last_lines_and_its_log() {
    let bench = bench();
    let recorder = Recorder::new([run(3, vec![])]);
    let error = bench.build(&recorder).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Build);
    assert!(error.to_string().contains("status 3") && error.to_string().contains("last words"), "{error}");
    let remedy = error.remedy_text().unwrap();
    let log = remedy.split(['`', ' ', ';']).find(|word| word.ends_with(".log")).unwrap();
    assert!(std::fs::read_to_string(log).unwrap().starts_with("one\n"), "{remedy}");
    assert!(recorder.left().is_empty());
}

#[test]
fn a_damaged_artifact_is_noticed_before_it_is_packed() {
    let bench = bench();
    let recorder = Recorder::new([run(0, good()), run(0, good())]);
    bench.build(&recorder).0.unwrap();
    let blob = bench.store.path(&Digest::of(b"abc"));
    std::fs::remove_file(&blob).unwrap();
    files::write_whole(&blob, b"abd").unwrap();
    assert_eq!(bench.build(&recorder).0.unwrap_err().kind(), Kind::Trust);
    assert!(bench.build(&recorder).0.is_ok(), "after the damage is removed the build runs again");
}

#[test]
fn a_product_of_other_content_is_never_replaced() {
    let bench = bench();
    let product = bench.build(&Recorder::new([run(0, good())])).0.unwrap().products.remove(0);
    files::write_whole(&product.path, b"mine").unwrap();
    let error = bench.build(&Recorder::default()).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Output);
    assert_eq!(std::fs::read(&product.path).unwrap(), b"mine");
}
