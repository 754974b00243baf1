//! The content-addressed store: blobs by SHA-256 and action results by key. Bytes get their name last, and what is
//! read as an input is checked, not trusted for existing. Knows nothing of what the blobs mean.

pub mod files;

use crate::digest::{Digest, HashWriter, Hashing};
use crate::error::{Error, Kind, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A store in one folder. Cheap to clone; used from several threads and processes at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store at `root` and makes its folders.
    ///
    /// # Errors
    /// [`Kind::Io`] when they cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in ["blobs", "actions", "tmp", "partial"] {
            files::make_folder(&root.join(folder)).map_err(|error| error.remedy(files::WAY_OUT))?;
        }
        Ok(Self::at(root.to_owned()))
    }

    /// The store at `root` for whoever only looks into it: nothing is made, and it may not be there.
    pub fn at(root: PathBuf) -> Self {
        Store { root }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("blobs").join(&name[..2]).join(name)
    }

    /// Where a download of the blob grows; its length is where to resume.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.to_string())
    }

    /// Whether the blob is there by name. What is used is checked by [`Store::verified`].
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The blob's path after its bytes were hashed anew. A damaged blob is removed, so that it is fetched again.
    ///
    /// # Errors
    /// [`Kind::Io`] when it is not there, [`Kind::Trust`] when its bytes are not what its name says.
    pub fn verified(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.path(digest);
        let mut file = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
        let (found, _) = Digest::of_reader(&mut file).map_err(|error| Error::io(&path, "read", error))?;
        if found != *digest {
            files::remove(&path)?;
            return Err(Error::new(Kind::Trust, path.display(), format!("was damaged: its bytes have sha256 {found}"))
                .remedy("it was removed from the store; run the command again"));
        }
        Ok(path)
    }

    /// The whole blob, checked.
    ///
    /// # Errors
    /// As [`Store::verified`].
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.verified(digest)?;
        std::fs::read(&path).map_err(|error| Error::io(&path, "read", error))
    }

    /// A new blob, to be written and then committed.
    ///
    /// # Errors
    /// [`Kind::Io`] when no temporary file can be made.
    pub fn writer(&self) -> Result<BlobWriter> {
        let folder = self.root.join("tmp");
        let file = tempfile::NamedTempFile::new_in(&folder).map_err(|error| unwritable(&folder, error))?;
        Ok(BlobWriter { store: self.clone(), inner: HashWriter::new(BufWriter::with_capacity(256 * 1024, file)) })
    }

    /// Takes over a download that grew at [`Store::partial`] and whose bytes were hashed while they came.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be synced or renamed.
    pub fn adopt(&self, file: &File, digest: &Digest) -> Result<()> {
        files::adopt(file, &self.partial(digest), &self.path(digest), 0o444)
    }

    /// Puts `bytes` in.
    ///
    /// # Errors
    /// [`Kind::Io`] when writing fails.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|error| Error::io(&self.root, "write in", error))?;
        Ok(writer.commit(None)?.0)
    }

    /// The action result stored under `key`, if there is one.
    ///
    /// # Errors
    /// [`Kind::Io`] when it exists but cannot be read.
    pub fn action(&self, key: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.root.join("actions").join(key.to_string());
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, "read", error)),
        }
    }

    /// Stores an action result.
    ///
    /// # Errors
    /// [`Kind::Io`] when writing fails.
    pub fn put_action(&self, key: &Digest, result: &[u8]) -> Result<()> {
        files::write_whole(&self.root.join("actions").join(key.to_string()), result)
    }

    /// A scratch file inside the store without a name: whatever ends the run, it is gone with it.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be made.
    pub fn unnamed(&self) -> Result<File> {
        let folder = self.root.join("tmp");
        tempfile::tempfile_in(&folder).map_err(|error| unwritable(&folder, error))
    }

    /// A scratch folder inside the store, removed when dropped.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be made.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let folder = self.root.join("tmp");
        tempfile::TempDir::new_in(&folder).map_err(|error| unwritable(&folder, error))
    }
}

fn unwritable(folder: &Path, error: std::io::Error) -> Error {
    Error::io(folder, "write in", error).remedy(files::WAY_OUT)
}

/// A blob that has no name yet. Dropped without commit it leaves nothing behind.
pub struct BlobWriter {
    store: Store,
    inner: HashWriter<BufWriter<tempfile::NamedTempFile>>,
}

impl BlobWriter {
    /// Names the blob by its digest, after comparing it with what was promised.
    ///
    /// # Errors
    /// [`Kind::Trust`] when `promised` is something else, [`Kind::Io`] when writing fails.
    pub fn commit(self, promised: Option<&Digest>) -> Result<(Digest, u64)> {
        let (buffered, digest, size) = self.inner.finish();
        let root = self.store.root.clone();
        if let Some(promised) = promised.filter(|promised| **promised != digest) {
            return Err(Error::new(Kind::Trust, format!("blob {promised}"), format!("the bytes have sha256 {digest}")));
        }
        let file = buffered.into_inner().map_err(|error| Error::io(&root, "write in", error.into_error()))?;
        files::keep(file, &self.store.path(&digest), 0o444)?;
        Ok((digest, size))
    }
}

impl Hashing for BlobWriter {
    fn so_far(&self) -> (Digest, u64) {
        self.inner.so_far()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put(b"bytes").unwrap();
        assert_eq!(store.put(b"bytes").unwrap(), digest);
        assert_eq!(store.read(&digest).unwrap(), b"bytes");
        let path = store.path(&digest);
        std::fs::remove_file(&path).unwrap();
        files::write_whole(&path, b"other").unwrap();
        assert_eq!(store.verified(&digest).unwrap_err().kind(), Kind::Trust);
        assert!(!store.contains(&digest), "a damaged blob must not stay");
    }

    #[test]
    fn a_store_that_cannot_be_written_names_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        files::write_whole(&file, b"").unwrap();
        // Nothing can be made in a file, nor in a folder that is not there.
        let store = Store::at(folder.path().join("none"));
        let failed = [
            Store::open(&file).map(drop),
            store.writer().map(drop),
            store.unnamed().map(drop),
            store.scratch().map(drop),
            files::grow(&file.join("partial")).map(drop),
        ];
        for error in failed.map(Result::unwrap_err) {
            assert_eq!(error.kind(), Kind::Io);
            assert!(error.remedy_text().is_some_and(|text| text.contains("XDG_CACHE_HOME")), "{error:?}");
        }
        assert!(!store.contains(&Digest::of(b"x")) && !store.root().exists(), "looking makes nothing");
    }

    #[test]
    fn a_broken_promise_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut writer = store.writer().unwrap();
        writer.write_all(b"wrong").unwrap();
        let error = writer.commit(Some(&Digest::of(b"right"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust);
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
        assert!(!store.contains(&Digest::of(b"wrong")));
    }
}
