//! Whose signatures stand beside a release. They are counted by key: neither two files nor two names make one key two
//! signers. A bad signature, or a file that cannot be read, takes nothing away from a good one; it is told and not counted.

use super::content::escaped;
use super::place::{self, Place, Unfit};
use crate::date::Epoch;
use crate::sign::{self, allowed::Allowed};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// No signature comes near this.
const LARGEST: u64 = 64 * 1024;
/// More signatures in the folder than this are not looked at: the first ones by name are.
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

/// What stands beside the outer sums file.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Every signature that was looked at.
    pub(super) all: Vec<Signature>,
    /// How many distinct keys have made a good one.
    pub(super) signers: usize,
    /// How many files were not looked at.
    pub(super) skipped: usize,
}

/// Judges the signatures beside the outer sums file, whose bytes are `message`.
pub(super) fn judge(place: &Place, message: &[u8], allowed: &Allowed, identity: Option<&str>, now: Epoch) -> Judged {
    let mut keys = BTreeSet::new();
    let mut all = Vec::new();
    let (files, skipped) = files(place);
    for file in files {
        let shown = escaped(file.as_encoded_bytes());
        let mut one = Signature { file: shown, key: None, principals: None, reason: None };
        match text(place, &file).and_then(|text| sign::verify(&text, message)) {
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
    Judged { all, signers: keys.len(), skipped }
}

/// The signature files below the release's place: the one `ssh-keygen -Y sign` writes, and those in the folder. Also how
/// many more are in the folder.
fn files(place: &Place) -> (Vec<OsString>, usize) {
    let mut found = Vec::new();
    let beside = format!("{}.sig", place.sums());
    if fs::symlink_metadata(place.path(&beside)).is_ok() {
        found.push(beside.into());
    }
    let folder = place.signatures();
    let own = folder.file_name().unwrap_or_default();
    match listed(&folder) {
        Ok((names, skipped)) => {
            found.extend(names.iter().map(|name| [own, name.as_os_str()].join(OsStr::new("/"))));
            return (found, skipped);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Judged like a file, which tells why it is none or what is wrong with it.
        Err(_) => found.push(own.to_owned()),
    }
    (found, 0)
}

/// The first names in the folder, which is no link, in the order of their bytes, and how many more there are: the same
/// ones whatever order the file system lists them in, and never many in memory.
fn listed(folder: &Path) -> std::io::Result<(BTreeSet<OsString>, usize)> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let (mut names, mut skipped) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(folder)? {
        names.insert(entry?.file_name());
        if names.len() > MOST {
            names.pop_last();
            skipped += 1;
        }
    }
    Ok((names, skipped))
}

/// The text of a signature file, or why it is none.
fn text(place: &Place, file: &OsStr) -> std::result::Result<Vec<u8>, String> {
    place::read(&place.base.join(file), LARGEST).map_err(|unfit| match unfit {
        Unfit::Absent => "is gone".into(),
        Unfit::Odd(why) => why.into(),
        Unfit::Unreadable(error) => format!("is unreadable: {}", error.cause()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_cannot_read_has_a_reason_like_every_other_bad_signature() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { base: folder.path().to_owned(), name: "snp-release-2026-11-23".into() };
        // Longer than any name may be: opening fails, also for root.
        let reason = text(&place, OsStr::new(&"x".repeat(300))).unwrap_err();
        assert!(reason.starts_with("is unreadable: cannot open: "), "{reason}");
        assert_eq!(text(&place, OsStr::new("none")).unwrap_err(), "is gone");
    }
}
