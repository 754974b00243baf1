//! Bases in the making, for tests.

use super::{Base, Layer, REMEDY};
use crate::cancel::Cancel;
use crate::compress::Format;
use crate::digest::Digest;
use crate::error::{Kind, Result};
use tar::EntryType;

/// One member of a layer: name, kind, content, target of a link.
pub(crate) struct Member(String, EntryType, Vec<u8>, String);

pub(crate) fn file(path: &str, content: impl AsRef<[u8]>) -> Member {
    Member(path.into(), EntryType::Regular, content.as_ref().to_vec(), String::new())
}

pub(crate) fn folder(path: &str) -> Member {
    Member(path.into(), EntryType::Directory, Vec::new(), String::new())
}

pub(crate) fn symlink(path: &str, target: &str) -> Member {
    Member(path.into(), EntryType::Symlink, Vec::new(), target.into())
}

pub(crate) fn hard(path: &str, target: &str) -> Member {
    Member(path.into(), EntryType::Link, Vec::new(), target.into())
}

/// A pax header for the next member, of these bytes.
pub(crate) fn pax(records: &[u8]) -> Member {
    Member("pax".into(), EntryType::XHeader, records.to_vec(), String::new())
}

/// The base of these layers, the lowest first.
pub(crate) fn base(layers: &[Vec<Member>]) -> Result<Base> {
    Base::read(layers.iter().map(|members| layer(members)).collect(), &Cancel::new())
}

/// Such a base is refused, with the last layer and all of `words`.
pub(crate) fn refused(layers: &[Vec<Member>], words: &[&str]) {
    let object = layers.last().map(|members| layer(members).name());
    let error = base(layers).err().unwrap();
    assert!(error.kind() == Kind::Trust && Some(error.object()) == object.as_deref(), "{error}");
    assert_eq!(error.remedy_text(), Some(REMEDY), "{error}");
    assert!(words.iter().all(|word| error.cause().contains(word)), "{error}: {words:?}");
}

#[expect(clippy::disallowed_methods, reason = "members that the one writer never writes")]
fn layer(members: &[Member]) -> Layer {
    let mut tar = Vec::new();
    for Member(name, kind, content, link) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let packed = zstd::encode_all(tar.as_slice(), 1).unwrap();
    Layer {
        sha256: Digest::of(&packed),
        diff_id: Digest::of(&tar),
        format: Format::Zstd,
        open: Box::new(move || Ok(Box::new(std::io::Cursor::new(packed.clone())))),
    }
}
