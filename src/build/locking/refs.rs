//! What became of the branches and tags that a lock was resolved from: which moved, and what it means that one vanished.

use super::super::Borders;
use crate::component::Component;
use crate::error::{Error, Kind};
use crate::lock::{Pin, ReleaseLock, SourceLock};
use crate::release::Source;
use crate::source::git;

fn of<'l>(lock: &'l ReleaseLock, component: Component, folder: &str) -> Option<&'l SourceLock> {
    lock.source.iter().find(|source| source.component == component && source.folder == folder)
}

/// One line for each git source whose commit is another one in `new`, with full hashes: they are what a person looks up.
pub(super) fn moved(old: &ReleaseLock, new: &ReleaseLock, borders: &Borders<'_>) -> Vec<String> {
    let both = new.source.iter().filter_map(|source| Some((of(old, source.component, &source.folder)?, source)));
    both.filter_map(|(before, source)| {
        let (Pin::Git { url: old_url, commit: old_commit, .. }, Pin::Git { url, reference, commit, .. }) =
            (&before.pin, &source.pin)
        else {
            return None;
        };
        if old_commit == commit {
            return None;
        }
        let name = format!("{} {}", source.component, source.folder);
        let reference = reference.as_deref().unwrap_or("rev");
        if url != old_url {
            return Some(format!("  {name} {reference}: {old_commit} of {old_url} -> {commit} of {url}"));
        }
        // Nothing but a few words depends on it: what cannot be read now is unknown.
        let relation = match borders.git.descends(url, old_commit, commit, borders.cancel) {
            Ok(Some(true)) => " (which descends from it)",
            Ok(Some(false)) => " (which does NOT descend from it: rebased or force-pushed)",
            Ok(None) | Err(_) => "",
        };
        Some(format!("  {name} {reference} of {url}: {old_commit} -> {commit}{relation}"))
    })
    .collect()
}

/// Adds to the error of a branch or tag that is no more what the old lock of `release` still has of it.
pub(super) fn vanished(
    error: Error,
    release: &str,
    (component, folder, source): (Component, &str, &Source),
    old: Option<&ReleaseLock>,
) -> Error {
    let Source::Git { url, rev, .. } = source else { return error };
    if error.kind() != Kind::Gone || error.object() != git::named(url, rev) {
        return error;
    }
    let Some(Pin::Git { url: old_url, commit, .. }) =
        old.and_then(|old| of(old, component, folder)).map(|one| &one.pin)
    else {
        return error;
    };
    if old_url != url {
        return error;
    }
    let words = format!(
        " any more; releases/{release}.lock has commit {commit} of it and still builds as long as that commit can be had"
    );
    error.adding(words).remedy(format!(
        "keep the lock and use `build --locked`; or, in releases/{release}.toml, write the new name of the branch or tag, or \
         rev = \"{commit}\" to stay at that commit"
    ))
}
