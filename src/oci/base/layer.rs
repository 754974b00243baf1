//! One layer as it comes: its bytes unpacked, checked and walked. Knows nothing of other layers.

use super::REMEDY;
use super::node::Content;
use crate::compress::{self, Format};
use crate::digest::{Digest, HashReader};
use crate::error::Result;
use crate::oci::Open;
use crate::tarball::{self, Dialect, Member};
use std::io::{self, Read};

/// Bytes of a file that is held while it is copied to all of its paths; a larger one takes a pass over the layer for each.
pub(super) const COPY_MAX: u64 = 8 << 20;
/// Paths of such a larger file.
pub(super) const PASSES_MAX: usize = 256;

/// What container engines write. A folder is there again in many layers; what is done for each of the folders above a path
/// must stay little.
pub(super) const LAYER: Dialect =
    Dialect { whole: "layer", remedy: REMEDY, has_pax: true, may_repeat: true, parts_max: 256, is_known: false };

/// A layer that was read before.
pub(super) const KNOWN_LAYER: Dialect = Dialect { is_known: true, ..LAYER };

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

impl Layer {
    pub(super) fn name(&self) -> String {
        format!("layer {}", self.sha256.oci())
    }

    /// Refuses a file of so many paths that reading it for each of them would not end.
    pub(super) fn bound(&self, path: &[u8], size: u64, paths: usize) -> Result<()> {
        if size > COPY_MAX && paths > PASSES_MAX {
            let path = String::from_utf8_lossy(path);
            let cause = format!("has more than {PASSES_MAX} hard links to it and more than {COPY_MAX} bytes");
            return Err(LAYER.refused(&self.name(), format!("member `{path}`: {cause}")));
        }
        Ok(())
    }

    /// Hands the content of a file to one wish as it comes, or to several after one another.
    pub(super) fn serve<T>(
        &self,
        wishes: &[(Content, T)],
        size: u64,
        content: &mut dyn Read,
        take: &mut dyn FnMut(&T, u64, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        if let [(_, wish)] = wishes {
            return take(wish, size, content);
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| LAYER.failed(&self.name(), error))?;
        wishes.iter().try_for_each(|(_, wish)| take(wish, size, &mut bytes.as_slice()))
    }

    /// Hands every member to `visit`; the digest of the whole tar.
    pub(super) fn walk(
        &self,
        dialect: &Dialect,
        limit: u64,
        visit: &mut dyn FnMut(Member<'_>) -> Result<()>,
    ) -> Result<Digest> {
        let name = self.name();
        let damaged = |error: io::Error| LAYER.failed(&name, error);
        let input = (self.open)().map_err(damaged)?;
        let plain = compress::reader(input, Some(self.format), limit).map_err(damaged)?;
        let mut tar = HashReader::new(plain);
        tarball::walk(&name, dialect, &mut tar, visit)?;
        // To the end of everything: checksums of compressed streams stand there.
        io::copy(&mut tar, &mut io::sink()).map_err(damaged)?;
        Ok(tar.finish())
    }
}
