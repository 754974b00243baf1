//! Debian source packages: upstream's tarballs with Debian's `debian/` folder inside. Patches are not applied here: they
//! are declared inputs that a recipe applies.
//!
//! The signed index names every file with its digest, so the .dsc adds nothing and is not asked for: mirrors were seen
//! that had lost it while the tarballs stood.

use super::normal::Tree;
use super::{Made, Workshop};
use crate::archive::SourcePackage;
use crate::compress;
use crate::error::{Error, Kind, Result};
use crate::fetch::Wanted;
use crate::lock::{FileLock, Pin};
use std::fs::File;
use std::io::BufReader;

/// The most one tarball may weigh unpacked.
const LIMIT: u64 = 16 << 30;

/// What a file of a source package is, by its name (dpkg-source(1)).
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// Upstream's tarball.
    Origin,
    /// A further upstream tarball for the folder of this name.
    Component(String),
    /// Debian's folder.
    Debian,
    /// All in one.
    Native,
    /// A detached signature.
    Signature,
    /// Format 1.0's patch.
    Patch,
}

fn role(path: &str) -> Option<Role> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.ends_with(".asc") {
        return Some(Role::Signature);
    }
    if name.ends_with(".diff.gz") {
        return Some(Role::Patch);
    }
    let (stem, _) = name.rsplit_once(".tar.")?;
    if stem.ends_with(".debian") {
        return Some(Role::Debian);
    }
    if stem.ends_with(".orig") {
        return Some(Role::Origin);
    }
    match stem.rsplit_once(".orig-") {
        Some((_, component)) => Some(Role::Component(component.to_owned())),
        None => Some(Role::Native),
    }
}

/// The pin of an index's entry.
///
/// # Errors
/// [`Kind::Document`] for a source format this tool does not read.
pub fn pin(archive: &str, found: &SourcePackage) -> Result<Pin> {
    let mut files = Vec::new();
    for file in &found.files {
        match role(&file.path) {
            Some(Role::Signature) => {}
            Some(Role::Patch) | None => {
                return Err(Error::new(
                    Kind::Document,
                    format!("source package {} {}", found.name, found.version),
                    format!("has a file {} of source format 1.0", file.path),
                )
                .remedy("only formats 3.0 (quilt) and 3.0 (native) are read; use the tarball or git instead"));
            }
            Some(_) => files.push(file.clone()),
        }
    }
    files.sort();
    Ok(Pin::Debian { archive: archive.to_owned(), package: found.name.clone(), files })
}

/// Makes the normalised tar of a pinned source package.
///
/// # Errors
/// As [`Workshop::resolve`].
pub fn make(workshop: &Workshop<'_>, folder: &str, archive: &str, package: &str, files: &[FileLock]) -> Result<Made> {
    let bases = (workshop.bases)(archive, None)?;
    let wanted: Vec<Wanted> = files
        .iter()
        .filter(|file| !workshop.store.contains(&file.sha256))
        .map(|file| Wanted {
            name: format!("source file {}", file.path.rsplit('/').next().unwrap_or(&file.path)),
            urls: bases.iter().map(|base| format!("{base}/{}", file.path)).collect(),
            sha256: file.sha256,
            size: Some(file.size),
        })
        .collect();
    workshop.fetch.all(&wanted, workshop.cancel)?;
    let mut tree = Tree::new(&format!("source package {package}"), workshop.store)?;
    let mut later = None;
    for file in files {
        match role(&file.path) {
            Some(Role::Origin | Role::Native) => add(workshop, &mut tree, file, b"", true)?,
            Some(Role::Component(name)) => {
                tree.remove(name.as_bytes());
                add(workshop, &mut tree, file, name.as_bytes(), true)?;
            }
            Some(Role::Debian) => later = Some(file),
            Some(Role::Signature | Role::Patch) | None => {}
        }
    }
    // Debian's folder replaces one that upstream ships (dpkg-source(1), format 3.0 (quilt)).
    if let Some(file) = later {
        tree.remove(b"debian");
        add(workshop, &mut tree, file, b"", false)?;
    }
    tree.finish(folder, workshop.store)
}

fn add(workshop: &Workshop<'_>, tree: &mut Tree, file: &FileLock, at: &[u8], strip: bool) -> Result<()> {
    let path = workshop.store.verified(&file.sha256)?;
    let input = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
    let tar = compress::reader(Box::new(BufReader::new(input)), None, LIMIT)
        .map_err(|error| Error::new(Kind::Io, &file.path, format!("cannot be decompressed: {error}")))?;
    tree.add_tar(tar, at, strip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(role("pool/main/e/edk2/edk2_2025.02.orig.tar.xz"), Some(Role::Origin));
        assert_eq!(role("q_1.orig-meson.tar.gz"), Some(Role::Component("meson".into())));
        assert_eq!(role("edk2_2025.02-8+deb13u1.debian.tar.xz"), Some(Role::Debian));
        assert_eq!(role("hello_1.tar.xz"), Some(Role::Native));
        assert_eq!(role("x_1.orig.tar.gz.asc"), Some(Role::Signature));
        assert_eq!(role("x_1-1.diff.gz"), Some(Role::Patch));
    }
}
