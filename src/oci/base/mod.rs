//! The root file system of an image that others made, from its layers: which paths there are once every layer lies on the
//! ones below it, as the OCI image specification says (`.wh.NAME` takes a path of the layers below away, `.wh..wh..opq` all
//! that they have in a folder). Layers are inputs from elsewhere: sizes are bounded, and what could write outside a root is
//! refused with the layer's digest and the path. [`Base::read`] learns the paths in one pass and the content of a few files in
//! a second, [`Base::contents`] gives the content of others. Knows nothing of packages' files and of what becomes of a path.
//!
//! Refused besides what a package must not hold: names and marks below a symbolic link (also one of a layer below), hard
//! links to other layers, a link in place of a file that is looked into, and a tar that has not the digest the image's
//! configuration says.

mod flatten;
mod os_release;
#[cfg(test)]
pub(crate) mod sample;

pub use flatten::{Content, Node};

use super::LAYER_MAX;
use super::layer::Open;
use crate::cancel::{self, Cancel};
use crate::compress::{self, Format};
use crate::digest::{Digest, HashReader};
use crate::error::Result;
use crate::tarball::{self, Body, Dialect, Member};
use flatten::{Nodes, Upper};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

/// Bytes of the files of an image that are looked into. A desktop's package lists have 15 MiB.
const TEXT_MAX: u64 = 64 << 20;
/// Bytes of a file that is held while it is copied to all of its paths; a larger one takes a pass over the layer for each.
const COPY_MAX: u64 = 8 << 20;
/// Paths of such a larger file.
const PASSES_MAX: usize = 256;

/// What to do about an image that is refused.
pub const REMEDY: &str = "do not use this image; name another one, or ask who made it";

/// What container engines write. A folder is there again in many layers; what is done for each of the folders above a path
/// must stay little.
const LAYER: Dialect = Dialect { whole: "layer", remedy: REMEDY, has_pax: true, may_repeat: true, parts_max: 256 };

/// One layer. Its compressed bytes must be what their digest says: that is the caller's to check.
pub struct Layer {
    /// Digest of the compressed bytes, for messages.
    pub sha256: Digest,
    /// What the digest of the tar must be.
    pub diff_id: Digest,
    /// How it is packed.
    pub format: Format,
    /// The compressed bytes.
    pub open: Open,
}

/// The root file system of an image. Made by [`Base::read`] only.
pub struct Base {
    layers: Vec<Layer>,
    nodes: Nodes,
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
        for (place, layer) in layers.iter().enumerate() {
            let mut upper = Upper::new(layer.name(), place);
            let found = layer.walk(limit, &mut |member| {
                cancel::check(cancel, &layer.name())?;
                upper.take(member)
            })?;
            if found != layer.diff_id {
                let cause = format!("its tar has sha256 {found}, the image's configuration says {}", layer.diff_id);
                return Err(LAYER.refused(&layer.name(), cause));
            }
            nodes.put(upper)?;
        }
        let mut base = Base { layers, nodes, texts: BTreeMap::new() };
        base.texts = base.look(cancel)?;
        Ok(base)
    }

    /// Reads the files that are looked into.
    fn look(&self, cancel: &Cancel) -> Result<BTreeMap<Content, Vec<u8>>> {
        let mut wished: BTreeMap<Content, VecDeque<(Content, &[u8])>> = BTreeMap::new();
        for (path, content) in self.nodes.read()? {
            wished.entry(content).or_insert_with(|| VecDeque::from([(content, path)]));
        }
        let (mut texts, mut left) = (BTreeMap::new(), TEXT_MAX);
        let progress = || cancel::check(cancel, "base image");
        self.contents(wished, &progress, &mut |(content, path), size, bytes| {
            let layer = self.layers[content.layer].name();
            left = left.checked_sub(size).ok_or_else(|| {
                let path = String::from_utf8_lossy(path);
                let cause = "with it, the files that say what the image is have more than";
                LAYER.refused(&layer, format!("member `{path}`: {cause} {TEXT_MAX} bytes"))
            })?;
            let mut text = Vec::new();
            bytes.read_to_end(&mut text).map_err(|error| LAYER.failed(&layer, error))?;
            texts.insert(content, text);
            Ok(())
        })?;
        Ok(texts)
    }

    /// All paths in their order.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter()
    }

    /// What is at a path.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
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
    /// [`crate::error::Kind::Trust`] when copies of files come to too much, else as [`Base::read`]; whatever `progress` and
    /// `take` fail with.
    pub fn contents<T>(
        &self,
        wished: BTreeMap<Content, VecDeque<T>>,
        progress: &dyn Fn() -> Result<()>,
        take: &mut dyn FnMut(T, u64, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut by_layer: BTreeMap<usize, BTreeMap<usize, VecDeque<T>>> = BTreeMap::new();
        for (content, wishes) in wished {
            by_layer.entry(content.layer).or_default().insert(content.member, wishes);
        }
        let mut left = LAYER_MAX;
        for (place, mut wishes) in by_layer {
            let layer = &self.layers[place];
            let mut is_first = true;
            while !wishes.is_empty() {
                let mut count = 0;
                layer.walk(LAYER_MAX, &mut |member| {
                    progress()?;
                    let Body::File { size, content } = member.body else { return Ok(()) };
                    let wished = wishes.get_mut(&count);
                    count += 1;
                    let Some(wished) = wished else { return Ok(()) };
                    if is_first {
                        layer.bound(&member.path, size, wished.len(), &mut left)?;
                    }
                    let at_once = if is_first || size > COPY_MAX { 1 } else { wished.len() };
                    layer.serve(wished.drain(..at_once), size, content, take)
                })?;
                wishes.retain(|_, wishes| !wishes.is_empty());
                is_first = false;
            }
        }
        Ok(())
    }
}

impl Layer {
    fn name(&self) -> String {
        format!("layer {}", self.sha256.oci())
    }

    /// Refuses a file of so many paths that copying it to all of them would not end.
    fn bound(&self, path: &[u8], size: u64, paths: usize, left: &mut u64) -> Result<()> {
        let refuse = |cause: String| {
            Err(LAYER.refused(&self.name(), format!("member `{}`: {cause}", String::from_utf8_lossy(path))))
        };
        if size > COPY_MAX && paths > PASSES_MAX {
            return refuse(format!("has more than {PASSES_MAX} hard links to it and more than {COPY_MAX} bytes"));
        }
        let copies = size.saturating_mul(paths.saturating_sub(1) as u64);
        match left.checked_sub(copies) {
            Some(rest) => *left = rest,
            None => return refuse(format!("copies for hard links have more than {LAYER_MAX} bytes with those to it")),
        }
        Ok(())
    }

    /// Hands the content of a file to one wish as it comes, or to several after one another.
    fn serve<T>(
        &self,
        mut wishes: impl ExactSizeIterator<Item = T>,
        size: u64,
        content: &mut dyn Read,
        take: &mut dyn FnMut(T, u64, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        if wishes.len() == 1 {
            return wishes.try_for_each(|wish| take(wish, size, content));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| LAYER.failed(&self.name(), error))?;
        wishes.try_for_each(|wish| take(wish, size, &mut bytes.as_slice()))
    }

    /// Hands every member to `visit`; the digest of the whole tar.
    fn walk(&self, limit: u64, visit: &mut dyn FnMut(Member<'_>) -> Result<()>) -> Result<Digest> {
        let name = self.name();
        let damaged = |error: io::Error| LAYER.failed(&name, error);
        let input = (self.open)().map_err(damaged)?;
        let plain = compress::reader(input, Some(self.format), limit).map_err(damaged)?;
        let mut tar = HashReader::new(plain);
        tarball::walk(&name, &LAYER, &mut tar, visit)?;
        // To the end of everything: checksums of compressed streams stand there.
        io::copy(&mut tar, &mut io::sink()).map_err(damaged)?;
        Ok(tar.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{base, file, folder, hard, pax, refused};
    use super::*;
    use crate::error::{Error, Kind};

    /// Path and content of all files, in the order in which they are handed out.
    fn contents(base: &Base, progress: &dyn Fn() -> Result<()>) -> Result<Vec<(String, Vec<u8>)>> {
        let mut wished: BTreeMap<Content, VecDeque<String>> = BTreeMap::new();
        for (path, node) in base.nodes() {
            let Node::File { content, .. } = node else { continue };
            wished.entry(*content).or_default().push_back(String::from_utf8_lossy(path).into_owned());
        }
        let mut found = Vec::new();
        base.contents(wished, progress, &mut |path, size, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, size, "{path}");
            found.push((path, bytes));
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
    fn copies_are_bounded() {
        let base = base(&[vec![]]).unwrap();
        let layer = &base.layers[0];
        let refused = |size, paths, left, cause: &str| {
            let error = layer.bound(b"a", size, paths, &mut { left }).unwrap_err();
            assert!(error.object() == layer.name() && error.cause().contains(cause), "{error}");
            assert!(error.cause().contains("member `a`"), "{error}");
        };
        refused(COPY_MAX + 1, PASSES_MAX + 1, LAYER_MAX, "more than 256 hard links to it and more than 8388608 bytes");
        refused(COPY_MAX, 1_000_000, LAYER_MAX, "more than 17179869184 bytes");
        let mut left = 10;
        layer.bound(b"a", 5, 3, &mut left).unwrap();
        assert_eq!(left, 0);
        refused(1, 2, left, "copies for hard links");
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
