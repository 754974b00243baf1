//! Which submodules are part of a source: those the tree declares when a release is resolved, those of the lock
//! afterwards.

use super::address;
use crate::error::{Error, Kind, Result};
use crate::lock::SubmoduleLock;
use std::collections::BTreeSet;

/// The choice while resolving: all that are declared, but for those the release file leaves out.
pub(super) struct Declared<'a> {
    without: BTreeSet<&'a str>,
    used: BTreeSet<&'a str>,
    chosen: Vec<SubmoduleLock>,
}

impl<'a> Declared<'a> {
    pub(super) fn new(without: &'a [String]) -> Self {
        let without = without.iter().map(|path| path.trim_end_matches('/')).collect();
        Declared { without, used: BTreeSet::new(), chosen: Vec::new() }
    }

    pub(super) fn choose(
        &mut self,
        parent: &str,
        path: &str,
        commit: &str,
        said: Option<&str>,
    ) -> Result<Option<String>> {
        if let Some(entry) = self.without.iter().find(|entry| covers(entry, path)) {
            self.used.insert(*entry);
            return Ok(None);
        }
        let Some(url) = said else {
            let cause = format!("is at commit {commit}, but .gitmodules says no url for it");
            return Err(
                Error::new(Kind::Document, format!("submodule `{path}` of {parent}"), cause).remedy(leave_out(path))
            );
        };
        let url = address::submodule(parent, url).map_err(|error| {
            Error::new(error.kind(), format!("submodule `{path}` of {parent}"), error).remedy(leave_out(path))
        })?;
        self.chosen.push(SubmoduleLock { path: path.to_owned(), url: url.clone(), commit: commit.to_owned() });
        Ok(Some(url))
    }

    /// The chosen ones by path, and paths to leave out that do not exist.
    pub(super) fn finish(mut self) -> (Vec<SubmoduleLock>, Vec<String>) {
        self.chosen.sort();
        // What is inside a submodule changes with it: nobody needs to know that there is nothing.
        let told = |path: &&&str| !self.used.contains(**path) && !path.ends_with(INSIDE);
        let unused = self.without.iter().filter(told).map(|path| (*path).to_owned()).collect();
        (self.chosen, unused)
    }
}

/// What stands for all submodules inside a path.
const INSIDE: &str = "/**";

/// Whether an entry of `without-submodules` means the submodule at `path`.
fn covers(entry: &str, path: &str) -> bool {
    match entry.strip_suffix(INSIDE) {
        Some(outer) => path.strip_prefix(outer).is_some_and(|inner| inner.starts_with('/')),
        None => entry == path,
    }
}

/// The choice of a lock.
pub(super) struct Locked<'a>(pub &'a [SubmoduleLock]);

impl Locked<'_> {
    pub(super) fn choose(&self, path: &str, commit: &str) -> Result<Option<String>> {
        let Some(locked) = self.0.iter().find(|locked| locked.path == path) else { return Ok(None) };
        if locked.commit != commit {
            let cause = format!("is at commit {commit} in the tree, the lock says {}", locked.commit);
            return Err(Error::new(Kind::Trust, format!("submodule `{path}`"), cause)
                .remedy("the lock is damaged: renew it with `snpforge lock --update`"));
        }
        Ok(Some(locked.url.clone()))
    }
}

/// The error of a submodule that cannot be had. It and the one it lies in are given as url and commit.
pub(super) fn missing(path: &str, (url, commit): (&str, &str), parent: (&str, &str), error: Error) -> Error {
    if error.kind() == Kind::Interrupted {
        return error;
    }
    let cause = format!("commit {commit} of {url}, wanted by commit {} of {}: {}", parent.1, parent.0, error.cause());
    let made = Error::new(error.kind(), format!("submodule `{path}`"), cause);
    let made = match error.remedy_text() {
        Some(remedy) if error.kind() == Kind::Unavailable => made.remedy(remedy),
        _ => made,
    };
    made.also(format!("{}; or use a newer revision, whose submodules still exist", leave_out(path))).because(error)
}

/// The error of submodules in submodules without end.
pub(super) fn too_deep(path: &str, outermost: &str, chain: &[String]) -> Error {
    let cause = format!("lies too deep; repositories seem to have each other in them:\n  {}", chain.join("\n  has "));
    Error::new(Kind::Document, format!("submodule `{path}`"), cause).remedy(format!(
        "if the build does not need them, add \"{outermost}/**\" to `without-submodules` of the source in the release file"
    ))
}

fn leave_out(path: &str) -> String {
    format!("if the build does not need it, add \"{path}\" to `without-submodules` of the source in the release file")
}
