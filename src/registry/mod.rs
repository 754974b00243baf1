//! Container registries: manifests and blobs of images, asked for by digest and never by tag. The third door to the
//! network, beside [`crate::fetch`] and git. Knows nothing of what blobs mean.
//!
//! [`Client`] is the real door, [`Offline`] the closed one. Within: `client` (what is fetched at all), `desk` (one registry
//! while it is asked), `transport` (proxies, TLS, patience), `credentials` (the files that `docker login` writes), `blob` (on
//! its way into the store), `trouble` (what errors mean). The library, oci-client, speaks the protocol and fetches tokens;
//! what it brings is hashed again.

mod blob;
mod client;
mod credentials;
mod desk;
mod transport;
mod trouble;

pub use client::Client;

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;
use crate::store::Store;

/// A blob of an image that is known by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its digest.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The door, as others see it.
pub trait Registry: Send + Sync {
    /// The manifest that `image` names by its digest, whatever it is a manifest of; it is in the store afterwards.
    ///
    /// # Errors
    /// [`Kind::Gone`] when the registry answers and does not have it, [`Kind::Trust`] when it gives something else,
    /// [`Kind::Unavailable`] when it cannot be asked or refuses.
    fn manifest(&self, image: &Reference, cancel: &Cancel) -> Result<Vec<u8>>;

    /// Brings blobs of `image` into the store that are not there yet.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    fn blobs(&self, image: &Reference, wanted: &[Wanted], cancel: &Cancel) -> Result<()>;
}

/// The closed door: what the store has is there, all else is unavailable.
pub struct Offline(pub Store);

impl Registry for Offline {
    fn manifest(&self, image: &Reference, _cancel: &Cancel) -> Result<Vec<u8>> {
        if self.0.contains(&image.digest()) {
            self.0.read(&image.digest())
        } else {
            Err(offline(image, "its manifest"))
        }
    }

    fn blobs(&self, image: &Reference, wanted: &[Wanted], _cancel: &Cancel) -> Result<()> {
        let mut missing = 0;
        for blob in wanted {
            missing += usize::from(!is_there(image, blob, &self.0)?);
        }
        match missing {
            0 => Ok(()),
            1 => Err(offline(image, "one of its blobs")),
            count => Err(offline(image, &format!("{count} of its blobs"))),
        }
    }
}

/// Whether a blob is in the store, with the length that the manifest says.
fn is_there(image: &Reference, blob: &Wanted, store: &Store) -> Result<bool> {
    if !store.contains(&blob.sha256) {
        return Ok(false);
    }
    let path = store.path(&blob.sha256);
    let length = std::fs::metadata(&path).map_err(|error| Error::io(&path, "read", error))?.len();
    if length == blob.size {
        return Ok(true);
    }
    let cause = format!("its manifest says that {} has {} bytes, and it has {length}", blob.sha256.oci(), blob.size);
    Err(Error::new(Kind::Trust, object(image), cause).remedy("name another image: this one's manifest is wrong"))
}

fn offline(image: &Reference, what: &str) -> Error {
    Error::new(Kind::Unavailable, object(image), format!("{what}: not in the store, and this run has no network"))
        .remedy("run `snpforge fetch` with network first, or leave out --offline")
}

/// What errors are about.
fn object(image: &Reference) -> String {
    format!("base image {image}")
}

/// Whether a registry is this machine itself, where plain HTTP is spoken, as Docker does it. Anything else is asked by TLS.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["docker.io", "localhost.example:5000", "127.0.0.1.example", "10.0.0.1:5000", "[fe80::1]:5000"]
        {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
