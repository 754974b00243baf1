//! Signatures over a release's sums file, as `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` checks them (SSHSIG),
//! so that a host without network and without this tool can check them with what it has. Ed25519 signatures are
//! deterministic: a signed release is as reproducible as an unsigned one, given the key.
//!
//! The only module that names the ssh crate. It must not know what a release looks like on the disk, nor read a clock.

pub mod allowed;
mod key;

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
pub use key::read;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use std::fmt;

/// What the signatures are for; a signature made for something else is never taken for one of a release.
pub const NAMESPACE: &str = "snp-release";

/// An Ed25519 public key. Shown as OpenSSH shows its fingerprint (`SHA256:...`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    key: PublicKey,
    blob: Digest,
}

impl Key {
    /// `key`, if it is an Ed25519 key.
    fn of(key: PublicKey) -> std::result::Result<Self, String> {
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(format!(
                "is made with a key of the kind {}: only ssh-ed25519 can be judged here",
                key.algorithm()
            ));
        }
        let blob = key.to_bytes().map_err(|error| format!("holds a key without a binary form: {error}"))?;
        // Without its comment, which is no part of its identity.
        Ok(Key { key: key.key_data().clone().into(), blob: Digest::of(&blob) })
    }

    /// SHA-256 of the key's binary form: its identity, and the name of its signature's file.
    pub fn digest(&self) -> Digest {
        self.blob
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fingerprint(HashAlg::Sha256).fmt(f)
    }
}

/// A private key that can sign. Made by [`read`] only.
pub struct Signer {
    private: PrivateKey,
    key: Key,
}

impl Signer {
    /// Its public half.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The armoured signature over `message`: the bytes `ssh-keygen -Y sign -n snp-release` writes.
    ///
    /// # Errors
    /// [`Kind::Trust`] when the signature does not verify again: the key file contradicts itself.
    pub fn sign(&self, message: &[u8]) -> Result<String> {
        let failed = |cause: String| {
            Error::new(Kind::Trust, format!("key {}", self.key), cause)
                .remedy("the key file is damaged: its halves do not belong together")
        };
        let made = self.private.sign(NAMESPACE, HashAlg::Sha512, message).and_then(|made| made.to_pem(LineEnding::LF));
        let text = made.map_err(|error| failed(format!("cannot sign: {error}")))?;
        match verify(text.as_bytes(), message) {
            Ok(key) if key == self.key => Ok(text),
            Ok(_) => Err(failed("signs as another key".into())),
            Err(cause) => Err(failed(format!("makes a signature that {cause}"))),
        }
    }
}

/// The key that made the armoured signature `text` over `message`, or why the signature is no good, as the end of a
/// sentence that begins with its file.
///
/// # Errors
/// The reason in words. Whether the key may be believed is for [`allowed`] to say.
pub fn verify(text: &[u8], message: &[u8]) -> std::result::Result<Key, String> {
    let signature =
        SshSig::from_pem(text).map_err(|error| format!("is no SSH signature, or a damaged one: {error}"))?;
    let key = Key::of(PublicKey::from(signature.public_key().clone()))?;
    if signature.namespace() != NAMESPACE {
        let found: String = signature.namespace().chars().take(40).flat_map(char::escape_debug).collect();
        return Err(format!("is made for the namespace `{found}`, not `{NAMESPACE}`"));
    }
    key.key.verify(NAMESPACE, message, &signature).map_err(|_| {
        format!("does not fit the sums file: the file was changed after key {key} signed it, or the signature was")
    })?;
    Ok(key)
}
