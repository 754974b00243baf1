//! The paths of a base on their way into the layer: which come, where they go, in which order.

use super::super::assemble::{Assembler, Owner};
use super::super::database::FOLDER;
use super::super::top_link;
use super::Below;
use crate::error::Result;
use crate::oci::base::Node;
use std::io::Write;

/// A file on its way: path in the base, mode, time.
struct Wish<'a> {
    path: &'a [u8],
    mode: u32,
    mtime: u64,
}

impl Below<'_> {
    /// Writes what is not there yet. Calls `progress` at every path.
    pub(in crate::oci::layer) fn fill<W: Write>(
        &self,
        assembler: &mut Assembler<'_, W>,
        progress: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        for (path, node) in self.base.nodes() {
            progress()?;
            let Node::Folder { mode } = node else { continue };
            if let Some(path) = self.placed(assembler, path)? {
                assembler.folder(&path, mode & 0o1777, 0, Owner::Tool)?;
            }
        }
        for (path, node) in self.base.nodes() {
            progress()?;
            let Node::Symlink { target, mtime } = node else { continue };
            if self.rules.superfluous(path, target) {
                if let Some(link) = self.rules.top_link(path).filter(|link| link.as_bytes() == path) {
                    self.top(assembler, link)?;
                }
            } else if let Some(path) = self.placed(assembler, path)? {
                assembler.symlink(&path, target, *mtime, Owner::Tool)?;
            }
        }
        let mut wished = Vec::new();
        for (path, node) in self.base.nodes() {
            progress()?;
            let Node::File { mode, mtime, content, .. } = node else { continue };
            if self.placed(assembler, path)?.is_some() {
                wished.push((*content, Wish { path, mode: mode & 0o777, mtime: *mtime }));
            }
        }
        self.base.contents(wished, progress, &mut |Wish { path, mode, mtime }, size, content| {
            // Two paths of the base can become one by merged /usr.
            match self.rules.place(path).filter(|path| assembler.is_free(path)) {
                Some(path) => assembler.file(&path, (*mode, *mtime), size, content, Owner::Tool),
                None => Ok(()),
            }
        })
    }

    /// Where a path goes, if there is room for it; the link it needs at the top of the tree is written before.
    fn placed<W: Write>(&self, assembler: &mut Assembler<'_, W>, path: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.is_left_out(path) {
            return Ok(None);
        }
        let placed = self.rules.place(path).filter(|path| assembler.is_free(path));
        if let Some(link) = self.rules.top_link(path).filter(|_| placed.is_some()) {
            self.top(assembler, link)?;
        }
        // The link may have brought the folder with it.
        Ok(placed.filter(|path| assembler.is_free(path)))
    }

    fn top<W: Write>(&self, assembler: &mut Assembler<'_, W>, link: &str) -> Result<()> {
        let target = format!("usr/{link}");
        let room = assembler.is_free(target.as_bytes()) || assembler.is_folder(target.as_bytes());
        if room { top_link(assembler, link) } else { Ok(()) }
    }

    fn is_left_out(&self, path: &[u8]) -> bool {
        let below = |folder: &str| path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        path == b".dockerenv"
            || (path == b"etc/ld.so.cache" && !self.alone)
            || self.contract.iter().any(|folder| below(folder))
            || (below(FOLDER) && !self.is_described(path))
            || (self.superseded.contains(path) && !matches!(self.base.node(path), Some(Node::Folder { .. })))
    }
}
