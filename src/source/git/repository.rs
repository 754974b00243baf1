//! The [`Git`] door through the `git` program: one bare repository per URL in the store holds what was fetched.

use super::address::{check, check_revision, is_hash};
use super::program::{Outcome, Runner, Running, not_started};
use super::{Commit, Entry, EntryKind, Found, Git, TakeBlob};
use crate::cancel::{self, Cancel};
use crate::date::Epoch;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Report, Unit};
use crate::store::{Store, files};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// For an answer about names: small, so silence means a dead host.
const ASKING: Duration = Duration::from_secs(20);
/// Silence during a transfer: the other side may count objects for long, but says so.
const FETCHING: Duration = Duration::from_secs(120);
/// For work on this machine, which says nothing on its way.
const LOCAL: Duration = Duration::from_secs(600);
/// Between two looks whether another process is done with a repository.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The door.
pub struct Program {
    runner: Runner,
    folder: PathBuf,
    report: Arc<dyn Report>,
}

impl Program {
    /// A door with its copies in `store`; `environment` says where git is and how to reach the world.
    pub fn new(store: &Store, environment: &Environment, report: Arc<dyn Report>) -> Self {
        Program { runner: Runner::new(environment), folder: store.root().join("git"), report }
    }

    fn repository(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.git", Digest::of(url.as_bytes())))
    }

    /// Runs git on this machine's copy; any failure is damage.
    fn local(&self, url: &str, arguments: &[&str], cancel: &Cancel) -> Result<Vec<u8>> {
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
                self.report.event(Event::Progress { task: task.clone(), done, total: Some(total), text: words });
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
        self.report.say(format!("{url}: gives no single commits or has moved on; fetching all of it"));
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
        check(url)?;
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
        let _lock = self.lock(url, commit, cancel)?;
        if self.has(url, commit, cancel)? {
            return Ok(());
        }
        let task = format!("git {url}");
        self.report.begin(&task, None, Unit::Steps);
        self.fetch_commit(url, commit, reference, cancel)?;
        let kind = self.local(url, &["cat-file", "-t", commit], cancel)?;
        if kind.trim_ascii() != b"commit" {
            let cause = format!("is a {}, not a commit", String::from_utf8_lossy(kind.trim_ascii()));
            return Err(Error::new(Kind::Document, format!("`{commit}` of {url}"), cause)
                .remedy("write the hash of the commit itself"));
        }
        self.local(url, &["update-ref", &marker(commit), commit], cancel)?;
        self.report.end(&task, format!("commit {commit}"));
        Ok(())
    }

    fn commit(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Commit> {
        let text = self.local(url, &["cat-file", "commit", commit], cancel)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let field =
            |name: &str| text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name));
        let tree = field("tree ").filter(|tree| is_hash(tree));
        // NAME <MAIL> SECONDS ZONE
        let time = field("committer ").and_then(|line| line.rsplit(' ').nth(1)).and_then(|time| time.parse().ok());
        match (tree, time) {
            (Some(tree), Some(time)) => Ok(Commit { tree: tree.to_owned(), time: Epoch(time) }),
            _ => Err(Error::new(Kind::Document, format!("commit {commit} of {url}"), "has no proper tree or date")),
        }
    }

    fn tree(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        let listing = self.local(url, &["ls-tree", "-r", "-z", "--full-tree", commit], cancel)?;
        let lines = listing.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                entry(line).ok_or_else(|| {
                    let line = String::from_utf8_lossy(line);
                    Error::new(
                        Kind::Document,
                        format!("commit {commit} of {url}"),
                        format!("has the odd entry `{line}`"),
                    )
                })
            })
            .collect()
    }

    fn modules(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        let arguments = ["config", "-z", "--blob", blob, "--get-regexp", r"^submodule\..*\.(path|url)$"];
        let outcome =
            self.runner.run(self.runner.command(&self.repository(url), &arguments), LOCAL, cancel, &|_| {})?;
        // 1 says that nothing matches (git-config(1)).
        if !outcome.status.success() && outcome.status.code() != Some(1) {
            return Err(Error::new(Kind::Document, format!(".gitmodules of {url}"), outcome.words));
        }
        let text = String::from_utf8_lossy(&outcome.output).into_owned();
        let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
        let mut urls: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, value) in text.split('\0').filter_map(|pair| pair.split_once('\n')) {
            let name = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.'));
            match name {
                Some((name, "path")) => drop(paths.insert(name, value)),
                Some((name, "url")) => drop(urls.insert(name, value)),
                _ => {}
            }
        }
        let both = paths.iter().filter_map(|(name, path)| urls.get(name).map(|url| (path, url)));
        Ok(both.map(|(path, url)| (path.trim_end_matches('/').to_owned(), (*url).to_owned())).collect())
    }

    fn blobs(&self, url: &str, hashes: &[&str], take: &mut TakeBlob<'_>, cancel: &Cancel) -> Result<()> {
        let repository = self.repository(url);
        let mut command = self.runner.command(&repository, &["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Running(command.spawn().map_err(not_started)?);
        let (Some(mut asking), Some(answers)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Err(damaged(&repository, url, "no pipes"));
        };
        let mut answers = BufReader::with_capacity(256 * 1024, answers);
        let failed = |error: std::io::Error| damaged(&repository, url, &error.to_string());
        for (place, hash) in hashes.iter().enumerate() {
            cancel::check(cancel, url)?;
            // One question at a time: neither side ever waits with a full pipe.
            writeln!(asking, "{hash}").map_err(failed)?;
            let mut head = String::new();
            answers.read_line(&mut head).map_err(failed)?;
            let size = head.trim_end().strip_prefix(&format!("{hash} blob ")).and_then(|size| size.parse().ok());
            let Some(size) = size else { return Err(damaged(&repository, url, head.trim_end())) };
            let mut content = answers.by_ref().take(size);
            take(place, &mut content)?;
            let left = std::io::copy(&mut content, &mut std::io::sink()).map_err(failed)?;
            let mut end = [0];
            answers.read_exact(&mut end).map_err(failed)?;
            if left != 0 || end != *b"\n" {
                return Err(damaged(&repository, url, "a blob of another length than announced"));
            }
        }
        Ok(())
    }
}

/// The ref that marks a commit as brought.
fn marker(commit: &str) -> String {
    format!("refs/brought/{commit}")
}

/// `MODE TYPE HASH<tab>PATH`
fn entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&line[..tab]).ok()?;
    let mut words = head.split(' ');
    let (mode, _, hash) = (words.next()?, words.next()?, words.next()?);
    let kind = match mode {
        "100644" | "100664" => EntryKind::File,
        "100755" => EntryKind::Executable,
        "120000" => EntryKind::Link,
        "160000" => EntryKind::Submodule,
        _ => return None,
    };
    Some(Entry { path: line[tab + 1..].to_vec(), kind, hash: hash.to_owned() })
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

fn damaged(repository: &Path, url: &str, words: &str) -> Error {
    Error::new(Kind::Io, format!("copy of {url}"), format!("cannot be read:\n  {words}"))
        .remedy(format!("remove {} and run the command again", repository.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_entries_are_read() {
        assert_eq!(percent("Receiving objects:  45% (123/456), 1.2 MiB | 3 MiB/s"), Some((123, 456)));
        assert_eq!(percent("remote: Enumerating objects: 5, done."), None);
        let hash = "a".repeat(40);
        let line = format!("160000 commit {hash}\tsub dir/x");
        let expected = Entry { path: b"sub dir/x".to_vec(), kind: EntryKind::Submodule, hash };
        assert_eq!(entry(line.as_bytes()), Some(expected));
        assert_eq!(entry(b"100700 blob x"), None);
    }
}
