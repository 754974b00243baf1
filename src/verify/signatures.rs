//! Whose signatures stand beside a release. They are counted by key: neither two files nor two names make one key two
//! signers. A bad signature takes nothing away from a good one; it is told and not counted.

use super::content::escaped;
use super::place::{self, Place, Unfit};
use crate::date::Epoch;
use crate::error::{Error, Result};
use crate::sign::{self, allowed::Allowed};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;

/// No signature comes near this.
const LARGEST: u64 = 64 * 1024;
/// More signatures than this are not looked at.
const MOST: usize = 1000;

/// One signature file and what it is worth.
#[derive(Debug, Serialize)]
pub struct Signature {
    /// The file, beside the sums file.
    pub file: String,
    /// Fingerprint of the key, if the signature is one.
    pub key: Option<String>,
    /// The principals of the line that lists the key, if it counts.
    pub principals: Option<String>,
    /// Why it does not count.
    pub reason: Option<String>,
}

/// Judges every signature beside the outer sums file, whose bytes are `message`. Also gives the number of distinct keys
/// whose signatures are good.
pub(super) fn judge(
    place: &Place,
    message: &[u8],
    allowed: &Allowed,
    identity: Option<&str>,
    now: Epoch,
) -> Result<(Vec<Signature>, usize)> {
    let mut keys = BTreeSet::new();
    let mut all = Vec::new();
    for file in files(place)? {
        let shown = escaped(file.as_encoded_bytes());
        let mut one = Signature { file: shown, key: None, principals: None, reason: None };
        match text(place, &file)?.and_then(|text| sign::verify(&text, message)) {
            Err(reason) => one.reason = Some(reason),
            Ok(key) => {
                one.key = Some(key.to_string());
                match allowed.judge(&key, identity, now) {
                    Err(reason) => one.reason = Some(reason),
                    Ok(principals) => {
                        one.principals = Some(principals.to_owned());
                        keys.insert(key.digest());
                    }
                }
            }
        }
        all.push(one);
    }
    Ok((all, keys.len()))
}

/// The signature files below the release's place: those in the folder, and the one `ssh-keygen -Y sign` writes.
fn files(place: &Place) -> Result<Vec<std::ffi::OsString>> {
    let folder = place.signatures();
    let own = folder.file_name().unwrap_or_default();
    let mut found = Vec::new();
    let beside = format!("{}.sig", place.sums());
    if fs::symlink_metadata(place.path(&beside)).is_ok() {
        found.push(beside.into());
    }
    match fs::symlink_metadata(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Error::io(&folder, "list", error)),
        Ok(about) if !about.is_dir() => {
            // Judged like a file, which tells why it is none.
            found.push(own.to_owned());
            return Ok(found);
        }
        Ok(_) => {}
    }
    let entries = fs::read_dir(&folder).map_err(|error| Error::io(&folder, "list", error))?;
    for entry in entries.take(MOST) {
        let mut path = own.to_owned();
        path.push("/");
        path.push(entry.map_err(|error| Error::io(&folder, "list", error))?.file_name());
        found.push(path);
    }
    found.sort_unstable();
    Ok(found)
}

/// The text of a signature file, or why it is none.
fn text(place: &Place, file: &std::ffi::OsStr) -> Result<std::result::Result<Vec<u8>, String>> {
    match place::read(&place.base.join(file), LARGEST) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(Unfit::Absent) => Ok(Err("is gone".into())),
        Err(Unfit::Odd(why)) => Ok(Err(why.into())),
        Err(Unfit::Unreadable(error)) => Err(error),
    }
}
