//! The [`Git`] door through the `git` program: one bare repository per URL in the store holds what was fetched. This file
//! is about the copy on this machine and who may change it; `names` and `transfer` ask others, `objects` reads what has
//! come.

use super::address::{check, is_hash};
use super::mirrors::Mirrors;
use super::program::Runner;
use super::trouble;
use super::{Commit, Entry, Found, Git, TakeBlob};
use crate::cancel::{self, Cancel};
use crate::difference::Commits;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Report, Unit};
use crate::store::files;
use rustix::fs::{FlockOperation, flock};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// For work on this machine, which says nothing on its way.
pub(super) const LOCAL: Duration = Duration::from_secs(600);
/// Between two looks whether another process is done with a repository.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The door.
pub struct Program {
    pub(super) runner: Runner,
    pub(super) folder: PathBuf,
    pub(super) mirrors: Mirrors,
    /// Mirrors that cannot be talked to in this run.
    pub(super) silent: Mutex<BTreeSet<String>>,
    /// What was said of mirrors in this run.
    pub(super) told: Mutex<BTreeSet<String>>,
    offline: bool,
    report: Option<Arc<dyn Report>>,
}

impl Program {
    /// A door with its copies below the store's folder `store`; `environment` says where git is, how it reaches the world
    /// and which mirrors there are. `offline` closes it: then only what was brought before is there.
    ///
    /// # Errors
    /// [`Kind::Usage`] for mirrors that cannot be understood.
    pub fn new(store: &Path, environment: &Environment, offline: bool) -> Result<Self> {
        Ok(Program {
            runner: Runner::new(environment),
            folder: store.join("git"),
            mirrors: Mirrors::configured(environment)?,
            silent: Mutex::default(),
            told: Mutex::default(),
            offline,
            report: None,
        })
    }

    /// The same door, telling `report` how far it is.
    #[must_use]
    pub fn telling(self, report: Arc<dyn Report>) -> Self {
        Program { report: Some(report), ..self }
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(report) = &self.report {
            report.event(event);
        }
    }

    /// Refuses what must not reach git, and everything when there is no network.
    pub(super) fn door(&self, url: &str) -> Result<()> {
        check(url)?;
        if self.offline {
            return Err(Error::new(Kind::Unavailable, url, "is not in the store, and this run has no network")
                .remedy("run `snpforge fetch` with network first, or leave out --offline"));
        }
        Ok(())
    }

    pub(super) fn repository(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.git", Digest::of(url.as_bytes())))
    }

    /// Runs git on this machine's copy; any failure is damage.
    pub(super) fn local(&self, url: &str, arguments: &[&str], cancel: &Cancel) -> Result<Vec<u8>> {
        let repository = self.repository(url);
        let outcome = self.runner.run(self.runner.command(&repository, arguments), LOCAL, cancel, &|_| {})?;
        if !outcome.status.success() {
            return Err(damaged(&repository, url, &outcome.words));
        }
        Ok(outcome.output)
    }

    /// Whether the commit was brought: the ref is made after its whole tree has come.
    fn has(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<bool> {
        if !self.repository(url).join("HEAD").is_file() {
            return Ok(false);
        }
        let command = self.runner.command(&self.repository(url), &["rev-parse", "-q", "--verify", &marker(commit)]);
        Ok(self.runner.run(command, LOCAL, cancel, &|_| {})?.status.success())
    }

    /// One process at a time fetches into a repository, which is made when it is not there.
    pub(super) fn lock(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<File> {
        let repository = self.repository(url);
        let path = repository.with_extension("lock");
        let lock = files::grow(&path)?;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::io(&path, "lock", error.into()));
            }
            cancel::check(cancel, url)?;
            std::thread::sleep(LOOK_AGAIN);
        }
        if !repository.join("HEAD").is_file() {
            let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
            self.local(url, &["init", "--quiet", "--bare", "--template=", format], cancel)?;
        }
        self.sweep(url)?;
        Ok(lock)
    }

    /// Removes what a git that failed or was killed left in the repository, whose lock the caller holds: packs that came
    /// in part, and locks that nobody holds any more.
    pub(super) fn sweep(&self, url: &str) -> Result<()> {
        let repository = self.repository(url);
        let names = |folder: &str, odd: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(repository.join(folder)).into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_name().to_str().is_some_and(odd)).map(|entry| entry.path()).collect()
        };
        let partial = names("objects/pack", &|name| name.starts_with("tmp_"));
        let own = names("", &|name| name.ends_with(".lock") || name.starts_with("shallow_"));
        let refs =
            walkdir::WalkDir::new(repository.join("refs")).into_iter().flatten().map(walkdir::DirEntry::into_path);
        let refs = refs.filter(|path| path.extension().is_some_and(|ending| ending == "lock"));
        partial.into_iter().chain(own).chain(refs).try_for_each(|path| files::remove(&path))
    }
}

impl Git for Program {
    fn find(&self, url: &str, rev: &str, cancel: &Cancel) -> Result<Found> {
        self.find_name(url, rev, cancel)
    }

    fn bring(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()> {
        check(url)?;
        if !is_hash(commit) {
            return Err(Error::new(Kind::Document, format!("commit `{commit}` of {url}"), "is no full hash"));
        }
        if self.has(url, commit, cancel)? {
            return Ok(());
        }
        self.door(url)?;
        let _lock = self.lock(url, commit, cancel)?;
        if self.has(url, commit, cancel)? {
            return Ok(());
        }
        let task = format!("git {url}");
        self.tell(Event::Begin { task: task.clone(), total: None, unit: Unit::Steps });
        self.fetch_commit(url, commit, reference, cancel)?;
        let kind = self.local(url, &["cat-file", "-t", commit], cancel)?;
        if kind.trim_ascii() != b"commit" {
            let cause = format!("is a {}, not a commit", String::from_utf8_lossy(kind.trim_ascii()));
            return Err(Error::new(Kind::Document, format!("`{commit}` of {url}"), cause)
                .remedy("write the hash of the commit itself"));
        }
        self.local(url, &["update-ref", &marker(commit), commit], cancel)?;
        self.tell(Event::End { task, outcome: format!("commit {commit}") });
        Ok(())
    }

    fn commit(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Commit> {
        self.read_commit(url, commit, cancel)
    }

    fn tree(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.read_tree(url, commit, cancel)
    }

    fn modules(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        self.read_modules(url, blob, cancel)
    }

    fn blobs(&self, url: &str, hashes: &[&str], take: &mut TakeBlob<'_>, cancel: &Cancel) -> Result<()> {
        self.read_blobs(url, hashes, take, cancel)
    }

    fn between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits> {
        self.door(url)?;
        self.read_between(url, old, new, cancel)
    }
}

/// The ref that marks a commit as brought.
fn marker(commit: &str) -> String {
    format!("refs/brought/{commit}")
}

pub(super) fn damaged(repository: &Path, url: &str, words: &str) -> Error {
    if trouble::here(words) {
        return trouble::unavailable(url, words);
    }
    Error::new(Kind::Io, format!("copy of {url}"), format!("cannot be read:\n  {words}"))
        .remedy(format!("remove {} and run the command again", repository.display()))
}
