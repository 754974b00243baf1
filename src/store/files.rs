//! The one place that writes files of this machine: whole or not at all, synced, renamed last.

use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes a folder and its parents.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Error::io(path, "make the folder", error))
}

/// Writes a file of mode 0644, replacing an old one in one step.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::io(folder, "write in", error))?;
    file.write_all(bytes).map_err(|error| Error::io(path, "write", error))?;
    keep(file, path, 0o644)
}

/// Gives a finished temporary file its name and mode, after its bytes are on the disk. Its folder is made.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn keep(file: tempfile::NamedTempFile, path: &Path, mode: u32) -> Result<()> {
    let failed = |error| Error::io(path, "write", error);
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Opens a file that grows in place over several runs: made when it is not there, never cut.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn grow(path: &Path) -> Result<fs::File> {
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| Error::io(path, "open", error))
}

/// Gives a file that grew in place its name and mode, after its bytes are on the disk.
///
/// # Errors
/// [`crate::error::Kind::Io`].
#[expect(clippy::disallowed_methods, reason = "the one place that renames: after the sync")]
pub fn adopt(file: &fs::File, grown: &Path, path: &Path, mode: u32) -> Result<()> {
    let failed = |error| Error::io(path, "write", error);
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    fs::rename(grown, path).map_err(failed)
}

/// Removes a file; one that is gone already is no error.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, "remove", error)),
        _ => Ok(()),
    }
}
