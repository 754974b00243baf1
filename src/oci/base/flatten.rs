//! One layer on top of others.

use super::{LAYER, REMEDY};
use crate::error::{Error, Kind, Result};
use crate::tarball::{Body, Member, parents};
use std::collections::BTreeMap;

/// Paths of a whole image: as of one package.
const NODES_MAX: usize = 1_000_000;
/// Bytes of their names and of links' targets; the same for one layer.
const NAMES_MAX: usize = 256 << 20;
/// A file of this beginning takes away what its name goes on with.
const WHITEOUT: &[u8] = b".wh.";
/// In a folder: nothing of the layers below is left in it.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Beginning of the names that aufs, an old way to stack folders, kept for itself.
const AUFS: &[u8] = b".wh..wh.";

/// The files that are looked into, besides the package database's lists and triggers.
const READ: [&[u8]; 6] = [
    OS_RELEASE,
    b"usr/lib/os-release",
    b"etc/passwd",
    b"etc/group",
    b"var/lib/dpkg/status",
    b"var/lib/dpkg/diversions",
];
/// The one of them that may be a link, and what to.
const OS_RELEASE: &[u8] = b"etc/os-release";
const OS_RELEASE_TARGETS: [&[u8]; 2] = [b"../usr/lib/os-release", b"/usr/lib/os-release"];
/// The folders that they are in.
const FOLDERS: [&[u8]; 7] = [b"etc", b"usr", b"usr/lib", b"var", b"var/lib", b"var/lib/dpkg", b"var/lib/dpkg/info"];

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
    },
}

/// All paths of some layers.
pub(super) struct Nodes {
    paths: BTreeMap<Vec<u8>, Node>,
    /// Bytes that names may still have.
    left: usize,
}

/// One layer, before it is put on others.
pub(super) struct Upper {
    layer: String,
    place: usize,
    members: usize,
    /// Bytes that names may still have.
    left: usize,
    nodes: BTreeMap<Vec<u8>, Node>,
    /// Paths that are taken away, each with the member that says so.
    removed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Folders that are emptied, the same.
    opaque: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Upper {
    pub(super) fn new(layer: String, place: usize) -> Self {
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
            Body::Symlink(target) => Node::Symlink { target, mtime },
            Body::File { .. } => Node::File { mode, mtime, content: Content { layer: self.place, member: number } },
            Body::HardLink(target) => match self.nodes.get(&target) {
                Some(file @ Node::File { .. }) => file.clone(),
                _ => return Err(self.refuse(&path, "hard link to what is no file".into())),
            },
        };
        self.left = self.left.checked_sub(node.weight(&path)).ok_or_else(|| {
            self.refuse(&path, format!("names and targets of links of the layer have more than {NAMES_MAX} bytes"))
        })?;
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

    fn refuse(&self, path: &[u8], cause: String) -> Error {
        LAYER.refused(&self.layer, format!("member `{}`: {cause}", String::from_utf8_lossy(path)))
    }
}

impl Nodes {
    pub(super) fn new() -> Self {
        Nodes { paths: BTreeMap::new(), left: NAMES_MAX }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.paths.iter().map(|(path, node)| (path.as_slice(), node))
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.paths.get(path)
    }

    /// The files that are looked into, with the place of their content: an image that has something else there would be
    /// read as if it had nothing.
    pub(super) fn read(&self) -> Result<Vec<(&[u8], Content)>> {
        for folder in FOLDERS {
            if let Some(cause) = self.get(folder).and_then(Node::no_folder) {
                return Err(unread(folder, cause));
            }
        }
        let in_database = self.paths.range(b"var/lib/dpkg/info/".to_vec()..b"var/lib/dpkg/info0".to_vec());
        let in_database = in_database.filter(|(path, _)| path.ends_with(b".list") || path.ends_with(b".triggers"));
        let mut read = Vec::new();
        for (path, node) in READ.iter().filter_map(|path| self.paths.get_key_value(*path)).chain(in_database) {
            match node {
                Node::File { content, .. } => read.push((path.as_slice(), *content)),
                Node::Symlink { target, .. }
                    if path == OS_RELEASE && OS_RELEASE_TARGETS.contains(&target.as_slice()) => {}
                Node::Symlink { .. } => return Err(unread(path, node.no_folder().unwrap_or_default())),
                Node::Folder { .. } => return Err(unread(path, "is a folder".into())),
            }
        }
        Ok(read)
    }

    /// Puts a layer on top. Marks only concern what is below; in the order of paths, folders come before what they hold.
    pub(super) fn put(&mut self, mut upper: Upper) -> Result<()> {
        for (path, mark) in &upper.removed {
            self.check(&upper, mark)?;
            self.remove(path);
            self.empty(path);
        }
        for (folder, mark) in &upper.opaque {
            self.check(&upper, mark)?;
            self.empty(folder);
        }
        for (path, node) in std::mem::take(&mut upper.nodes) {
            // What is above a folder is folders only, so the nearest one decides.
            let mut missing = Vec::new();
            for parent in parents(&path) {
                match self.get(parent) {
                    None => missing.push(parent),
                    Some(Node::Folder { .. }) => break,
                    Some(node) => return Err(upper.refuse(&path, below(parent, node))),
                }
            }
            for parent in missing {
                self.insert(&upper, parent.to_vec(), Node::Folder { mode: 0o755 })?;
            }
            if !matches!(node, Node::Folder { .. }) {
                self.empty(&path);
            }
            self.insert(&upper, path, node)?;
        }
        Ok(())
    }

    fn insert(&mut self, upper: &Upper, path: Vec<u8>, node: Node) -> Result<()> {
        if self.paths.len() >= NODES_MAX {
            return Err(upper.refuse(&path, format!("the image has more than {NODES_MAX} paths")));
        }
        self.remove(&path);
        self.left = self.left.checked_sub(node.weight(&path)).ok_or_else(|| {
            upper.refuse(&path, format!("names and targets of links of the image have more than {NAMES_MAX} bytes"))
        })?;
        self.paths.insert(path, node);
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        if let Some(node) = self.paths.remove(path) {
            self.left += node.weight(path);
        }
    }

    /// Refuses a mark that others would follow a link to. Where the layer itself has a folder in place of the link, nothing
    /// is left to be marked.
    fn check(&self, upper: &Upper, mark: &[u8]) -> Result<()> {
        let nearest = parents(mark).find_map(|parent| self.get(parent).map(|node| (parent, node)));
        match nearest {
            Some((parent, node))
                if !matches!(node, Node::Folder { .. })
                    && !matches!(upper.nodes.get(parent), Some(Node::Folder { .. })) =>
            {
                Err(upper.refuse(mark, below(parent, node)))
            }
            _ => Ok(()),
        }
    }

    /// Removes all that lies below a path.
    fn empty(&mut self, path: &[u8]) {
        if path.is_empty() {
            *self = Nodes::new();
            return;
        }
        // What follows the slash in the order of bytes.
        let (first, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        let below: Vec<Vec<u8>> = self.paths.range(first..end).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.remove(&path);
        }
    }
}

impl Node {
    /// Bytes of its name and of what it links to.
    fn weight(&self, path: &[u8]) -> usize {
        match self {
            Node::Symlink { target, .. } => path.len() + target.len(),
            Node::Folder { .. } | Node::File { .. } => path.len(),
        }
    }

    /// What it is, if it is no folder.
    fn no_folder(&self) -> Option<String> {
        match self {
            Node::Folder { .. } => None,
            Node::Symlink { target, .. } => {
                Some(format!("is a symbolic link to `{}`", String::from_utf8_lossy(target)))
            }
            Node::File { .. } => Some("is a file".into()),
        }
    }
}

/// Why nothing can be at a place below `node`.
fn below(parent: &[u8], node: &Node) -> String {
    let parent = String::from_utf8_lossy(parent);
    match node {
        Node::Symlink { target, .. } => {
            format!("lies below the symbolic link `{parent}` to `{}` of a layer below", String::from_utf8_lossy(target))
        }
        _ => format!("lies below the file `{parent}` of a layer below"),
    }
}

fn unread(path: &[u8], cause: String) -> Error {
    let object = format!("/{} of the base image", String::from_utf8_lossy(path));
    Error::new(Kind::Trust, object, format!("{cause}; what an image says of itself must stand in files")).remedy(REMEDY)
}

#[cfg(test)]
mod tests {
    use super::{Nodes, Upper};
    use crate::error::{Kind, Result};
    use crate::oci::base::Base;
    use crate::oci::base::sample::{Member, base, file, folder, hard, refused, symlink};
    use crate::tarball::{self, Body};

    const OS: &str = "ID=t\n";

    fn paths(base: &Base) -> Vec<String> {
        base.nodes().map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect()
    }

    #[test]
    fn a_mark_below_a_link_of_a_lower_layer_is_refused() {
        let lower = || vec![symlink("lib", "usr/lib"), file("usr/lib/secret", "s"), file("file", "x")];
        let cause = "lies below the symbolic link `lib` to `usr/lib` of a layer below";
        for mark in ["lib/.wh.secret", "lib/d/.wh..wh..opq", "lib/.wh..wh..opq", "lib/a/b/.wh.c"] {
            refused(&[lower(), vec![file(mark, "")]], &[&format!("member `{mark}`"), cause]);
        }
        refused(&[lower(), vec![file("file/.wh.x", "")]], &["`file/.wh.x`", "below the file `file` of a layer below"]);
        // The upper layer has a folder in its place, or nothing: then there is nothing to mark.
        let folder_instead = base(&[lower(), vec![file("lib/.wh..wh..opq", ""), folder("lib"), file("lib/new", "")]]);
        assert_eq!(paths(&folder_instead.unwrap()), ["file", "lib", "lib/new", "usr", "usr/lib", "usr/lib/secret"]);
        let gone = base(&[lower(), vec![file("lib/.wh.x", ""), file(".wh.lib", "")]]);
        assert_eq!(paths(&gone.unwrap()), ["file", "usr", "usr/lib", "usr/lib/secret"]);
        let gone = base(&[lower(), vec![file("usr/lib/.wh.secret", "")]]);
        assert_eq!(paths(&gone.unwrap()), ["file", "lib", "usr", "usr/lib"]);
    }

    #[test]
    fn names_are_bounded() {
        fn upper(left: usize, members: &[(&str, &str)]) -> Result<Upper> {
            let mut upper = Upper { left, ..Upper::new("layer x".into(), 0) };
            for (path, target) in members {
                let body = Body::Symlink(target.as_bytes().to_vec());
                upper.take(tarball::Member { path: path.as_bytes().to_vec(), mode: 0o777, mtime: 0, body })?;
            }
            Ok(upper)
        }
        let error = upper(9, &[("a", "1234"), ("b", "1234")]).err().unwrap();
        assert_eq!(error.cause(), "member `b`: names and targets of links of the layer have more than 268435456 bytes");
        let mut nodes = Nodes { left: 9, ..Nodes::new() };
        nodes.put(upper(99, &[("a", "1234")]).unwrap()).unwrap();
        // What an upper layer replaces or takes away no longer counts.
        nodes.put(upper(99, &[("a", "12345678")]).unwrap()).unwrap();
        nodes.put(upper(99, &[(".wh.a", ""), ("b", "12345678")]).unwrap()).unwrap();
        let error = nodes.put(upper(99, &[("c/d", "")]).unwrap()).unwrap_err();
        assert_eq!(error.cause(), "member `c`: names and targets of links of the image have more than 268435456 bytes");
    }

    #[test]
    fn hard_links_are_read_whatever_the_name_of_the_first() {
        let members = vec![
            file("etc/passwd-", "root:x:0:0::/:/bin/sh\n"),
            hard("etc/passwd", "etc/passwd-"),
            file("var/lib/dpkg/saved", "Package: a\n"),
            hard("var/lib/dpkg/status", "var/lib/dpkg/saved"),
        ];
        let base = base(&[members, vec![file("etc/os-release", OS)]]).unwrap();
        assert_eq!(base.text("etc/passwd").unwrap(), b"root:x:0:0::/:/bin/sh\n");
        assert_eq!(base.text("var/lib/dpkg/status").unwrap(), b"Package: a\n");
        assert_eq!(base.os_release().unwrap()["ID"], "t");
        assert_eq!(base.text("var/lib/dpkg/diversions"), None);
    }

    #[test]
    fn texts_are_counted_once_and_over_the_whole_image() {
        let large = "\n".repeat(40 << 20);
        let mut links = vec![file("var/lib/dpkg/status", &large)];
        links.extend((0..100).map(|count| hard(&format!("var/lib/dpkg/info/{count}.list"), "var/lib/dpkg/status")));
        let read = base(&[links]).unwrap();
        assert_eq!(read.texts.len(), 1);
        assert_eq!(read.text("var/lib/dpkg/info/99.list").unwrap().len(), large.len());
        // What an upper layer replaces does not count; what it adds does.
        let status = || vec![file("var/lib/dpkg/status", &large)];
        assert_eq!(base(&[status(), status()]).unwrap().texts.len(), 1);
        let list = vec![file("var/lib/dpkg/info/a.list", &large)];
        refused(&[status(), list], &["member `var/lib/dpkg/info/a.list`", "more than 67108864 bytes"]);
    }

    #[test]
    fn what_is_looked_into_must_be_a_file() {
        let evil = || vec![symlink("etc/os-release", "/opt/real"), file("opt/real", "ID=evil\n")];
        let refused = |members: Vec<Member>, object: &str, cause: &str| {
            let error = base(&[members, vec![file("usr/lib/os-release", OS)]]).err().unwrap();
            assert!(error.kind() == Kind::Trust && error.object() == object, "{error}");
            assert!(error.cause().contains(cause), "{error}");
        };
        refused(evil(), "/etc/os-release of the base image", "is a symbolic link to `/opt/real`");
        for path in ["etc/passwd", "etc/group", "var/lib/dpkg/status", "var/lib/dpkg/info/a.list", "var/lib/dpkg"] {
            refused(vec![symlink(path, "x")], &format!("/{path} of the base image"), "is a symbolic link to `x`");
        }
        refused(vec![folder("etc/passwd")], "/etc/passwd of the base image", "is a folder");
        refused(vec![file("var/lib", "")], "/var/lib of the base image", "is a file");
        for target in ["../usr/lib/os-release", "/usr/lib/os-release"] {
            let base = base(&[vec![symlink("etc/os-release", target), file("usr/lib/os-release", OS)]]).unwrap();
            assert_eq!(base.os_release().unwrap()["ID"], "t", "{target}");
        }
        assert_eq!(base(&[vec![file("usr/lib/os-release", OS)]]).unwrap().os_release().unwrap()["ID"], "t");
    }
}
