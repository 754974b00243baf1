//! Giving finished bytes their name in the user's folder. What is there already with other content is never replaced.

use crate::build::pack::members::Members;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::store::{Store, files};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Copies a finished tarball from the store to `out/NAME.tar.gz`.
///
/// # Errors
/// [`Kind::Output`] when other content has that name, [`Kind::Trust`] for a damaged blob, [`Kind::Io`].
pub fn tarball(name: &str, sha256: &Digest, store: &Store, out: &Path) -> Result<PathBuf> {
    let path = out.join(format!("{name}.tar.gz"));
    let blob = store.verified(sha256)?;
    if path.exists() {
        same(&path, sha256)?;
    } else {
        files::copy_whole(&blob, &path)?;
    }
    Ok(path)
}

/// Writes a whole folder of files, which gets its name when all are there; a folder of that name must hold just them.
///
/// # Errors
/// As [`tarball`].
pub fn folder(path: &Path, members: &Members, store: &Store) -> Result<PathBuf> {
    if path.exists() {
        return same_folder(path, members).map(|()| path.to_owned());
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    files::make_folder(parent)?;
    let growing = tempfile::TempDir::with_prefix_in(".growing-", parent)
        .map_err(|error| Error::io(parent, "make a folder in", error))?;
    for (name, member) in members {
        files::copy_with_mode(&store.verified(&member.sha256)?, &growing.path().join(name), member.mode)?;
    }
    files::keep_folder(growing, path)?;
    Ok(path.to_owned())
}

fn same_folder(path: &Path, members: &Members) -> Result<()> {
    let other = |cause: String| {
        Error::new(Kind::Output, path.display(), format!("exists with other content: {cause}"))
            .remedy("move it away or choose another --out: a bundle is never replaced")
    };
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(path).min_depth(1) {
        let entry = entry.map_err(|error| files::walked(path, error))?;
        let inner = entry.path().strip_prefix(path).unwrap_or(entry.path()).to_string_lossy().into_owned();
        if entry.file_type().is_file() {
            found.insert(inner);
        } else if !entry.file_type().is_dir() {
            return Err(other(format!("`{inner}` is no regular file")));
        }
    }
    if let Some(extra) = found.iter().find(|name| !members.contains_key(*name)) {
        return Err(other(format!("`{extra}` is not part of it now")));
    }
    for (name, member) in members {
        if !found.contains(name) {
            return Err(other(format!("`{name}` is missing")));
        }
        let whole = path.join(name);
        let file = File::open(&whole).map_err(|error| Error::io(&whole, "open", error))?;
        let mode = file.metadata().map_err(|error| Error::io(&whole, "read", error))?.mode() & 0o7777;
        if digest(&whole, file)? != member.sha256 {
            return Err(other(format!("`{name}` differs")));
        }
        if mode != member.mode {
            return Err(other(format!("`{name}` has mode {mode:04o}, now {:04o}", member.mode)));
        }
    }
    Ok(())
}

fn digest(path: &Path, mut file: File) -> Result<Digest> {
    Digest::of_reader(&mut file).map(|(digest, _)| digest).map_err(|error| Error::io(path, "read", error))
}

/// Refuses a file of other content.
///
/// # Errors
/// [`Kind::Output`] naming both digests, [`Kind::Io`].
fn same(path: &Path, sha256: &Digest) -> Result<()> {
    let found = digest(path, File::open(path).map_err(|error| Error::io(path, "open", error))?)?;
    if found == *sha256 {
        return Ok(());
    }
    Err(Error::new(Kind::Output, path.display(), format!("exists with other content: sha256 {found}, now {sha256}"))
        .remedy("move it away or choose another --out; if snpforge made both from the same lock, please report it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::pack::members::Member;
    use rustix::fs::{Mode, OFlags};

    #[test]
    fn a_file_that_cannot_be_opened_does_not_differ() {
        let folder = tempfile::tempdir().unwrap();
        // The longest name that Linux opens has 4095 bytes: root cannot open this one, either.
        let part = "d".repeat(100);
        let mut inner = std::path::PathBuf::new();
        while folder.path().join(&inner).as_os_str().len() < 3900 {
            inner.push(&part);
        }
        files::make_folder(&folder.path().join(&inner)).unwrap();
        let last = File::open(folder.path().join(&inner)).unwrap();
        let name = "f".repeat(200);
        rustix::fs::openat(&last, &name, OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
        let member = Member { sha256: Digest::of(b""), size: 0, mode: 0o644 };
        let members = Members::from([(inner.join(&name).display().to_string(), member)]);
        let error = same_folder(folder.path(), &members).unwrap_err();
        assert_eq!(error.kind(), Kind::Io, "{error}");
        assert!(error.object().ends_with(&name) && error.cause().contains("cannot open"), "{error}");
    }
}
