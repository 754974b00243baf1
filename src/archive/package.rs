//! Binary packages as an index lists them. Borrows from the index's text; relations stay text until somebody asks.

use super::control::Paragraph;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::lock::PackageLock;

/// How much a distribution wants a package to be there. The order decides between providers of a virtual package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`, and everything unknown
    #[default]
    Optional,
    /// `extra`, the old word for an optional package that may conflict with others
    Extra,
}

impl Priority {
    fn parse(word: &str) -> Self {
        match word {
            "required" => Priority::Required,
            "important" => Priority::Important,
            "standard" => Priority::Standard,
            "extra" => Priority::Extra,
            _ => Priority::Optional,
        }
    }
}

/// A paragraph of a Packages index: the fields that resolving and locking need.
///
/// Ubuntu's `Phased-Update-Percentage` is not read: a phased package is an ordinary one. apt decides by the machine's
/// id whether it takes it yet; a lock must not depend on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package<'a> {
    /// Name.
    pub name: &'a str,
    /// Full version.
    pub version: &'a str,
    /// Architecture, or `all`.
    pub architecture: &'a str,
    /// Whether every system has it.
    pub essential: bool,
    /// Priority.
    pub priority: Priority,
    /// The field Pre-Depends, or nothing.
    pub pre_depends: &'a str,
    /// The field Depends, or nothing.
    pub depends: &'a str,
    /// The field Provides, or nothing.
    pub provides: &'a str,
    /// The field Conflicts, or nothing.
    pub conflicts: &'a str,
    /// The field Breaks, or nothing.
    pub breaks: &'a str,
    /// Path of the .deb below the archive's base URL.
    pub path: &'a str,
    /// Bytes of the .deb, in digits.
    pub size: &'a str,
    /// SHA-256 of the .deb, in hexadecimal digits.
    pub sha256: &'a str,
}

impl<'a> Package<'a> {
    /// Reads a paragraph; `None` when it lacks a name or a version and so is no package.
    pub fn parse(paragraph: &Paragraph<'a>) -> Option<Self> {
        let mut package = Package::default();
        for (field, value) in paragraph.fields() {
            match field {
                "Package" => package.name = value,
                "Version" => package.version = value,
                "Architecture" => package.architecture = value,
                "Essential" => package.essential = value == "yes",
                "Priority" => package.priority = Priority::parse(value),
                "Pre-Depends" => package.pre_depends = value,
                "Depends" => package.depends = value,
                "Provides" => package.provides = value,
                "Conflicts" => package.conflicts = value,
                "Breaks" => package.breaks = value,
                "Filename" => package.path = value,
                "Size" => package.size = value,
                "SHA256" => package.sha256 = value,
                _ => {}
            }
        }
        (!package.name.is_empty() && !package.version.is_empty()).then_some(package)
    }

    /// The package as a lock names it.
    ///
    /// # Errors
    /// [`Kind::Document`] when the index gives no usable path, size or digest.
    pub fn lock(&self) -> Result<PackageLock> {
        let wrong = |what: &str, value: &str| {
            let cause = format!("has {what} `{value}` in the index");
            Error::new(Kind::Document, format!("package {} {}", self.name, self.version), cause)
                .remedy("choose another mirror or suite")
        };
        if !is_inside(self.path) {
            return Err(wrong("path", self.path));
        }
        let sha256: Digest = self.sha256.parse().map_err(|_| wrong("sha256", self.sha256))?;
        Ok(PackageLock {
            name: self.name.into(),
            version: self.version.into(),
            architecture: self.architecture.into(),
            path: self.path.into(),
            size: self.size.parse().map_err(|_| wrong("size", self.size))?,
            sha256,
        })
    }
}

/// Whether a path stays below the base it is joined to, in a URL as in a folder.
pub(super) fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(plain) && !path.contains(['\\', '?', '#', '%']) && !path.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::control::paragraphs;

    const TEXT: &str = "Package: gawk\nVersion: 1:5.2.1-2\nArchitecture: amd64\nEssential: no\nPriority: optional\n\
        Depends: libc6 (>= 2.34),\n libgmp10\nProvides: awk\nFilename: pool/main/g/gawk/gawk_5.2.1-2_amd64.deb\n\
        Size: 3\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

    #[test]
    fn a_paragraph_becomes_a_locked_package() {
        let paragraph = paragraphs(TEXT).next().unwrap();
        let package = Package::parse(&paragraph).unwrap();
        assert!(!package.essential && package.priority == Priority::Optional);
        assert_eq!(package.depends, "libc6 (>= 2.34),\n libgmp10");
        let lock = package.lock().unwrap();
        assert_eq!((lock.size, lock.sha256), (3, Digest::of(b"abc")));
        assert!(Package::parse(&paragraphs("Package: x\nSize: 1\n").next().unwrap()).is_none());
    }

    #[test]
    fn an_unusable_place_is_refused() {
        for (old, new, cause) in [
            ("pool/main/g", "/etc/g", "path"),
            ("pool/main/g", "pool/../../g", "path"),
            ("gawk_5.2.1-2_amd64.deb", "gawk?x=1", "path"),
            ("Size: 3", "Size: three", "size `three`"),
            ("SHA256: ba", "SHA256: ", "sha256"),
            ("Filename: ", "Filenam: ", "path ``"),
        ] {
            let text = TEXT.replace(old, new);
            let error = Package::parse(&paragraphs(&text).next().unwrap()).unwrap().lock().unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.object() == "package gawk 1:5.2.1-2" && error.cause().contains(cause), "{error}");
        }
    }
}
