//! Getting a commit with its tree onto this machine. git cannot go on with half a pack; so a cut connection is made anew a
//! few times, what came whole is never asked for again, and what came in part is removed.

use super::address::check_revision;
use super::mirrors::Place;
use super::places::Opened;
use super::program::Outcome;
use super::repository::{LOCAL, Program};
use super::trouble;
use crate::cancel::{self, Cancel};
use crate::error::{Error, Kind, Result};
use crate::report::Event;
use std::time::{Duration, Instant};

/// Silence during a transfer: the other side may count objects for long, but says so.
pub(super) const FETCHING: Duration = Duration::from_secs(120);
/// How often one thing is asked for while connections are cut.
const TRIES: u32 = 4;
/// Before the second try; doubled before each further one.
const BACKOFF: Duration = Duration::from_millis(400);
/// Between two looks at the wish to stop.
const LOOK: Duration = Duration::from_millis(20);
/// The number that git itself calls infinite: it also completes what was shallow before.
const ALL: &str = "--depth=2147483647";

impl Program {
    /// Brings the commit from the first place that has it: by hash, or through the ref it was resolved from; where no
    /// place gives it that way, out of everything a place has.
    pub(super) fn fetch_commit(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()> {
        if self.complete(url, commit, cancel)? {
            return Ok(());
        }
        let places = self.mirrors.places(url);
        let mut failures =
            match self.walk(&places, &mut |from| self.fetch_single(url, from, commit, reference, cancel))? {
                Ok(()) => return Ok(()),
                Err(failures) => failures,
            };
        let answered = |place: &&Place| {
            failures.iter().any(|failure| failure.place == place.url && failure.error.kind() == Kind::Gone)
        };
        let rest: Vec<Place> = places.iter().filter(answered).cloned().collect();
        match self.walk(&rest, &mut |from| self.fetch_all(url, from, commit, cancel))? {
            Ok(()) => return Ok(()),
            Err(later) => {
                failures.retain(|failure| later.iter().all(|other| other.place != failure.place));
                failures.extend(later);
            }
        }
        Err(trouble::sum(&format!("commit {commit} of {url}"), failures))
    }

    fn fetch_single(
        &self,
        url: &str,
        from: &Opened,
        commit: &str,
        reference: Option<&str>,
        cancel: &Cancel,
    ) -> Result<()> {
        if from.bundle {
            self.unbundle(url, from, cancel)?;
            return if self.complete(url, commit, cancel)? {
                Ok(())
            } else {
                Err(self.lacking(url, from, commit, cancel)?)
            };
        }
        if from.mirror.is_some() {
            // A dead mirror is known sooner by asking for a name.
            self.names(from, &["HEAD"], cancel)?;
        }
        let by_hash = self.fetch(url, from, "--depth=1", &[commit.to_owned()], cancel)?;
        if by_hash.status.success() && self.whole(url, commit, cancel)? {
            return Ok(());
        }
        if trouble::cut(&by_hash.words) || trouble::here(&by_hash.words) {
            return Err(trouble::unavailable(&from.url, &by_hash.words));
        }
        // Does the repository answer at all? Its own words in the failure above are not for programs.
        self.names(from, &["HEAD"], cancel)?;
        if let Some(reference) = reference.filter(|reference| check_revision(reference).is_ok()) {
            let by_name = self.fetch(url, from, "--depth=1", &[reference.to_owned()], cancel)?;
            if by_name.status.success() && self.whole(url, commit, cancel)? {
                return Ok(());
            }
        }
        let object = format!("commit {commit} of {url}");
        Err(Error::new(Kind::Gone, object, format!("does not give commit {commit}:\n  {}", by_hash.words)))
    }

    fn fetch_all(&self, url: &str, from: &Opened, commit: &str, cancel: &Cancel) -> Result<()> {
        if from.bundle {
            return Err(self.lacking(url, from, commit, cancel)?);
        }
        let text = format!("{}: gives no single commits or has moved on; fetching all of it", from.url);
        self.tell(Event::Note { text });
        let all = ["+refs/heads/*:refs/all/heads/*".to_owned(), "+refs/tags/*:refs/all/tags/*".to_owned()];
        let everything = self.fetch(url, from, ALL, &all, cancel)?;
        if self.whole(url, commit, cancel)? {
            return Ok(());
        }
        if !everything.status.success() {
            return Err(trouble::unavailable(&from.url, &everything.words));
        }
        Err(gone(url, commit, "is in no branch or tag of the repository any more"))
    }

    fn fetch(&self, url: &str, from: &Opened, depth: &str, refs: &[String], cancel: &Cancel) -> Result<Outcome> {
        let mut arguments = vec!["fetch", "--progress", "--no-tags", depth, "--", &from.url];
        arguments.extend(refs.iter().map(String::as_str));
        let task = format!("git {url}");
        self.patiently(&from.url, cancel, &mut || {
            let command = self.runner.command(&self.repository(url), &arguments);
            let outcome = self.runner.run(command, FETCHING, cancel, &|line| self.hear(&task, line));
            if !outcome.as_ref().is_ok_and(|outcome| outcome.status.success()) {
                self.sweep(url)?;
            }
            outcome
        })
    }

    /// Does something again while connections are cut, a few times.
    pub(super) fn patiently(
        &self,
        place: &str,
        cancel: &Cancel,
        ask: &mut dyn FnMut() -> Result<Outcome>,
    ) -> Result<Outcome> {
        let mut wait = BACKOFF;
        for number in 2..=TRIES {
            let outcome = ask()?;
            if outcome.status.success() || !trouble::cut(&outcome.words) {
                return Ok(outcome);
            }
            self.tell(Event::Note { text: format!("{place}: the connection was cut; try {number} of {TRIES}") });
            let start = Instant::now();
            while start.elapsed() < wait {
                cancel::check(cancel, place)?;
                std::thread::sleep(LOOK);
            }
            wait *= 2;
        }
        ask()
    }

    /// Passes git's progress on as that of `task`.
    pub(super) fn hear(&self, task: &str, line: &str) {
        if let Some((done, total)) = percent(line) {
            let text = line.split(':').next().map(str::to_owned);
            let task = task.to_owned();
            self.tell(Event::Progress { task, done: Some(done), total: Some(total), text });
        }
    }

    /// Whether every object of the commit's tree is here.
    pub(super) fn whole(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<bool> {
        self.passes(url, &["rev-list", "--objects", "--no-walk", "--quiet", commit], cancel)
    }

    /// Whether the commit is here with its tree and with its history, down to where that was cut on purpose.
    fn complete(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<bool> {
        Ok(self.whole(url, commit, cancel)? && self.passes(url, &["rev-list", "--quiet", commit], cancel)?)
    }

    fn passes(&self, url: &str, arguments: &[&str], cancel: &Cancel) -> Result<bool> {
        let command = self.runner.command(&self.repository(url), arguments);
        Ok(self.runner.run(command, LOCAL, cancel, &|_| {})?.status.success())
    }
}

pub(super) fn gone(url: &str, commit: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Gone, format!("commit {commit} of {url}"), cause)
        .remedy("name another repository that has it, or let `snpforge lock --update` take the newest")
}

/// `Receiving objects:  45% (123/456), 1.2 MiB | 3 MiB/s`: done and total.
fn percent(line: &str) -> Option<(u64, u64)> {
    let inner = line.split_once("% (")?.1.split_once(')')?.0;
    let (done, total) = inner.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read() {
        assert_eq!(percent("Receiving objects:  45% (123/456), 1.2 MiB | 3 MiB/s"), Some((123, 456)));
        assert_eq!(percent("remote: Enumerating objects: 5, done."), None);
    }
}
