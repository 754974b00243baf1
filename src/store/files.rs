//! The one place that writes files of this machine: whole or not at all, synced, renamed last.

#![expect(clippy::disallowed_methods, reason = "the one place that writes files")]

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

/// Copies a file to a new name with mode 0644, whole or not at all.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::io(folder, "write in", error))?;
    let mut source = fs::File::open(from).map_err(|error| Error::io(from, "open", error))?;
    std::io::copy(&mut source, &mut file).map_err(|error| Error::io(to, "write", error))?;
    keep(file, to, 0o644)
}

/// A file that grows while something runs, such as a log: visible from the start, unlike everything else here.
pub struct Appending(std::io::BufWriter<fs::File>);

impl Appending {
    /// Creates the file, empty, and its folder.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        make_folder(path.parent().unwrap_or(Path::new(".")))?;
        let file = fs::File::create(path).map_err(|error| Error::io(path, "write", error))?;
        Ok(Appending(std::io::BufWriter::new(file)))
    }
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
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
