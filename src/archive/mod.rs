//! Debian-family package archives: what a suite holds now, or held when it was locked. The chain of trust is keyring,
//! signature of InRelease, digest of each index, digest of each package; every link is checked here or by `fetch`.
//! Bytes come from any mirror, because only signatures and digests decide. Knows no lock files' places, no engine, no
//! clock: the time to judge signatures at is an argument.

mod answering;
mod cleartext;
pub mod control;
mod index;
mod package;
mod reach;
mod relation;
pub mod release_file;
pub mod resolve;
pub mod signature;
mod source_package;

pub use answering::from_those_that_answer;
pub use index::{Indexes, Keep, Need};
pub use package::{Package, Packages, Priority};
pub use source_package::{Dsc, SourcePackage};

use crate::cancel::{self, Cancel};
use crate::date::Epoch;
use crate::definition;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::fetch::{Fetch, Wanted};
use crate::lock::{FileLock, SuiteLock};
use crate::store::Store;
use index::Raw;
use release_file::ReleaseFile;
use signature::{Keyring, Signed};

/// The most an InRelease file may weigh: the largest seen (sid, jammy) have less than 300 kB.
const INRELEASE_LIMIT: u64 = 16 << 20;

/// An archive with all that is needed to read it.
pub struct Site<'a> {
    /// Its definition.
    pub definition: &'a definition::Archive,
    /// Its name in locks.
    pub name: &'a str,
    /// The keyring's bytes.
    pub keyring: &'a [u8],
    /// Base URLs that hold `dists/` and `pool/`, in order of preference.
    pub bases: &'a [String],
    /// The door to the network.
    pub fetch: &'a dyn Fetch,
    /// Where indexes and InRelease files are kept.
    pub store: &'a Store,
}

impl Site<'_> {
    /// The state of all suites as it is now: each InRelease is fetched and verified, and the indexes for `need` are
    /// brought into the store. An archive with a `snapshot-time` is judged at that time instead of `now`.
    ///
    /// # Errors
    /// [`Kind::Trust`] when an InRelease is not signed by a trusted key, is out of date or of another suite, or when an
    /// index is not what it promises; [`Kind::Document`] when the definition and the suite do not fit together; what
    /// `fetch` fails with.
    pub fn refresh(&self, need: Need, now: Epoch, cancel: &Cancel) -> Result<Vec<SuiteLock>> {
        let keyring = self.keyring()?;
        let snapshot = self.definition.snapshot_time.as_deref().map(Epoch::parse_compact).transpose()?;
        let at = snapshot.unwrap_or(now);
        let mut locks = Vec::new();
        let mut wanted = Vec::new();
        for suite in &self.definition.suites {
            let (bytes, signed) = self.current(suite, &keyring, at, cancel)?;
            let name = self.inrelease(suite);
            let release = ReleaseFile::parse(&name, suite, &signed.text)?;
            let index = index::choose(&name, self.definition, need, &release)?;
            wanted.extend(index.iter().map(|file| self.wanted(suite, file, release.by_hash, true)));
            locks.push(SuiteLock {
                snapshot_time: self.definition.snapshot_time.clone(),
                archive: self.name.into(),
                suite: suite.clone(),
                date: release.date,
                signer: signed.signer,
                inrelease: self.store.put(&bytes)?,
                index,
            });
        }
        self.bring(&wanted, cancel)?;
        locks.sort();
        Ok(locks)
    }

    /// The state that was locked, again, with the indexes for `need` (which may be others than the locked ones): from the
    /// store, else by digest from the archive. Signatures are verified again, at the date of the state; how long it was
    /// valid does not matter. Locks of other archives are passed over.
    ///
    /// # Errors
    /// [`Kind::Lock`] when the locks do not fit the definition, [`Kind::Gone`] when the archive does not serve that
    /// state any more, [`Kind::Trust`] as for [`Site::refresh`], and what `fetch` fails with.
    pub fn replay(&self, need: Need, locks: &[SuiteLock], cancel: &Cancel) -> Result<Vec<SuiteLock>> {
        let keyring = self.keyring()?;
        let mut replayed = Vec::new();
        let mut wanted = Vec::new();
        for lock in self.own(locks)? {
            let bytes = self.locked_inrelease(lock, cancel)?;
            let name = self.inrelease(&lock.suite);
            let signed = signature::verify(&name, &bytes, &keyring, lock.date)?;
            let release = ReleaseFile::parse(&name, &lock.suite, &signed.text)?;
            for file in &lock.index {
                self.check_promise(lock, &release, file)?;
            }
            let index = index::choose(&name, self.definition, need, &release)?;
            wanted.extend(index.iter().map(|file| self.wanted(&lock.suite, file, release.by_hash, false)));
            replayed.push(SuiteLock { index, ..lock.clone() });
        }
        self.bring(&wanted, cancel)?;
        replayed.sort();
        Ok(replayed)
    }

    /// What the indexes of a state list that [`Site::refresh`] or [`Site::replay`] brought into the store.
    ///
    /// # Errors
    /// [`Kind::Lock`] when the locks do not fit the definition, [`Kind::Io`] or [`Kind::Trust`] when the store lacks an
    /// index or holds a damaged one.
    pub fn indexes(&self, locks: &[SuiteLock], keep: Keep<'_>) -> Result<Indexes> {
        let mut raw = Vec::new();
        for lock in self.own(locks)? {
            let name = self.inrelease(&lock.suite);
            let inrelease = self.store.read(&lock.inrelease)?;
            let text = std::str::from_utf8(&inrelease).map_err(|_| "is not UTF-8 text").and_then(cleartext::split);
            let text = text.map_err(|cause| Error::new(Kind::Trust, &name, cause))?.text;
            let release = ReleaseFile::parse(&name, &lock.suite, &text)?;
            for file in self.in_component_order(&lock.index) {
                self.check_promise(lock, &release, file)?;
                raw.push(Raw {
                    name: format!("{}/{}", lock.suite, file.path),
                    limit: index::limit(&release, &file.path),
                    file: self.store.verified(&file.sha256)?,
                    path: file.path.clone(),
                });
            }
        }
        Indexes::read(&raw, keep)
    }

    fn keyring(&self) -> Result<Keyring> {
        Keyring::parse(&self.definition.keyring, self.keyring, &self.definition.signers)
    }

    /// What an InRelease file is called in messages.
    fn inrelease(&self, suite: &str) -> String {
        format!("{} archive dists/{suite}/InRelease", self.definition.family.name())
    }

    fn urls(&self, path: &str) -> Vec<String> {
        self.bases.iter().map(|base| format!("{}/{path}", base.trim_end_matches('/'))).collect()
    }

    /// The InRelease of a suite as the mirrors have it now, verified. If what the first mirror gives cannot be
    /// believed, the others are asked one by one: a stale or broken mirror must not stand in the way of a good one.
    fn current(&self, suite: &str, keyring: &Keyring, at: Epoch, cancel: &Cancel) -> Result<(Vec<u8>, Signed)> {
        let name = self.inrelease(suite);
        let urls = self.urls(&format!("dists/{suite}/InRelease"));
        let attempt = |urls: &[String]| -> Result<(Vec<u8>, Signed)> {
            cancel::check(cancel, &name)?;
            let bytes = self.fetch.document(urls, INRELEASE_LIMIT, cancel).map_err(|error| error.named(&name))?;
            let signed = signature::verify(&name, &bytes, keyring, at)?;
            ReleaseFile::parse(&name, suite, &signed.text)?.check_time(&name, at)?;
            Ok((bytes, signed))
        };
        let first = match attempt(&urls) {
            Err(error) if error.kind() == Kind::Trust && urls.len() > 1 => error,
            result => return result,
        };
        urls.iter().find_map(|url| attempt(std::slice::from_ref(url)).ok()).ok_or(first)
    }

    /// The InRelease that a lock names. It cannot be asked for by digest, so it is only there while it is current.
    fn locked_inrelease(&self, lock: &SuiteLock, cancel: &Cancel) -> Result<Vec<u8>> {
        cancel::check(cancel, &lock.suite)?;
        if self.store.contains(&lock.inrelease) {
            return self.store.read(&lock.inrelease);
        }
        for url in self.urls(&format!("dists/{}/InRelease", lock.suite)) {
            match self.fetch.document(std::slice::from_ref(&url), INRELEASE_LIMIT, cancel) {
                Ok(bytes) if Digest::of(&bytes) == lock.inrelease => {
                    self.store.put(&bytes)?;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let cause = format!("no mirror has its state of {} any more", lock.date.rfc3339()?);
        Err(Error::new(Kind::Gone, self.inrelease(&lock.suite), cause)
            .remedy("run `snpforge lock --update`, or set `snapshot-time` in the archive's definition"))
    }

    /// The locks of this archive in the order of the definition's suites.
    fn own<'l>(&self, locks: &'l [SuiteLock]) -> Result<Vec<&'l SuiteLock>> {
        let find = |suite: &String| {
            locks.iter().find(|lock| lock.archive == self.name && lock.suite == *suite).ok_or_else(|| {
                Error::new(Kind::Lock, format!("suite {suite} of archive {}", self.name), "is not in the lock")
                    .remedy("run `snpforge lock`")
            })
        };
        self.definition.suites.iter().map(find).collect()
    }

    /// The definition's order of components, not the alphabet's, decides between equal versions.
    fn in_component_order<'l>(&self, index: &'l [FileLock]) -> Vec<&'l FileLock> {
        let of = |component: &String| {
            let folder = format!("{component}/");
            index.iter().filter(move |file| file.path.starts_with(&folder))
        };
        self.definition.components.iter().flat_map(of).collect()
    }

    fn check_promise(&self, lock: &SuiteLock, release: &ReleaseFile<'_>, file: &FileLock) -> Result<()> {
        if release.files.get(file.path.as_str()) == Some(&(file.sha256, file.size)) && release.date == lock.date {
            return Ok(());
        }
        let object = format!("{}/{}", lock.suite, file.path);
        let cause = format!("the lock and {} do not agree about it", self.inrelease(&lock.suite));
        Err(Error::new(Kind::Lock, object, cause).remedy("run `snpforge lock --update`"))
    }

    /// An index as `fetch` wants it: by its digest where the archive keeps indexes so, else by its plain path. That one
    /// always holds the newest state; asking it for an old one (`newest` is false) would look like a wrong digest.
    fn wanted(&self, suite: &str, file: &FileLock, by_hash: bool, newest: bool) -> Wanted {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut urls = Vec::new();
        if by_hash {
            urls.extend(self.urls(&format!("dists/{suite}/{folder}/by-hash/SHA256/{}", file.sha256)));
        }
        // A snapshot does not move, and mirrors without the folders `by-hash` exist.
        if newest || !by_hash || self.definition.snapshot_time.is_some() {
            urls.extend(self.urls(&format!("dists/{suite}/{}", file.path)));
        }
        Wanted {
            name: format!("index {} of {}", file.path, self.inrelease(suite)),
            urls,
            sha256: file.sha256,
            size: Some(file.size),
        }
    }

    fn bring(&self, wanted: &[Wanted], cancel: &Cancel) -> Result<()> {
        self.fetch.all(wanted, cancel).map_err(|error| {
            if error.kind() != Kind::Trust {
                return error;
            }
            let cause = format!("is not what InRelease promises: {}", error.cause());
            Error::new(Kind::Trust, error.object(), cause)
                .remedy("choose another mirror, or try again when this one has caught up")
                .because(error)
        })
    }
}
