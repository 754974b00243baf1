//! The normalised source tar: whatever a source came as, its tree leaves here as the same bytes. Entries below one
//! folder in byte order of the whole path; modes 0644 and 0755 (the owner's x bit decides); owner 0; every time is the
//! source's epoch; symbolic links as they are, with nothing below them; hard links as copies; nothing else.
//!
//! Contents wait in one spool file, so memory holds names only: Linux has 1.6 GB of them.

use super::Made;
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use crate::store::Store;
use crate::tarball::{Attributes, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// The most a source may weigh unpacked.
const LIMIT: u64 = 16 << 30;

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File { executable: bool, offset: u64, size: u64 },
    Link(Vec<u8>),
}

/// A tree being gathered.
pub struct Tree {
    /// What to call it in errors.
    name: String,
    nodes: BTreeMap<Vec<u8>, Node>,
    spool: File,
    length: u64,
    newest: u64,
}

impl Tree {
    /// An empty tree; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Io`] when no spool file can be made in the store.
    pub fn new(name: &str, store: &Store) -> Result<Self> {
        let spool = tempfile::tempfile_in(store.root()).map_err(|error| Error::io(store.root(), "write in", error))?;
        Ok(Tree { name: name.to_owned(), nodes: BTreeMap::new(), spool, length: 0, newest: 0 })
    }

    fn refuse(&self, path: &[u8], cause: &str) -> Error {
        let path = String::from_utf8_lossy(path).escape_debug().to_string();
        Error::new(Kind::Document, format!("{} member {path}", self.name), cause).remedy(
            "a source holds files, folders and links with names inside its own tree only; choose another source",
        )
    }

    fn failed(&self, error: impl std::fmt::Display) -> Error {
        Error::new(Kind::Io, &self.name, format!("cannot be read: {error}"))
    }

    /// Takes in a tar, below `at` (empty: the tree's root). With `strip` its one top folder is taken away.
    ///
    /// # Errors
    /// [`Kind::Document`] for a hostile member, [`Kind::Io`] for damaged bytes.
    pub fn add_tar(&mut self, tar: impl Read, at: &[u8], strip: bool) -> Result<()> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().map_err(|error| self.failed(error))?;
        for entry in entries {
            let mut entry =
                entry.map_err(|error| Error::new(Kind::Io, &self.name, format!("cannot be read: {error}")))?;
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let raw = entry.path_bytes().into_owned();
            let Some(path) = self.place(&raw, at, strip)? else { continue };
            self.newest = self.newest.max(entry.header().mtime().unwrap_or(0));
            let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
            match kind {
                tar::EntryType::Directory => self.folder(&path),
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    self.file(&path, executable, &mut entry)?
                }
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    self.link(&path, &target);
                }
                tar::EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    self.copy(&path, &target, at, strip)?;
                }
                _ => return Err(self.refuse(&raw, "is neither file, folder nor link")),
            }
        }
        Ok(())
    }

    /// Where a tar's member belongs; `None` for the top folder itself.
    fn place(&self, raw: &[u8], at: &[u8], strip: bool) -> Result<Option<Vec<u8>>> {
        if raw.starts_with(b"/") {
            return Err(self.refuse(raw, "has an absolute name"));
        }
        let mut parts: Vec<&[u8]> =
            raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.contains(&&b".."[..]) {
            return Err(self.refuse(raw, "leaves the tree through `..`"));
        }
        if strip && !parts.is_empty() {
            parts.remove(0);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let mut path = at.to_vec();
        for part in parts {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        Ok(Some(path))
    }

    /// A folder.
    pub fn folder(&mut self, path: &[u8]) {
        self.parents(path);
        self.nodes.entry(path.to_vec()).or_insert(Node::Folder);
    }

    fn parents(&mut self, path: &[u8]) {
        for (index, byte) in path.iter().enumerate() {
            if *byte == b'/' {
                self.nodes.entry(path[..index].to_vec()).or_insert(Node::Folder);
            }
        }
    }

    /// A file; a later one of the same name replaces it.
    ///
    /// # Errors
    /// [`Kind::Document`] when the tree grows too large, [`Kind::Io`] when reading or spooling fails.
    pub fn file(&mut self, path: &[u8], executable: bool, content: &mut dyn Read) -> Result<()> {
        let offset = self.length;
        let mut limited = content.take(LIMIT - self.length + 1);
        let size = std::io::copy(&mut limited, &mut self.spool).map_err(|error| self.failed(error))?;
        self.length += size;
        if self.length > LIMIT {
            return Err(self.refuse(path, "makes the source larger than 16 GiB"));
        }
        self.parents(path);
        self.nodes.insert(path.to_vec(), Node::File { executable, offset, size });
        Ok(())
    }

    /// A symbolic link, as it is. Real trees hold some that lead out (edk2 has one to /opt): they lead out of the
    /// container's tree only, since nothing may lie below a link and unpacking follows none.
    pub fn link(&mut self, path: &[u8], target: &[u8]) {
        self.parents(path);
        self.nodes.insert(path.to_vec(), Node::Link(target.to_vec()));
    }

    fn copy(&mut self, path: &[u8], target: &[u8], at: &[u8], strip: bool) -> Result<()> {
        let found = self.place(target, at, strip)?.and_then(|target| self.nodes.get(&target).cloned());
        match found {
            Some(node @ Node::File { .. }) => {
                self.parents(path);
                self.nodes.insert(path.to_vec(), node);
                Ok(())
            }
            _ => Err(self.refuse(path, "is a hard link to no earlier file")),
        }
    }

    /// Takes `path` and all below it out.
    pub fn remove(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        self.nodes.retain(|name, _| name != path && !name.starts_with(&below));
    }

    /// Dates the tree itself: a commit's date instead of the newest member's.
    pub fn date(&mut self, epoch: Epoch) {
        self.newest = epoch.0;
    }

    /// Writes the tar, all below `folder`, into the store.
    ///
    /// # Errors
    /// [`Kind::Document`] when a file lies where a folder must be, [`Kind::Io`].
    pub fn finish(mut self, folder: &str, store: &Store) -> Result<Made> {
        self.check_folders()?;
        let mut writer = Writer::new(store.writer()?);
        let failed = |error| Error::io(store.root(), "write in", error);
        let at = |mode| Attributes { mode, mtime: self.newest, owner: 0 };
        writer.folder(folder.as_bytes(), at(0o755)).map_err(failed)?;
        self.spool.flush().map_err(failed)?;
        for (path, node) in &self.nodes {
            let name = [folder.as_bytes(), b"/", path].concat();
            match node {
                Node::Folder => writer.folder(&name, at(0o755)),
                Node::Link(target) => writer.symlink(&name, target, at(0o777)),
                Node::File { executable, offset, size } => {
                    (&self.spool).seek(SeekFrom::Start(*offset)).map_err(failed)?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    writer.file(&name, at(mode), *size, &mut &self.spool)
                }
            }
            .map_err(failed)?;
        }
        let (digest, _) = writer.finish().map_err(failed)?.commit(None)?;
        Ok(Made { digest, epoch: Epoch(self.newest) })
    }

    /// No entry may lie below a file or a link: what unpacks it could be led out of the tree.
    fn check_folders(&self) -> Result<()> {
        for path in self.nodes.keys() {
            for (index, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                if !matches!(self.nodes.get(&path[..index]), Some(Node::Folder)) {
                    return Err(self.refuse(path, "lies below a file or link"));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn raw(kind: tar::EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut header = [0u8; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(format!("{:011o}", 1_600_000_000).as_bytes());
        header[156] = kind.as_byte();
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut made = header.to_vec();
        made.extend_from_slice(content);
        made.resize(made.len().div_ceil(512) * 512, 0);
        made
    }

    fn tree(members: &[Vec<u8>]) -> Result<Made> {
        let (_folder, store) = store();
        let mut tree = Tree::new("x.tar", &store)?;
        tree.add_tar(members.concat().as_slice(), b"", true)?;
        tree.finish("edk2", &store)
    }

    use tar::EntryType as T;

    #[test]
    fn order_and_modes_of_the_original_do_not_matter() {
        let one = [
            raw(T::Directory, "top/", "", 0o700, b""),
            raw(T::Regular, "top/b", "", 0o600, b"b"),
            raw(T::Regular, "top/a/run", "", 0o755, b"#!"),
            raw(T::Symlink, "top/a/l", "../b", 0o777, b""),
            raw(T::Link, "top/c", "top/b", 0o600, b""),
        ];
        let mut other = vec![one[2].clone(), one[1].clone(), one[4].clone(), one[3].clone()];
        other[1] = raw(T::Regular, "top/b", "", 0o664, b"b");
        let made = tree(&one).unwrap();
        assert_eq!(made, tree(&other).unwrap());
        // A change here changes every source's digest: raise lock::FORMAT and say so in CHANGELOG.md.
        assert_eq!(made.digest.to_string(), "ce6fd49e2ab96f13ea6ed8762108e8a0eb7aeedcda0357c94b8ec71518e7f3f2");
        assert_eq!(made.epoch, Epoch(1_600_000_000));
    }

    #[test]
    fn hostile_members_are_refused_by_name() {
        for (member, word) in [
            (raw(T::Regular, "/etc/x", "", 0o644, b""), "absolute"),
            (raw(T::Regular, "top/../../x", "", 0o644, b""), "`..`"),
            (raw(T::Char, "top/null", "", 0o666, b""), "neither file"),
            (raw(T::Fifo, "top/fifo", "", 0o666, b""), "neither file"),
            (raw(T::Link, "top/h", "top/none", 0o644, b""), "hard link"),
        ] {
            let error = tree(&[member]).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.to_string().contains(word), "{error}");
        }
        let below = [raw(T::Symlink, "top/l", "d", 0o777, b""), raw(T::Regular, "top/l/x", "", 0o644, b"")];
        assert!(tree(&below).unwrap_err().to_string().contains("below a file or link"));
    }

    #[test]
    fn a_cut_tar_is_refused() {
        let whole = raw(T::Regular, "top/b", "", 0o600, &[7; 2000]);
        assert_eq!(tree(&[whole[..1024].to_vec()]).unwrap_err().kind(), Kind::Io);
    }
}
