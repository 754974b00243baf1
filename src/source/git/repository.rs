//! The [`Git`] door through the `git` program: one bare repository per URL in the store holds what was fetched. This
//! file is about names and transfers; `objects` reads what has come.

use super::address::{check, check_revision, is_hash};
use super::program::{Outcome, Runner};
use super::{Commit, Entry, Found, Git, TakeBlob};
use crate::cancel::{self, Cancel};
use crate::difference::Commits;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Report, Unit};
use crate::store::files;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// For an answer about names: small, so silence means a dead host.
const ASKING: Duration = Duration::from_secs(20);
/// Silence during a transfer: the other side may count objects for long, but says so.
const FETCHING: Duration = Duration::from_secs(120);
/// For work on this machine, which says nothing on its way.
pub(super) const LOCAL: Duration = Duration::from_secs(600);
/// Between two looks whether another process is done with a repository.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The door.
pub struct Program {
    pub(super) runner: Runner,
    folder: PathBuf,
    offline: bool,
    report: Option<Arc<dyn Report>>,
}

impl Program {
    /// A door with its copies below the store's folder `store`; `environment` says where git is and how it reaches the
    /// world. `offline` closes it: then only what was brought before is there.
    pub fn new(store: &Path, environment: &Environment, offline: bool) -> Self {
        Program { runner: Runner::new(environment), folder: store.join("git"), offline, report: None }
    }

    /// The same door, telling `report` how far it is.
    #[must_use]
    pub fn telling(self, report: Arc<dyn Report>) -> Self {
        Program { report: Some(report), ..self }
    }

    fn tell(&self, event: Event) {
        if let Some(report) = &self.report {
            report.event(event);
        }
    }

    /// Refuses what must not reach git, and everything when there is no network.
    fn door(&self, url: &str) -> Result<()> {
        check(url)?;
        if self.offline {
            return Err(Error::new(Kind::Unavailable, url, "is not in the store, and this run has no network")
                .remedy("run `snpforge fetch` with network first, import a vault, or leave out --offline"));
        }
        Ok(())
    }

    pub(super) fn repository(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.git", Digest::of(url.as_bytes())))
    }

    /// Runs git on this machine's copy; any failure is damage.
    pub(super) fn local(&self, url: &str, arguments: &[&str], cancel: &Cancel) -> Result<Vec<u8>> {
        let repository = self.repository(url);
        let outcome = self.runner.run(self.runner.command(&repository, arguments), LOCAL, cancel, &|_| {})?;
        if !outcome.status.success() {
            return Err(damaged(&repository, url, &outcome.words));
        }
        Ok(outcome.output)
    }

    /// Whether the commit was brought: the ref is made after its whole tree has come.
    fn has(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<bool> {
        if !self.repository(url).join("HEAD").is_file() {
            return Ok(false);
        }
        let command = self.runner.command(&self.repository(url), &["rev-parse", "-q", "--verify", &marker(commit)]);
        Ok(self.runner.run(command, LOCAL, cancel, &|_| {})?.status.success())
    }

    /// One process at a time fetches into a repository, which is made when it is not there.
    fn lock(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<File> {
        let repository = self.repository(url);
        let path = repository.with_extension("lock");
        let lock = files::grow(&path)?;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(Error::io(&path, "lock", error.into()));
            }
            cancel::check(cancel, url)?;
            std::thread::sleep(LOOK_AGAIN);
        }
        if !repository.join("HEAD").is_file() {
            let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
            self.local(url, &["init", "--quiet", "--bare", "--template=", format], cancel)?;
        }
        Ok(lock)
    }

    fn fetch(&self, url: &str, depth: &str, refs: &[String], cancel: &Cancel) -> Result<Outcome> {
        let mut arguments = vec!["fetch", "--progress", "--no-tags", depth, "--", url];
        arguments.extend(refs.iter().map(String::as_str));
        let command = self.runner.command(&self.repository(url), &arguments);
        let task = format!("git {url}");
        let hear = |line: &str| {
            if let Some((done, total)) = percent(line) {
                let words = line.split(':').next().map(str::to_owned);
                self.tell(Event::Progress { task: task.clone(), done: Some(done), total: Some(total), text: words });
            }
        };
        self.runner.run(command, FETCHING, cancel, &hear)
    }

    /// Fetches the commit by hash, else through the ref it was resolved from, else with everything there is.
    fn fetch_commit(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()> {
        let there = |this: &Self| -> Result<bool> {
            let command =
                this.runner.command(&this.repository(url), &["cat-file", "-e", &format!("{commit}^{{tree}}")]);
            Ok(this.runner.run(command, LOCAL, cancel, &|_| {})?.status.success())
        };
        let by_hash = self.fetch(url, "--depth=1", &[commit.to_owned()], cancel)?;
        if by_hash.status.success() && there(self)? {
            return Ok(());
        }
        // Does the repository answer at all? Its own words in the failure above are not for programs.
        self.names(url, &["HEAD"], cancel)?;
        if let Some(reference) = reference.filter(|reference| check_revision(reference).is_ok()) {
            let by_name = self.fetch(url, "--depth=1", &[reference.to_owned()], cancel)?;
            if by_name.status.success() && there(self)? {
                return Ok(());
            }
        }
        let text = format!("{url}: gives no single commits or has moved on; fetching all of it");
        self.tell(Event::Note { text });
        let all = ["+refs/heads/*:refs/all/heads/*".to_owned(), "+refs/tags/*:refs/all/tags/*".to_owned()];
        // The number that git itself calls infinite: it also completes what was shallow before.
        let everything = self.fetch(url, "--depth=2147483647", &all, cancel)?;
        if there(self)? {
            return Ok(());
        }
        if !everything.status.success() {
            return Err(unavailable(url, &everything.words));
        }
        Err(Error::new(
            Kind::Gone,
            format!("commit {commit} of {url}"),
            "is in no branch or tag of the repository any more",
        )
        .remedy("name another repository that has it, or let `snpforge lock --update` take the newest"))
    }

    /// Names at the repository and what they stand for.
    fn names(&self, url: &str, wanted: &[&str], cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        files::make_folder(&self.folder)?;
        let mut arguments = vec!["ls-remote", "--", url];
        arguments.extend(wanted);
        // Without a repository: there may be none for this URL yet.
        let command = self.runner.command(Path::new("/dev/null"), &arguments);
        let outcome = self.runner.run(command, ASKING, cancel, &|_| {}).map_err(|error| match error.kind() {
            Kind::Unavailable if error.object() == "git" && error.cause().starts_with("said") => {
                unavailable(url, "no answer")
            }
            _ => error,
        })?;
        if !outcome.status.success() {
            return Err(unavailable(url, &outcome.words));
        }
        let text = String::from_utf8_lossy(&outcome.output).into_owned();
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.filter(|(hash, _)| is_hash(hash)).map(|(hash, name)| (name.to_owned(), hash.to_owned())).collect())
    }
}

impl Git for Program {
    fn find(&self, url: &str, rev: &str, cancel: &Cancel) -> Result<Found> {
        check(url)?;
        check_revision(rev)?;
        if is_hash(rev) {
            return Ok(Found { commit: rev.to_owned(), reference: None });
        }
        self.door(url)?;
        let candidates = match rev {
            "HEAD" => vec![rev.to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/tags/{short}"), format!("refs/heads/{short}")],
        };
        let peeled: Vec<String> = candidates.iter().map(|name| format!("{name}^{{}}")).collect();
        let asked: Vec<&str> = candidates.iter().chain(&peeled).map(String::as_str).collect();
        let names = self.names(url, &asked, cancel)?;
        // An annotated tag stands for the commit it points to.
        let mut found = candidates.iter().filter_map(|name| {
            let commit = names.get(&format!("{name}^{{}}")).or_else(|| names.get(name))?;
            Some(Found { commit: commit.clone(), reference: Some(name.clone()) })
        });
        let object = || format!("`{rev}` of {url}");
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) if one.commit == other.commit => Ok(one),
            (Some(_), Some(_)) => Err(Error::new(Kind::Document, object(), "is a tag and a branch, which differ")
                .remedy(format!("write refs/tags/{rev} or refs/heads/{rev}"))),
            (None, _) => Err(Error::new(Kind::Gone, object(), "is neither a branch nor a tag there")
                .remedy("correct `rev` in the release file; an abbreviated commit must be written in full")),
        }
    }

    fn bring(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()> {
        check(url)?;
        if !is_hash(commit) {
            return Err(Error::new(Kind::Document, format!("commit `{commit}` of {url}"), "is no full hash"));
        }
        if self.has(url, commit, cancel)? {
            return Ok(());
        }
        self.door(url)?;
        let _lock = self.lock(url, commit, cancel)?;
        if self.has(url, commit, cancel)? {
            return Ok(());
        }
        let task = format!("git {url}");
        self.tell(Event::Begin { task: task.clone(), total: None, unit: Unit::Steps });
        self.fetch_commit(url, commit, reference, cancel)?;
        let kind = self.local(url, &["cat-file", "-t", commit], cancel)?;
        if kind.trim_ascii() != b"commit" {
            let cause = format!("is a {}, not a commit", String::from_utf8_lossy(kind.trim_ascii()));
            return Err(Error::new(Kind::Document, format!("`{commit}` of {url}"), cause)
                .remedy("write the hash of the commit itself"));
        }
        self.local(url, &["update-ref", &marker(commit), commit], cancel)?;
        self.tell(Event::End { task, outcome: format!("commit {commit}") });
        Ok(())
    }

    fn commit(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Commit> {
        self.read_commit(url, commit, cancel)
    }

    fn tree(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.read_tree(url, commit, cancel)
    }

    fn modules(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        self.read_modules(url, blob, cancel)
    }

    fn blobs(&self, url: &str, hashes: &[&str], take: &mut TakeBlob<'_>, cancel: &Cancel) -> Result<()> {
        self.read_blobs(url, hashes, take, cancel)
    }

    fn between(&self, url: &str, old: &str, new: &str, cancel: &Cancel) -> Result<Commits> {
        self.door(url)?;
        self.read_between(url, old, new, cancel)
    }
}

/// The ref that marks a commit as brought.
fn marker(commit: &str) -> String {
    format!("refs/brought/{commit}")
}

/// `Receiving objects:  45% (123/456), 1.2 MiB | 3 MiB/s`: done and total.
fn percent(line: &str) -> Option<(u64, u64)> {
    let inner = line.split_once("% (")?.1.split_once(')')?.0;
    let (done, total) = inner.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

fn unavailable(url: &str, words: &str) -> Error {
    Error::new(Kind::Unavailable, url, format!("git cannot reach the repository:\n  {words}"))
        .remedy("check the url, the network, http_proxy/https_proxy, or ssh keys; or try again")
}

pub(super) fn damaged(repository: &Path, url: &str, words: &str) -> Error {
    Error::new(Kind::Io, format!("copy of {url}"), format!("cannot be read:\n  {words}"))
        .remedy(format!("remove {} and run the command again", repository.display()))
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
