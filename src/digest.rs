//! SHA-256 digests and streams that hash what passes. The only module that names the hash crate.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

/// A SHA-256 digest. Shown, parsed and serialised as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest and length of all that `reader` still gives.
    ///
    /// # Errors
    /// Whatever `reader` fails with.
    pub fn of_reader(reader: &mut dyn Read) -> std::io::Result<(Self, u64)> {
        let mut hashing = HashWriter::new(std::io::sink());
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok((hashing.hasher.finish(), hashing.written));
            }
            hashing.write_all(&buffer[..count])?;
        }
    }

    /// The digest with its algorithm, as OCI documents write it (`sha256:...`).
    pub fn oci(&self) -> String {
        format!("sha256:{self}")
    }

    /// The first 12 hexadecimal digits: enough to tell results apart in names, never used as identity.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// The 32 raw bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Accepts 64 hexadecimal digits, with or without `sha256:` in front.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) => Ok(Digest(bytes)),
            Err(error) => {
                Err(Error::new(Kind::Document, format!("digest `{text}`"), format!("not a SHA-256: {error}"))
                    .remedy("write 64 hexadecimal digits"))
            }
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse().map_err(|error: Error| error.to_string())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A running SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// A stream that knows digest and length of what it was given: a layer that goes into a store is hashed once, not by both.
pub trait Hashing: Write {
    /// The digest and length of all bytes so far.
    fn so_far(&self) -> (Digest, u64);
}

impl<W: Write> Hashing for HashWriter<W> {
    fn so_far(&self) -> (Digest, u64) {
        (self.hasher.clone().finish(), self.written)
    }
}

/// A reader that hashes what passes through it.
pub struct HashReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashReader<R> {
    /// Hashes all that is read from `inner`.
    pub fn new(inner: R) -> Self {
        HashReader { inner, hasher: Hasher::default() }
    }

    /// The digest of what was read.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// A writer that hashes and counts what passes through it.
pub struct HashWriter<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> HashWriter<W> {
    /// Starts hashing what will be written to `inner`.
    pub fn new(inner: W) -> Self {
        HashWriter { inner, hasher: Hasher::default(), written: 0 }
    }

    /// The bytes that passed so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The inner writer, the digest and the length of what was written.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.written)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vector_and_round_trip() {
        // FIPS 180-2, appendix B.1.
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.oci().parse::<Digest>().unwrap(), digest);
        assert_eq!(Digest::of_reader(&mut &b"abc"[..]).unwrap(), (digest, 3));
    }

    #[test]
    fn a_short_digest_is_refused() {
        let error = "ba78".parse::<Digest>().unwrap_err();
        assert!(error.to_string().contains("`ba78`"), "{error}");
    }
}
