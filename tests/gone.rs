//! Mirrors that lose files: an input gone everywhere, an index that names what is not there, and which indexes are asked
//! for at all. The real program against a small signed archive on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "support/archive.rs"]
mod archive;
#[path = "support/deb.rs"]
mod deb;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/http.rs"]
mod http;
#[path = "support/listener.rs"]
mod listener;
#[path = "support/workshop.rs"]
mod workshop;

use archive::{Archive, DAY, Signer, Suite};
use deb::{Deb, Packing};
use engine::{END, Engine};
use http::{Reply, Server};
use snpforge::build::cache::{self, ActionResult, Artifact, RunRecord};
use snpforge::component::Component;
use snpforge::date::Epoch;
use snpforge::definition::Family;
use snpforge::engine::Info;
use snpforge::lock::{Pin, ReleaseLock};
use snpforge::store::Store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use workshop::{file, tar_of, xz};

/// A port of loopback at which nobody listens.
const DEAD: &str = "http://127.0.0.1:1";

/// Where no engine is.
const NOWHERE: [&str; 4] = ["--engine", "docker", "--host", "unix:///nowhere/docker.sock"];

/// A mirror, a project that uses it, a home, and an engine that ends every build that had all its inputs.
struct Desk {
    folder: tempfile::TempDir,
    _engine: Engine,
    host: String,
    served: Arc<Mutex<BTreeMap<String, Reply>>>,
    server: Server,
}

/// What a source package of version `1-REVISION` consists of.
fn edk2(revision: u32) -> [(String, Vec<u8>); 2] {
    let packaging = [file("debian/control", 0o644, format!("Source: edk2\nRevision: {revision}\n").as_bytes())];
    [
        ("edk2_1.orig.tar.xz".into(), xz(&tar_of(&[file("edk2-1/a.c", 0o644, b"int a;\n")], 1_700_000_000))),
        (format!("edk2_1-{revision}.debian.tar.xz"), xz(&tar_of(&packaging, 1_700_000_000 + u64::from(revision)))),
    ]
}

/// An archive with these revisions of edk2, versions of the tool that is in the image and versions of meson.
fn state(edk2s: &[u32], tools: &[&str], mesons: &[&str], days: u32) -> Archive {
    let mut archive = Archive::default();
    let mut suite = Suite::new("stable");
    suite.date += days * DAY;
    for revision in edk2s {
        let files = edk2(*revision);
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        suite.sources.push(archive.source("edk2", &format!("1-{revision}"), "3.0 (quilt)", &files));
    }
    for (name, versions) in [("tool", tools), ("meson", mesons)] {
        for version in versions {
            let deb = Deb::new(name, version, Packing::Xz).folder("./usr/", 0o755).folder("./usr/bin/", 0o755).file(
                &format!("./usr/bin/{name}"),
                0o755,
                format!("#!/bin/sh\necho {version}\n").as_bytes(),
            );
            suite.packages.push(archive.package(name, version, "", &deb.build()));
        }
    }
    archive.publish(&suite, &[&Signer::new(1)]);
    archive
}

impl Desk {
    fn new(first: &Archive) -> Desk {
        let served: Arc<Mutex<BTreeMap<String, Reply>>> = Arc::default();
        let inside = Arc::clone(&served);
        let server = Server::start(move |request, _| {
            inside.lock().unwrap().get(&request.path).cloned().unwrap_or(Reply::Status(404, Vec::new()))
        });
        let engine = Engine::start();
        let desk = Desk { folder: tempfile::tempdir().unwrap(), host: engine.host(), _engine: engine, served, server };
        desk.publish(first);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["Containerfile.ovmf", "images/ovmf/build"] {
            desk.write(path, &std::fs::read(root.join(path)).unwrap());
        }
        desk.write("keys/test.gpg", &Signer::new(1).keyring());
        desk.image(&[&desk.mirror()]);
        desk.release(&[&desk.mirror()], None, "");
        desk
    }

    fn mirror(&self) -> String {
        self.server.url("").trim_end_matches('/').to_owned()
    }

    /// An archive's definition. Of the family that this machine's apt does not have, so that nobody else is asked.
    fn archive(&self, mirrors: &[&str]) -> String {
        let ubuntu = snpforge::mirror::machine(Path::new("/"), Family::Ubuntu).is_empty();
        let family = if ubuntu { "ubuntu" } else { "debian" };
        format!(
            "family = \"{family}\"\nsuites = [\"stable\"]\ncomponents = [\"main\"]\nkeyring = \"../keys/test.gpg\"\n\
             mirrors = {mirrors:?}\n"
        )
    }

    /// Writes the image's definition: the mirrors of its archive.
    fn image(&self, mirrors: &[&str]) {
        let archive = self.archive(mirrors);
        let text = format!(
            "format = 1\nsummary = \"s\"\n[archive]\n{archive}[root]\nmerged-usr = true\npackages = [\"tool\"]\n"
        );
        self.write("images/i.toml", text.as_bytes());
    }

    /// Writes the release file: the mirrors of its archive, edk2's version, further sources.
    fn release(&self, mirrors: &[&str], version: Option<&str>, extra: &str) {
        let version = version.map(|version| format!(", version = \"{version}\"")).unwrap_or_default();
        let archive = self.archive(mirrors);
        let text = format!(
            "format = 1\nsummary = \"s\"\nimage = \"i\"\n[archives.a]\n{archive}[archives.unused]\n{archive}\
             [ovmf]\nbuild = \"DEBUG\"\nsource = {{ debian = {{ archive = \"a\", package = \"edk2\"{version} }} }}\n\
             extra = [{extra}]\n"
        );
        self.write("releases/r.toml", text.as_bytes());
    }

    /// The mirror has these files from now on, and no others.
    fn publish(&self, archive: &Archive) {
        let files = archive.files.iter().map(|(path, bytes)| (path.clone(), Reply::File(bytes.clone())));
        *self.served.lock().unwrap() = files.collect();
    }

    /// The mirror answers so for every file whose path holds `part`.
    fn answer(&self, part: &str, reply: &Reply) {
        let mut served = self.served.lock().unwrap();
        let matching = served.iter_mut().filter(|(path, _)| path.contains(part));
        assert!(matching.map(|(_, held)| *held = reply.clone()).count() > 0, "the mirror has no {part}");
    }

    fn lose(&self, part: &str) {
        self.answer(part, &Reply::Status(404, Vec::new()));
    }

    fn project(&self, path: &str) -> PathBuf {
        self.folder.path().join("project").join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        workshop::write(&self.project(path), content, 0o755);
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.project(path)).unwrap()
    }

    fn lock(&self) -> ReleaseLock {
        ReleaseLock::parse("r.lock", &self.text("releases/r.lock")).unwrap()
    }

    /// Runs the program with a store of that name and nothing of this machine's environment but the path.
    fn run(&self, store: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snpforge"));
        command.args(arguments).current_dir(self.project("")).env_clear();
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", self.folder.path().join(store));
        command.env("PATH", "/usr/bin:/bin").output().unwrap()
    }

    /// What a run said on both channels; it must end with this code.
    fn said(&self, store: &str, arguments: &[&str], code: i32) -> String {
        let output = self.run(store, arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// `build` of the release with the engine.
    fn build<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let start = ["build", "ovmf", "--release", "r", "--engine", "docker", "--host", &self.host];
        [&start, more].concat()
    }

    fn key(&self, store: &str) -> String {
        let output = self.run(store, &["plan", "--release", "r", "--json"]);
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        plan["tasks"][0]["key"].as_str().unwrap().to_owned()
    }

    /// Puts a result into the store, as if a build with this key had run.
    fn pretend(&self, store: &str, key: &str) {
        let store = Store::open(&self.folder.path().join(store).join("snpforge")).unwrap();
        let sha256 = store.put(b"abc").unwrap();
        let names = ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd"];
        let artifact = |name: &str| Artifact { path: name.into(), mode: 0o644, size: 3, sha256 };
        let engine = Info {
            name: "test".into(),
            version: String::new(),
            address: String::new(),
            rootless: true,
            limits: Vec::new(),
        };
        let record = RunRecord {
            engine,
            started: Epoch(0),
            milliseconds: 1,
            jobs: 1,
            snpforge: env!("CARGO_PKG_VERSION").into(),
        };
        let artifacts = names.map(artifact).to_vec();
        let component = Component::Ovmf;
        cache::save(&ActionResult { component, key: key.parse().unwrap(), artifacts, record }, &store).unwrap();
    }
}

fn holds(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
}

#[test]
fn an_input_gone_everywhere_is_resolved_anew_loudly() {
    let desk = Desk::new(&state(&[1], &["1.0"], &[], 0));
    desk.said("one", &["lock", "--release", "r"], 0);
    desk.said("one", &["lock", "--release", "r", "--check"], 0);
    holds(&desk.said("one", &["fetch", "--release", "r"], 0), &["every input is in the store"]);
    let (tracked, key) = (desk.text("releases/r.lock"), desk.key("one"));
    // With everything in the store nobody asks a mirror, wherever it is gone.
    desk.publish(&state(&[2], &["1.0"], &[], 1));
    let asked = desk.server.seen().len();
    holds(&desk.said("one", &desk.build(&["--locked"]), 8), &[END]);
    assert_eq!(desk.server.seen().len(), asked);
    // In a new store it is missed, but not for an engine that is not there.
    let nowhere = [&["build", "ovmf", "--release", "r", "--locked"], &NOWHERE[..]].concat();
    holds(&desk.said("two", &nowhere, 8), &["/nowhere/docker.sock: nothing answers there"]);
    assert_eq!(desk.server.seen().len(), asked);
    let said = desk.said("two", &desk.build(&["--locked"]), 12);
    holds(&said, &["edk2_1-1.debian.tar.xz", "answers 404", "`snpforge lock --release r --update`"]);
    assert!(!desk.project("releases/r.untracked.lock").exists());
    holds(&desk.said("two", &["fetch", "--release", "r"], 12), &["edk2_1-1.debian.tar.xz", "lock --update"]);
    let said = desk.said("two", &desk.build(&[]), 8);
    holds(&said, &["edk2_1-1.debian.tar.xz", "NOT the tracked release", "ovmf edk2 1-1 -> 1-2", "content ", END]);
    assert_eq!(desk.text("releases/r.lock"), tracked, "the tracked lock is never touched");
    holds(&desk.text("releases/r.untracked.lock"), &["version = \"1-2\""]);
    // From now on that lock is used, and every run says so.
    let other = desk.key("two");
    assert_ne!(other, key);
    desk.pretend("two", &other);
    // An engine is needed for what must run, and only for that.
    let nowhere = [&["build", "ovmf", "--release", "r"], &NOWHERE[..]].concat();
    let said = desk.said("two", &nowhere, 0);
    holds(&said, &["using ", "r.untracked.lock, made because an input was gone", "ovmf-1-2-", "nothing ran"]);
    holds(&desk.said("two", &["plan", "--release", "r"], 0), &["r.untracked.lock", "edk2 1-2", "present"]);
    desk.said("three", &desk.build(&["--locked"]), 12);
    // What the error advises makes the same inputs the tracked ones.
    desk.said("two", &["lock", "--release", "r", "--update"], 0);
    for name in ["releases/r", "images/i"] {
        std::fs::remove_file(desk.project(&format!("{name}.untracked.lock"))).unwrap();
    }
    assert_eq!(desk.key("two"), other);
}

#[test]
fn a_package_of_the_image_gone_everywhere() {
    let desk = Desk::new(&state(&[1], &["1.0"], &[], 0));
    desk.said("one", &["lock", "--release", "r"], 0);
    desk.publish(&state(&[1], &["1.1"], &[], 1));
    holds(&desk.said("two", &desk.build(&["--locked"]), 12), &["package tool 1.0", "--update"]);
    holds(&desk.said("two", &desk.build(&[]), 8), &["tool 1.0 -> 1.1", "diff_id", "NOT the tracked release"]);
    holds(&desk.said("two", &desk.build(&[]), 8), &["i.untracked.lock, made because an input was gone"]);
}

#[test]
fn a_mirror_that_does_not_answer_keeps_no_lost_input_in_the_lock() {
    let silent = format!("not counted, since they do not answer: {DEAD}");
    // A source, and a package of the image.
    for (after, name, changes) in [
        (state(&[2], &["1.0"], &[], 1), "edk2_1-1.debian.tar.xz", &["ovmf edk2 1-1 -> 1-2", "content "]),
        (state(&[1], &["1.1"], &[], 1), "package tool 1.0", &["tool 1.0 -> 1.1", "diff_id"]),
    ] {
        let desk = Desk::new(&state(&[1], &["1.0"], &[], 0));
        let mirror = desk.mirror();
        desk.image(&[DEAD, &mirror]);
        desk.release(&[DEAD, &mirror], None, "");
        desk.said("one", &["lock", "--release", "r"], 0);
        let tracked = desk.text("releases/r.lock");
        desk.publish(&after);
        let said = desk.said("two", &desk.build(&["--locked"]), 12);
        holds(
            &said,
            &[name, "answers 404", &silent, "no mirror that answers has", "`snpforge lock --release r --update`"],
        );
        assert!(!desk.project("releases/r.untracked.lock").exists());
        let said = desk.said("two", &desk.build(&[]), 8);
        holds(&said, &[name, "answers 404", &silent, "NOT the tracked release", END]);
        holds(&said, changes);
        assert_eq!(desk.text("releases/r.lock"), tracked, "the tracked lock is never touched");
        holds(&desk.said("two", &desk.build(&[]), 8), &["untracked.lock, made because an input was gone"]);
    }
}

#[test]
fn a_mirror_that_fails_is_no_reason_to_leave_the_lock() {
    for part in ["edk2_1-1.debian", "tool_1.0"] {
        let desk = Desk::new(&state(&[1], &["1.0"], &[], 0));
        let mirror = desk.mirror();
        desk.image(&[&mirror, DEAD]);
        desk.release(&[&mirror, DEAD], None, "");
        desk.said("one", &["lock", "--release", "r"], 0);
        // It answers, but not about this file; or nobody answers.
        desk.answer(part, &Reply::Status(503, vec![("Retry-After", "100000".into())]));
        let said = desk.said("two", &desk.build(&[]), 6);
        holds(&said, &["503"]);
        assert!(!said.contains("NOT the tracked release"), "{said}");
        assert!(
            !desk.project("releases/r.untracked.lock").exists() && !desk.project("images/i.untracked.lock").exists()
        );
        desk.lose(part);
        desk.said("two", &[&desk.build(&[])[..], &["--offline"]].concat(), 6);
    }
}

#[test]
fn without_a_version_the_newest_that_can_be_had_is_taken() {
    let meson = "{ folder = \"meson\", source = { binary-package = { archive = \"a\", package = \"meson\" } } }";
    let desk = Desk::new(&state(&[1, 2, 3], &["1.0"], &["1.9-1", "1.10-1"], 0));
    for part in ["edk2_1-3.debian", "edk2_1-2.debian", "meson_1.10-1"] {
        desk.lose(part);
    }
    let mut locks = Vec::new();
    for (store, mirrors) in [("one", vec![desk.mirror()]), ("two", vec![DEAD.into(), desk.mirror()])] {
        let mirrors: Vec<&str> = mirrors.iter().map(String::as_str).collect();
        desk.release(&mirrors, None, meson);
        let said = desk.said(store, &["lock", "--release", "r", "--update"], 0);
        holds(
            &said,
            &["NOT the newest", "source package edk2 1-3", "edk2 1-2, taking 1-1", "meson 1.10-1, taking 1.9-1"],
        );
        locks.push(desk.lock());
    }
    let versions: Vec<&str> = locks[0].source.iter().map(|source| source.version.as_str()).collect();
    assert_eq!(versions, ["1-1", "1.9-1"]);
    assert_eq!(locks[0].source, locks[1].source, "a mirror that does not answer says nothing");
    let Pin::BinaryPackage { file, .. } = &locks[0].source[1].pin else { panic!("{:?}", locks[0].source[1]) };
    assert!(file.path.ends_with("meson_1.9-1_amd64.deb"), "{file:?}");
    // A version that is named is that version or an error.
    desk.release(&[&desk.mirror()], Some("1-3"), meson);
    let before = desk.text("releases/r.lock");
    holds(&desk.said("one", &["lock", "--release", "r"], 12), &["edk2_1-3.debian.tar.xz"]);
    desk.release(&[&desk.mirror()], Some("1-9"), meson);
    holds(&desk.said("one", &["lock", "--release", "r"], 7), &["edk2 1-9", "there is 1-3, 1-2, 1-1"]);
    assert_eq!(desk.text("releases/r.lock"), before);
}

#[test]
fn a_mirror_that_fails_is_no_reason_to_take_an_older_version() {
    let desk = Desk::new(&state(&[1, 2], &["1.0"], &[], 0));
    desk.answer("edk2_1-2.debian", &Reply::Status(503, vec![("Retry-After", "100000".into())]));
    let said = desk.said("one", &["lock", "--release", "r"], 6);
    holds(&said, &["edk2_1-2.debian.tar.xz", "503"]);
    assert!(!said.contains("NOT the newest") && !desk.project("releases/r.lock").exists(), "{said}");
    desk.release(&[&desk.mirror(), DEAD], None, "");
    holds(&desk.said("one", &["lock", "--release", "r"], 6), &["edk2_1-2.debian.tar.xz", "503"]);
}

#[test]
fn only_the_indexes_that_a_source_needs_are_asked_for() {
    let desk = Desk::new(&state(&[1], &["1.0"], &["1.7-1"], 0));
    desk.said("one", &["lock", "--release", "r"], 0);
    let first = desk.lock();
    let indexes = |lock: &ReleaseLock| -> Vec<String> {
        lock.suite
            .iter()
            .flat_map(|suite| suite.index.iter().map(|file| format!("{} {}", suite.archive, file.path)))
            .collect()
    };
    assert_eq!(indexes(&first), ["a main/source/Sources.xz"], "nothing of the archive that no source comes from");
    // A binary package needs the other index of the same state, although the archive has moved on.
    let old = desk.served.lock().unwrap().clone();
    desk.publish(&state(&[2], &["1.0"], &["1.8-1"], 1));
    for (path, reply) in old {
        desk.served.lock().unwrap().entry(path).or_insert(reply);
    }
    let meson = "{ folder = \"meson\", source = { binary-package = { archive = \"a\", package = \"meson\" } } }";
    desk.release(&[&desk.mirror()], None, meson);
    desk.said("one", &["lock", "--release", "r"], 0);
    let second = desk.lock();
    assert_eq!(indexes(&second), ["a main/binary-amd64/Packages.xz", "a main/source/Sources.xz"]);
    assert_eq!((second.suite[0].date, second.suite[0].inrelease), (first.suite[0].date, first.suite[0].inrelease));
    let versions: Vec<&str> = second.source.iter().map(|source| source.version.as_str()).collect();
    assert_eq!(versions, ["1-1", "1.7-1"]);
    // And a source that goes takes its index along.
    desk.release(&[&desk.mirror()], None, "");
    desk.said("one", &["lock", "--release", "r"], 0);
    assert_eq!(indexes(&desk.lock()), indexes(&first));
}

/// A further component from the same archive, as the release file has it.
const QEMU: &str = "[qemu]\nsource = { debian = { archive = \"a\", package = \"edk2\" } }\n";

#[test]
fn only_what_is_named_is_asked_for_anew() {
    let desk = Desk::new(&state(&[1], &["1.0"], &["1.7-1"], 0));
    desk.write("releases/r.toml", format!("{}{QEMU}", desk.text("releases/r.toml")).as_bytes());
    desk.said("one", &["lock", "--release", "r"], 0);
    let (first, image) = (desk.lock(), desk.text("images/i.lock"));
    desk.publish(&state(&[2], &["1.1"], &["1.8-1"], 1));
    let lock = |more: &[&str], code| desk.said("one", &[&["lock", "--release", "r", "--update"], more].concat(), code);
    // Nothing but the named component's source; its archive's state is today's.
    let said = lock(&["ovmf", "--dry-run"], 0);
    holds(&said, &["ovmf edk2 1-1 -> 1-2", "r.lock would be written", "images/i.lock fits\n"]);
    assert!(!said.contains("qemu"), "{said}");
    assert_eq!(desk.lock(), first);
    let output = desk.run("one", &["lock", "--release", "r", "--update", "ovmf", "--dry-run", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told[0]["lock"], &told[0]["state"]), (&"images/i.lock".into(), &"fits".into()));
    assert_eq!((&told[1]["lock"], &told[1]["state"]), (&"releases/r.lock".into(), &"would-be-written".into()));
    let sources = &told[1]["changes"]["difference"]["sources"];
    assert_eq!((&sources[0]["old"]["version"], &sources[0]["new"]["version"]), (&"1-1".into(), &"1-2".into()));
    assert_eq!((sources.as_array().unwrap().len(), &told[0]["changes"]), (1, &serde_json::Value::Null));
    lock(&["ovmf"], 0);
    let second = desk.lock();
    assert_eq!(second.source[0], first.source[0], "qemu stays as it was");
    assert_eq!((second.source[1].component, second.source[1].version.as_str()), (Component::Ovmf, "1-2"));
    assert!(second.suite[0].date > first.suite[0].date);
    assert_eq!(desk.text("images/i.lock"), image);
    // The image, and nothing of the release.
    holds(&lock(&["image"], 0), &["tool 1.0 -> 1.1", "releases/r.lock fits\n"]);
    assert_eq!(desk.lock(), second);
    assert_ne!(desk.text("images/i.lock"), image);
    // A release file that says more: what it says as before stays, although all of it has moved on.
    let meson = "{ folder = \"meson\", source = { binary-package = { archive = \"a\", package = \"meson\" } } }";
    desk.release(&[&desk.mirror()], None, meson);
    desk.write("releases/r.toml", format!("{}{QEMU}", desk.text("releases/r.toml")).as_bytes());
    desk.publish(&state(&[3], &["1.1"], &["1.8-1"], 2));
    desk.said("one", &["lock", "--release", "r"], 0);
    let third = desk.lock();
    assert_eq!(third.source[..2], second.source[..], "kept");
    assert_eq!((third.source[2].folder.as_str(), third.source[2].version.as_str()), ("meson", "1.8-1"));
    // Every named component, and all of it.
    lock(&["qemu", "ovmf"], 0);
    let versions = |lock: &ReleaseLock| lock.source.iter().map(|source| source.version.clone()).collect::<Vec<_>>();
    assert_eq!(versions(&desk.lock()), ["1-3", "1-3", "1.8-1"]);
    desk.publish(&state(&[4], &["1.1"], &["1.8-1"], 3));
    lock(&[], 0);
    assert_eq!(versions(&desk.lock()), ["1-4", "1-4", "1.8-1"]);
    // What is not there to be named.
    let before = desk.lock();
    holds(&lock(&["grub"], 2), &["invalid value 'grub'", "image, kernel, kernel-host, kernel-guest, qemu, ovmf"]);
    holds(&lock(&["kernel"], 2), &["release `r`", "does not declare kernel-host", "it declares: qemu, ovmf"]);
    let said = desk.said("one", &["lock", "--image", "i", "--update", "ovmf"], 2);
    holds(&said, &["`lock --image`", "locks no source of ovmf", "leave --image away"]);
    assert_eq!(desk.lock(), before);
}

#[test]
fn an_archive_that_is_defined_otherwise_is_asked_for_as_it_is_now() {
    let desk = Desk::new(&state(&[1], &["1.0"], &["1.7-1"], 0));
    desk.said("one", &["lock", "--release", "r"], 0);
    let mut later = state(&[2], &["1.0"], &["1.7-1"], 1);
    let (mut updates, deb) = (Suite::new("updates"), Deb::new("tool", "1.1", Packing::Xz));
    updates.packages.push(later.package("tool", "1.1", "", &deb.build()));
    let files = edk2(3);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    updates.sources.push(later.source("edk2", "1-3", "3.0 (quilt)", &files));
    later.publish(&updates, &[&Signer::new(1)]);
    desk.publish(&later);
    // One suite more, in the image and in the release.
    for path in ["images/i.toml", "releases/r.toml"] {
        desk.write(path, desk.text(path).replace("[\"stable\"]", "[\"stable\", \"updates\"]").as_bytes());
    }
    let said = desk.said("one", &["lock", "--release", "r"], 0);
    holds(&said, &["tool 1.0 -> 1.1", "ovmf edk2 1-1 -> 1-3"]);
    let suites: Vec<String> = desk.lock().suite.into_iter().map(|suite| suite.suite).collect();
    assert_eq!(suites, ["stable", "updates"]);
}
