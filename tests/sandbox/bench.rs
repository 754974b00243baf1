//! A store of its own with a loaded image, for each test.

use snpforge::cancel::Cancel;
use snpforge::digest::Digest;
use snpforge::engine::embedded::Embedded;
use snpforge::engine::{ContainerId, Engine, Outcome, Spec};
use snpforge::oci::Image;
use snpforge::tarball::{Attributes, Writer};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[path = "../support/busybox.rs"]
mod shell;
pub use shell::busybox;

pub fn plain(mode: u32) -> Attributes {
    Attributes { mode, mtime: 1_700_000_000, owner: 0 }
}

/// A layer as the image builder makes them, around busybox.
fn layer(extra: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "run", "src", "sys", "tmp", "usr", "var", "var/tmp"] {
        let mode = if folder.ends_with("tmp") { 0o1777 } else { 0o755 };
        writer.folder(folder.as_bytes(), plain(mode)).unwrap();
    }
    for folder in ["build", "out"] {
        writer.folder(folder.as_bytes(), Attributes { owner: 1000, ..plain(0o755) }).unwrap();
    }
    let busybox = busybox().unwrap();
    writer.file(b"bin/busybox", plain(0o755), busybox.len() as u64, &mut busybox.as_slice()).unwrap();
    let list = std::process::Command::new(shell::BUSYBOX).arg("--list").output().unwrap().stdout;
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
    writer.finish().unwrap()
}

pub fn put(path: &Path, bytes: &[u8]) {
    std::fs::File::options().create(true).truncate(true).write(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn image(layer_file: PathBuf, extra: &[(&str, &[u8])]) -> Image {
    let bytes = layer(extra);
    put(&layer_file, &bytes);
    Image {
        reference: "localhost/snpforge/test:1".into(),
        diff_id: Digest::of(&bytes),
        layer_size: bytes.len() as u64,
        layer: layer_file,
        config: Vec::new(),
        manifest: Vec::new(),
    }
}

/// A tar of sources.
pub fn sources(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, text) in files {
        writer.file(name.as_bytes(), plain(0o644), text.len() as u64, &mut text.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// An engine with a loaded image.
pub struct Bench {
    pub folder: TempDir,
    pub image: Image,
    pub engine: Embedded,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With more programs in the image.
    pub fn with(extra: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path().join("layer.tar"), extra);
        let engine = Embedded::new(folder.path().join("sandbox"));
        engine.load(&image, &Cancel::new()).unwrap();
        Bench { folder, image, engine }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("sandbox/roots").join(self.image.diff_id.to_string())
    }

    /// The work folders that exist.
    pub fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("sandbox/runs")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    pub fn spec(command: &[&str]) -> Spec {
        Spec {
            name: "test-1a2b3c".into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: BTreeMap::new(),
            workdir: "/build".into(),
            memory: None,
        }
    }

    pub fn create(&self, command: &[&str]) -> ContainerId {
        self.engine.create(&self.image, &Self::spec(command)).unwrap()
    }

    pub fn run(&self, id: &ContainerId) -> (Outcome, String) {
        let mut log = Vec::new();
        let outcome = self.engine.run(id, &mut log, &Cancel::new()).unwrap();
        (outcome, String::from_utf8_lossy(&log).into_owned())
    }

    /// Runs a shell script in a container of its own and removes it.
    pub fn script(&self, text: &str) -> (i64, String) {
        let id = self.create(&["/bin/sh", "-c", text]);
        let (outcome, log) = self.run(&id);
        self.engine.remove(&id).unwrap();
        (outcome.code, log)
    }
}

/// How many processes of this machine are `sleep MARK`.
pub fn sleepers(mark: &str) -> usize {
    let wanted = format!("sleep\0{mark}\0");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes()))
        .count()
}

/// Waits for at most five seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}: not within five seconds");
}

/// A time to sleep that no other test uses.
pub fn mark(test: u32) -> String {
    format!("{test}{}", 10_000_000 + std::process::id())
}
