//! Git repositories: from a branch or tag to commits, and from commits with their submodules to a source tree.
//!
//! Trees are read object by object (`ls-tree` and `cat-file --batch`), not with `git archive` or a checkout: so no
//! attribute (export-ignore, export-subst, eol, filters) of the tree or of this machine changes a byte, and what is
//! packed is what the commit's hash stands for.

mod address;
mod history;
mod objects;
mod program;
mod repository;
mod submodule;
mod version;

pub use repository::Program;

use super::name::{check_link, clean, shown};
use super::spool::{Node, Spool};
use super::{Made, Promised, Resolved, Workshop};
use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::difference::Commits;
use crate::error::{Error, Kind, Result};
use crate::lock::{Pin, SubmoduleLock};
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

/// Where a tree comes from and goes to.
struct At<'a> {
    url: &'a str,
    commit: &'a str,
    /// Path of the tree in the source: empty, or a submodule's.
    prefix: String,
}

/// Chooses what becomes of a submodule: its URL when it is part of the source. The arguments are where it was found,
/// its path in the whole source, its commit and the URL that its parent's `.gitmodules` says, if it does.
type Choose<'a> = dyn FnMut(&At<'_>, &str, &str, Option<&str>) -> Result<Option<String>> + 'a;

/// Submodules in submodules; more is a loop that someone made on purpose.
const DEEPEST: usize = 8;

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
        let at = At { url, commit: &commit, prefix: String::new() };
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
        let at = At { url, commit, prefix: String::new() };
        self.fill(&mut spool, &at, 0, &mut |_, path, hash, _| locked.choose(path, hash))?;
        spool.write(folder, time, promised)
    }

    /// Puts the tree of one commit into the spool, and those of the submodules that `choose` gives a URL for.
    fn fill(&self, spool: &mut Spool, at: &At<'_>, depth: usize, choose: &mut Choose<'_>) -> Result<()> {
        let entries = self.git.tree(at.url, at.commit, self.cancel)?;
        let modules = entries.iter().find(|entry| entry.path == b".gitmodules" && entry.kind != EntryKind::Submodule);
        let modules = match modules {
            Some(entry) => self.git.modules(at.url, &entry.hash, self.cancel)?,
            None => BTreeMap::new(),
        };
        let (inner, files): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| entry.kind == EntryKind::Submodule);
        self.contents(spool, at, &files)?;
        for entry in inner {
            let path = at.below(&entry.path)?;
            spool.put(path.clone(), Node::Folder);
            let prefix = shown(&path);
            let said = modules.get(&shown(&entry.path)).map(String::as_str);
            let Some(url) = choose(at, &prefix, &entry.hash, said)? else { continue };
            if depth == DEEPEST {
                return Err(Error::new(Kind::Document, at.url, format!("submodule `{prefix}` lies too deep")));
            }
            self.git
                .bring(&url, &entry.hash, None, self.cancel)
                .map_err(|error| submodule::missing(&prefix, &url, &entry.hash, error))?;
            let below = At { url: &url, commit: &entry.hash, prefix };
            self.fill(spool, &below, depth + 1, choose)?;
        }
        Ok(())
    }

    fn contents(&self, spool: &mut Spool, at: &At<'_>, files: &[&Entry]) -> Result<()> {
        let hashes: Vec<&str> = files.iter().map(|entry| entry.hash.as_str()).collect();
        let failed = |error| Error::io(self.store.root(), "write a source in", error);
        let mut take = |place: usize, content: &mut dyn Read| {
            let Some(entry) = files.get(place) else { return Ok(()) };
            let path = at.below(&entry.path)?;
            let node = match entry.kind {
                EntryKind::Link => {
                    let mut target = Vec::new();
                    content.read_to_end(&mut target).map_err(failed)?;
                    let refuse = |cause| at.refuse(&entry.path, &format!("{cause}: `{}`", shown(&target)));
                    check_link(&path, &target).map_err(refuse)?;
                    Node::Link(target)
                }
                kind => Node::File {
                    content: spool.keep(content).map_err(failed)?,
                    executable: kind == EntryKind::Executable,
                },
            };
            spool.put(path, node);
            Ok(())
        };
        self.git.blobs(at.url, &hashes, &mut take, self.cancel)
    }
}

impl At<'_> {
    fn below(&self, path: &[u8]) -> Result<Vec<u8>> {
        let clean = clean(path).map_err(|cause| self.refuse(path, cause))?;
        Ok(match self.prefix.as_str() {
            "" => clean,
            prefix => [prefix.as_bytes(), b"/", &clean].concat(),
        })
    }

    fn refuse(&self, path: &[u8], cause: &str) -> Error {
        let object = format!("commit {} of {}", self.commit, self.url);
        Error::new(Kind::Document, object, format!("`{}` {cause}", shown(path)))
    }
}
