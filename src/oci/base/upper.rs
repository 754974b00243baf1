//! One layer by itself: what its members put at paths, and what its marks take away from the layers below.

use super::layer::LAYER;
use super::node::{Content, Node};
use crate::error::{Error, Result};
use crate::tarball::{Body, Member};
use std::collections::BTreeMap;

/// Bytes of the names and of links' targets of one layer; of a whole image it is the same.
pub(super) const NAMES_MAX: usize = 256 << 20;
/// A file of this beginning takes away what its name goes on with.
const WHITEOUT: &[u8] = b".wh.";
/// In a folder: nothing of the layers below is left in it.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Beginning of the names that aufs, an old way to stack folders, kept for itself.
const AUFS: &[u8] = b".wh..wh.";

/// One layer, before it is put on others.
pub(super) struct Upper {
    layer: String,
    place: u32,
    members: u32,
    /// Bytes that names may still have.
    pub(super) left: usize,
    pub(super) nodes: BTreeMap<Box<[u8]>, Node>,
    /// Paths that are taken away, each with the member that says so.
    pub(super) removed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Folders that are emptied, the same.
    pub(super) opaque: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Upper {
    pub(super) fn new(layer: String, place: u32) -> Self {
        let (nodes, removed, opaque) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Upper { layer, place, members: 0, left: NAMES_MAX, nodes, removed, opaque }
    }

    /// Takes one member in.
    pub(super) fn take(&mut self, member: Member<'_>) -> Result<()> {
        let Member { path, mode, mtime, body } = member;
        let number = self.members;
        if let Body::File { .. } = body {
            self.members += 1;
        }
        if path.is_empty() || self.is_mark(&path)? {
            return Ok(());
        }
        let node = match body {
            Body::Folder => Node::Folder { mode },
            Body::Symlink(target) => Node::Symlink { target: target.into(), mtime },
            Body::File { size, .. } => {
                Node::File { mode, mtime, size, content: Content { layer: self.place, member: number } }
            }
            Body::HardLink(target) => match self.nodes.get(target.as_slice()) {
                Some(file @ Node::File { .. }) => file.clone(),
                _ => return Err(self.refuse(&path, "hard link to what is no file".into())),
            },
        };
        self.left = self.left.checked_sub(node.weight(&path)).ok_or_else(|| {
            self.refuse(&path, format!("names and targets of links of the layer have more than {NAMES_MAX} bytes"))
        })?;
        self.nodes.insert(path.into(), node);
        Ok(())
    }

    /// Whether a path only says what becomes of the layers below.
    fn is_mark(&mut self, path: &[u8]) -> Result<bool> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        if name == OPAQUE {
            self.opaque.insert(folder.to_vec(), path.to_vec());
            return Ok(true);
        }
        if path.split(|byte| *byte == b'/').any(|part| part.starts_with(AUFS)) {
            return Ok(true);
        }
        if folder.split(|byte| *byte == b'/').any(|part| part.starts_with(WHITEOUT)) {
            return Err(self.refuse(path, "lies below a mark that something is not there".into()));
        }
        let Some(gone) = name.strip_prefix(WHITEOUT) else { return Ok(false) };
        if [&b""[..], b".", b".."].contains(&gone) {
            return Err(self.refuse(path, "marks no name as not there".into()));
        }
        let mut removed = folder.to_vec();
        if !folder.is_empty() {
            removed.push(b'/');
        }
        removed.extend_from_slice(gone);
        self.removed.insert(removed, path.to_vec());
        Ok(true)
    }

    pub(super) fn refuse(&self, path: &[u8], cause: String) -> Error {
        LAYER.refused(&self.layer, format!("member `{}`: {cause}", String::from_utf8_lossy(path)))
    }
}
