//! OCI images as bytes: the layer from packages and what an image of others adds to them, configuration and manifest as
//! canonical JSON, and one tar that is OCI image layout and docker archive at once. Knows no engine and no registry.

pub mod base;
pub mod image;
pub mod layer;
pub mod layout;
pub mod manifest;

use crate::digest::Digest;
use std::io::{self, Read};
use std::path::PathBuf;

/// Bytes of the largest layer, packed and not: as for packages, far beyond any real one.
const LAYER_MAX: u64 = 16 << 30;

/// Opens the bytes of a package or a layer from their start. Called more than once, from several threads.
pub type Open = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A finished image: one layer in the store and its two documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Fully qualified name with tag, for example `localhost/snpforge/debian-12:1a2b3c4d5e6f`.
    pub reference: String,
    /// Digest of the uncompressed layer tar: the identity.
    pub diff_id: Digest,
    /// The uncompressed layer tar.
    pub layer: PathBuf,
    /// Its length in bytes.
    pub layer_size: u64,
    /// OCI image configuration, canonical JSON.
    pub config: Vec<u8>,
    /// OCI image manifest for the uncompressed layer, canonical JSON.
    pub manifest: Vec<u8>,
}
