//! Tarballs by URL and digest.

use super::normal::Tree;
use super::{Made, Workshop};
use crate::compress;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fetch::Wanted;
use std::fs::File;
use std::io::BufReader;

/// The most a tarball may weigh unpacked.
const LIMIT: u64 = 16 << 30;

/// Makes the normalised tar of a tarball, its top folder taken away.
///
/// # Errors
/// As [`Workshop::resolve`].
pub fn make(workshop: &Workshop<'_>, folder: &str, urls: &[String], sha256: &Digest) -> Result<Made> {
    let name = urls.first().map_or("tarball", |url| url.rsplit('/').next().unwrap_or(url));
    if !workshop.store.contains(sha256) {
        let wanted = Wanted { name: format!("tarball {name}"), urls: urls.to_vec(), sha256: *sha256, size: None };
        workshop.fetch.all(&[wanted], workshop.cancel)?;
    }
    let path = workshop.store.verified(sha256)?;
    let input = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
    let tar = compress::reader(Box::new(BufReader::new(input)), None, LIMIT)
        .map_err(|error| Error::new(Kind::Io, name, format!("cannot be decompressed: {error}")))?;
    let mut tree = Tree::new(name, workshop.store)?;
    tree.add_tar(tar, b"", true)?;
    tree.finish(folder, workshop.store)
}
