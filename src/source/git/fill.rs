//! Filling a source with the tree of a commit and those of its submodules, as deep as they lie.

use super::super::Workshop;
use super::super::name::{check_link, clean, shown};
use super::super::spool::{Node, Spool};
use super::{Entry, EntryKind, submodule};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::io::Read;

/// Where a tree comes from and goes to.
pub(super) struct At<'a> {
    pub(super) url: &'a str,
    pub(super) commit: &'a str,
    /// Path of the tree in the source: empty, or a submodule's.
    prefix: String,
    /// What it is a submodule of.
    parent: Option<&'a At<'a>>,
}

/// Chooses what becomes of a submodule: its URL when it is part of the source. The arguments are where it was found,
/// its path in the whole source, its commit and the URL that its parent's `.gitmodules` says, if it does.
pub(super) type Choose<'a> = dyn FnMut(&At<'_>, &str, &str, Option<&str>) -> Result<Option<String>> + 'a;

/// Submodules in submodules; more is a circle: two repositories that have each other in them.
const DEEPEST: usize = 8;

impl Workshop<'_> {
    /// Puts the tree of one commit into the spool, and those of the submodules that `choose` gives a URL for.
    pub(super) fn fill(&self, spool: &mut Spool, at: &At<'_>, depth: usize, choose: &mut Choose<'_>) -> Result<()> {
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
                return Err(submodule::too_deep(&prefix, at.outermost(), &at.chain(&url, &entry.hash)));
            }
            self.git
                .bring(&url, &entry.hash, None, self.cancel)
                .map_err(|error| submodule::missing(&prefix, (&url, &entry.hash), (at.url, at.commit), error))?;
            let below = At { url: &url, commit: &entry.hash, prefix, parent: Some(at) };
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

impl<'a> At<'a> {
    /// The source itself.
    pub(super) fn top(url: &'a str, commit: &'a str) -> Self {
        At { url, commit, prefix: String::new(), parent: None }
    }

    fn below(&self, path: &[u8]) -> Result<Vec<u8>> {
        let clean = clean(path).map_err(|cause| self.refuse(path, cause))?;
        Ok(match self.prefix.as_str() {
            "" => clean,
            prefix => [prefix.as_bytes(), b"/", &clean].concat(),
        })
    }

    /// The repositories from the outermost to one that lies in this.
    fn chain(&self, url: &str, commit: &str) -> Vec<String> {
        let mut chain = self.parent.map_or_else(Vec::new, |parent| parent.chain(self.url, self.commit));
        if chain.is_empty() {
            chain.push(format!("{} at {}", self.url, self.commit));
        }
        chain.push(format!("{url} at {commit}"));
        chain
    }

    /// The path of the submodule of the source itself that this lies in, or is.
    fn outermost(&self) -> &str {
        match self.parent {
            Some(parent) if parent.parent.is_some() => parent.outermost(),
            _ => &self.prefix,
        }
    }

    fn refuse(&self, path: &[u8], cause: &str) -> Error {
        let object = format!("commit {} of {}", self.commit, self.url);
        Error::new(Kind::Document, object, format!("`{}` {cause}", shown(path)))
    }
}
