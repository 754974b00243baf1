//! Reading a private key: an unencrypted OpenSSH file that only its owner can read. Everything else gets the way out,
//! which is ssh-keygen itself: it asks for passphrases, and talks to agents and hardware keys.

use super::{Key, NAMESPACE, Signer};
use crate::error::{Error, Kind, Result};
use ssh_key::{PrivateKey, PublicKey};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// No private key file comes near this.
const LARGEST: u64 = 64 * 1024;
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// The private key in `path`; `signed` is the file it shall sign, for the remedies.
///
/// # Errors
/// [`Kind::Usage`] when the file is no such key or others can read it, [`Kind::Io`].
pub fn read(path: &Path, signed: &Path) -> Result<Signer> {
    let refused = |cause: String| {
        Error::new(Kind::Usage, path.display(), cause).remedy(format!(
            "give an unencrypted Ed25519 key in OpenSSH's format, or sign with `ssh-keygen -Y sign -n {NAMESPACE} -f {} {}`: \
             `snpforge verify` also reads the Ed25519 signature {}.sig it makes",
            path.display(),
            signed.display(),
            signed.display()
        ))
    };
    let (text, about) = open(path, &refused)?;
    if !text.trim_start().starts_with(BEGIN) {
        let what = if PublicKey::from_openssh(&text).is_ok() {
            "is a public key; signing needs the private one, which may be in an agent"
        } else {
            "is no private key in OpenSSH's format"
        };
        return Err(refused(what.into()));
    }
    private_to_its_owner(path, &about)?;
    let private = PrivateKey::from_openssh(text.as_bytes())
        .map_err(|error| refused(format!("cannot be read as an Ed25519 key: {error}")))?;
    if private.is_encrypted() {
        return Err(refused("is encrypted with a passphrase, which is not asked for here".into()));
    }
    let key = Key::of(private.public_key().clone());
    let key = key.map_err(|_| refused(format!("is a key of the kind {}", private.algorithm())))?;
    Ok(Signer { private, key })
}

fn open(path: &Path, refused: &dyn Fn(String) -> Error) -> Result<(Zeroizing<String>, Metadata)> {
    let failed = |error| Error::io(path, "read the key", error);
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(refused("is no key file".into()));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(LARGEST).unwrap_or_default()));
    file.by_ref().take(LARGEST).read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => refused("is no private key in OpenSSH's format".into()),
        _ => failed(error),
    })?;
    Ok((text, about))
}

/// As ssh has it: keys of others (root reads a user's) are left to their owners.
fn private_to_its_owner(path: &Path, about: &Metadata) -> Result<()> {
    if about.uid() != rustix::process::getuid().as_raw() || about.mode() & 0o077 == 0 {
        return Ok(());
    }
    let cause = format!("can be read by others (mode {:04o}): ssh refuses such a key too", about.mode() & 0o7777);
    Err(Error::new(Kind::Usage, path.display(), cause)
        .remedy(format!("`chmod 600 {}`; if others may have read it, make a new key", path.display())))
}
