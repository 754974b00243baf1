//! One layer on top of others.

use super::node::Node;
use super::upper::{NAMES_MAX, Upper};
use crate::error::Result;
use crate::tarball::parents;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Paths of a whole image: as many as of one package.
const NODES_MAX: usize = 1_000_000;
/// Bytes of their files. A hard link counts as a file, for it becomes one: so this is what an image can have written to the
/// disk, however few bytes its layers have. Seven times the root that all components are built in (`images/debian-12`, 0.56
/// GB): far above what a base for such a root brings.
const FILES_MAX: u64 = 4 << 30;
/// All paths of some layers.
pub(super) struct Nodes {
    paths: BTreeMap<Box<[u8]>, Node>,
    /// Bytes that names may still have.
    left: usize,
    /// Bytes that files may still have.
    files: u64,
}

impl Nodes {
    pub(super) fn new() -> Self {
        Nodes { paths: BTreeMap::new(), left: NAMES_MAX, files: FILES_MAX }
    }

    /// All paths in their order.
    pub(super) fn into_paths(self) -> BTreeMap<Box<[u8]>, Node> {
        self.paths
    }

    fn get(&self, path: &[u8]) -> Option<&Node> {
        self.paths.get(path)
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
                self.insert(&upper, parent.into(), Node::Folder { mode: 0o755 })?;
            }
            if !matches!(node, Node::Folder { .. }) {
                self.empty(&path);
            }
            self.insert(&upper, path, node)?;
        }
        Ok(())
    }

    fn insert(&mut self, upper: &Upper, path: Box<[u8]>, node: Node) -> Result<()> {
        if self.paths.len() >= NODES_MAX {
            return Err(upper.refuse(&path, format!("the image has more than {NODES_MAX} paths")));
        }
        self.remove(&path);
        self.left = self.left.checked_sub(node.weight(&path)).ok_or_else(|| {
            upper.refuse(&path, format!("names and targets of links of the image have more than {NAMES_MAX} bytes"))
        })?;
        self.files = self.files.checked_sub(node.size()).ok_or_else(|| {
            let cause = "with it, the files of the image have more than";
            upper.refuse(
                &path,
                format!("{cause} {FILES_MAX} bytes; every hard link counts as a file, for it becomes one"),
            )
        })?;
        self.paths.insert(path, node);
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        if let Some(node) = self.paths.remove(path) {
            self.left += node.weight(path);
            self.files += node.size();
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
        let below: Vec<Box<[u8]>> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.remove(&path);
        }
    }

    /// All that lies below a path.
    fn below(&self, path: &[u8]) -> impl Iterator<Item = (&Box<[u8]>, &Node)> {
        // In the order of bytes, 0 follows the slash.
        let (first, end) = ([path, b"/"].concat(), [path, b"0"].concat());
        self.paths.range::<[u8], _>((Bound::Included(first.as_slice()), Bound::Excluded(end.as_slice())))
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

#[cfg(test)]
mod tests {
    use super::{Nodes, Upper};
    use crate::error::{Kind, Result};
    use crate::oci::base::Base;
    use crate::oci::base::sample::{base, file, folder, hard, refused, symlink};
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
            let mut upper = Upper::new("layer x".into(), 0);
            upper.left = left;
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
    fn bytes_of_files_are_bounded_over_all_layers() {
        /// Files of so many bytes each, and hard links to the first.
        fn upper(files: &[(&str, u64)], links: &[&str]) -> Upper {
            fn member<'a>(path: &str, body: Body<'a>) -> tarball::Member<'a> {
                tarball::Member { path: path.into(), mode: 0o644, mtime: 0, body }
            }
            let mut upper = Upper::new("layer x".into(), 0);
            for (path, size) in files {
                upper.take(member(path, Body::File { size: *size, content: &mut std::io::empty() })).unwrap();
            }
            for link in links {
                upper.take(member(link, Body::HardLink(files[0].0.into()))).unwrap();
            }
            upper
        }
        let mut nodes = Nodes { files: 9, ..Nodes::new() };
        nodes.put(upper(&[("a", 4)], &["b"])).unwrap();
        // What an upper layer replaces or takes away is not written.
        nodes.put(upper(&[("a", 5)], &[])).unwrap();
        nodes.put(upper(&[(".wh.b", 0), ("c", 4)], &[])).unwrap();
        nodes.put(upper(&[("c", 2)], &["d"])).unwrap();
        let error = nodes.put(upper(&[("e", 1)], &[])).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Trust, "layer x"));
        let cause = "member `e`: with it, the files of the image have more than 4294967296 bytes; every hard link counts as \
                     a file, for it becomes one";
        assert_eq!(error.cause(), cause);
        assert!(error.remedy_text().unwrap().contains("name another one"), "{error}");
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
}
