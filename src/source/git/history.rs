//! What lies between two commits. Only commits are fetched, no trees where the server leaves them out, into a repository
//! of its own: what sources are made from stays whole and small.

use super::places::Opened;
use super::program::Outcome;
use super::repository::{LOCAL, Program, damaged};
use super::transfer::FETCHING;
use super::trouble;
use crate::cancel::Cancel;
use crate::difference::{Commits, Subject};
use crate::error::{Error, Kind, Result};
use std::collections::HashSet;
use std::path::PathBuf;

/// How many generations of commits are fetched, one try after the other: a release is near the one before it.
const DEPTHS: [&str; 3] = ["--depth=100", "--depth=2000", "--depth=20000"];
/// How many commits are named.
const NAMED: &str = "--max-count=20";
/// All branches and tags, for places that give no single commits.
const ALL: [&str; 2] = ["+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*"];

impl Program {
    pub(super) fn read_between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits> {
        let lock = self.lock(url, new, cancel)?;
        let past = Past { program: self, repository: self.repository(url).with_extension("history.git"), cancel };
        if !past.repository.join("HEAD").is_file() {
            let format = if new.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
            past.text(&["init", "--quiet", "--bare", "--template=", format])?;
        }
        let walked = self.walk(&self.mirrors.places(url), &mut |from| past.ask(from, old, new))?;
        drop(lock);
        walked.map_err(|failures| trouble::sum(&format!("the history of {url}"), failures))
    }
}

/// The repository that holds the commits.
struct Past<'a> {
    program: &'a Program,
    repository: PathBuf,
    cancel: &'a Cancel,
}

impl Past<'_> {
    fn ask(&self, from: &Opened, old: &str, new: &str) -> Result<Commits> {
        let both = format!("{old}...{new}");
        let depths = if from.bundle { [""].as_slice() } else { &DEPTHS };
        for depth in depths {
            self.fetch(from, depth, old, new)?;
            if self.is_whole(&both)? {
                return self.read(&both, &format!("{old}..{new}"));
            }
        }
        let cause = format!("nothing that {old} and {new} both come from is near enough");
        Err(Error::new(Kind::Gone, &from.url, cause).remedy("look at the history in a clone of your own"))
    }

    /// Brings both commits with their parents.
    fn fetch(&self, from: &Opened, depth: &str, old: &str, new: &str) -> Result<()> {
        let mut said = String::new();
        for wanted in [[old, new], ALL] {
            let mut arguments = vec!["fetch", "--quiet", "--no-tags"];
            if !from.bundle {
                arguments.extend(["--filter=tree:0", depth]);
            }
            arguments.extend(["--", &from.url, wanted[0], wanted[1]]);
            let fetched = self.run(&arguments, FETCHING)?;
            let exists = |commit: &str| self.run(&["cat-file", "-e", commit], LOCAL).map(|done| done.status.success());
            if exists(old)? && exists(new)? {
                return Ok(());
            }
            said = fetched.words;
        }
        Err(Error::new(Kind::Gone, &from.url, format!("does not have both {old} and {new}:\n  {said}"))
            .remedy("a commit that a branch was pushed over is often gone"))
    }

    fn run(&self, arguments: &[&str], patience: std::time::Duration) -> Result<Outcome> {
        let command = self.program.runner.command(&self.repository, arguments);
        self.program.runner.run(command, patience, self.cancel, &|_| {})
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        let outcome = self.run(arguments, LOCAL)?;
        if !outcome.status.success() {
            return Err(damaged(&self.repository, "a history", &outcome.words));
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
        let cut: HashSet<&str> = shallow.lines().collect();
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
