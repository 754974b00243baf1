//! What it means that a branch or tag that a lock was resolved from is no more.

use super::wish::Wish;
use crate::error::{Error, Kind};
use crate::lock::{Pin, ReleaseLock};
use crate::release::Source;
use crate::source::git;

/// Adds to the error of a branch or tag that is no more what the old lock of `release` still has of it.
pub(super) fn vanished(error: Error, release: &str, wish: &Wish<'_>, old: Option<&ReleaseLock>) -> Error {
    let Source::Git { url, rev, .. } = wish.source else { return error };
    if error.kind() != Kind::Gone || error.object() != git::named(url, rev) {
        return error;
    }
    let Some(Pin::Git { url: old_url, commit, .. }) = old.and_then(|old| wish.of(old)).map(|one| &one.pin) else {
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
