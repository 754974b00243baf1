//! Reading commits, trees and blobs out of the store's copy of a repository. Nothing here has network.

use super::address::is_hash;
use super::repository::{LOCAL, Program, damaged};
use super::running::{Running, not_started};
use super::{Commit, Entry, EntryKind, TakeBlob};
use crate::cancel::{self, Cancel};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

impl Program {
    pub(super) fn read_commit(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Commit> {
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

    pub(super) fn read_tree(&self, url: &str, commit: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
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

    pub(super) fn read_modules(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
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

    pub(super) fn read_blobs(
        &self,
        url: &str,
        hashes: &[&str],
        take: &mut TakeBlob<'_>,
        cancel: &Cancel,
    ) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let hash = "a".repeat(40);
        let line = format!("160000 commit {hash}\tsub dir/x");
        let expected = Entry { path: b"sub dir/x".to_vec(), kind: EntryKind::Submodule, hash };
        assert_eq!(entry(line.as_bytes()), Some(expected));
        assert_eq!(entry(b"100700 blob x"), None);
    }
}
