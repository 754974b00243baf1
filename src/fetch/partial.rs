//! A file that grows over several runs, with the digest of what it holds so far. One process at a time grows it; an
//! empty one never stays behind.

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::store::{Store, files};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks whether the process that holds a file is done with it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The growing file of one download, locked.
pub(super) struct Partial {
    store: Store,
    digest: Digest,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
    finished: bool,
}

impl Partial {
    /// Opens and locks the partial file of `digest` and hashes what it holds; waits while another process grows it.
    /// `None` when that one brought the whole file meanwhile.
    pub(super) async fn open(store: &Store, digest: &Digest) -> Result<Option<Self>> {
        loop {
            if store.contains(digest) {
                return Ok(None);
            }
            let path = store.partial(digest);
            let file = files::grow(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, &path) => {
                    if !store.contains(digest) {
                        return Self::read(store, digest, path, file).await.map(Some);
                    }
                    // Made anew by this very call, after the other process had renamed its own.
                    files::remove(&path)?;
                }
                // Renamed or removed by the one who held it: look again.
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return Err(Error::io(&path, "lock", error.into())),
            }
        }
    }

    async fn read(store: &Store, digest: &Digest, path: PathBuf, mut file: File) -> Result<Self> {
        let failed = path.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            let mut hasher = Hasher::default();
            let mut buffer = vec![0; 256 * 1024];
            let mut length = 0;
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok((file, hasher, length)),
                    count => hasher.update(&buffer[..count]),
                }
                length = file.stream_position()?;
            }
        });
        let hashed = hashed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (file, hasher, length) = hashed.map_err(|error: std::io::Error| Error::io(&failed, "read", error))?;
        Ok(Partial { store: store.clone(), digest: *digest, path, file, hasher, length, finished: false })
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the bytes so far are the whole file.
    pub(super) fn is_whole(&self) -> bool {
        self.found() == self.digest
    }

    /// The digest of the bytes so far.
    pub(super) fn found(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Adds bytes. They are in the file when this returns: whoever goes on after a kill finds them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io(&self.path, "write", error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets the bytes so far.
    pub(super) fn restart(&mut self) -> Result<()> {
        let failed = |error| Error::io(&self.path, "cut", error);
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        self.hasher = Hasher::default();
        self.length = 0;
        Ok(())
    }

    /// Puts the whole file into the store under its digest, which the caller has compared.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.finished = true;
        let (store, digest, path) = (self.store.clone(), self.digest, self.path.clone());
        // The sync may take long; the other downloads go on meanwhile.
        let adopted = tokio::task::spawn_blocking(move || {
            let done = store.adopt(&self.file, &digest);
            drop(self);
            done
        });
        adopted.await.unwrap_or_else(|error| Err(Error::io(&path, "sync", std::io::Error::other(error))))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.length == 0 && !self.finished {
            // Nothing to resume; a failure to remove harms nobody.
            let _ = files::remove(&self.path);
        }
    }
}

/// Whether `file` is still what stands at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_found_again_and_nothing_empty_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"abcdef");
        let mut partial = Partial::open(&store, &digest).await.unwrap().unwrap();
        partial.append(b"abc").unwrap();
        drop(partial);
        let mut partial = Partial::open(&store, &digest).await.unwrap().unwrap();
        assert_eq!(partial.length(), 3);
        partial.append(b"def").unwrap();
        assert!(partial.is_whole());
        partial.finish().await.unwrap();
        assert_eq!(store.read(&digest).unwrap(), b"abcdef");
        assert!(Partial::open(&store, &digest).await.unwrap().is_none());
        drop(Partial::open(&store, &Digest::of(b"other")).await.unwrap().unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"abc");
        let mut first = Partial::open(&store, &digest).await.unwrap().unwrap();
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { Partial::open(&store, &digest).await.map(|partial| partial.is_none()) }
        });
        tokio::time::sleep(LOOK_AGAIN).await;
        first.append(b"abc").unwrap();
        first.finish().await.unwrap();
        assert!(waiting.await.unwrap().unwrap(), "the second has nothing left to do");
        assert_eq!(std::fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
    }
}
