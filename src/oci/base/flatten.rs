//! One layer on top of others.

use super::refused;
use crate::deb::{self, Body, Member};
use crate::error::Result;
use std::collections::BTreeMap;

/// Bytes of all files of a layer whose content is kept. A desktop's package lists have 15 MiB.
const TEXT_MAX: u64 = 64 << 20;
/// Paths of a whole image: as of one package.
const NODES_MAX: usize = 1_000_000;
/// A file of this beginning takes away what its name goes on with.
const WHITEOUT: &[u8] = b".wh.";
/// In a folder: nothing of the layers below is left in it.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Beginning of the names that aufs, an old way to stack folders, kept for itself.
const AUFS: &[u8] = b".wh..wh.";

/// Where the content of a file is: the layer, and which of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub(super) layer: usize,
    pub(super) member: usize,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder {
        /// Permission bits (12 bits).
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Its target as it stands in the layer.
        target: Vec<u8>,
        /// Seconds since 1970.
        mtime: u64,
    },
    /// A regular file.
    File {
        /// Permission bits (12 bits).
        mode: u32,
        /// Seconds since 1970.
        mtime: u64,
        /// Where its bytes are.
        content: Content,
        /// Its bytes, for the few files that are looked into.
        text: Option<Vec<u8>>,
    },
}

/// All paths of some layers.
#[derive(Default)]
pub(super) struct Nodes(BTreeMap<Vec<u8>, Node>);

/// One layer, before it is put on others.
pub(super) struct Upper {
    layer: String,
    place: usize,
    members: usize,
    /// Bytes that are kept so far.
    kept: u64,
    nodes: BTreeMap<Vec<u8>, Node>,
    removed: Vec<Vec<u8>>,
    opaque: Vec<Vec<u8>>,
}

impl Upper {
    pub(super) fn new(layer: String, place: usize) -> Self {
        Upper { layer, place, members: 0, kept: 0, nodes: BTreeMap::new(), removed: Vec::new(), opaque: Vec::new() }
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
            Body::Symlink(target) => Node::Symlink { target, mtime },
            Body::File { size, content } => {
                let mut text = None;
                if is_kept(&path) {
                    self.kept = self.kept.saturating_add(size);
                    if self.kept > TEXT_MAX {
                        return Err(self.refuse(&path, format!("with it, such files have more than {TEXT_MAX} bytes")));
                    }
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes).map_err(|error| deb::failed(&self.layer, error))?;
                    text = Some(bytes);
                }
                Node::File { mode, mtime, content: Content { layer: self.place, member: number }, text }
            }
            Body::HardLink(target) => match self.nodes.get(&target) {
                Some(file @ Node::File { .. }) => file.clone(),
                _ => return Err(self.refuse(&path, "hard link to what is no file".into())),
            },
        };
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Whether a path only says what becomes of the layers below.
    fn is_mark(&mut self, path: &[u8]) -> Result<bool> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        if name == OPAQUE {
            self.opaque.push(folder.to_vec());
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
        self.removed.push(removed);
        Ok(true)
    }

    fn refuse(&self, path: &[u8], cause: String) -> crate::error::Error {
        refused(&self.layer, format!("member `{}`: {cause}", String::from_utf8_lossy(path)))
    }
}

impl Nodes {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.0.iter().map(|(path, node)| (path.as_slice(), node))
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.0.get(path)
    }

    /// Puts a layer on top. Marks only concern what is below; in the order of paths, folders come before what they hold.
    pub(super) fn put(&mut self, mut upper: Upper) -> Result<()> {
        for path in &upper.removed {
            self.0.remove(path);
            self.empty(path);
        }
        for folder in &upper.opaque {
            self.empty(folder);
        }
        for (path, node) in std::mem::take(&mut upper.nodes) {
            for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                let parent = &path[..at];
                match self.0.get(parent) {
                    Some(Node::Folder { .. }) => {}
                    Some(Node::Symlink { target, .. }) => {
                        let (parent, target) = (String::from_utf8_lossy(parent), String::from_utf8_lossy(target));
                        let cause = format!("lies below the symbolic link `{parent}` to `{target}` of a layer below");
                        return Err(upper.refuse(&path, cause));
                    }
                    Some(Node::File { .. }) => {
                        let parent = String::from_utf8_lossy(parent);
                        let cause = format!("lies below the file `{parent}` of a layer below");
                        return Err(upper.refuse(&path, cause));
                    }
                    None => drop(self.0.insert(parent.to_vec(), Node::Folder { mode: 0o755 })),
                }
            }
            if !matches!(node, Node::Folder { .. }) {
                self.empty(&path);
            }
            if self.0.len() >= NODES_MAX {
                return Err(upper.refuse(&path, format!("the image has more than {NODES_MAX} paths")));
            }
            self.0.insert(path, node);
        }
        Ok(())
    }

    /// Removes all that lies below a path.
    fn empty(&mut self, path: &[u8]) {
        if path.is_empty() {
            self.0.clear();
            return;
        }
        // What follows the slash in the order of bytes.
        let (first, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        let below: Vec<Vec<u8>> = self.0.range(first..end).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.0.remove(&path);
        }
    }
}

/// The files that are looked into.
fn is_kept(path: &[u8]) -> bool {
    const KEPT: [&[u8]; 6] = [
        b"etc/os-release",
        b"usr/lib/os-release",
        b"etc/passwd",
        b"etc/group",
        b"var/lib/dpkg/status",
        b"var/lib/dpkg/diversions",
    ];
    KEPT.contains(&path)
        || path
            .strip_prefix(b"var/lib/dpkg/info/")
            .is_some_and(|name| !name.contains(&b'/') && (name.ends_with(b".list") || name.ends_with(b".triggers")))
}
