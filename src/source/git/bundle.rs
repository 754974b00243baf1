//! Bundles: one file with a repository's whole history, for carrying sources to where no network is.

use super::places::Opened;
use super::repository::Program;
use super::transfer::{FETCHING, gone};
use super::trouble;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

impl Program {
    /// Takes in everything a bundle has.
    pub(super) fn unbundle(&self, url: &str, from: &Opened, cancel: &Cancel) -> Result<()> {
        let task = format!("git {url}");
        let command = self.runner.command(&self.repository(url), &["bundle", "unbundle", "--progress", &from.url]);
        let outcome = self.runner.run(command, FETCHING, cancel, &|line| self.hear(&task, line));
        if !outcome.as_ref().is_ok_and(|outcome| outcome.status.success()) {
            self.sweep(url)?;
        }
        let outcome = outcome?;
        if outcome.status.success() {
            return Ok(());
        }
        if trouble::here(&outcome.words) {
            return Err(trouble::unavailable(url, &outcome.words));
        }
        let cause = format!("cannot be read as a git bundle with whole history:\n  {}", outcome.words);
        Err(Error::new(Kind::Unavailable, &from.url, cause)
            .remedy("copy it again, or make it anew from a full clone: git bundle create FILE --all"))
    }

    /// Why a bundle that was taken in is no help.
    pub(super) fn lacking(&self, url: &str, from: &Opened, commit: &str, cancel: &Cancel) -> Result<Error> {
        Ok(if self.whole(url, commit, cancel)? {
            let cause = format!("has commit {commit} without its history: it was made from a shallow clone");
            Error::new(Kind::Unavailable, &from.url, cause)
                .remedy("make it anew from a full clone: git bundle create FILE --all")
        } else {
            gone(url, commit, format!("is not in the bundle {}", from.url))
        })
    }
}
