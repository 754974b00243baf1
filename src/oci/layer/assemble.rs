//! Writes entries so that every path occurs once and folders come before what they hold, whatever packages say.

use super::order::Claims;
use crate::error::{Error, Kind, Result};
use crate::tarball::{Attributes, Writer, parents};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};

/// Who has put an entry into the layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// This tool, by the contract or the definition.
    Tool,
    /// A package, by its place in the order.
    Package(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Folder,
    File,
    Symlink,
}

/// The layer while it is written.
pub(super) struct Assembler<'a, W: Write> {
    writer: Writer<W>,
    claims: &'a Claims,
    epoch: u64,
    seen: HashMap<Box<[u8]>, (Kept, Owner)>,
    /// Paths of the package in work that an earlier one keeps.
    lost: HashSet<Vec<u8>>,
}

impl<'a, W: Write> Assembler<'a, W> {
    pub(super) fn new(out: W, claims: &'a Claims, epoch: u64) -> Self {
        Assembler { writer: Writer::new(out), claims, epoch, seen: HashMap::new(), lost: HashSet::new() }
    }

    /// A folder. One that is there already stays as it is.
    pub(super) fn folder(&mut self, path: &[u8], mode: u32, id: u32, owner: Owner) -> Result<()> {
        match self.seen.get(path) {
            Some((Kept::Folder, _)) => return Ok(()),
            Some((_, earlier)) => return Err(self.conflict(path, *earlier, owner, "a folder in one and no folder in")),
            None => {}
        }
        self.parents(path, owner)?;
        self.seen.insert(path.into(), (Kept::Folder, owner));
        let attributes = Attributes { mode, mtime: self.epoch, owner: id };
        self.writer.folder(path, attributes).map_err(failed)
    }

    /// A symbolic link.
    pub(super) fn symlink(&mut self, path: &[u8], target: &[u8], mtime: u64, owner: Owner) -> Result<()> {
        if !self.claim(path, Kept::Symlink, owner)? {
            return Ok(());
        }
        let attributes = self.attributes(0o777, mtime);
        self.writer.symlink(path, target, attributes).map_err(failed)
    }

    /// A file; its content is read in any case, since it stands between the entries.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        (mode, mtime): (u32, u64),
        size: u64,
        content: &mut dyn Read,
        owner: Owner,
    ) -> Result<()> {
        if !self.claim(path, Kept::File, owner)? {
            return io::copy(content, &mut io::sink()).map(drop).map_err(failed);
        }
        let attributes = self.attributes(mode, mtime);
        self.writer.file(path, attributes, size, content).map_err(failed)
    }

    /// A file this tool makes.
    pub(super) fn made(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let (path, mut bytes) = (path.as_bytes(), content);
        self.file(path, (mode, self.epoch), content.len() as u64, &mut bytes, Owner::Tool)
    }

    /// The paths that the package in work lost to others; the next package starts with none.
    pub(super) fn lost(&mut self) -> HashSet<Vec<u8>> {
        std::mem::take(&mut self.lost)
    }

    /// Whether a path is in the layer.
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        self.seen.contains_key(path)
    }

    /// Whether a path is that of a package's file or link.
    pub(super) fn is_taken(&self, path: &[u8]) -> bool {
        matches!(self.seen.get(path), Some((Kept::File | Kept::Symlink, Owner::Package(_))))
    }

    /// Whether a path is a folder of the layer.
    pub(super) fn is_folder(&self, path: &[u8]) -> bool {
        matches!(self.seen.get(path), Some((Kept::Folder, _)))
    }

    /// Whether nothing is at a path and no file or link in its way.
    pub(super) fn is_free(&self, path: &[u8]) -> bool {
        // What is above a folder is folders only, so the nearest one decides.
        !self.holds(path) && parents(path).find(|parent| self.holds(parent)).is_none_or(|parent| self.is_folder(parent))
    }

    /// The number of entries so far.
    pub(super) fn entries(&self) -> usize {
        self.seen.len()
    }

    /// Ends the layer and gives back what it was written to.
    pub(super) fn finish(self) -> Result<W> {
        self.writer.finish().map_err(failed)
    }

    fn attributes(&self, mode: u32, mtime: u64) -> Attributes {
        Attributes { mode, mtime: mtime.min(self.epoch), owner: 0 }
    }

    /// Takes a path for something that is no folder. `false`: an earlier entry keeps it.
    fn claim(&mut self, path: &[u8], kept: Kept, owner: Owner) -> Result<bool> {
        if let Some((earlier_kind, earlier)) = self.seen.get(path).copied() {
            if earlier_kind == Kept::Folder {
                return Err(self.conflict(path, earlier, owner, "a folder in one and no folder in"));
            }
            let replaced = match (earlier, owner) {
                (Owner::Tool, _) => true,
                (Owner::Package(first), Owner::Package(second)) => {
                    first != second && self.claims.replaces(first, second)
                }
                (Owner::Package(_), Owner::Tool) => false,
            };
            if !replaced {
                return Err(self.conflict(path, earlier, owner, "in both, and the first does not replace"));
            }
            self.lost.insert(path.to_vec());
            return Ok(false);
        }
        self.parents(path, owner)?;
        self.seen.insert(path.into(), (kept, owner));
        Ok(true)
    }

    /// Writes the folders above `path` that are not there yet; packages may leave them out.
    fn parents(&mut self, path: &[u8], owner: Owner) -> Result<()> {
        let Some(at) = path.iter().rposition(|byte| *byte == b'/') else { return Ok(()) };
        let parent = &path[..at];
        match self.seen.get(parent) {
            Some((Kept::Folder, _)) => Ok(()),
            Some((_, earlier)) => {
                Err(self.conflict(parent, *earlier, owner, "no folder in one, but it is a parent in"))
            }
            None => self.folder(parent, 0o755, 0, owner),
        }
    }

    fn conflict(&self, path: &[u8], earlier: Owner, owner: Owner, how: &str) -> Error {
        let name = |owner| match owner {
            Owner::Tool => "the image definition".to_owned(),
            Owner::Package(package) => self.claims.name(package),
        };
        let path = String::from_utf8_lossy(path);
        let cause = format!("packages {} and {}: it is {how} the other", name(earlier), name(owner));
        Error::new(Kind::Resolve, format!("/{path}"), cause)
            .remedy("leave one of the packages out, or name the path under root.exclude")
    }
}

/// The layer cannot be written; or, in the middle of a file, its package cannot be read.
pub(super) fn failed(error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(package) => return package,
        Err(error) => error,
    };
    let mut made = Error::new(Kind::Io, "image layer", format!("cannot write: {error}"));
    if error.kind() == io::ErrorKind::StorageFull {
        made = made.remedy("free space on that file system, or set XDG_CACHE_HOME to a larger one");
    }
    made.because(error)
}
