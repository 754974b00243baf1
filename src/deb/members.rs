//! The members of a package's tars, normalised and checked. The dialect is what dpkg writes: GNU tar with long-name
//! members; anything else is refused. Layers of images are read here, too: their tars may hold pax headers.

use super::{failed, refused};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::Read;

/// Bytes of the longest path (Linux' PATH_MAX) and of the longest name in it (NAME_MAX).
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;
/// Parts of a path in a layer: what is done for each of the folders above a path must stay little.
const PARTS_MAX: usize = 256;
/// Members of one package, and folders that only their paths name; the largest in Debian have 60 000.
const MEMBERS_MAX: usize = 1_000_000;
/// Bytes of all their paths.
const PATHS_MAX: usize = 256 << 20;
/// Bytes of a pax header: names, and extended attributes that nobody reads here.
const PAX_MAX: u64 = 1 << 20;

/// Whose tar it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A package's.
    Package,
    /// An image layer's: with pax headers, as container engines write them. A folder may be there again; of files and links
    /// with the same path the last one counts.
    Layer,
    /// A layer's that was read before: what its members are to each other is not looked into, and not remembered, again.
    KnownLayer,
}

impl Dialect {
    fn name(self) -> &'static str {
        match self {
            Dialect::Package => "package",
            Dialect::Layer | Dialect::KnownLayer => "layer",
        }
    }
}

/// One member of a package.
pub struct Member<'a> {
    /// Path from the root, without a leading `/` or `./`, without empty, `.` or `..` parts; empty for the root itself.
    pub path: Vec<u8>,
    /// Permission bits (12 bits).
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// What it is.
    pub body: Body<'a>,
}

/// What a member is, and its content.
pub enum Body<'a> {
    /// A folder.
    Folder,
    /// A regular file of `size` bytes.
    File {
        /// Its length.
        size: u64,
        /// Its bytes. What is not read is skipped.
        content: &'a mut dyn Read,
    },
    /// A symbolic link; the target is as it stands in the package.
    Symlink(Vec<u8>),
    /// A hard link to an earlier regular file of the same package, by its normalised path.
    HardLink(Vec<u8>),
}

/// What is known of a path while a package is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Only as the parent of something.
    Parent,
    Folder,
    File,
    Symlink,
}

/// Reads `tar` to its end mark. `package` names what it is of in errors.
pub(crate) fn walk(
    package: &str,
    dialect: Dialect,
    tar: &mut dyn Read,
    visit: &mut dyn FnMut(Member<'_>) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().map_err(|error| failed(package, error))?;
    let mut walker = Walker {
        package,
        dialect,
        seen: HashMap::new(),
        left: (MEMBERS_MAX, PATHS_MAX),
        long_path: None,
        long_link: None,
    };
    // Raw: the long-name members come here too, where their size is bounded, and nothing else is interpreted.
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(|error| failed(package, error))?;
        walker.entry(&mut entry, visit)?;
    }
    Ok(())
}

struct Walker<'a> {
    package: &'a str,
    dialect: Dialect,
    seen: HashMap<Vec<u8>, Seen>,
    /// How many more paths it may get, and bytes of them.
    left: (usize, usize),
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Walker<'_> {
    fn entry(
        &mut self,
        entry: &mut tar::Entry<'_, &mut dyn Read>,
        visit: &mut dyn FnMut(Member<'_>) -> Result<()>,
    ) -> Result<()> {
        let header = entry.header();
        let kind = header.entry_type();
        match kind {
            tar::EntryType::GNULongName => {
                self.long_path = Some(self.long(entry)?);
                return Ok(());
            }
            tar::EntryType::GNULongLink => {
                self.long_link = Some(self.long(entry)?);
                return Ok(());
            }
            tar::EntryType::XGlobalHeader if self.dialect != Dialect::Package => return Ok(()),
            tar::EntryType::XHeader if self.dialect != Dialect::Package => return self.pax(entry),
            _ => {}
        }
        let raw = self.long_path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.long_link.take().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let refuse = |cause: String| self.refuse(&raw, cause);
        let number = |value: std::io::Result<u64>| value.map_err(|error| refuse(format!("damaged header: {error}")));
        let mode = header.mode().map_err(|error| refuse(format!("damaged header: {error}")))? & 0o7777;
        let mtime = number(header.mtime())?;
        let size = number(header.entry_size())?;
        let normalised = |raw: &[u8]| normalised(raw, self.dialect);
        let path = normalised(&raw).map_err(&refuse)?;
        let body = match kind {
            tar::EntryType::Directory => Body::Folder,
            tar::EntryType::Regular if raw.ends_with(b"/") => {
                return Err(refuse("a file with a slash at its end".into()));
            }
            tar::EntryType::Regular => Body::File { size, content: entry },
            tar::EntryType::Symlink => Body::Symlink(symlink_target(link).map_err(&refuse)?),
            tar::EntryType::Link => Body::HardLink(normalised(&link.unwrap_or_default()).map_err(&refuse)?),
            tar::EntryType::Char | tar::EntryType::Block => return Err(refuse("is a device".into())),
            tar::EntryType::Fifo => return Err(refuse("is a FIFO".into())),
            other => return Err(refuse(format!("is of tar type {:?}", char::from(other.as_byte())))),
        };
        if self.dialect != Dialect::KnownLayer {
            self.note(&raw, &path, &body)?;
        }
        visit(Member { path, mode, mtime, body })
    }

    /// Refuses what is there twice, lies below something that is no folder, or links to nothing.
    fn note(&mut self, raw: &[u8], path: &[u8], body: &Body<'_>) -> Result<()> {
        let kind = match body {
            Body::Folder => Seen::Folder,
            Body::File { .. } => Seen::File,
            Body::Symlink(_) => Seen::Symlink,
            Body::HardLink(target) if self.seen.get(target) == Some(&Seen::File) => Seen::File,
            Body::HardLink(target) => {
                return Err(self.refuse(
                    raw,
                    format!("hard link to `{}`, no earlier file of the {}", show(target), self.dialect.name()),
                ));
            }
        };
        if path.is_empty() && kind != Seen::Folder {
            return Err(self.refuse(raw, "stands in place of the root".into()));
        }
        // What is above a folder is folders only, so the nearest one decides.
        for parent in parents(path) {
            match self.seen.get(parent) {
                Some(Seen::Folder | Seen::Parent) => break,
                Some(Seen::Symlink) => {
                    return Err(self.refuse(raw, format!("lies below the symbolic link `{}`", show(parent))));
                }
                Some(Seen::File) => {
                    return Err(self.refuse(raw, format!("lies below the file `{}`", show(parent))));
                }
                None => drop(self.see(raw, parent, Seen::Parent)?),
            }
        }
        let is_layer = self.dialect == Dialect::Layer;
        match self.see(raw, path, kind)? {
            None => Ok(()),
            Some(Seen::Parent) if kind == Seen::Folder => Ok(()),
            Some(Seen::Folder) if kind == Seen::Folder && is_layer => Ok(()),
            Some(Seen::File | Seen::Symlink) if kind != Seen::Folder && is_layer => Ok(()),
            Some(_) => Err(self.refuse(raw, "is there twice".into())),
        }
    }

    /// Remembers a path; what was known of it.
    fn see(&mut self, raw: &[u8], path: &[u8], kind: Seen) -> Result<Option<Seen>> {
        let earlier = self.seen.insert(path.to_vec(), kind);
        if earlier.is_some() {
            return Ok(earlier);
        }
        let (members, bytes) = self.left;
        let members = members
            .checked_sub(1)
            .ok_or_else(|| self.refuse(raw, format!("there are more than {MEMBERS_MAX} members")))?;
        let bytes = bytes
            .checked_sub(path.len())
            .ok_or_else(|| self.refuse(raw, format!("all paths together have more than {PATHS_MAX} bytes")))?;
        self.left = (members, bytes);
        Ok(None)
    }

    /// The content of a long-name member, without the NUL at its end.
    fn long(&self, entry: &mut tar::Entry<'_, &mut dyn Read>) -> Result<Vec<u8>> {
        let mut name = Vec::new();
        entry.take(PATH_MAX as u64 + 2).read_to_end(&mut name).map_err(|error| failed(self.package, error))?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.len() > PATH_MAX {
            return Err(self.refuse(&name[..64], format!("is longer than {PATH_MAX} bytes")));
        }
        Ok(name)
    }

    /// Takes the names out of a pax header. All else in it (finer times, names of owners, extended attributes) is nothing
    /// that a root keeps.
    fn pax(&mut self, entry: &mut tar::Entry<'_, &mut dyn Read>) -> Result<()> {
        let name = entry.header().path_bytes().into_owned();
        let mut bytes = Vec::new();
        entry.take(PAX_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(self.package, error))?;
        if bytes.len() as u64 > PAX_MAX {
            return Err(self.refuse(&name, format!("its pax header is longer than {PAX_MAX} bytes")));
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value) = pax_record(&mut rest)
                .ok_or_else(|| self.refuse(&name, "damaged pax header: a record is not as long as it says".into()))?;
            match key {
                b"path" => self.long_path = Some(value.to_vec()),
                b"linkpath" => self.long_link = Some(value.to_vec()),
                // Only files of 8 GiB need it.
                b"size" => return Err(self.refuse(&name, "has its size in a pax header".into())),
                key if key.starts_with(b"GNU.sparse") => return Err(self.refuse(&name, "is a sparse file".into())),
                _ => {}
            }
        }
        Ok(())
    }

    fn refuse(&self, raw: &[u8], cause: String) -> Error {
        refused(self.package, format!("member `{}`: {cause}", show(raw)))
    }
}

/// The next record, `LENGTH KEY=VALUE` and a line end, by its length: values may hold line ends.
fn pax_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let space = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let record = rest.get(space..length)?.strip_prefix(b" ")?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    *rest = &rest[length..];
    Some((&record[..equals], &record[equals + 1..]))
}

/// The folders above a path, the nearest first.
pub(crate) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..path.len()).rev().filter(|at| path[*at] == b'/').map(|at| &path[..at])
}

/// A path for messages.
fn show(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}

/// The path from the root, or why it is none. Names need not be UTF-8: they stay bytes.
fn normalised(raw: &[u8], dialect: Dialect) -> std::result::Result<Vec<u8>, String> {
    // A line end would forge entries in the package database's file lists; dpkg refuses it too.
    if raw.contains(&0) || raw.contains(&b'\n') {
        return Err("its name holds a NUL or a line end".into());
    }
    let mut path = Vec::with_capacity(raw.len());
    let mut parts = 0;
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err("leads out of the root".into()),
            long if long.len() > NAME_MAX => return Err(format!("a part of its name is longer than {NAME_MAX} bytes")),
            part => {
                parts += 1;
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    if dialect == Dialect::Layer && parts > PARTS_MAX {
        return Err(format!("lies below more than {PARTS_MAX} folders"));
    }
    if path.len() > PATH_MAX { Err(format!("is longer than {PATH_MAX} bytes")) } else { Ok(path) }
}

/// A symbolic link may point anywhere: nothing here or in a layer is ever reached through it.
fn symlink_target(link: Option<Vec<u8>>) -> std::result::Result<Vec<u8>, String> {
    match link {
        Some(target) if target.len() > PATH_MAX => Err(format!("its target is longer than {PATH_MAX} bytes")),
        Some(target) if !target.is_empty() && !target.contains(&0) => Ok(target),
        _ => Err("a symbolic link without a target".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative() {
        for (raw, path) in [("./a/b", "a/b"), ("/a//b/", "a/b"), (".//./a", "a"), ("./", ""), ("a/...", "a/...")] {
            assert_eq!(normalised(raw.as_bytes(), Dialect::Package).unwrap(), path.as_bytes(), "{raw}");
        }
        assert_eq!(normalised(b"./caf\xe9", Dialect::Package).unwrap(), b"caf\xe9");
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for raw in ["..", "./../a", "a/../../b", "a/b/..", "/..", "a\nb"] {
            assert!(normalised(raw.as_bytes(), Dialect::Package).is_err(), "{raw}");
        }
        assert!(normalised(&[b'a'; 256], Dialect::Package).is_err());
        assert!(normalised("a/".repeat(2100).as_bytes(), Dialect::Package).is_err());
    }

    #[test]
    fn targets_are_not_endless() {
        assert!(symlink_target(Some(vec![b'a'; PATH_MAX])).is_ok());
        assert!(symlink_target(Some(vec![b'a'; PATH_MAX + 1])).unwrap_err().contains("longer than 4096 bytes"));
    }

    #[test]
    fn paths_of_layers_are_not_deep() {
        let deep = |parts: usize, dialect| normalised("a/".repeat(parts).as_bytes(), dialect);
        assert!(deep(PARTS_MAX, Dialect::Layer).is_ok());
        assert!(deep(PARTS_MAX + 1, Dialect::Package).is_ok());
        assert_eq!(deep(PARTS_MAX + 1, Dialect::Layer).unwrap_err(), "lies below more than 256 folders");
    }

    #[test]
    fn folders_that_are_only_parents_count() {
        let note = |dialect, left, paths: &[&str]| {
            let (seen, package) = (HashMap::new(), "it");
            let mut walker = Walker { package, dialect, seen, left, long_path: None, long_link: None };
            let mut noted = paths.iter().map(|path| path.as_bytes());
            let failed = noted.find_map(|path| walker.note(path, path, &Body::Symlink(vec![b'x'])).err());
            failed.map(|error| error.cause().to_owned())
        };
        let paths = ["a/b/c", "a/b/d"];
        assert_eq!(note(Dialect::Layer, (4, 1 + 3 + 5 + 5), &paths), None);
        let cause = note(Dialect::Layer, (3, 100), &paths).unwrap();
        assert_eq!(cause, "member `a/b/d`: there are more than 1000000 members");
        let cause = note(Dialect::Package, (100, 13), &paths).unwrap();
        assert_eq!(cause, "member `a/b/d`: all paths together have more than 268435456 bytes");
        assert_eq!(note(Dialect::Layer, (1, 1), &["a", "a"]), None);
        assert_eq!(note(Dialect::Package, (9, 9), &["a", "a"]).unwrap(), "member `a`: is there twice");
        let cause = note(Dialect::Layer, (9, 99), &["a/b", "a/b/c/d/e"]).unwrap();
        assert_eq!(cause, "member `a/b/c/d/e`: lies below the symbolic link `a/b`");
    }
}
