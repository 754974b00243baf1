//! Folders of this machine, for development: packed as they are now, never pinned, and said so.

use super::normal::Tree;
use super::{Made, Workshop};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// The date of everything in an unpinned source: 1980-01-01, the first that every archive format can hold. The
/// folder's own times say when it was checked out, not what it is.
const DATE: Epoch = Epoch(315_532_800);

/// Makes the normalised tar of a folder. A `.git` folder or file at its top is left out.
///
/// # Errors
/// [`Kind::Io`] when it cannot be read, [`Kind::Document`] for what no source may hold.
pub fn make(workshop: &Workshop<'_>, folder: &str, path: &str) -> Result<Made> {
    let root = workshop.root.join(path);
    workshop.report.warn(format!("source `{folder}` is the folder {}: NOT PINNED", root.display()));
    let mut tree = Tree::new(&root.display().to_string(), workshop.store)?;
    let walk = walkdir::WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".git") {
        let entry =
            entry.map_err(|error| Error::new(Kind::Io, root.display(), error).remedy("name an existing folder"))?;
        let name = entry.path().strip_prefix(&root).unwrap_or(entry.path()).as_os_str().as_bytes();
        let kind = entry.file_type();
        let failed = |error| Error::io(entry.path(), "read", error);
        if kind.is_dir() {
            tree.folder(name);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(failed)?;
            tree.link(name, target.as_os_str().as_bytes());
        } else if kind.is_file() {
            let mut file = File::open(entry.path()).map_err(failed)?;
            let executable = file.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0;
            tree.file(name, executable, &mut file)?;
        } else {
            return Err(Error::new(Kind::Document, entry.path().display(), "is neither file, folder nor link")
                .remedy("remove it from the source"));
        }
    }
    tree.date(DATE);
    tree.finish(folder, workshop.store)
}
