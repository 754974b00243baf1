//! Debian source packages: their entry in a Sources index and their .dsc file. The signature of a .dsc is not looked
//! at: its digest comes from the signed index. Pure.

use super::cleartext;
use super::control::{self, Paragraph};
use super::package::is_inside;
use super::release_file::file_line;
use crate::error::{Error, Kind, Result};
use crate::lock::FileLock;

/// A source package as the index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePackage {
    /// Name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// The .dsc, by path below the archive's base URL.
    pub dsc: FileLock,
    /// The files that the .dsc names, by path below the archive's base URL, sorted.
    pub files: Vec<FileLock>,
}

/// A .dsc file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dsc {
    /// Source package name.
    pub source: String,
    /// Full version.
    pub version: String,
    /// Source format, for example `3.0 (quilt)`.
    pub format: String,
    /// The files it is made of, by name, sorted.
    pub files: Vec<FileLock>,
}

impl SourcePackage {
    /// Reads an entry of a Sources index; `index` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`] for a field that is missing or not understood.
    pub(super) fn parse_entry(index: &str, entry: &Paragraph<'_>) -> Result<Self> {
        let object = format!("source package {} in {index}", entry.get("Package").unwrap_or("without a name"));
        let name = wanted(&object, entry, "Package")?;
        let version = wanted(&object, entry, "Version")?;
        let directory = wanted(&object, entry, "Directory")?;
        let mut files = checksums(&object, entry)?;
        for file in &mut files {
            file.path = format!("{directory}/{}", file.path);
            if !is_inside(&file.path) {
                return Err(Error::new(Kind::Document, &object, format!("has the path `{}`", file.path)));
            }
        }
        let at = files.iter().position(|file| file.path.ends_with(".dsc"));
        let dsc = files.remove(at.ok_or_else(|| Error::new(Kind::Document, &object, "names no .dsc file"))?);
        Ok(SourcePackage { name: name.into(), version: version.into(), dsc, files })
    }

    /// The .dsc and its files, as a lock names them.
    pub fn all_files(&self) -> Vec<FileLock> {
        let mut all = self.files.clone();
        all.push(self.dsc.clone());
        all.sort();
        all
    }

    /// Reads this package's .dsc and compares it with the index.
    ///
    /// # Errors
    /// [`Kind::Document`] when it is not understood, [`Kind::Trust`] when index and .dsc differ.
    pub fn read_dsc(&self, bytes: &[u8]) -> Result<Dsc> {
        let dsc = Dsc::parse(&self.dsc.path, bytes)?;
        let differs = |what: &str| {
            let object = format!("{} and its .dsc", self.name);
            Error::new(Kind::Trust, object, format!("the index and the .dsc name different {what}"))
                .remedy("choose another mirror or version")
        };
        if (&dsc.source, &dsc.version) != (&self.name, &self.version) {
            return Err(differs("names or versions"));
        }
        let directory = self.dsc.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let below = |file: &FileLock| FileLock { path: format!("{directory}/{}", file.path), ..file.clone() };
        if dsc.files.iter().map(below).collect::<Vec<_>>() != self.files {
            return Err(differs("files"));
        }
        Ok(dsc)
    }
}

impl Dsc {
    /// Reads a .dsc, signed or not; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`] for a broken frame and for a field that is missing or not understood.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |cause: String| Error::new(Kind::Document, name, cause);
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".into()))?;
        let framed = cleartext::is_framed(text).then(|| cleartext::split(text)).transpose();
        let inner = framed.map_err(|cause| wrong(cause.into()))?;
        let text = inner.as_ref().map_or(text, |parts| parts.text.as_str());
        let fields = control::paragraphs(text).next().ok_or_else(|| wrong("is empty".into()))?;
        Ok(Dsc {
            source: wanted(name, &fields, "Source")?.into(),
            version: wanted(name, &fields, "Version")?.into(),
            format: wanted(name, &fields, "Format")?.into(),
            files: checksums(name, &fields)?,
        })
    }
}

fn wanted<'a>(object: &str, fields: &Paragraph<'a>, field: &str) -> Result<&'a str> {
    fields.get(field).ok_or_else(|| Error::new(Kind::Document, object, format!("has no field {field}")))
}

/// The files of Checksums-Sha256, sorted. Their names hold no folder.
fn checksums(object: &str, fields: &Paragraph<'_>) -> Result<Vec<FileLock>> {
    let lines = wanted(object, fields, "Checksums-Sha256")?.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.map(|line| match file_line(line) {
        Some((name, (sha256, size))) if is_inside(name) && !name.contains('/') => {
            Ok(FileLock { path: name.into(), size, sha256 })
        }
        _ => Err(Error::new(Kind::Document, object, format!("has the line `{}` in Checksums-Sha256", line.trim()))),
    });
    let mut files: Vec<FileLock> = parsed.collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn lines(directory: &str) -> String {
        let digest = Digest::of(b"abc");
        format!("{directory}Checksums-Sha256:\n {digest} 3 x_1.orig.tar.xz\n {digest} 3 x_1-1.debian.tar.xz\n")
    }

    fn entry() -> String {
        let digest = Digest::of(b"dsc");
        format!("Package: x\nVersion: 1-1\n{} {digest} 3 x_1-1.dsc\n", lines("Directory: pool/main/x/x\n"))
    }

    fn dsc() -> String {
        lines("Format: 3.0 (quilt)\nSource: x\nVersion: 1-1\n")
    }

    fn package(text: &str) -> Result<SourcePackage> {
        SourcePackage::parse_entry("Sources", &control::paragraphs(text).next().unwrap())
    }

    #[test]
    fn entry_and_dsc_agree_signed_or_not() {
        let package = package(&entry()).unwrap();
        let paths: Vec<String> = package.all_files().into_iter().map(|file| file.path).collect();
        let names = ["pool/main/x/x/x_1-1.debian.tar.xz", "pool/main/x/x/x_1-1.dsc", "pool/main/x/x/x_1.orig.tar.xz"];
        assert_eq!(paths, names);
        let plain = package.read_dsc(dsc().as_bytes()).unwrap();
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}\n-----BEGIN PGP SIGNATURE-----\n\n=abcd\n\
             -----END PGP SIGNATURE-----\n",
            dsc()
        );
        assert_eq!(package.read_dsc(signed.as_bytes()).unwrap(), plain);
        assert_eq!(plain.format, "3.0 (quilt)");
    }

    #[test]
    fn what_differs_is_named() {
        let package = package(&entry()).unwrap();
        let other = Digest::of(b"other").to_string();
        for (old, new, kind, cause) in [
            ("Version: 1-1", "Version: 1-2", Kind::Trust, "versions"),
            ("Source: x", "Source: y", Kind::Trust, "names"),
            (&*Digest::of(b"abc").to_string(), &*other, Kind::Trust, "files"),
            ("Format", "Formt", Kind::Document, "no field Format"),
            ("3 x_1.orig", "three x_1.orig", Kind::Document, "three x_1.orig"),
            ("x_1.orig", "../x_1.orig", Kind::Document, "../x_1.orig"),
        ] {
            let error = package.read_dsc(dsc().replace(old, new).as_bytes()).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.cause().contains(cause), "{error}");
        }
    }

    #[test]
    fn broken_entries_are_named() {
        for (old, new, cause) in [
            ("pool/main/x/x", "../pool", "../pool/"),
            ("x_1-1.dsc", "x_1-1.des", "no .dsc"),
            ("Directory", "Dir", "no field Directory"),
        ] {
            let error = package(&entry().replace(old, new)).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.object().contains("source package x in Sources") && error.cause().contains(cause), "{error}");
        }
    }
}
