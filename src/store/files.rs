//! The one place that writes files of this machine: whole or not at all, synced, renamed last.

#![expect(clippy::disallowed_methods, reason = "the one place that writes files")]

use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What helps where the store's folder cannot be written.
pub(super) const WAY_OUT: &str =
    "see to it that the store's folder can be written and has room, or set XDG_CACHE_HOME to another one";

/// A walk through the folder `root` that met an entry that cannot be read.
pub fn walked(root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    Error::io(&path, "read", error.into())
}

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
    copy_with_mode(from, to, 0o644)
}

/// Copies a file to a new name with the given mode, whole or not at all.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn copy_with_mode(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::io(folder, "write in", error))?;
    let mut source = fs::File::open(from).map_err(|error| Error::io(from, "open", error))?;
    std::io::copy(&mut source, &mut file).map_err(|error| Error::io(to, "write", error))?;
    keep(file, to, mode)
}

/// Gives a finished temporary folder its name and mode 0755. Nothing of that name may be there.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn keep_folder(folder: tempfile::TempDir, path: &Path) -> Result<()> {
    let failed = |error| Error::io(path, "write", error);
    for entry in walkdir::WalkDir::new(folder.path()).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    fs::rename(folder.path(), path).map_err(failed)?;
    // Its old name is gone: nothing is left to remove.
    let _gone = folder.keep();
    Ok(())
}

/// A file of unknown length that gets its name when it is complete.
pub struct Whole {
    file: std::io::BufWriter<tempfile::NamedTempFile>,
    path: std::path::PathBuf,
}

impl Whole {
    /// Starts the file beside its later name.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        make_folder(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::io(folder, "write in", error))?;
        Ok(Whole { file: std::io::BufWriter::with_capacity(256 * 1024, file), path: path.to_owned() })
    }

    /// Gives it its name, with mode 0644.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`].
    pub fn keep(self) -> Result<()> {
        let file = self.file.into_inner().map_err(|error| Error::io(&self.path, "write", error.into_error()))?;
        keep(file, &self.path, 0o644)
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
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

/// Opens a file of the store that grows in place over several runs: made when it is not there, never cut.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn grow(path: &Path) -> Result<fs::File> {
    make_folder(path.parent().unwrap_or(Path::new("."))).map_err(|error| error.remedy(WAY_OUT))?;
    let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| Error::io(path, "open", error).remedy(WAY_OUT))
}

/// Gives a file that grew in place its name and mode, after its bytes are on the disk.
///
/// # Errors
/// [`crate::error::Kind::Io`].
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
