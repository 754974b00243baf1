//! A store with its doors and a workshop on top of them, for tests of sources.

#![allow(dead_code, reason = "each test uses a part")]

use snpforge::archive::SourcePackage;
use snpforge::cancel::Cancel;
use snpforge::component::Component;
use snpforge::date::Epoch;
use snpforge::digest::Digest;
use snpforge::environment::Environment;
use snpforge::error::Result;
use snpforge::fetch::{Fetcher, Settings};
use snpforge::lock::SourceLock;
use snpforge::release::Source;
use snpforge::report::{Collected, Event};
use snpforge::source::git::Program;
use snpforge::source::{Entry, Workshop};
use snpforge::store::Store;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The store in its own folder; files are fetched by `file:` URLs from below `root`.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub root: tempfile::TempDir,
    pub store: Store,
    pub report: Arc<Collected>,
    runtime: tokio::runtime::Runtime,
}

/// The folder below /src in all tests.
pub const FOLDER: &str = "thing";

/// One member of a tar: path, mode, content or link target.
pub struct Member {
    pub path: String,
    pub kind: tar::EntryType,
    pub mode: u32,
    pub content: Vec<u8>,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Bench { folder, root: tempfile::tempdir().unwrap(), store, report: Arc::default(), runtime }
    }

    /// Does `work` in a workshop whose git has `environment`.
    pub fn within<T>(
        &self,
        environment: &Environment,
        offline: bool,
        cancel: &Cancel,
        work: impl FnOnce(&Workshop<'_>) -> T,
    ) -> T {
        let settings = Settings::default();
        let fetch =
            Fetcher::new(self.runtime.handle().clone(), self.store.clone(), self.report.clone(), settings).unwrap();
        let git = Program::new(self.store.root(), environment, offline).unwrap().telling(self.report.clone());
        let base = format!("file://{}", self.root.path().display());
        work(&Workshop {
            store: &self.store,
            fetch: &fetch,
            git: &git,
            bases: &|_: &str, _: Option<Epoch>| Ok(vec![base.clone()]),
            root: self.root.path(),
            report: self.report.as_ref(),
            cancel,
        })
    }

    pub fn resolve(&self, source: &Source, debian: Option<&SourcePackage>) -> Result<SourceLock> {
        self.resolve_entry(source, debian.cloned().map(Entry::Source).as_ref())
    }

    pub fn resolve_entry(&self, source: &Source, entry: Option<&Entry>) -> Result<SourceLock> {
        self.within(&environment(), false, &Cancel::new(), |workshop| {
            workshop.resolve(Component::Ovmf, FOLDER, source, entry)
        })
    }

    pub fn obtain(&self, lock: &SourceLock) -> Result<Digest> {
        self.within(&environment(), false, &Cancel::new(), |workshop| workshop.obtain(lock))
    }

    /// A file below the root, by name.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        snpforge::store::files::write_whole(&self.root.path().join(name), bytes).unwrap();
    }

    pub fn url(&self, name: &str) -> String {
        format!("file://{}/{name}", self.root.path().display())
    }

    pub fn warnings(&self) -> Vec<String> {
        let text = |event| match event {
            Event::Warning { text } => Some(text),
            _ => None,
        };
        self.report.events().into_iter().filter_map(text).collect()
    }

    /// Everything in a finished tar: name, kind, mode, time, owner, content or target.
    pub fn listing(&self, digest: &Digest) -> Vec<String> {
        let bytes = self.store.read(digest).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            let target = entry.link_name().unwrap().map(|target| format!("-> {}", target.display()));
            format!(
                "{} {:o} {} {}:{} {}",
                entry.path().unwrap().display(),
                header.mode().unwrap(),
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                target.unwrap_or(content)
            )
        });
        entries.collect()
    }

    /// Names of blobs, partial files and temporary files in the store.
    pub fn files(&self) -> Vec<String> {
        let inside = |entry: walkdir::DirEntry| {
            let path = entry.path().strip_prefix(self.folder.path()).unwrap().display().to_string();
            (entry.file_type().is_file() && !path.starts_with("git") && !path.starts_with("actions")).then_some(path)
        };
        walkdir::WalkDir::new(self.folder.path()).sort_by_file_name().into_iter().flatten().filter_map(inside).collect()
    }
}

/// The environment git needs: where programs are.
#[expect(clippy::disallowed_methods, reason = "tests start real programs")]
pub fn environment() -> Environment {
    Environment::from_iter([("PATH", std::env::var("PATH").unwrap())])
}

pub fn file(path: &str, mode: u32, content: &[u8]) -> Member {
    Member { path: path.into(), kind: tar::EntryType::Regular, mode, content: content.into() }
}

pub fn folder(path: &str) -> Member {
    Member { path: path.into(), kind: tar::EntryType::Directory, mode: 0o2775, content: Vec::new() }
}

pub fn link(path: &str, target: &str) -> Member {
    Member { path: path.into(), kind: tar::EntryType::Symlink, mode: 0o777, content: target.into() }
}

pub fn special(path: &str, kind: tar::EntryType, target: &str) -> Member {
    Member { path: path.into(), kind, mode: 0o644, content: target.into() }
}

/// A tar as others make it: any order, owners and modes, a time of its own per member from `mtime` on, names as given.
#[allow(clippy::disallowed_methods, reason = "tars of others have other headers than this tool's")]
pub fn tar_of(members: &[Member], mtime: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (count, member) in members.iter().enumerate() {
        let sparse = member.kind == tar::EntryType::GNUSparse;
        let mut header = if sparse { tar::Header::new_gnu() } else { tar::Header::new_ustar() };
        header.set_entry_type(member.kind);
        if let Some(gnu) = header.as_gnu_mut().filter(|_| sparse) {
            gnu.set_real_size(0);
        }
        header.set_mode(member.mode);
        header.set_uid(1000 + count as u64);
        header.set_gid(100);
        header.set_mtime(mtime + count as u64);
        let linked = member.kind.is_symlink() || member.kind.is_hard_link();
        let content: &[u8] = if linked { &[] } else { &member.content };
        header.set_size(content.len() as u64);
        // Written by hand: the library refuses the names that are to be refused.
        header.as_old_mut().name[..member.path.len()].copy_from_slice(member.path.as_bytes());
        if linked {
            header.as_old_mut().linkname[..member.content.len()].copy_from_slice(&member.content);
        }
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 6).read_to_end(&mut packed).unwrap();
    packed
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::default()).read_to_end(&mut packed).unwrap();
    packed
}

pub fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    bzip2::read::BzEncoder::new(bytes, bzip2::Compression::new(9)).read_to_end(&mut packed).unwrap();
    packed
}

/// The lock of the tarball `name`.
pub fn tarball(bench: &Bench, name: &str, bytes: &[u8]) -> Source {
    bench.put(name, bytes);
    Source::Tarball { urls: vec![bench.url(name)], sha256: Digest::of(bytes), version: "1".into() }
}

/// A program. Written by another process: while this one has the file open, a thread may start a process that keeps it open,
/// and what is open for writing cannot be run.
#[allow(dead_code, reason = "each test uses a part")]
pub fn program(path: &Path, content: &str) {
    let text = path.with_extension("text");
    write(&text, content.as_bytes(), 0o644);
    let made = std::process::Command::new("install").args(["-m", "755"]).args([&text, path]).status();
    assert!(made.unwrap().success(), "{}", path.display());
}

/// Writes a file of mode 0644 or 0755.
pub fn write(path: &Path, content: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    snpforge::store::files::write_whole(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
