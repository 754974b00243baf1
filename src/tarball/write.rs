//! The one writer of tar entries. Every tar that leaves this tool (layers, sources, products, images) goes through
//! [`Writer`], so there is one header dialect, one order of fields and nothing of this machine in them.
//!
//! Dialect: GNU, with long-name and long-link members where a name passes 100 bytes; numeric owners only. It is the
//! dialect that Docker, Podman, busybox tar and dpkg all read. Callers choose the order of entries.

use std::io::{Read, Write};

/// Metadata of one entry. Owner and group are one number: nothing here needs them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits (12 bits).
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Owner and group.
    pub owner: u32,
}

/// Writes entries in the order they are given.
pub struct Writer<W: Write> {
    inner: tar::Builder<W>,
}

impl<W: Write> Writer<W> {
    /// Starts a tar on `inner`.
    pub fn new(inner: W) -> Self {
        let mut builder = tar::Builder::new(inner);
        // `true`, the default, asks the file system for holes: bytes would depend on this machine.
        builder.sparse(false);
        Writer { inner: builder }
    }

    /// A regular file of exactly `size` bytes.
    ///
    /// # Errors
    /// When `content` gives more or less than `size` bytes, or writing fails.
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        size: u64,
        content: &mut dyn Read,
    ) -> std::io::Result<()> {
        let mut counted = content.take(size);
        self.entry(path, None, attributes, tar::EntryType::Regular, size, &mut counted)?;
        if counted.limit() != 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file is shorter than announced"));
        }
        Ok(())
    }

    /// A folder. A trailing slash is added to its name.
    ///
    /// # Errors
    /// When writing fails.
    pub fn folder(&mut self, path: &[u8], attributes: Attributes) -> std::io::Result<()> {
        let mut name = path.to_vec();
        if name.last() != Some(&b'/') {
            name.push(b'/');
        }
        self.entry(&name, None, attributes, tar::EntryType::Directory, 0, &mut std::io::empty())
    }

    /// A symbolic link; the mode is always 0777, as Linux has it.
    ///
    /// # Errors
    /// When writing fails.
    pub fn symlink(&mut self, path: &[u8], target: &[u8], attributes: Attributes) -> std::io::Result<()> {
        let attributes = Attributes { mode: 0o777, ..attributes };
        self.entry(path, Some(target), attributes, tar::EntryType::Symlink, 0, &mut std::io::empty())
    }

    /// Ends the tar and returns what it was written to.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> std::io::Result<W> {
        self.inner.into_inner()
    }

    fn entry(
        &mut self,
        path: &[u8],
        link: Option<&[u8]>,
        attributes: Attributes,
        kind: tar::EntryType,
        size: u64,
        content: &mut dyn Read,
    ) -> std::io::Result<()> {
        if let Some(target) = link.filter(|target| target.len() > NAME_MAX) {
            self.long(target, tar::EntryType::GNULongLink)?;
        }
        if path.len() > NAME_MAX {
            self.long(path, tar::EntryType::GNULongName)?;
        }
        let mut header = header(kind, attributes, size);
        put(&mut header.as_old_mut().name, path);
        put(&mut header.as_old_mut().linkname, link.unwrap_or_default());
        header.set_cksum();
        self.inner.append(&header, content)
    }

    /// The GNU member that carries a name too long for the header that follows it.
    fn long(&mut self, name: &[u8], kind: tar::EntryType) -> std::io::Result<()> {
        let mut content = name.to_vec();
        content.push(0);
        let mut header = header(kind, Attributes { mode: 0o644, mtime: 0, owner: 0 }, content.len() as u64);
        put(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_cksum();
        self.inner.append(&header, content.as_slice())
    }
}

/// Bytes of the name fields of a header.
const NAME_MAX: usize = 100;

fn put(field: &mut [u8; NAME_MAX], name: &[u8]) {
    let length = name.len().min(NAME_MAX);
    field[..length].copy_from_slice(&name[..length]);
}

/// The one maker of tar headers. Name, link name and checksum are filled in by the caller above.
#[expect(clippy::disallowed_methods, reason = "the one maker of tar headers")]
fn header(kind: tar::EntryType, attributes: Attributes, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(attributes.mode & 0o7777);
    header.set_uid(u64::from(attributes.owner));
    header.set_gid(u64::from(attributes.owner));
    header.set_mtime(attributes.mtime);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let plain = Attributes { mode: 0o644, mtime: 1_700_000_000, owner: 0 };
        let long = "d/".repeat(70) + "file";
        writer.folder(b"a", Attributes { mode: 0o755, ..plain }).unwrap();
        writer.file(b"a/b", plain, 3, &mut &b"abc"[..]).unwrap();
        writer.symlink(b"a/l", b"b", plain).unwrap();
        writer.file(long.as_bytes(), Attributes { owner: 1000, ..plain }, 0, &mut std::io::empty()).unwrap();
        writer.symlink(b"far", long.as_bytes(), plain).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn golden_bytes() {
        // A change here changes every product: it belongs under "Changes the product's bytes" in CHANGELOG.md.
        assert_eq!(
            Digest::of(&sample()).to_string(),
            "4a30d05c54df2b2f22f219b8cb5de715146282ea2ae77bd00094a6ea38f128ec"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = sample();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string().len());
            seen.push((
                entry.path().unwrap().display().to_string().len(),
                entry.header().mode().unwrap(),
                content,
                link,
            ));
        }
        let none = Vec::new();
        assert_eq!(
            seen,
            [
                (2, 0o755, none.clone(), None),
                (3, 0o644, b"abc".to_vec(), None),
                (3, 0o777, none.clone(), Some(1)),
                (144, 0o644, none.clone(), None),
                (3, 0o777, none, Some(144)),
            ]
        );
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let plain = Attributes { mode: 0o644, mtime: 0, owner: 0 };
        let error = Writer::new(Vec::new()).file(b"x", plain, 5, &mut &b"abc"[..]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
