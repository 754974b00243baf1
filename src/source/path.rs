//! Folders of this machine, for development. Nothing pins them, so they are packed as they are at that moment, and
//! every run says so.

use super::name::{check_link, clean, shown};
use super::spool::{Content, Node, Spool};
use super::{Made, Resolved, Workshop};
use crate::cancel::check;
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use crate::lock::Pin;
use crate::store::files;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The time of every file of a local source: 1980-01-01, the first that zip knows and some tools insist on. Times of
/// the files themselves would make a new build of every `touch`.
const EPOCH: Epoch = Epoch(315_532_800);

impl Workshop<'_> {
    pub(super) fn resolve_path(&self, path: &str) -> Result<Resolved> {
        self.folder(path)?;
        let pin = Pin::Path { path: path.to_owned() };
        Ok(Resolved { version: "unpinned".into(), epoch: EPOCH, digest: None, pin })
    }

    /// Where the folder is, which must be there.
    fn folder(&self, path: &str) -> Result<PathBuf> {
        let root = self.root.join(path);
        if !root.is_dir() {
            return Err(Error::new(Kind::Document, root.display(), "is no folder, and `path` of a source names it")
                .remedy("correct the `path`, which starts from the project's folder"));
        }
        Ok(root)
    }

    pub(super) fn pack_path(&self, folder: &str, path: &str) -> Result<Made> {
        let root = self.folder(path)?;
        self.report.warn(format!("source `{folder}` is the folder {}: NOT PINNED", root.display()));
        let mut spool = Spool::new(self.store, &root.display().to_string())?;
        // What git keeps for itself is no source.
        let entries = walkdir::WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter();
        for entry in entries.filter_entry(|entry| entry.file_name() != ".git") {
            check(self.cancel, path)?;
            let entry = entry.map_err(|error| files::walked(&root, error))?;
            let inside = entry.path().strip_prefix(&root).unwrap_or(entry.path()).as_os_str().as_bytes();
            let refuse = |cause: &str| Error::new(Kind::Document, entry.path().display(), cause);
            let inside = clean(inside).map_err(refuse)?;
            let found = node(entry.path())?;
            if let Node::Link(target) = &found {
                check_link(&inside, target).map_err(|cause| refuse(&format!("{cause}: `{}`", shown(target))))?;
            }
            spool.put(inside, found);
        }
        spool.write(folder, EPOCH, None)
    }
}

fn node(path: &Path) -> Result<Node> {
    let failed = |error| Error::io(path, "read", error);
    let found = path.symlink_metadata().map_err(failed)?;
    if found.is_dir() {
        return Ok(Node::Folder);
    }
    if found.is_symlink() {
        let target = std::fs::read_link(path).map_err(failed)?;
        return Ok(Node::Link(target.as_os_str().as_bytes().to_vec()));
    }
    if !found.is_file() {
        return Err(Error::new(Kind::Document, path.display(), "is a device, pipe or socket, which no source has")
            .remedy("remove it from the folder"));
    }
    let executable = found.permissions().mode() & 0o100 != 0;
    Ok(Node::File { content: Content::Outside { path: path.to_owned(), size: found.len() }, executable })
}
