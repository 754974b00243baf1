//! Unpacked images, by the digest of their layer. An unpacked image is never trusted for existing: it is compared with
//! its layer before every build, and put right when a person or a full disk has changed it.
//!
//! Beside each stands a lock file: shared by those who use the root, exclusive for who makes or replaces it.

use super::privileges::Rights;
use crate::cancel::{self, Cancel};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Kind, Result};
use crate::oci::Image;
use crate::store::files;
use crate::tree::{self, Owners};
use rustix::fs::{FlockOperation, Mode, chmod, flock};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How long to wait before asking for a lock again.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often to ask again for a damaged root that seems to be in use.
const PATIENT: u32 = 5;

/// The folder of all roots.
pub(super) struct Roots<'a> {
    folder: &'a Path,
    owners: Owners,
}

impl<'a> Roots<'a> {
    pub(super) fn new(folder: &'a Path, rights: Rights) -> Self {
        Roots { folder, owners: if rights == Rights::Root { Owners::FromTar } else { Owners::Mine } }
    }

    /// Where the image's root is, or would be.
    pub(super) fn path(&self, image: &Image) -> PathBuf {
        self.folder.join(image.diff_id.to_string())
    }

    fn lock_file(&self, image: &Image) -> Result<File> {
        files::make_folder(self.folder)?;
        open_lock(&self.folder.join(format!("{}.lock", image.diff_id)))
    }

    /// Makes sure that the root is there and equal to the layer, and holds it against replacement.
    pub(super) fn load(&self, image: &Image, cancel: &Cancel) -> Result<File> {
        let lock = self.lock_file(image)?;
        let path = self.path(image);
        let mut damaged = 0;
        loop {
            if try_lock(&lock, FlockOperation::NonBlockingLockExclusive)? {
                match path.exists().then(|| self.compare(image, cancel)) {
                    Some(Ok(())) => {}
                    Some(Err(error)) if error.kind() != Kind::Trust => return Err(error),
                    Some(Err(_)) | None => self.unpack(image, cancel)?,
                }
                // Whoever gets in between replaces it by an equal one only.
                flock(&lock, FlockOperation::LockShared).map_err(|error| Error::io(&path, "lock", error.into()))?;
                return Ok(lock);
            }
            // Somebody uses it, so it is whole, or it was damaged under them.
            if try_lock(&lock, FlockOperation::NonBlockingLockShared)? && path.exists() {
                match self.compare(image, cancel) {
                    // A process that is just being started holds whatever its parent had open, for a moment.
                    Err(error) if error.kind() == Kind::Trust && damaged < PATIENT => damaged += 1,
                    other => {
                        return other.map(|()| lock).map_err(|error| {
                            error.remedy(
                                "another build uses this unpacked image: let it end, then run the command again",
                            )
                        });
                    }
                }
            }
            cancel::check(cancel, "waiting for another process that unpacks the image")?;
            std::thread::sleep(PATIENCE);
        }
    }

    /// Holds the root against replacement, after comparing it with the layer anew.
    pub(super) fn hold(&self, image: &Image, cancel: &Cancel) -> Result<File> {
        let lock = self.lock_file(image)?;
        while !try_lock(&lock, FlockOperation::NonBlockingLockShared)? {
            cancel::check(cancel, "waiting for another process that unpacks the image")?;
            std::thread::sleep(PATIENCE);
        }
        self.compare(image, cancel)?;
        Ok(lock)
    }

    /// Compares every byte of the unpacked image with the layer, and the layer with its digest.
    pub(super) fn compare(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        let path = self.path(image);
        if !path.exists() {
            return Err(Error::new(Kind::Engine, &image.reference, "is not unpacked in the sandbox's store")
                .remedy("load it first: `snpforge image load --engine embedded`"));
        }
        hashed(image, |layer| tree::compare(layer, &path, self.owners, cancel)).map_err(|error| {
            if error.kind() == Kind::Trust && error.remedy_text().is_none() {
                return error.remedy("run the command again: the image is unpacked anew");
            }
            error
        })
    }

    /// Under the exclusive lock.
    fn unpack(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        let path = self.path(image);
        let partial = self.folder.join(format!("{}.partial", image.diff_id));
        // What a killed process left, and a damaged one.
        tree::remove(&partial)?;
        tree::remove(&path)?;
        files::make_folder(&partial)?;
        let made = chmod(&partial, Mode::from_raw_mode(0o755))
            .map_err(|error| Error::io(&partial, "set the mode of", error.into()));
        let unpacked = made.and_then(|()| hashed(image, |layer| tree::unpack(layer, &partial, self.owners, cancel)));
        if let Err(error) = unpacked {
            tree::remove(&partial)?;
            return Err(error);
        }
        rename(&partial, &path)
    }
}

#[expect(clippy::disallowed_methods, reason = "a folder gets its name last, as store::files does it for files")]
fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| Error::io(to, "rename to", error))
}

/// Opens a lock file, making it if need be. Such a file is never removed, since others may wait for it.
pub(super) fn open_lock(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(path).map_err(|error| Error::io(path, "open", error))
}

/// Whether the lock was got.
pub(super) fn try_lock(file: &File, how: FlockOperation) -> Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::io(Path::new("lock file"), "lock", error.into())),
    }
}

/// Lets `work` read the layer while a second thread hashes it, and compares the digest.
fn hashed(image: &Image, work: impl FnOnce(&mut dyn Read) -> Result<()>) -> Result<()> {
    let file = File::open(&image.layer).map_err(|error| Error::io(&image.layer, "open", error))?;
    std::thread::scope(|scope| {
        let (full, chunks) = sync_channel(4);
        let (back, empty) = sync_channel(8);
        let hashing = scope.spawn(move || hash(&chunks, &back));
        let mut tee = Tee { file, full, empty, chunk: Vec::new(), at: 0 };
        let done = work(&mut tee);
        drop(tee);
        let digest = hashing.join().map_err(|_| Error::new(Kind::Engine, "hashing", "the thread was lost"))?;
        match done {
            Ok(()) if digest != image.diff_id => Err(Error::new(
                Kind::Trust,
                image.layer.display(),
                format!("has sha256 {digest} instead of {}", image.diff_id),
            )
            .remedy("remove the file; it is made anew from its packages")),
            other => other,
        }
    })
}

fn hash(chunks: &Receiver<Vec<u8>>, back: &SyncSender<Vec<u8>>) -> Digest {
    let mut hasher = Hasher::default();
    for chunk in chunks {
        hasher.update(&chunk);
        // The reader may have ended; its buffers are not needed then.
        let _ = back.try_send(chunk);
    }
    hasher.finish()
}

/// Reads a file in chunks, each of which goes on to the hashing thread once it is used up.
struct Tee {
    file: File,
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

/// Small enough for the processor to keep and for the allocator to hand out without asking the machine for pages.
const CHUNK: usize = 64 * 1024;

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let mut next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
            next.clear();
            let used = std::mem::take(&mut self.chunk);
            if !used.is_empty() {
                self.full.send(used).map_err(io::Error::other)?;
            }
            (&mut self.file).take(CHUNK as u64).read_to_end(&mut next)?;
            self.chunk = next;
            self.at = 0;
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
