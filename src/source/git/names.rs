//! Names at a repository: what a branch or tag stands for now.

use super::address::{check, check_revision, is_hash};
use super::places::Opened;
use super::repository::Program;
use super::{Found, trouble};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::store::files;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// For an answer about names: small, so silence means a dead host.
const ASKING: Duration = Duration::from_secs(20);

/// What an error about a name is about.
pub fn named(url: &str, rev: &str) -> String {
    format!("`{rev}` of {url}")
}

impl Program {
    pub(super) fn find_name(&self, url: &str, rev: &str, cancel: &Cancel) -> Result<Found> {
        check(url)?;
        check_revision(rev)?;
        if is_hash(rev) {
            return Ok(Found { commit: rev.to_owned(), reference: None });
        }
        self.door(url)?;
        let walked = self.walk(&self.mirrors.places(url), &mut |from| self.find_in(url, from, rev, cancel))?;
        walked.map_err(|failures| trouble::sum(&named(url, rev), failures))
    }

    fn find_in(&self, url: &str, from: &Opened, rev: &str, cancel: &Cancel) -> Result<Found> {
        let candidates = match rev {
            "HEAD" => vec![rev.to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/tags/{short}"), format!("refs/heads/{short}")],
        };
        let peeled: Vec<String> = candidates.iter().map(|name| format!("{name}^{{}}")).collect();
        let asked: Vec<&str> = candidates.iter().chain(&peeled).map(String::as_str).collect();
        let names = self.names(from, &asked, cancel)?;
        // An annotated tag stands for the commit it points to.
        let mut found = Vec::new();
        for name in &candidates {
            let Some(hash) = names.get(&format!("{name}^{{}}")).or_else(|| names.get(name)) else { continue };
            // Bundles do not say where their tags point to.
            let commit = if from.bundle { self.peel(url, from, hash, cancel)? } else { hash.clone() };
            found.push(Found { commit, reference: Some(name.clone()) });
        }
        let object = || named(url, rev);
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [one, other] if one.commit == other.commit => Ok(one.clone()),
            [] => Err(Error::new(Kind::Gone, object(), "is neither a branch nor a tag there")
                .remedy("correct `rev` in the release file; an abbreviated commit must be written in full")),
            _ => Err(Error::new(Kind::Document, object(), "is a tag and a branch, which differ")
                .remedy(format!("write refs/tags/{rev} or refs/heads/{rev}"))),
        }
    }

    fn peel(&self, url: &str, from: &Opened, hash: &str, cancel: &Cancel) -> Result<String> {
        let lock = self.lock(url, hash, cancel)?;
        self.unbundle(url, from, cancel)?;
        drop(lock);
        let commit = self.local(url, &["rev-parse", "-q", "--verify", &format!("{hash}^{{}}")], cancel)?;
        Ok(String::from_utf8_lossy(commit.trim_ascii()).into_owned())
    }

    /// Names at the place and what they stand for. A connection that was cut is made anew.
    pub(super) fn names(&self, from: &Opened, wanted: &[&str], cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        files::make_folder(&self.folder)?;
        let mut arguments = vec!["ls-remote", "--", &from.url];
        arguments.extend(wanted);
        let outcome = self.patiently(&from.url, cancel, &mut || {
            // Without a repository: there may be none for this URL yet.
            let command = self.runner.command(Path::new("/dev/null"), &arguments);
            self.runner.run(command, ASKING, cancel, &|_| {}).map_err(|error| match error.kind() {
                Kind::Unavailable if error.object() == "git" && error.cause().starts_with("said") => {
                    trouble::unavailable(&from.url, trouble::NO_ANSWER)
                }
                _ => error,
            })
        })?;
        if !outcome.status.success() {
            return Err(trouble::unavailable(&from.url, &outcome.words));
        }
        let text = String::from_utf8_lossy(&outcome.output).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.filter(|(hash, _)| is_hash(hash)).map(|(hash, name)| (name.to_owned(), hash.to_owned())).collect())
    }
}
