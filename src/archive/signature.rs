//! Who signed an InRelease file, and whether that may be believed: OpenPGP keyrings and cleartext signatures
//! (RFC 9580 and its forerunner 4880). The only module that names the OpenPGP crate; knows nothing of archives.
//!
//! A signature is good when a signing key of a trusted certificate made it: the primary key or a subkey bound to it in
//! both directions, not revoked, not expired at the time it is judged at, with a hash of at least 256 bits on every
//! link of the chain. A certificate's newest self-signature is its owner's last word, whenever it was made. A key that
//! was revoked is never good again, not even for older signatures.

use super::cleartext;
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::types::{KeyDetails, Tag, Timestamp};
use std::collections::BTreeSet;
use std::fmt;

/// How far a signature may lie ahead of the time it is judged at. An archive signs minutes after the date it writes.
const AHEAD: u64 = 24 * 60 * 60;

/// The frame of an armoured certificate.
const ARMOUR_BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const ARMOUR_END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Certificates, and which of them are trusted.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
    trusted: BTreeSet<String>,
}

impl Keyring {
    /// Reads a keyring, binary or armoured (several blocks too); `name` is shown in errors. `signers` are the
    /// fingerprints (40 hexadecimal digits) of the trusted primary keys; empty: all keys of the keyring.
    ///
    /// # Errors
    /// [`Kind::Trust`] when the keyring cannot be read, holds no key, or lacks one of `signers`.
    pub fn parse(name: &str, bytes: &[u8], signers: &[String]) -> Result<Self> {
        let wrong = |cause: String| {
            Error::new(Kind::Trust, name, cause).remedy("put the archive's OpenPGP keyring, binary or armoured, there")
        };
        let keys = certificates(bytes).map_err(|error| wrong(format!("cannot be read as a keyring: {error}")))?;
        if keys.is_empty() {
            return Err(wrong("holds no key".into()));
        }
        let held: BTreeSet<String> = keys.iter().map(fingerprint).collect();
        let mut trusted = BTreeSet::new();
        for signer in signers {
            let wanted = signer.replace(' ', "").to_ascii_uppercase();
            if !held.contains(&wanted) {
                let list: Vec<&str> = held.iter().map(String::as_str).collect();
                let cause = format!("has no key {signer}, which `signers` names; it holds {}", list.join(", "));
                return Err(Error::new(Kind::Trust, name, cause).remedy("correct `signers` or the keyring"));
            }
            trusted.insert(wanted);
        }
        Ok(Keyring { keys, trusted: if signers.is_empty() { held } else { trusted } })
    }

    /// The fingerprints of the trusted primary keys, in order.
    pub fn trusted(&self) -> impl Iterator<Item = &str> {
        self.trusted.iter().map(String::as_str)
    }
}

/// A text that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Exactly what was signed, with `\n` as line ends.
    pub text: String,
    /// Fingerprint (40 upper-case hexadecimal digits) of the primary key of the first good signature.
    pub signer: String,
}

/// The signed text of a cleartext signed `document`, if at least one of its signatures is good at the time `at`.
/// `name` is shown in errors.
///
/// # Errors
/// [`Kind::Trust`] naming each signature's key and what is wrong with it.
pub fn verify(name: &str, document: &[u8], keyring: &Keyring, at: Epoch) -> Result<Signed> {
    let untrusted = |cause: String| Error::new(Kind::Trust, name, cause);
    let framed = std::str::from_utf8(document).map_err(|_| "is not UTF-8 text").and_then(cleartext::split);
    let parts = framed.map_err(|cause| untrusted(cause.into()).remedy(Fault::Bad.remedy()))?;
    let signatures: Vec<DetachedSignature> = DetachedSignature::from_string_many(parts.signature)
        .and_then(|(all, _)| all.collect())
        .map_err(|error| untrusted(format!("has a signature block that cannot be read: {error}")))?;
    // RFC 9580, section 7.2: the hash is taken over lines parted by CR LF.
    let hashed = parts.text.replace('\n', "\r\n");
    let mut faults = Vec::new();
    for DetachedSignature { signature } in &signatures {
        match keyring.signer(signature, hashed.as_bytes(), at) {
            Ok(signer) => return Ok(Signed { text: parts.text, signer }),
            Err(fault) => faults.push((key_of(signature), fault)),
        }
    }
    // The remedy follows the signature that came closest to being good.
    let Some(closest) = faults.iter().map(|(_, fault)| fault).max() else {
        return Err(untrusted("has no signature that can be read".into()).remedy(Fault::Bad.remedy()));
    };
    let list: Vec<String> = faults.iter().map(|(key, fault)| format!("the one by key {key} {fault}")).collect();
    Err(untrusted(format!("has no good signature: {}", list.join("; "))).remedy(closest.remedy()))
}

/// Why a signature does not count; ordered by how near it is to a good one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Unknown,
    NotTrusted,
    Weak(String),
    Unusable(&'static str),
    Revoked,
    Expired(Timestamp),
    TooEarly(Timestamp),
    Bad,
}

impl Fault {
    fn remedy(&self) -> &'static str {
        match self {
            Fault::Unknown => "check that the archive's `keyring` is the one of this archive, and new enough",
            Fault::NotTrusted => "if this key may sign the archive, add its fingerprint to `signers`",
            Fault::Weak(_) | Fault::Unusable(_) | Fault::Revoked => {
                "do not use this archive before its maintainers have signed it with another key"
            }
            Fault::Expired(_) => "update the archive's `keyring`, or set this machine's clock",
            Fault::TooEarly(_) => "set this machine's clock",
            Fault::Bad => "the file was changed on its way or is broken: choose another mirror",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = |time: &Timestamp| Epoch(u64::from(time.as_secs())).rfc3339().unwrap_or_default();
        match self {
            Fault::Unknown => f.write_str("is by a key that is not in the keyring"),
            Fault::NotTrusted => f.write_str("is by a key of the keyring that `signers` does not name"),
            Fault::Weak(hash) => write!(f, "uses {hash}, which is too weak or unknown"),
            Fault::Unusable(why) => write!(f, "cannot be used: {why}"),
            Fault::Revoked => f.write_str("is by a key that was revoked"),
            Fault::Expired(when) => write!(f, "is expired: it or its key was valid until {}", date(when)),
            Fault::TooEarly(when) => write!(f, "is dated {}, which is still to come", date(when)),
            Fault::Bad => f.write_str("does not fit the text"),
        }
    }
}

impl Keyring {
    /// The primary fingerprint of the trusted certificate whose signing key made this signature.
    fn signer(&self, signature: &Signature, hashed: &[u8], at: Epoch) -> std::result::Result<String, Fault> {
        check_form(signature)?;
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err(Fault::Unusable("it is no signature of a text"));
        }
        let mut closest = Fault::Unknown;
        // A key may be in the keyring twice, with different self-signatures.
        for key in &self.keys {
            match self.signer_in(key, signature, hashed, at) {
                Ok(()) => return Ok(fingerprint(key)),
                Err(fault) => closest = closest.max(fault),
            }
        }
        Err(closest)
    }

    fn signer_in(
        &self,
        key: &SignedPublicKey,
        signature: &Signature,
        hashed: &[u8],
        at: Epoch,
    ) -> std::result::Result<(), Fault> {
        let made = signature.created().ok_or(Fault::Unusable("it has no date"))?;
        let (verified, usable) = if names(signature, key) {
            (signature.verify(&key.primary_key, hashed), primary_may_sign(key, at))
        } else if let Some(subkey) = key.public_subkeys.iter().find(|subkey| names(signature, &subkey.key)) {
            (signature.verify(&subkey.key, hashed), subkey_may_sign(key, subkey, at))
        } else {
            return Err(Fault::Unknown);
        };
        if !self.trusted.contains(&fingerprint(key)) {
            return Err(Fault::NotTrusted);
        }
        verified.map_err(|_| Fault::Bad)?;
        usable?;
        if self.keys.iter().any(|other| fingerprint(other) == fingerprint(key) && is_revoked(other)) {
            return Err(Fault::Revoked);
        }
        if u64::from(made.as_secs()) > at.0.saturating_add(AHEAD) {
            return Err(Fault::TooEarly(made));
        }
        check_end(made, signature.signature_expiration_time(), at)
    }
}

fn certificates(bytes: &[u8]) -> pgp::errors::Result<Vec<SignedPublicKey>> {
    let armoured = std::str::from_utf8(bytes).ok().filter(|text| text.contains(ARMOUR_BEGIN));
    let Some(text) = armoured else {
        return SignedPublicKey::from_bytes_many(bytes)?.collect();
    };
    let mut keys = Vec::new();
    // What stands between blocks is for people.
    for block in text.split(ARMOUR_BEGIN).skip(1) {
        let inside = block.split_once(ARMOUR_END).map_or(block, |(inside, _)| inside);
        let block = format!("{ARMOUR_BEGIN}{inside}{ARMOUR_END}\n");
        let (found, _) = SignedPublicKey::from_string_many(&block)?;
        keys.extend(found.collect::<pgp::errors::Result<Vec<_>>>()?);
    }
    Ok(keys)
}

fn fingerprint(key: &SignedPublicKey) -> String {
    format!("{:X}", key.fingerprint())
}

/// The key that claims to have made a signature, as people compare keys: its fingerprint, else its id.
fn key_of(signature: &Signature) -> String {
    let by_fingerprint = signature.issuer_fingerprint().first().map(|found| format!("{found:X}"));
    let by_id = || signature.issuer_key_id().first().map(|id| hex::encode_upper(id.as_ref()));
    by_fingerprint.or_else(by_id).unwrap_or_else(|| "(not named)".into())
}

/// Whether the signature claims to be by this key. One that names no key is by nobody.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_fingerprint().contains(&&key.fingerprint())
        || signature.issuer_key_id().contains(&&key.legacy_key_id())
}

/// Refuses what no signature in the chain may have: old packet versions, weak hashes, demands that are not understood.
fn check_form(signature: &Signature) -> std::result::Result<(), Fault> {
    let Some(config) = signature.config() else {
        return Err(Fault::Unusable("it is of an unknown version"));
    };
    if !matches!(config.version(), SignatureVersion::V4 | SignatureVersion::V6) {
        return Err(Fault::Unusable("it is of an old version"));
    }
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    if !matches!(config.hash_alg, Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512) {
        return Err(Fault::Weak(config.hash_alg.to_string()));
    }
    let unknown = |data: &SubpacketData| {
        matches!(data, SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_))
    };
    if config.hashed_subpackets().any(|packet| packet.is_critical && unknown(&packet.data)) {
        return Err(Fault::Unusable("it has a critical part that is not understood"));
    }
    Ok(())
}

/// Refuses what has come to its end: `start` plus a life time, where none and zero mean for ever.
fn check_end(start: Timestamp, life: Option<pgp::types::Duration>, at: Epoch) -> std::result::Result<(), Fault> {
    let Some(life) = life.map(pgp::types::Duration::as_secs).filter(|seconds| *seconds > 0) else {
        return Ok(());
    };
    let end = start.as_secs().saturating_add(life);
    if u64::from(end) <= at.0 { Err(Fault::Expired(Timestamp::from_secs(end))) } else { Ok(()) }
}

/// The owner's last word on a key: the newest of `signatures` that has a good form and has not run out.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, at: Epoch) -> Option<&'a Signature> {
    signatures
        .filter(|signature| check_form(signature).is_ok())
        .filter(|signature| {
            signature.created().is_some_and(|made| check_end(made, signature.signature_expiration_time(), at).is_ok())
        })
        .max_by_key(|signature| signature.created())
}

fn is_revoked(key: &SignedPublicKey) -> bool {
    key.details.revocation_signatures.iter().any(|signature| signature.verify_key(&key.primary_key).is_ok())
}

/// The primary key's standing, and its newest self-signature.
fn primary(key: &SignedPublicKey, at: Epoch) -> std::result::Result<&Signature, Fault> {
    let direct = key.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key) && signature.verify_key(&key.primary_key).is_ok()
    });
    let own = |signature: &Signature, id: &_| {
        names(signature, key) && signature.verify_certification(&key.primary_key, Tag::UserId, id).is_ok()
    };
    let is_revocation = |signature: &Signature| signature.typ() == Some(SignatureType::CertRevocation);
    let users =
        key.details.users.iter().filter(|user| {
            !user.signatures.iter().any(|signature| is_revocation(signature) && own(signature, &user.id))
        });
    let certified = users.flat_map(|user| {
        user.signatures.iter().filter(|signature| !is_revocation(signature) && own(signature, &user.id))
    });
    let word = newest(direct.chain(certified), at).ok_or(Fault::Unusable("its key has no valid self-signature"))?;
    check_end(key.created_at(), word.key_expiration_time(), at)?;
    Ok(word)
}

fn primary_may_sign(key: &SignedPublicKey, at: Epoch) -> std::result::Result<(), Fault> {
    let word = primary(key, at)?;
    let has_flags = word.config().is_some_and(|config| {
        config.hashed_subpackets().any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    });
    if has_flags && !word.key_flags().sign() {
        return Err(Fault::Unusable("its key is not meant for signing"));
    }
    Ok(())
}

fn subkey_may_sign(key: &SignedPublicKey, subkey: &SignedPublicSubKey, at: Epoch) -> std::result::Result<(), Fault> {
    primary(key, at)?;
    let by_primary = || {
        subkey
            .signatures
            .iter()
            .filter(|signature| signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok())
    };
    if by_primary().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(Fault::Revoked);
    }
    let bindings = by_primary().filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding));
    let binding = newest(bindings, at).ok_or(Fault::Unusable("its subkey is not bound to the primary key"))?;
    check_end(subkey.key.created_at(), binding.key_expiration_time(), at)?;
    let back = binding.embedded_signature().filter(|back| check_form(back).is_ok());
    let agreed = back.is_some_and(|back| back.verify_primary_key_binding(&subkey.key, &key.primary_key).is_ok());
    if !binding.key_flags().sign() || !agreed {
        return Err(Fault::Unusable("its subkey is not meant for signing, or did not agree to its primary key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
