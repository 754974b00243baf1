//! The line with a recording engine: what a build may deliver, what is refused, and what is left behind. Only the engine
//! is recorded; plan, store, collect and pack are the real ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "support/bench.rs"]
mod bench;

use bench::{Bench, Wish};
use snpforge::build::pack::Packed;
use snpforge::build::plan;
use snpforge::component::Profile;
use snpforge::digest::Digest;
use snpforge::engine::recorder::{Left, Recorder, Scripted, Verb};
use snpforge::engine::{Member, MemberKind, Outcome};
use snpforge::error::{Kind, Result};
use snpforge::report::Collected;
use snpforge::store::files;
use std::path::Path;

const NAMES: [&str; 5] = ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd", "licenses/edk2/License.txt"];

fn bench() -> Bench {
    Bench::new("[ovmf]\nbuild = \"DEBUG\"\nsource = { path = \"x\" }\n")
}

fn build(bench: &Bench, recorder: &Recorder) -> (Result<Packed>, Collected) {
    bench.build(recorder, Wish::default())
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
    let (made, _) = build(&bench, &recorder);
    let first = made.unwrap().products;
    assert!(!first[0].cached && first[0].pinned);
    assert!(recorder.left().is_empty(), "the container must be gone");
    let verbs = recorder.verbs().len();
    let (made, _) = build(&bench, &recorder);
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
    build(&bench, &recorder).0.unwrap();
    let created = recorder.verbs().into_iter().find_map(|verb| match verb {
        Verb::Create { spec, .. } => Some(spec),
        _ => None,
    });
    let spec = created.unwrap();
    assert_eq!(spec.command, ["/src/recipe/build"]);
    assert_eq!(spec.environment["SOURCE_DATE_EPOCH"], "1700000000");
    assert_eq!(spec.environment["OVMF_BUILD"], "DEBUG");
    assert_eq!(spec.environment["JOBS"], "2");
    assert!(!bench.plan().tasks[0].inputs.environment.contains_key("JOBS"), "JOBS is no input");
}

#[test]
fn hostile_output_is_refused_by_name_and_touches_nothing() {
    let lying = member("OVMF.fd", MemberKind::File, 2);
    let cases = [
        ("absolute", (member("/etc/passwd", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("parent", (member("../../escape", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("device", (member("OVMF.fd", MemberKind::Other, 0), vec![]), "not a regular file"),
        ("symlink", (member("OVMF.fd", MemberKind::Symlink, 0), vec![]), "not a regular file"),
        ("name", (member("extra.fd", MemberKind::File, 1), b"x".to_vec()), "not an expected file"),
        ("folder", (member("usr", MemberKind::Folder, 0), vec![]), "not an expected file"),
        ("short", (member("OVMF.fd", MemberKind::File, 9), b"abc".to_vec()), "shorter"),
        ("lying", (lying, b"abc".to_vec()), "announced"),
    ];
    for (name, hostile, cause) in cases {
        let bench = bench();
        let before = bench.files();
        let recorder = Recorder::new([run(0, vec![hostile])]);
        let error = build(&bench, &recorder).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Output, "{name}: {error}");
        assert!(error.to_string().contains(cause), "{name}: {error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("OVMF_CODE.fd")), "{name}");
        assert_eq!(bench.files(), before, "{name}");
        assert!(recorder.left().is_empty(), "{name}: the container must be gone");
        assert!(!Path::new("/escape").exists());
    }
}

#[test]
fn what_is_too_large_is_refused_with_the_limit_that_it_is_over() {
    const MIB: u64 = 1 << 20;
    let small = |name: &str| (member(name, MemberKind::File, 3), b"abc".to_vec());
    let huge = |name: &str| (member(name, MemberKind::File, 16 * MIB - 2), vec![]);
    let sparse = (member("OVMF.fd", MemberKind::File, 10 << 30), vec![]);
    let cases = [
        (vec![sparse], "/out/OVMF.fd of ovmf", "is larger than 16777216 bytes"),
        // Each file fits by itself; what counts is the folder with both.
        (
            vec![small("licenses/a"), huge("licenses/b")],
            "/out/licenses/b of ovmf",
            "is too much: /out/licenses/** may have 16777216 bytes in all",
        ),
    ];
    for (out, object, cause) in cases {
        let bench = bench();
        let recorder = Recorder::new([run(0, out)]);
        let error = build(&bench, &recorder).0.unwrap_err();
        assert_eq!((error.kind(), error.object(), error.cause()), (Kind::Output, object, cause));
        let remedy = error.remedy_text().unwrap_or_default();
        assert!(
            remedy.contains("images/ovmf deliver less, or raise the limit in src/build/plan/outputs.rs"),
            "{remedy}"
        );
        assert!(recorder.left().is_empty(), "the container must be gone");
    }
}

#[test]
fn a_missing_or_doubled_file_is_named() {
    let bench = bench();
    let error = build(&bench, &Recorder::new([run(0, good()[1..].to_vec())])).0.unwrap_err();
    assert!(error.to_string().contains("OVMF.amdsev.fd") && error.to_string().contains("missing"), "{error}");
    let doubled = [good(), good()].concat();
    let error = build(&bench, &Recorder::new([run(0, doubled)])).0.unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn a_failed_build_shows_its_last_lines_and_its_log() {
    let bench = bench();
    let recorder = Recorder::new([run(3, vec![])]);
    let error = build(&bench, &recorder).0.unwrap_err();
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
    build(&bench, &recorder).0.unwrap();
    let blob = bench.store.path(&Digest::of(b"abc"));
    std::fs::remove_file(&blob).unwrap();
    files::write_whole(&blob, b"abd").unwrap();
    assert_eq!(build(&bench, &recorder).0.unwrap_err().kind(), Kind::Trust);
    assert!(build(&bench, &recorder).0.is_ok(), "after the damage is removed the build runs again");
}

#[test]
fn a_product_of_other_content_is_never_replaced() {
    let bench = bench();
    let product = build(&bench, &Recorder::new([run(0, good())])).0.unwrap().products.remove(0);
    files::write_whole(&product.path, b"mine").unwrap();
    let error = build(&bench, &Recorder::default()).0.unwrap_err();
    assert_eq!(error.kind(), Kind::Output);
    assert_eq!(std::fs::read(&product.path).unwrap(), b"mine");
}

#[test]
fn a_lock_whose_version_cannot_name_a_file_makes_no_plan() {
    let bench = bench();
    for bad in ["6.12/../../x", "6 12", ""] {
        let mut documents = bench.documents();
        documents.release_lock.source[0].version = bad.into();
        let error = plan::make(documents, &[], Profile::Lean).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Lock, "releases/r.lock"), "{bad:?}");
        assert!(error.cause().contains("of ovmf cannot stand in a file name"), "{error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("snpforge lock --release r --update")), "{error}");
    }
}
