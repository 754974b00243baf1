//! Git repositories: from a branch or tag to commits, and from commits with their submodules to a source tree.
//!
//! Trees are read object by object (`ls-tree` and `cat-file --batch`), not with `git archive` or a checkout: so no
//! attribute (export-ignore, export-subst, eol, filters) of the tree or of this machine changes a byte, and what is
//! packed is what the commit's hash stands for.

mod address;
mod bundle;
mod fill;
mod heard;
mod history;
mod mirrors;
mod names;
mod objects;
mod places;
mod program;
mod repository;
mod running;
mod secret;
mod submodule;
mod transfer;
mod trouble;
mod version;

pub use names::named;
pub use repository::Program;

use super::spool::Spool;
use super::{Made, Promised, Resolved, Workshop};
use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::difference::Commits;
use crate::error::{Error, Kind, Result};
use crate::lock::{Pin, SubmoduleLock};
use fill::At;
use std::collections::BTreeMap;
use std::io::Read;

/// What a name stood for at a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Full commit hash.
    pub commit: String,
    /// The full name of the ref, unless the commit itself was named.
    pub reference: Option<String>,
}

/// What a commit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Full hash of its tree.
    pub tree: String,
    /// Committer's time.
    pub time: Epoch,
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A file that its owner may execute.
    Executable,
    /// A symbolic link; its content is the target.
    Link,
    /// The commit of a submodule.
    Submodule,
}

/// One entry of a commit's whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path in the tree.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Hash of its content, or the submodule's commit.
    pub hash: String,
}

/// Takes the contents of blobs, in the order they were asked for: the place in that order, and the bytes.
pub type TakeBlob<'a> = dyn FnMut(usize, &mut dyn Read) -> Result<()> + 'a;

/// The door to git repositories. Hashes are full; a URL is what a release file or `.gitmodules` says.
pub trait Git: Send + Sync {
    /// What `rev` (branch, tag, full ref name or full commit hash) names at `url` now.
    ///
    /// # Errors
    /// [`Kind::Document`] for a URL or name that is not accepted, [`Kind::Gone`] when the repository has no such name,
    /// [`Kind::Unavailable`] when it cannot be asked.
    fn find(&self, url: &str, rev: &str, cancel: &Cancel) -> Result<Found>;

    /// Has a commit with its whole tree on this machine; without network when it is there already. `reference` is
    /// where to look when the repository does not give out commits by hash.
    ///
    /// # Errors
    /// [`Kind::Gone`] when the repository answers and does not have it, [`Kind::Unavailable`] when it does not answer.
    fn bring(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()>;

    /// What a commit that was brought says.
    ///
    /// # Errors
    /// [`Kind::Io`] when the copy on this machine is damaged.
    fn commit(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Commit>;

    /// The whole tree of a commit that was brought, folders left out.
    ///
    /// # Errors
    /// [`Kind::Io`] when the copy on this machine is damaged.
    fn tree(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Vec<Entry>>;

    /// The URLs of `.gitmodules`, given by its blob's hash, by path.
    ///
    /// # Errors
    /// [`Kind::Document`] when it cannot be understood.
    fn modules(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<BTreeMap<String, String>>;

    /// Gives the contents of blobs to `take`.
    ///
    /// # Errors
    /// [`Kind::Io`] when the copy on this machine is damaged; whatever `take` fails with.
    fn blobs(&self, url: &str, hashes: &[&str], take: &mut TakeBlob<'_>, cancel: &Cancel) -> Result<()>;

    /// What lies between two commits, as far as people want to know it.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the repository does not tell, or has nothing that both come from within reach.
    fn between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits>;
}

/// What a lock says of a git source.
pub(super) struct Pinned<'a> {
    pub(super) url: &'a str,
    pub(super) reference: Option<&'a str>,
    pub(super) commit: &'a str,
    pub(super) tree: &'a str,
    pub(super) submodules: &'a [SubmoduleLock],
}

impl Workshop<'_> {
    /// `version` is the release file's name for it; without one the tree's own is taken, with the commit.
    pub(super) fn resolve_git(
        &self,
        folder: &str,
        (url, rev): (&str, &str),
        version: Option<&str>,
        without: &[String],
    ) -> Result<Resolved> {
        let Found { commit, reference } = self.git.find(url, rev, self.cancel)?;
        self.git.bring(url, &commit, reference.as_deref(), self.cancel)?;
        let Commit { tree, time } = self.git.commit(url, &commit, self.cancel)?;
        let mut declared = submodule::Declared::new(without);
        let mut spool = Spool::new(self.store, url)?;
        let at = At::top(url, &commit);
        self.fill(&mut spool, &at, 0, &mut |at, path, hash, said| declared.choose(at.url, path, hash, said))?;
        let (submodules, unused) = declared.finish();
        for path in unused {
            self.report.warn(format!("{url}: there is no submodule `{path}` to leave out"));
        }
        let made = spool.write(folder, time, None)?;
        let short: String = commit.chars().take(12).collect();
        let version = match version {
            Some(version) => version.to_owned(),
            None => self.own_version(url, &commit)?.map_or(short.clone(), |own| format!("{own}-g{short}")),
        };
        let pin = Pin::Git { url: url.to_owned(), reference, commit, tree, submodules };
        Ok(Resolved { version, epoch: time, digest: Some(made.digest), pin })
    }

    pub(super) fn make_git(&self, folder: &str, pinned: &Pinned<'_>, promised: Option<Promised>) -> Result<Made> {
        let Pinned { url, reference, commit, tree, submodules } = pinned;
        self.git.bring(url, commit, *reference, self.cancel)?;
        let found = self.git.commit(url, commit, self.cancel)?;
        let time = promised.map_or(found.time, |promised| promised.epoch);
        if (found.tree.as_str(), found.time) != (*tree, time) {
            let cause = format!("has tree {} of {}, the lock says {tree} of {time}", found.tree, found.time);
            return Err(Error::new(Kind::Trust, format!("commit {commit} of {url}"), cause)
                .remedy("run `snpforge lock --update` and look at the difference"));
        }
        let locked = submodule::Locked(submodules);
        let mut spool = Spool::new(self.store, url)?;
        let at = At::top(url, commit);
        self.fill(&mut spool, &at, 0, &mut |_, path, hash, _| locked.choose(path, hash))?;
        spool.write(folder, time, promised)
    }
}
