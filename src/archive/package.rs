//! Binary packages as an index lists them: of 60 000 paragraphs only the fields that resolving needs are kept, one after
//! the other in one text. Relations stay text until somebody asks.

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
/// Ubuntu's `Phased-Update-Percentage` is not read: a phased package is an ordinary one, as for apt with
/// `APT::Get::Always-Include-Phased-Updates`. Without it apt decides by the machine's id when a package that is
/// installed is replaced by the phased one, and a lock must not depend on a machine; a package that is not installed yet
/// is taken in its newest version whatever its phase, and every image begins empty. Leaving phased versions out would
/// make the choice depend on the hour, for the percentage grows while the package stays the same.
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

/// The fields that are kept as text, in the order of [`List`]'s text.
const FIELDS: [&str; 11] = [
    "Package",
    "Version",
    "Architecture",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
    "SHA256",
];

/// The packages of one index.
#[derive(Debug, Default)]
pub struct List {
    text: String,
    entries: Vec<Entry>,
}

/// One package of a [`List`]: its fields lie in the text from `at` on, one after the other.
#[derive(Debug)]
struct Entry {
    at: usize,
    lengths: [u32; FIELDS.len()],
    essential: bool,
    priority: Priority,
}

impl List {
    /// Takes a paragraph in. One that lacks a name or a version is no package and is passed over.
    pub fn push(&mut self, paragraph: &Paragraph<'_>) {
        let mut values = [""; FIELDS.len()];
        let mut entry =
            Entry { at: self.text.len(), lengths: [0; FIELDS.len()], essential: false, priority: Priority::default() };
        for (field, value) in paragraph.fields() {
            match field {
                "Essential" => entry.essential = value == "yes",
                "Priority" => entry.priority = Priority::parse(value),
                // A field of 4 GB is none: no index is that large.
                field => {
                    let at = FIELDS.iter().position(|known| *known == field);
                    if let Some((at, length)) = at.zip(u32::try_from(value.len()).ok()) {
                        (values[at], entry.lengths[at]) = (value, length);
                    }
                }
            }
        }
        if values[0].is_empty() || values[1].is_empty() {
            return;
        }
        values.iter().for_each(|value| self.text.push_str(value));
        self.entries.push(entry);
    }

    /// The number of packages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The package at a place.
    fn get(&self, at: usize) -> Option<Package<'_>> {
        let entry = self.entries.get(at)?;
        let mut rest = &self.text[entry.at..];
        let fields = entry.lengths.map(|length| {
            let (field, after) = rest.split_at(length as usize);
            rest = after;
            field
        });
        let [name, version, architecture, pre_depends, depends, provides, conflicts, breaks, path, size, sha256] =
            fields;
        Some(Package {
            name,
            version,
            architecture,
            essential: entry.essential,
            priority: entry.priority,
            pre_depends,
            depends,
            provides,
            conflicts,
            breaks,
            path,
            size,
            sha256,
        })
    }
}

/// The packages of several indexes in a fixed order.
#[derive(Clone, Copy, Debug)]
pub struct Packages<'a>(pub(super) &'a [List]);

impl<'a> Packages<'a> {
    /// The number of packages.
    pub fn len(&self) -> usize {
        self.0.iter().map(List::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(List::is_empty)
    }

    /// The package at a place of the whole.
    pub fn get(&self, at: usize) -> Option<Package<'a>> {
        let mut at = at;
        for list in self.0 {
            match at.checked_sub(list.len()) {
                Some(rest) => at = rest,
                None => return list.get(at),
            }
        }
        None
    }

    /// All packages in order.
    pub fn iter(&self) -> impl Iterator<Item = Package<'a>> + use<'a> {
        self.0.iter().flat_map(|list| (0..list.len()).filter_map(|at| list.get(at)))
    }
}

impl Package<'_> {
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

    fn list(text: &str) -> List {
        let mut list = List::default();
        paragraphs(text).for_each(|paragraph| list.push(&paragraph));
        list
    }

    #[test]
    fn a_paragraph_becomes_a_locked_package() {
        let list = list(TEXT);
        let package = list.get(0).unwrap();
        assert!(!package.essential && package.priority == Priority::Optional);
        assert_eq!(package.depends, "libc6 (>= 2.34),\n libgmp10");
        let lock = package.lock().unwrap();
        assert_eq!((lock.size, lock.sha256), (3, Digest::of(b"abc")));
    }

    #[test]
    fn lists_are_one_after_the_other_and_hold_packages_only() {
        let other = "Package: x\nSize: 1\n\nPackage: y\nVersion: 2\nVersion: 3\nPriority: extra\nEssential: yes\n";
        let lists = [list(TEXT), list(""), list(other)];
        let packages = Packages(&lists);
        assert_eq!((packages.len(), packages.is_empty()), (2, false));
        let last = packages.get(1).unwrap();
        assert_eq!((last.name, last.version, last.architecture, last.priority), ("y", "3", "", Priority::Extra));
        assert!(last.essential && packages.get(2).is_none());
        assert!(packages.iter().map(|package| package.name).eq(["gawk", "y"]));
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
            let error = list(&text).get(0).unwrap().lock().unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.object() == "package gawk 1:5.2.1-2" && error.cause().contains(cause), "{error}");
        }
    }
}
