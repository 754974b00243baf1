//! All paths of an image, once every layer is on the others. Honest images have 100 000 of them, and they are held while a
//! layer is made from them: so all names are in one piece, without a piece of memory for each.

use super::REMEDY;
use super::flatten::Nodes;
use super::node::{Content, Node};
use crate::error::{Error, Kind, Result};

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

/// What is at each path, in the order of paths.
pub(super) struct Tree {
    /// All paths, one after the other.
    names: Vec<u8>,
    /// Where in it each ends, the next begins.
    ends: Vec<usize>,
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn new(nodes: Nodes) -> Self {
        let paths = nodes.into_paths();
        let mut names = Vec::with_capacity(paths.keys().map(|path| path.len()).sum());
        let (mut ends, mut all) = (Vec::with_capacity(paths.len()), Vec::with_capacity(paths.len()));
        for (path, node) in paths {
            names.extend_from_slice(&path);
            ends.push(names.len());
            all.push(node);
        }
        Tree { names, ends, nodes: all }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.from(0)
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.from(self.place(path)).next().filter(|(found, _)| *found == path).map(|(_, node)| node)
    }

    /// The files that are looked into, with the place of their content: an image that has something else there would be
    /// read as if it had nothing.
    pub(super) fn read(&self) -> Result<Vec<(&[u8], Content)>> {
        for folder in FOLDERS {
            if let Some(cause) = self.get(folder).and_then(Node::no_folder) {
                return Err(unread(folder, cause));
            }
        }
        let in_database = self.from(self.place(b"var/lib/dpkg/info/"));
        let in_database = in_database.take_while(|(path, _)| path.starts_with(b"var/lib/dpkg/info/"));
        let in_database = in_database.filter(|(path, _)| path.ends_with(b".list") || path.ends_with(b".triggers"));
        let mut read = Vec::new();
        for (path, node) in READ.iter().filter_map(|path| Some((*path, self.get(path)?))).chain(in_database) {
            match node {
                Node::File { content, .. } => read.push((path, *content)),
                Node::Symlink { target, .. } if path == OS_RELEASE && OS_RELEASE_TARGETS.contains(&&**target) => {}
                Node::Symlink { .. } => return Err(unread(path, node.no_folder().unwrap_or_default())),
                Node::Folder { .. } => return Err(unread(path, "is a folder".into())),
            }
        }
        Ok(read)
    }

    /// Where a path is, or would be.
    fn place(&self, path: &[u8]) -> usize {
        let (mut first, mut end) = (0, self.nodes.len());
        while first < end {
            let middle = first.midpoint(end);
            if self.name(middle) < path { first = middle + 1 } else { end = middle }
        }
        first
    }

    /// All from a place on.
    fn from(&self, place: usize) -> impl Iterator<Item = (&[u8], &Node)> {
        (place..self.nodes.len()).map(|place| (self.name(place), &self.nodes[place]))
    }

    fn name(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start..self.ends[place]]
    }
}

fn unread(path: &[u8], cause: String) -> Error {
    let object = format!("/{} of the base image", String::from_utf8_lossy(path));
    Error::new(Kind::Trust, object, format!("{cause}; what an image says of itself must stand in files")).remedy(REMEDY)
}

#[cfg(test)]
mod tests {
    use crate::error::Kind;
    use crate::oci::base::sample::{Member, base, file, folder, symlink};

    const OS: &str = "ID=t\n";

    #[test]
    fn every_path_is_found_and_no_other() {
        let base = base(&[vec![file("b", ""), symlink("b.x", "b"), file("b0", ""), file("a/b", "")]]).unwrap();
        let paths: Vec<&[u8]> = base.nodes().map(|(path, _)| path).collect();
        assert_eq!(paths, [&b"a"[..], b"a/b", b"b", b"b.x", b"b0"]);
        for (path, node) in base.nodes() {
            assert_eq!(base.node(path), Some(node));
        }
        for path in [&b""[..], b"a/", b"a/a", b"a/b/", b"b.", b"c"] {
            assert_eq!(base.node(path), None);
        }
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
