//! A source tree on its way to its normal form: entries in memory by path, contents in one unnamed file of the store,
//! so that memory is bounded by the number of entries and a killed run leaves nothing behind.
//!
//! Normal form (part of [`crate::lock::FORMAT`]): every entry below `FOLDER/`, an entry for each folder, sorted by the
//! bytes of the whole path (without the slash at a folder's end), modes 0755 for folders and what its owner may
//! execute, 0644 for other files, owner 0, one time for everything, symbolic links as they are, hard links as copies.

use super::{Made, Promised};
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::store::Store;
use crate::tarball::{Attributes, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A tree that is being collected. Paths are relative, without `.`, `..` or empty parts: callers see to that with
/// [`super::name::clean`].
pub(super) struct Spool {
    /// What the tree is called in errors.
    name: String,
    store: Store,
    contents: BufWriter<File>,
    end: u64,
    nodes: BTreeMap<Vec<u8>, Node>,
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File { content: Content, executable: bool },
    Link(Vec<u8>),
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// In the spool.
    Spooled { at: u64, size: u64 },
    /// In a file of this machine.
    Outside { path: PathBuf, size: u64 },
}

impl Spool {
    /// An empty tree; `name` is shown in errors.
    pub(super) fn new(store: &Store, name: &str) -> Result<Self> {
        let contents = BufWriter::with_capacity(1 << 20, store.unnamed()?);
        Ok(Spool { name: name.to_owned(), store: store.clone(), contents, end: 0, nodes: BTreeMap::new() })
    }

    /// Takes the bytes of a file in, without giving it a place in the tree yet.
    pub(super) fn keep(&mut self, content: &mut dyn Read) -> std::io::Result<Content> {
        let size = std::io::copy(content, &mut self.contents)?;
        let at = self.end;
        self.end += size;
        Ok(Content::Spooled { at, size })
    }

    /// Puts an entry in; a later one of the same path replaces an earlier one.
    pub(super) fn put(&mut self, path: Vec<u8>, node: Node) {
        self.nodes.insert(path, node);
    }

    /// Puts a whole tree below `folder` (empty: at the top).
    pub(super) fn graft(&mut self, folder: &[u8], nodes: BTreeMap<Vec<u8>, Node>) {
        if self.nodes.is_empty() && folder.is_empty() {
            self.nodes = nodes;
            return;
        }
        for (path, node) in nodes {
            let below = [folder, if folder.is_empty() { b"" } else { b"/" }, path.as_slice()].concat();
            self.nodes.insert(below, node);
        }
    }

    /// Takes the folder out with all that is in it.
    pub(super) fn cut(&mut self, folder: &[u8]) {
        let below = [folder, b"/"].concat();
        self.nodes.retain(|path, _| path != folder && !path.starts_with(&below));
    }

    /// Writes the tree in its normal form into the store. With `promised`, it must have that digest.
    ///
    /// # Errors
    /// [`Kind::Document`] when the tree is empty or an entry lies below something that is no folder, [`Kind::Trust`]
    /// when the digest is another, [`Kind::Io`] when this machine fails.
    pub(super) fn write(mut self, folder: &str, epoch: Epoch, promised: Option<Promised>) -> Result<Made> {
        let promised = promised.map(|promised| promised.digest);
        if self.nodes.is_empty() {
            return Err(Error::new(Kind::Document, &self.name, "has no files in it"));
        }
        self.add_parents()?;
        let spooled = |error| Error::io(self.store.root(), "write a source in", error);
        let contents = self.contents.into_inner().map_err(|error| spooled(error.into_error()))?;
        let attributes = |mode| Attributes { mode, mtime: epoch.0, owner: 0 };
        let mut tar = Writer::new(self.store.writer()?);
        tar.folder(folder.as_bytes(), attributes(0o755)).map_err(spooled)?;
        for (path, node) in &self.nodes {
            let path = [folder.as_bytes(), b"/", path].concat();
            match node {
                Node::Folder => tar.folder(&path, attributes(0o755)).map_err(spooled)?,
                Node::Link(target) => tar.symlink(&path, target, attributes(0o777)).map_err(spooled)?,
                Node::File { content, executable } => {
                    let attributes = attributes(if *executable { 0o755 } else { 0o644 });
                    file(&mut tar, &path, attributes, content, &contents, self.store.root())?;
                }
            }
        }
        let blob = tar.finish().map_err(spooled)?;
        match (blob.commit(promised.as_ref()), promised) {
            (Ok((digest, _)), _) => Ok(Made { epoch, digest }),
            (Err(error), Some(promised)) if error.kind() == Kind::Trust => Err(changed(&self.name, &promised, error)),
            (Err(error), _) => Err(error),
        }
    }

    /// Adds the folders that entries lie in, and refuses entries below files and links.
    fn add_parents(&mut self) -> Result<()> {
        let mut missing = BTreeMap::new();
        for path in self.nodes.keys() {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            for parent in slashes.map(|(at, _)| &path[..at]) {
                match self.nodes.get(parent) {
                    Some(Node::Folder) => {}
                    None => drop(missing.insert(parent.to_vec(), Node::Folder)),
                    Some(_) => {
                        let (path, parent) = (super::name::shown(path), super::name::shown(parent));
                        let cause = format!("`{path}` lies below `{parent}`, which is no folder");
                        return Err(Error::new(Kind::Document, &self.name, cause));
                    }
                }
            }
        }
        self.nodes.extend(missing);
        Ok(())
    }
}

fn file<W: Write>(
    tar: &mut Writer<W>,
    path: &[u8],
    attributes: Attributes,
    content: &Content,
    contents: &File,
    store: &Path,
) -> Result<()> {
    match content {
        Content::Spooled { at, size } => {
            let mut slice = Slice { file: contents, at: *at };
            tar.file(path, attributes, *size, &mut slice).map_err(|error| Error::io(store, "read a source in", error))
        }
        Content::Outside { path: outside, size } => {
            let packed = File::open(outside).and_then(|mut file| tar.file(path, attributes, *size, &mut file));
            packed.map_err(|error| Error::io(outside, "pack", error))
        }
    }
}

fn changed(name: &str, promised: &Digest, error: Error) -> Error {
    let format = crate::lock::FORMAT;
    let cause = format!("its normal form (format {format}) should have sha256 {promised}, but {}", error.cause());
    Error::new(Kind::Trust, name, cause)
        .remedy(
            "if the lock was written by another snpforge version, run `snpforge lock --update`; else please report it",
        )
        .because(error)
}

/// The contents from an offset on, read without moving the file's own position.
struct Slice<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
