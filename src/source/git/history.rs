//! What lies between two commits. Only commits are fetched, no trees where the server leaves them out, into a repository
//! of its own: what sources are made from stays whole and small.

use super::program::Outcome;
use super::repository::Program;
use crate::cancel::Cancel;
use crate::difference::{Commits, Subject};
use crate::error::{Error, Kind, Result};
use std::path::PathBuf;
use std::time::Duration;

/// How many generations of commits are fetched, one try after the other: a release is near the one before it.
const DEPTHS: [&str; 3] = ["--depth=100", "--depth=2000", "--depth=20000"];
/// How many commits are named.
const NAMED: &str = "--max-count=20";
/// Silence during the transfer: the server counts objects for long.
const FETCHING: Duration = Duration::from_secs(120);
/// For work on this machine.
const LOCAL: Duration = Duration::from_secs(120);

impl Program {
    pub(super) fn read_between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits> {
        let repository = self.repository(url).with_extension("history.git");
        let past = Past { program: self, repository, cancel };
        std::fs::create_dir_all(&past.repository).map_err(|error| Error::io(&past.repository, "make", error))?;
        past.text(&["init", "--quiet", "--bare", "--template="])?;
        for depth in DEPTHS {
            let arguments = ["fetch", "--quiet", "--no-tags", "--filter=tree:0", depth, "--", url, old, new];
            let fetched = past.run(&arguments, FETCHING)?;
            if !fetched.status.success() {
                return Err(Error::new(
                    Kind::Unavailable,
                    url,
                    format!("does not give its history:\n  {}", fetched.words),
                )
                .remedy("a commit that a branch was pushed over is often gone"));
            }
            let range = format!("{old}...{new}");
            if past.is_whole(&range)? {
                return past.read(&range, &format!("{old}..{new}"));
            }
        }
        Err(Error::new(Kind::Unavailable, url, format!("has no common commit of {old} and {new} that is near enough"))
            .remedy("look at the history in a clone of your own"))
    }
}

/// The repository that holds the commits.
struct Past<'a> {
    program: &'a Program,
    repository: PathBuf,
    cancel: &'a Cancel,
}

impl Past<'_> {
    fn run(&self, arguments: &[&str], patience: Duration) -> Result<Outcome> {
        let command = self.program.runner.command(&self.repository, arguments);
        self.program.runner.run(command, patience, self.cancel, &|_| {})
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        let outcome = self.run(arguments, LOCAL)?;
        if !outcome.status.success() {
            return Err(super::repository::damaged(&self.repository, "history", &outcome.words));
        }
        Ok(String::from_utf8_lossy(&outcome.output).into_owned())
    }

    /// Whether no commit of the range has parents that were not fetched: then counting it gives the truth.
    fn is_whole(&self, range: &str) -> Result<bool> {
        let path = self.repository.join("shallow");
        let shallow = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::io(&path, "read", error)),
        };
        let listed = self.text(&["rev-list", range])?;
        let cut: std::collections::HashSet<&str> = shallow.lines().collect();
        Ok(!listed.lines().any(|commit| cut.contains(commit)))
    }

    fn read(&self, both: &str, newer: &str) -> Result<Commits> {
        let counted = self.text(&["rev-list", "--count", "--left-right", both])?;
        let mut numbers = counted.split_whitespace().map_while(|number| number.parse().ok());
        let (gone, come) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let log = self.text(&["log", NAMED, "--format=%H %s", newer])?;
        let newest = log.lines().filter_map(|line| {
            let (commit, subject) = line.split_once(' ')?;
            Some(Subject { commit: commit.to_owned(), subject: subject.chars().filter(|c| !c.is_control()).collect() })
        });
        Ok(Commits { come, gone, newest: newest.collect() })
    }
}
