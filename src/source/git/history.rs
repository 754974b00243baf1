//! What lies between two commits. Only commits are fetched, no trees, and no more of them than the answer needs, into a
//! repository that is gone afterwards: nobody builds from it.
//!
//! Commits since some day are fetched, further back in each try. An answer counts when every commit of it has its parents
//! there. What is older than the day cannot be one of them, as long as no commit is older than its parents.

use super::address::is_local;
use super::places::Opened;
use super::program::Outcome;
use super::repository::{LOCAL, Program, damaged};
use super::transfer::FETCHING;
use super::trouble;
use crate::cancel::Cancel;
use crate::difference::{Commits, Subject};
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Unit};
use crate::store::files;
use std::collections::HashSet;
use std::path::Path;

/// Days before the older of the two commits from which on commits are fetched, one try after the other. Side branches begin
/// long before they are merged.
const DAYS: [u64; 4] = [30, 180, 720, 3600];
/// How many commits are named.
const NAMED: &str = "--max-count=20";
/// Characters of a commit's first line.
const SUBJECT: usize = 200;
/// What git says of a server that would send all trees, too.
const UNFILTERED: &str = "filtering not recognized";

impl Program {
    pub(super) fn read_between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits> {
        files::make_folder(&self.folder)?;
        let folder = tempfile::Builder::new().prefix("history").tempdir_in(&self.folder);
        let folder = folder.map_err(|error| Error::io(&self.folder, "write in", error))?;
        let task = format!("git history of {url}");
        self.tell(Event::Begin { task: task.clone(), total: None, unit: Unit::Steps });
        let mut place = 0;
        let walked = self.walk(&self.mirrors.places(url), &mut |from| {
            place += 1;
            let past = Past { program: self, repository: &folder.path().join(place.to_string()), task: &task, cancel };
            past.ask(from, old, new)
        });
        let outcome = if matches!(walked, Ok(Ok(_))) { "done" } else { "not known" };
        self.tell(Event::End { task, outcome: outcome.into() });
        walked?.map_err(|failures| trouble::sum(&format!("the history of {url}"), failures))
    }
}

/// The repository that holds the commits for a while.
struct Past<'a> {
    program: &'a Program,
    repository: &'a Path,
    task: &'a str,
    cancel: &'a Cancel,
}

impl Past<'_> {
    fn ask(&self, from: &Opened, old: &str, new: &str) -> Result<Commits> {
        let format = if new.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        files::make_folder(self.repository)?;
        self.text(&["init", "--quiet", "--bare", "--template=", format])?;
        let wanted = [format!("+{old}:refs/kept/old"), format!("+{new}:refs/kept/new")];
        if from.bundle {
            self.fetch(from, None, &["+refs/*:refs/all/*".to_owned()])?;
            return if self.is_whole(old, new)? { self.read(old, new) } else { Err(self.far(from, old, new)) };
        }
        self.fetch(from, Some("--depth=1"), &wanted)?;
        let dates = self.text(&["log", "--no-walk", "--format=%ct", old, new])?;
        let first = dates.lines().filter_map(|date| date.parse::<u64>().ok()).min().unwrap_or(0);
        for days in DAYS {
            let since = format!("--shallow-since={}", first.saturating_sub(days * 86_400));
            self.fetch(from, Some(&since), &wanted)?;
            if self.is_whole(old, new)? {
                return self.read(old, new);
            }
        }
        Err(self.far(from, old, new))
    }

    fn far(&self, from: &Opened, old: &str, new: &str) -> Error {
        let cause = format!("nothing that {old} and {new} both come from is near enough");
        Error::new(Kind::Gone, &from.url, cause).remedy("look at the history in a clone of your own")
    }

    fn fetch(&self, from: &Opened, depth: Option<&str>, wanted: &[String]) -> Result<()> {
        let mut arguments = vec!["fetch", "--progress", "--no-tags"];
        // A local repository is read as it is.
        if depth.is_some() && !is_local(&from.url) {
            arguments.push("--filter=tree:0");
        }
        arguments.extend(depth);
        arguments.extend(["--", &from.url]);
        arguments.extend(wanted.iter().map(String::as_str));
        let fetched = self.program.patiently(&from.url, self.cancel, &mut || {
            let unfiltered = self.cancel.child_token();
            let hear = |line: &str| {
                if line.contains(UNFILTERED) {
                    unfiltered.cancel();
                }
                self.program.hear(self.task, line);
            };
            self.program.runner.run(self.command(&arguments), FETCHING, &unfiltered, &hear).map_err(|error| {
                if error.kind() == Kind::Interrupted && !self.cancel.is_cancelled() {
                    return Error::new(Kind::Gone, &from.url, "does not give commits without all of their files")
                        .remedy("look at the history in a clone of your own");
                }
                error
            })
        })?;
        if fetched.status.success() {
            return Ok(());
        }
        if trouble::not_there(&fetched.words) {
            let cause = format!("does not give both commits:\n  {}", fetched.words);
            return Err(Error::new(Kind::Gone, &from.url, cause)
                .remedy("a commit that a branch was pushed over is often gone; the new one is not affected"));
        }
        Err(trouble::unavailable(&from.url, &fetched.words))
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.program.runner.command(self.repository, arguments)
    }

    fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        self.program.runner.run(self.command(arguments), LOCAL, self.cancel, &|_| {})
    }

    fn text(&self, arguments: &[&str]) -> Result<String> {
        let outcome = self.run(arguments)?;
        if !outcome.status.success() {
            return Err(damaged(self.repository, "a history", &outcome.words));
        }
        Ok(String::from_utf8_lossy(&outcome.output).into_owned())
    }

    /// Whether both commits are there, and the parents of every commit that is in the history of one only.
    fn is_whole(&self, old: &str, new: &str) -> Result<bool> {
        let range = format!("{old}...{new}");
        let listed = self.run(&["rev-list", &range])?;
        if !listed.status.success() {
            return Ok(false);
        }
        let path = self.repository.join("shallow");
        let shallow = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::io(&path, "read", error)),
        };
        let cut: HashSet<&str> = shallow.lines().collect();
        Ok(!String::from_utf8_lossy(&listed.output).lines().any(|commit| cut.contains(commit)))
    }

    fn read(&self, old: &str, new: &str) -> Result<Commits> {
        let counted = self.text(&["rev-list", "--count", "--left-right", &format!("{old}...{new}")])?;
        let mut numbers = counted.split_whitespace().map_while(|number| number.parse().ok());
        let (gone, come) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let log = self.text(&["log", NAMED, "--format=%H %s", &format!("{old}..{new}")])?;
        let newest = log.lines().filter_map(|line| {
            let (commit, subject) = line.split_once(' ')?;
            Some(Subject { commit: commit.to_owned(), subject: subject.chars().take(SUBJECT).collect() })
        });
        Ok(Commits { come, gone, newest: newest.collect() })
    }
}
