//! The root file system of an image that others made, from its layers: which paths there are once every layer lies on the
//! ones below it, as the OCI image specification says (`.wh.NAME` takes a path of the layers below away, `.wh..wh..opq` all
//! that they have in a folder). Layers are inputs from elsewhere: sizes are bounded, and what could write outside a root is
//! refused with the layer's digest and the path. Two passes: [`Base::read`] learns the paths and keeps the content of a few
//! files, [`Base::contents`] gives the content of others. Knows nothing of packages' files and of what becomes of a path.
//!
//! Refused besides what a package must not hold: absolute names, names below a symbolic link (also one of a layer below),
//! hard links to other layers, and a tar that has not the digest the image's configuration says.

mod flatten;
mod os_release;

pub use flatten::{Content, Node};

use super::layer::Open;
use crate::cancel::{self, Cancel};
use crate::compress::{self, Format};
use crate::deb::{self, Body, Dialect, Member};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Kind, Result};
use flatten::{Nodes, Upper};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

/// Uncompressed bytes of one layer: as for packages, far beyond any real one.
const LAYER_MAX: u64 = 16 << 30;
/// Passes over a layer: one for each further path with the content of one file, as for packages.
const PASSES_MAX: usize = 256;

/// What to do about an image that is refused.
pub const REMEDY: &str = "do not use this image; name another one, or ask who made it";

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
}

impl Base {
    /// Learns what the layers, the lowest first, come to, and checks their digests.
    ///
    /// # Errors
    /// [`Kind::Trust`] for a damaged or hostile layer, naming it and the path; [`Kind::Io`] when one cannot be read,
    /// [`Kind::Interrupted`].
    pub fn read(layers: Vec<Layer>, cancel: &Cancel) -> Result<Self> {
        Self::bounded(layers, LAYER_MAX, cancel)
    }

    fn bounded(layers: Vec<Layer>, limit: u64, cancel: &Cancel) -> Result<Self> {
        let mut nodes = Nodes::default();
        for (place, layer) in layers.iter().enumerate() {
            let mut upper = Upper::new(layer.name(), place);
            let found = layer.walk(limit, &mut |member| {
                cancel::check(cancel, &layer.name())?;
                upper.take(member)
            })?;
            if found != layer.diff_id {
                let cause = format!("its tar has sha256 {found}, the image's configuration says {}", layer.diff_id);
                return Err(refused(&layer.name(), cause));
            }
            nodes.put(upper)?;
        }
        Ok(Base { layers, nodes })
    }

    /// All paths in their order.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter()
    }

    /// What is at a path.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The content of a file, if it is one of those that are kept: os-release, account tables, the package database's
    /// status, diversions, lists and triggers.
    pub fn text(&self, path: &str) -> Option<&[u8]> {
        match self.node(path.as_bytes())? {
            Node::File { text, .. } => text.as_deref(),
            Node::Folder { .. } | Node::Symlink { .. } => None,
        }
    }

    /// What the image says of itself: etc/os-release, else usr/lib/os-release.
    pub fn os_release(&self) -> Option<BTreeMap<String, String>> {
        let text = self.text("etc/os-release").or_else(|| self.text("usr/lib/os-release"))?;
        Some(os_release::read(&String::from_utf8_lossy(text)))
    }

    /// Reads the content of the wished files, in the order of layers and of their members, and hands it to `take`, once for
    /// each thing that was wished for with it.
    ///
    /// # Errors
    /// [`Kind::Trust`] when one file is wished for too often, else as [`Base::read`]; whatever `take` fails with.
    pub fn contents<T>(
        &self,
        wished: BTreeMap<Content, VecDeque<T>>,
        take: &mut dyn FnMut(T, u64, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut by_layer: BTreeMap<usize, BTreeMap<usize, VecDeque<T>>> = BTreeMap::new();
        for (content, wishes) in wished {
            let layer = &self.layers[content.layer];
            if wishes.len() > PASSES_MAX {
                return Err(refused(&layer.name(), format!("has more than {PASSES_MAX} hard links to one file")));
            }
            by_layer.entry(content.layer).or_default().insert(content.member, wishes);
        }
        for (place, mut wishes) in by_layer {
            while !wishes.is_empty() {
                let mut count = 0;
                self.layers[place].walk(LAYER_MAX, &mut |member| {
                    let Body::File { size, content } = member.body else { return Ok(()) };
                    let wish = wishes.get_mut(&count).and_then(VecDeque::pop_front);
                    count += 1;
                    wish.map_or(Ok(()), |wish| take(wish, size, content))
                })?;
                wishes.retain(|_, wishes| !wishes.is_empty());
            }
        }
        Ok(())
    }
}

impl Layer {
    fn name(&self) -> String {
        format!("layer {}", self.sha256.oci())
    }

    /// Hands every member to `visit`; the digest of the whole tar.
    fn walk(&self, limit: u64, visit: &mut dyn FnMut(Member<'_>) -> Result<()>) -> Result<Digest> {
        let name = self.name();
        let damaged = |error: io::Error| blamed(deb::failed(&name, error));
        let input = (self.open)().map_err(damaged)?;
        let plain = compress::reader(input, Some(self.format), limit).map_err(damaged)?;
        let mut tar = Hashed { inner: plain, hasher: Hasher::default() };
        deb::walk(&name, Dialect::Layer, &mut tar, visit).map_err(blamed)?;
        // To the end of everything: checksums of compressed streams stand there.
        io::copy(&mut tar, &mut io::sink()).map_err(damaged)?;
        Ok(tar.hasher.finish())
    }
}

/// An error about an image, not about a package.
fn blamed(error: Error) -> Error {
    if error.kind() == Kind::Trust { error.remedy(REMEDY) } else { error }
}

fn refused(layer: &str, cause: String) -> Error {
    Error::new(Kind::Trust, layer, cause).remedy(REMEDY)
}

/// A reader that hashes what passes.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
