//! The root file system of an image that others made, from its layers: which paths there are once every layer lies on the
//! ones below it, as the OCI image specification says (`.wh.NAME` takes a path of the layers below away, `.wh..wh..opq` all
//! that they have in a folder). Layers are inputs from elsewhere: sizes are bounded, and what could write outside a root is
//! refused with the layer's digest and the path. [`Base::read`] learns the paths in one pass and the content of a few files in
//! a second, [`Base::contents`] gives the content of others. Knows nothing of packages' files and of what becomes of a path.
//!
//! Refused besides what a package must not hold: names and marks below a symbolic link (also one of a layer below), hard
//! links to other layers, a link in place of a file that is looked into, and a tar that has not the digest the image's
//! configuration says.
//!
//! Within: `layer` (one as it comes), `upper` (one by itself), `flatten` (one on others), `tree` (all paths in the end), `node`
//! (what is at one), `os_release` (the file's text).

mod flatten;
mod layer;
mod node;
mod os_release;
#[cfg(test)]
pub(crate) mod sample;
mod tree;
mod upper;

pub use layer::Layer;
pub use node::{Content, Node};

use super::LAYER_MAX;
use crate::cancel::{self, Cancel};
use crate::error::Result;
use crate::tarball::Body;
use flatten::Nodes;
use layer::{COPY_MAX, KNOWN_LAYER, LAYER};
use std::collections::BTreeMap;
use std::io::Read;
use tree::Tree;
use upper::Upper;

/// Bytes of the files of an image that are looked into. A desktop's package lists have 15 MiB.
const TEXT_MAX: u64 = 64 << 20;
/// What to do about an image that is refused.
pub const REMEDY: &str = "do not use this image; name another one, or ask who made it";

/// The root file system of an image. Made by [`Base::read`] only.
pub struct Base {
    layers: Vec<Layer>,
    tree: Tree,
    /// What is looked into, once for each file, whatever the number of its paths.
    texts: BTreeMap<Content, Vec<u8>>,
}

impl Base {
    /// Learns what the layers, the lowest first, come to, and checks their digests.
    ///
    /// # Errors
    /// [`crate::error::Kind::Trust`] for a damaged or hostile layer, naming it and the path; [`crate::error::Kind::Io`] when
    /// one cannot be read, [`crate::error::Kind::Interrupted`].
    pub fn read(layers: Vec<Layer>, cancel: &Cancel) -> Result<Self> {
        Self::bounded(layers, LAYER_MAX, cancel)
    }

    fn bounded(layers: Vec<Layer>, limit: u64, cancel: &Cancel) -> Result<Self> {
        let mut nodes = Nodes::new();
        for (place, layer) in (0..).zip(&layers) {
            let mut upper = Upper::new(layer.name(), place);
            let found = layer.walk(&LAYER, limit, &mut |member| {
                cancel::check(cancel, &layer.name())?;
                upper.take(member)
            })?;
            if found != layer.diff_id {
                let cause = format!("its tar has sha256 {found}, the image's configuration says {}", layer.diff_id);
                return Err(LAYER.refused(&layer.name(), cause));
            }
            nodes.put(upper)?;
        }
        let mut base = Base { layers, tree: Tree::new(nodes), texts: BTreeMap::new() };
        base.texts = base.look(cancel)?;
        Ok(base)
    }

    /// Reads the files that are looked into.
    fn look(&self, cancel: &Cancel) -> Result<BTreeMap<Content, Vec<u8>>> {
        let mut wished: Vec<(Content, &[u8])> =
            self.tree.read()?.into_iter().map(|(path, content)| (content, path)).collect();
        wished.sort_by_key(|(content, _)| *content);
        wished.dedup_by_key(|(content, _)| *content);
        let wished = wished.into_iter().map(|(content, path)| (content, (content, path))).collect();
        let (mut texts, mut left) = (BTreeMap::new(), TEXT_MAX);
        let progress = || cancel::check(cancel, "base image");
        self.contents(wished, &progress, &mut |&(content, path), size, bytes| {
            let layer = self.layers[content.layer as usize].name();
            left = left.checked_sub(size).ok_or_else(|| {
                let path = String::from_utf8_lossy(path);
                let cause = "with it, the files that say what the image is have more than";
                LAYER.refused(&layer, format!("member `{path}`: {cause} {TEXT_MAX} bytes"))
            })?;
            // It was bounded just now; a buffer that grows would keep up to twice of it.
            let mut text = Vec::with_capacity(size as usize);
            bytes.read_to_end(&mut text).map_err(|error| LAYER.failed(&layer, error))?;
            texts.insert(content, text);
            Ok(())
        })?;
        Ok(texts)
    }

    /// All paths in their order.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.tree.iter()
    }

    /// What is at a path.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.tree.get(path)
    }

    /// The content of a file, if it is one of those that are looked into: os-release, account tables, the package database's
    /// status, diversions, lists and triggers.
    pub fn text(&self, path: &str) -> Option<&[u8]> {
        match self.node(path.as_bytes())? {
            Node::File { content, .. } => self.texts.get(content).map(Vec::as_slice),
            Node::Folder { .. } | Node::Symlink { .. } => None,
        }
    }

    /// What the image says of itself: etc/os-release, else usr/lib/os-release, which the first may be a link to.
    pub fn os_release(&self) -> Option<BTreeMap<String, String>> {
        let text = self.text("etc/os-release").or_else(|| self.text("usr/lib/os-release"))?;
        Some(os_release::read(&String::from_utf8_lossy(text)))
    }

    /// Reads the content of the wished files, in the order of layers and of their members, and hands it to `take`, once for
    /// each thing that was wished for with it: the first of them in a first pass over the layer, the others in a second.
    /// Calls `progress` at every member.
    ///
    /// # Errors
    /// [`crate::error::Kind::Trust`] when a large file has too many paths, else as [`Base::read`]; whatever `progress` and
    /// `take` fail with.
    pub fn contents<T>(
        &self,
        mut wished: Vec<(Content, T)>,
        progress: &dyn Fn() -> Result<()>,
        take: &mut dyn FnMut(&T, u64, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        wished.sort_by_key(|(content, _)| *content);
        for wished in wished.chunk_by(|(a, _), (b, _)| a.layer == b.layer) {
            let layer = &self.layers[wished[0].0.layer as usize];
            let mut files: Vec<&[(Content, T)]> = wished.chunk_by(|(a, _), (b, _)| a == b).collect();
            let mut is_first = true;
            while !files.is_empty() {
                let (mut count, mut next) = (0, files.iter_mut().peekable());
                layer.walk(&KNOWN_LAYER, LAYER_MAX, &mut |member| {
                    progress()?;
                    let Body::File { size, content } = member.body else { return Ok(()) };
                    let file = next.next_if(|file| file[0].0.member == count);
                    count += 1;
                    let Some(file) = file else { return Ok(()) };
                    if is_first {
                        layer.bound(&member.path, size, file.len())?;
                    }
                    let (now, later) = file.split_at(if is_first || size > COPY_MAX { 1 } else { file.len() });
                    *file = later;
                    layer.serve(now, size, content, take)
                })?;
                files.retain(|file| !file.is_empty());
                is_first = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::layer::PASSES_MAX;
    use super::sample::{base, file, folder, hard, pax, refused};
    use super::*;
    use crate::compress::Format;
    use crate::digest::Digest;
    use crate::error::{Error, Kind};
    use std::io;

    /// Path and content of all files, in the order in which they are handed out.
    fn contents(base: &Base, progress: &dyn Fn() -> Result<()>) -> Result<Vec<(String, Vec<u8>)>> {
        let mut wished = Vec::new();
        for (path, node) in base.nodes() {
            let Node::File { content, .. } = node else { continue };
            wished.push((*content, String::from_utf8_lossy(path).into_owned()));
        }
        let mut found = Vec::new();
        base.contents(wished, progress, &mut |path, size, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, size, "{path}");
            found.push((path.clone(), bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn a_file_has_many_paths() {
        let large = vec![7; COPY_MAX as usize + 1];
        let mut members = vec![file("a", "a's"), file("large", &large), file("z", "z's")];
        members.extend((0..400).map(|count| hard(&format!("a{count:03}"), "a")));
        members.extend([hard("large2", "large"), hard("large3", "large")]);
        let base = base(&[members]).unwrap();
        let passes = std::cell::Cell::new(0);
        let count = || {
            passes.set(passes.get() + 1);
            Ok(())
        };
        let found = contents(&base, &count).unwrap();
        let first: Vec<&str> = found.iter().take(5).map(|(path, _)| path.as_str()).collect();
        assert_eq!(first, ["a", "large", "z", "a000", "a001"], "one path of each, then the others");
        assert_eq!(found.len(), 3 + 400 + 2);
        assert!(found.iter().filter(|(path, _)| path.starts_with('a')).all(|(_, content)| content == b"a's"));
        assert!(found.iter().filter(|(path, _)| path.starts_with("large")).all(|(_, content)| *content == large));
        assert_eq!(passes.get(), 3 * 405, "the first pass, one for all of a's links, one more for a large file");
        let error = contents(&base, &|| Err(Error::new(Kind::Interrupted, "x", "interrupted"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }

    #[test]
    fn passes_are_bounded() {
        let base = base(&[vec![]]).unwrap();
        let layer = &base.layers[0];
        let error = layer.bound(b"a", COPY_MAX + 1, PASSES_MAX + 1).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Trust, layer.name().as_str()));
        assert_eq!(error.cause(), "member `a`: has more than 256 hard links to it and more than 8388608 bytes");
        layer.bound(b"a", COPY_MAX + 1, PASSES_MAX).unwrap();
        layer.bound(b"a", COPY_MAX, 1_000_000).unwrap();
    }

    #[test]
    fn what_engines_write_is_read() {
        let pax_record = b"27 SCHILY.xattr.user.x=a\nb\n34 path=usr/bin/of-the-pax-header\n".as_slice();
        let found = base(&[vec![
            folder("/"),
            pax(pax_record),
            file("short", "x"),
            file("/absolute", "y"),
            hard("/hard", "/absolute"),
            file("twice", "first"),
            hard("of-the-first", "twice"),
            file("twice", "second"),
        ]])
        .unwrap();
        let mut all = contents(&found, &|| Ok(())).unwrap();
        all.sort();
        let all: Vec<(&str, &[u8])> = all.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
        let expected: [(&str, &[u8]); 5] = [
            ("absolute", b"y"),
            ("hard", b"y"),
            ("of-the-first", b"first"),
            ("twice", b"second"),
            ("usr/bin/of-the-pax-header", b"x"),
        ];
        assert_eq!(all, expected);
        for damaged in
            ["0 a=b\n", "9 a=b\n", "5 a=b\n", "6 abc\n", "x", "6 a=bc", "99999999999999999999 a=b\n", "+6 a=b\n"]
        {
            refused(&[vec![pax(damaged.as_bytes()), file("x", "")]], &["damaged pax header"]);
        }
        refused(&[vec![file("a", ""), folder("a")]], &["member `a`", "is there twice"]);
        refused(&[vec![file("a/b", ""), file("a", "")]], &["member `a`", "is there twice"]);
        refused(&[vec![file("/", "")]], &["member `/`", "a slash at its end"]);
        refused(&[vec![file("/a/../b", "")]], &["leads out of the root"]);
    }

    #[test]
    fn a_small_layer_cannot_become_a_large_one() {
        let packed = zstd::encode_all(&vec![0; 1 << 20][..], 3).unwrap();
        let layer = Layer {
            sha256: Digest::of(&packed),
            diff_id: Digest::of(b""),
            format: Format::Zstd,
            open: Box::new(move || Ok(Box::new(io::Cursor::new(packed.clone())))),
        };
        let error = Base::bounded(vec![layer], 1000, &Cancel::new()).err().unwrap();
        assert!(error.kind() == Kind::Trust && error.cause().contains("more than the 1000 bytes"), "{error}");
        assert!(error.object().starts_with("layer sha256:"), "{error}");
    }
}
