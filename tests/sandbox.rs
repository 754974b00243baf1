//! The embedded sandbox on this machine, with a root made of a static busybox: what a build finds inside, how it ends,
//! and what is left afterwards. Everything here is ignored, with the reason, where a sandbox cannot be made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use snpforge::cancel::Cancel;
use snpforge::digest::Digest;
use snpforge::engine::embedded::{Embedded, stage};
use snpforge::engine::{ContainerId, Engine, Member, MemberKind, Outcome, Spec};
use snpforge::error::{Error, Kind};
use snpforge::oci::Image;
use snpforge::tarball::{Attributes, Writer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const BUSYBOX: &str = "/bin/busybox";
const INSIDE: &str = include_str!("inside.sh");
const EPOCH: u64 = 1_700_000_000;

fn main() -> ExitCode {
    // The sandbox starts this program anew.
    if let Some(code) = stage(std::env::args_os()) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Two cores and a clock: tests that measure must not meet others.
    arguments.test_threads.get_or_insert(2);
    let usable = usable();
    let tests: [(&str, fn(&Bench)); 1] = [("a_command_runs", a_command_runs)];
    let trials = tests.into_iter().map(|(name, test)| {
        let usable = usable.clone();
        Trial::ignorable_test(name, move || match usable {
            Err(why) => Ok(Completion::ignored_with(why)),
            Ok(()) => run(test),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run(test: fn(&Bench)) -> Result<Completion, Failed> {
    test(&Bench::new());
    Ok(Completion::Completed)
}

/// Whether a sandbox can be made here and what it is filled with is there.
fn usable() -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    Embedded::new(folder.path().join("sandbox")).probe().map_err(|error| error.to_string())?;
    let busybox = std::fs::read(BUSYBOX).map_err(|_| format!("{BUSYBOX} is missing (package busybox-static)"))?;
    if is_dynamic(&busybox) {
        return Err(format!("{BUSYBOX} is not static (package busybox-static)"));
    }
    Ok(())
}

/// Whether an ELF file of 64 bits has a PT_INTERP program header.
fn is_dynamic(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        elf[at..at + length].iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

/// A store of its own with a loaded image.
struct Bench {
    folder: TempDir,
    image: Image,
    engine: Embedded,
}

fn plain(mode: u32) -> Attributes {
    Attributes { mode, mtime: EPOCH, owner: 0 }
}

/// A layer as the image builder makes them, around busybox.
fn layer(path: &Path, extra: &[(&str, &[u8])]) -> Digest {
    let mut writer = Writer::new(Vec::new());
    let folders =
        ["bin", "dev", "etc", "home", "lib", "proc", "root", "run", "src", "sys", "tmp", "usr", "var", "var/tmp"];
    for folder in folders {
        writer.folder(folder.as_bytes(), plain(if folder.ends_with("tmp") { 0o1777 } else { 0o755 })).unwrap();
    }
    for folder in ["build", "out"] {
        writer.folder(folder.as_bytes(), Attributes { owner: 1000, ..plain(0o755) }).unwrap();
    }
    let busybox = std::fs::read(BUSYBOX).unwrap();
    writer.file(b"bin/busybox", plain(0o755), busybox.len() as u64, &mut busybox.as_slice()).unwrap();
    let list = std::process::Command::new(BUSYBOX).arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(list).unwrap().lines().filter(|name| *name != "busybox") {
        writer.symlink(format!("bin/{applet}").as_bytes(), b"busybox", plain(0o777)).unwrap();
    }
    for (name, text) in [("passwd", "builder:x:1000:1000::/build:/bin/sh\n"), ("group", "builder:x:1000:\n")] {
        writer.file(format!("etc/{name}").as_bytes(), plain(0o644), text.len() as u64, &mut text.as_bytes()).unwrap();
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        writer.file(format!("etc/{name}").as_bytes(), plain(0o644), 0, &mut std::io::empty()).unwrap();
    }
    for (name, bytes) in extra {
        writer.file(name.as_bytes(), plain(0o755), bytes.len() as u64, &mut &**bytes).unwrap();
    }
    let bytes = writer.finish().unwrap();
    put(path, &bytes);
    Digest::of(&bytes)
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::File::options().create(true).truncate(true).write(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn image(layer_file: PathBuf, extra: &[(&str, &[u8])]) -> Image {
    let diff_id = layer(&layer_file, extra);
    Image {
        reference: "localhost/snpforge/test:1".into(),
        diff_id,
        layer_size: layer_file.metadata().unwrap().len(),
        layer: layer_file,
        config: Vec::new(),
        manifest: Vec::new(),
    }
}

fn sources(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, text) in files {
        writer.file(name.as_bytes(), plain(0o644), text.len() as u64, &mut text.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(extra: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path().join("layer.tar"), extra);
        let engine = Embedded::new(folder.path().join("sandbox"));
        engine.load(&image, &Cancel::new()).unwrap();
        Bench { folder, image, engine }
    }

    fn spec(&self, command: &[&str]) -> Spec {
        Spec {
            name: "test-1a2b3c".into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: BTreeMap::new(),
            workdir: "/build".into(),
            memory: None,
        }
    }

    fn create(&self, command: &[&str]) -> ContainerId {
        self.engine.create(&self.image, &self.spec(command)).unwrap()
    }

    fn run(&self, id: &ContainerId) -> (Outcome, String) {
        let mut log = Vec::new();
        let outcome = self.engine.run(id, &mut log, &Cancel::new()).unwrap();
        (outcome, String::from_utf8_lossy(&log).into_owned())
    }

    /// Runs a shell script in a container of its own and removes it.
    fn script(&self, text: &str) -> (i64, String) {
        let id = self.create(&["/bin/sh", "-c", text]);
        let (outcome, log) = self.run(&id);
        self.engine.remove(&id).unwrap();
        (outcome.code, log)
    }
}

fn a_command_runs(bench: &Bench) {
    assert_eq!(bench.script("echo out; echo err >&2; exit 7"), (7, "out\nerr\n".into()));
}
