//! The one way files of a product become a gzipped tar: sorted, one date, one owner, folders 0755.

use super::members::Members;
use crate::compress;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::{BlobWriter, Store};
use crate::tarball::{Attributes, Writer};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// Packs `members` below the folder `top` (none if empty) into the store; digest and length of the tarball.
///
/// # Errors
/// [`crate::error::Kind::Trust`] when a blob was damaged, [`crate::error::Kind::Io`].
pub fn write(top: &str, date: Epoch, members: &Members, store: &Store, jobs: usize) -> Result<(Digest, u64)> {
    let failed = |error| Error::io(store.root(), "write in", error);
    let mut writer = Writer::new(compress::GzipWriter::new(store.writer()?, jobs));
    let at = |mode| Attributes { mode, mtime: date.0, owner: 0 };
    let named = |path: &str| if top.is_empty() { path.to_owned() } else { format!("{top}/{path}") };
    let mut folders = BTreeSet::new();
    for path in members.keys().map(|path| named(path)) {
        let parents = Path::new(&path).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        folders.extend(parents.map(|parent| parent.display().to_string()));
    }
    for folder in &folders {
        writer.folder(folder.as_bytes(), at(0o755)).map_err(failed)?;
    }
    for (path, member) in members {
        let blob = store.verified(&member.sha256)?;
        let mut file = File::open(&blob).map_err(|error| Error::io(&blob, "open", error))?;
        writer.file(named(path).as_bytes(), at(member.mode), member.size, &mut file).map_err(failed)?;
    }
    let blob: BlobWriter = writer.finish().and_then(compress::GzipWriter::finish).map_err(failed)?;
    blob.commit(None)
}
