//! Repositories that tests make, and what a lock says of them.

#![allow(dead_code, reason = "each test uses a part")]

use crate::workshop::{Bench, environment, write};
use snpforge::lock::{Pin, SourceLock, SubmoduleLock};
use snpforge::release::Source;
use std::path::PathBuf;
use std::process::Command;

/// A repository with a work tree.
pub struct Repository(pub PathBuf);

impl Repository {
    pub fn new(bench: &Bench, name: &str) -> Repository {
        let path = bench.root.path().join(name);
        snpforge::store::files::make_folder(&path).unwrap();
        let made = Repository(path);
        made.git(&["init", "--quiet", "--initial-branch=main"]);
        made
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.env_clear().env("PATH", environment().get("PATH").unwrap());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "A"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_COMMITTER_NAME", "C"),
            ("GIT_COMMITTER_EMAIL", "c@example.org"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_DATE", "1700000100 +0000"),
        ] {
            command.env(name, value);
        }
        let output =
            command.args(["-c", "protocol.file.allow=always"]).args(arguments).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn put(&self, name: &str, content: &[u8]) -> &Self {
        write(&self.0.join(name), content, 0o644);
        self
    }

    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "m"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits a submodule without having it here; returns the commit of this repository.
    pub fn link(&self, path: &str, url: &str, commit: &str) -> String {
        let old = std::fs::read_to_string(self.0.join(".gitmodules")).unwrap_or_default();
        let entry = format!("{old}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
        self.put(".gitmodules", entry.as_bytes());
        self.git(&["add", ".gitmodules"]);
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
        self.git(&["commit", "--quiet", "-m", "m"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn url(&self) -> String {
        self.0.display().to_string()
    }

    pub fn source(&self, rev: &str) -> Source {
        self.without(rev, &[])
    }

    pub fn without(&self, rev: &str, without: &[&str]) -> Source {
        let without_submodules = without.iter().map(|path| (*path).to_owned()).collect();
        Source::Git { url: self.url(), rev: rev.into(), version: None, without_submodules }
    }
}

/// The store as on another machine: neither tars nor what they were made of.
pub fn forget(bench: &Bench) {
    for part in ["blobs", "git", "actions"] {
        let _ = std::fs::remove_dir_all(bench.store.root().join(part));
        snpforge::store::files::make_folder(&bench.store.root().join(part)).unwrap();
    }
}

pub fn pin(lock: &SourceLock) -> (&str, Option<&str>, &[SubmoduleLock]) {
    match &lock.pin {
        Pin::Git { commit, reference, submodules, .. } => (commit, reference.as_deref(), submodules),
        other => panic!("{other:?}"),
    }
}

/// The branch or tag `rev` at a URL.
pub fn source(url: &str, rev: &str) -> Source {
    Source::Git { url: url.into(), rev: rev.into(), version: None, without_submodules: Vec::new() }
}
