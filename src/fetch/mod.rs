//! Getting bytes from the network: by digest into the store, or small signed documents as they are now. One of the three
//! doors to the network, beside git and [`crate::registry`]. Knows no archive formats.
//!
//! [`Fetcher`] is the real door, [`Offline`] the closed one. Within: `settings` (limits, proxies and trust roots, from
//! the environment that is handed in), `client` (the HTTP library stops there), `host` (slots, pauses and who is dead),
//! `place` (one question to one URL), `partial` (the growing file), `file` (one file over all its places), `text` (one
//! document over all its places), `batch` (many files with progress), `trouble` (failures and what they add up to).

mod batch;
mod client;
mod file;
mod host;
mod partial;
mod place;
mod settings;
mod text;
mod trouble;

pub(crate) use client::trusted;
pub(crate) use place::is_certificate;
pub use settings::Settings;
pub(crate) use trouble::{chain, shown};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::report::Report;
use crate::store::Store;
use std::future::Future;
use std::sync::Arc;

/// A file that is known by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to call it in messages.
    pub name: String,
    /// Where it may be, in order of preference. All are equal: the digest decides.
    pub urls: Vec<String>,
    /// Its digest.
    pub sha256: Digest,
    /// Its length in bytes, where known.
    pub size: Option<u64>,
}

/// The door, as other borders see it.
pub trait Fetch: Send + Sync {
    /// Brings all files into the store that are not there yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::Gone`] when every place of a file answered and none has it, else
    /// [`crate::error::Kind::Unavailable`] or [`crate::error::Kind::Trust`], naming each place's failure.
    fn all(&self, wanted: &[Wanted], cancel: &Cancel) -> Result<()>;

    /// A document of at most `limit` bytes whose digest is not known yet, from the first of `urls` that answers.
    ///
    /// # Errors
    /// [`crate::error::Kind::Gone`] when every place answered and none has it, else
    /// [`crate::error::Kind::Unavailable`].
    fn document(&self, urls: &[String], limit: u64, cancel: &Cancel) -> Result<Vec<u8>>;
}

/// The door to HTTP, HTTPS and `file:` URLs. One connection pool; hosts that do not answer are remembered for as long
/// as it lives and not asked again.
pub struct Fetcher {
    runtime: tokio::runtime::Handle,
    store: Store,
    report: Arc<dyn Report>,
    client: reqwest::Client,
    hosts: host::Hosts,
    settings: Settings,
}

impl Fetcher {
    /// A door that works on `runtime`, which must be a multi-threaded one: the calls of [`Fetch`] block, so they must
    /// come from threads that are not the runtime's own.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a proxy's URL or a certificate file of the settings cannot be used.
    pub fn new(
        runtime: tokio::runtime::Handle,
        store: Store,
        report: Arc<dyn Report>,
        settings: Settings,
    ) -> Result<Self> {
        let client = client::make(&settings)?;
        Ok(Fetcher { runtime, store, report, client, hosts: host::Hosts::new(&settings), settings })
    }

    /// Runs `work` to its end or until the user stops it. Dropping the work closes its connections and files; what
    /// was written of a download stays for the next run.
    fn until_cancelled<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    Err(Error::new(Kind::Interrupted, "download", "interrupted")
                        .remedy("run the command again: it goes on where this one stopped"))
                }
                result = work => result,
            }
        })
    }
}

impl Fetch for Fetcher {
    fn all(&self, wanted: &[Wanted], cancel: &Cancel) -> Result<()> {
        self.until_cancelled(cancel, self.batch(wanted))
    }

    fn document(&self, urls: &[String], limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.until_cancelled(cancel, self.text(urls, limit))
    }
}

/// The closed door: what the store has is there, all else is unavailable. This is what `--offline` means.
pub struct Offline(pub Store);

impl Fetch for Offline {
    fn all(&self, wanted: &[Wanted], _cancel: &Cancel) -> Result<()> {
        let missing: Vec<&str> =
            wanted.iter().filter(|file| !self.0.contains(&file.sha256)).map(|file| file.name.as_str()).collect();
        match missing.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more files)", rest.len()) };
                Err(offline(&format!("{first}{more}")))
            }
        }
    }

    fn document(&self, urls: &[String], _limit: u64, _cancel: &Cancel) -> Result<Vec<u8>> {
        Err(offline(urls.first().map_or("document", String::as_str)))
    }
}

fn offline(object: &str) -> Error {
    Error::new(Kind::Unavailable, object, "is not in the store, and this run has no network")
        .remedy("run `snpforge fetch` with network first, or leave out --offline")
}
