//! Tars that others made, read into a [`Spool`]: any order, any compression, hostile members refused by name.

use super::name::{check_link, clean, shown};
use super::spool::{Node, Spool};
use crate::cancel::{Cancel, check};
use crate::compress;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tar::EntryType;

/// More than any source unpacks to (linux: 1.5 GB): a tar that gives more is damaged or hostile.
const LARGEST: u64 = 64 << 30;

/// What can be done about bytes that are no tar.
const REMEDY: &str =
    "plain tars and those packed with gzip, xz, zstd or bzip2 are read: name a URL that serves one, with its sha256";

/// What a tar held.
pub(super) struct Members {
    /// Its entries, their contents in the spool.
    pub(super) nodes: BTreeMap<Vec<u8>, Node>,
    /// The newest time of an entry.
    pub(super) newest: u64,
}

/// Reads the tar in the store's file `path`, published as `name`, compressed in whatever known way.
///
/// # Errors
/// [`Kind::Document`] for what is no tar, is damaged, or has a member that would leave its folder or is no file,
/// folder or link; [`Kind::Io`] when this machine fails, which the operating system says and no tar does.
pub(super) fn read(path: &Path, name: &str, spool: &mut Spool, cancel: &Cancel) -> Result<Members> {
    let file = File::open(path).map_err(|error| Error::io(path, "open", error))?;
    let damaged = |error: std::io::Error| {
        if error.raw_os_error().is_some() {
            return Error::io(path, "unpack", error);
        }
        Error::new(Kind::Document, name, format!("cannot be read as a tar: {error}")).remedy(REMEDY)
    };
    let plain = compress::reader(Box::new(file), None, LARGEST).map_err(damaged)?;
    let mut archive = tar::Archive::new(plain);
    let mut members = Members { nodes: BTreeMap::new(), newest: 0 };
    for entry in archive.entries().map_err(damaged)? {
        check(cancel, name)?;
        let mut entry = entry.map_err(damaged)?;
        take(&mut entry, name, spool, &mut members, &damaged)?;
    }
    if members.nodes.is_empty() {
        return Err(Error::new(Kind::Document, name, "is no tar, or an empty one").remedy(REMEDY));
    }
    Ok(members)
}

fn take<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &str,
    spool: &mut Spool,
    members: &mut Members,
    damaged: &dyn Fn(std::io::Error) -> Error,
) -> Result<()> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        // `git archive` writes the commit there.
        return Ok(());
    }
    let raw = entry.path_bytes().into_owned();
    let refuse = |cause: &str| Error::new(Kind::Document, name, format!("member `{}` {cause}", shown(&raw)));
    let path = clean(&raw).map_err(refuse)?;
    members.newest = members.newest.max(entry.header().mtime().unwrap_or(0));
    if path.is_empty() {
        return Ok(());
    }
    let node = match kind {
        // Tars older than POSIX mark folders by a slash only.
        EntryType::Regular if raw.ends_with(b"/") => Node::Folder,
        EntryType::Directory => Node::Folder,
        EntryType::Regular | EntryType::Continuous => {
            let executable = entry.header().mode().map_err(damaged)? & 0o100 != 0;
            Node::File { content: spool.keep(entry).map_err(damaged)?, executable }
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
            Node::Link(target)
        }
        EntryType::Link => {
            let target = clean(&entry.link_name_bytes().unwrap_or_default()).map_err(refuse)?;
            let Some(node @ (Node::File { .. } | Node::Link(_))) = members.nodes.get(&target) else {
                return Err(refuse(&format!("is a hard link to `{}`, which is no earlier file", shown(&target))));
            };
            node.clone()
        }
        other => return Err(refuse(&format!("is of type {other:?}, which no source has"))),
    };
    members.nodes.insert(path, node);
    Ok(())
}

impl Members {
    /// Takes the top folder away when there is exactly one name at the top and it is a folder, as release tarballs
    /// have it.
    pub(super) fn without_top(mut self) -> Self {
        let tops: std::collections::BTreeSet<Vec<u8>> = self
            .nodes
            .keys()
            .map(|path| path.split(|byte| *byte == b'/').next().unwrap_or_default().to_vec())
            .collect();
        let mut tops = tops.into_iter();
        let (Some(top), None) = (tops.next(), tops.next()) else { return self };
        if !matches!(self.nodes.get(&top), None | Some(Node::Folder)) {
            return self;
        }
        let below = std::mem::take(&mut self.nodes).into_iter();
        self.nodes =
            below.filter_map(|(path, node)| path.get(top.len() + 1..).map(|rest| (rest.to_vec(), node))).collect();
        self
    }

    /// Refuses links that climb out, after it is settled where the top is.
    pub(super) fn check_links(self, name: &str) -> Result<Self> {
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node {
                check_link(path, target).map_err(|cause| {
                    let cause = format!("member `{}` {cause}: `{}`", shown(path), shown(target));
                    Error::new(Kind::Document, name, cause)
                })?;
            }
        }
        Ok(self)
    }
}
