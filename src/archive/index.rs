//! Which indexes of a suite are read, and what is in them: Packages and Sources, unpacked and parsed.

use super::control::{Paragraph, paragraphs};
use super::package::Package;
use super::release_file::ReleaseFile;
use super::source_package::SourcePackage;
use crate::deb::version;
use crate::definition::Archive;
use crate::error::{Error, Kind, Result};
use crate::lock::{FileLock, PackageLock};
use rayon::prelude::*;
use std::io::Read;

/// What is wanted of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Binary packages.
    Packages,
    /// Source packages.
    Sources,
    /// Both.
    Both,
}

impl Need {
    /// What is wanted when `other` is wanted too.
    #[must_use]
    pub fn and(self, other: Need) -> Need {
        if self == other { self } else { Need::Both }
    }
}

/// The endings of indexes that can be read, best first. The plain one is listed in InRelease but seldom served.
const ENDINGS: [&str; 2] = [".xz", ".gz"];

/// The most that an index may unpack to when InRelease does not say it: several times Debian's largest.
const LIMIT: u64 = 1 << 30;

/// The indexes to read of one suite, by path.
///
/// # Errors
/// [`Kind::Document`] when the suite has no such component or architecture, or none of its indexes can be read.
pub(super) fn choose(name: &str, definition: &Archive, need: Need, release: &ReleaseFile<'_>) -> Result<Vec<FileLock>> {
    let architecture = definition.architecture.as_str();
    if need != Need::Sources && !release.architectures.contains(&architecture) {
        let cause = format!("has no architecture `{architecture}`; it has {}", release.architectures.join(", "));
        return Err(Error::new(Kind::Document, name, cause).remedy("correct `architecture` of the archive"));
    }
    let mut chosen = Vec::new();
    for component in &definition.components {
        if !release.components.contains(&component.as_str()) {
            let cause = format!("has no component `{component}`; it has {}", release.components.join(", "));
            return Err(Error::new(Kind::Document, name, cause).remedy("correct `components` of the archive"));
        }
        let mut stems = Vec::new();
        if need != Need::Sources {
            stems.push(format!("{component}/binary-{architecture}/Packages"));
        }
        if need != Need::Sources && release.all_apart {
            stems.push(format!("{component}/binary-all/Packages"));
        }
        if need != Need::Packages {
            stems.push(format!("{component}/source/Sources"));
        }
        for stem in stems {
            chosen.push(listed(release, &stem).ok_or_else(|| {
                let cause = format!("lists neither {stem}.xz nor {stem}.gz");
                Error::new(Kind::Document, name, cause).remedy("choose another suite or component")
            })?);
        }
    }
    chosen.sort();
    Ok(chosen)
}

fn listed(release: &ReleaseFile<'_>, stem: &str) -> Option<FileLock> {
    ENDINGS.iter().find_map(|ending| {
        let path = format!("{stem}{ending}");
        let (sha256, size) = *release.files.get(path.as_str())?;
        Some(FileLock { path, size, sha256 })
    })
}

/// An index as it came: its name for errors, its path, its compressed bytes and the most it may unpack to.
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    pub(super) limit: u64,
}

/// The size of the unpacked index as the release file promises it, else a general limit.
pub(super) fn limit(release: &ReleaseFile<'_>, path: &str) -> u64 {
    let stem = ENDINGS.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path);
    release.files.get(stem).map_or(LIMIT, |(_, size)| *size)
}

/// The unpacked indexes of an archive, in the order of its suites and components.
pub struct Indexes {
    packages: Vec<String>,
    sources: Vec<(String, String)>,
}

impl Indexes {
    /// Unpacks the indexes, several at once.
    pub(super) fn unpack(raw: &[Raw]) -> Result<Self> {
        let texts: Vec<String> = raw.par_iter().map(unpack).collect::<Result<_>>()?;
        let mut found = Indexes { packages: Vec::new(), sources: Vec::new() };
        for (raw, text) in raw.iter().zip(texts) {
            if raw.path.contains("/source/") {
                found.sources.push((raw.name.clone(), text));
            } else {
                found.packages.push(text);
            }
        }
        Ok(found)
    }

    /// All binary packages, all versions; those of a suite that is named earlier in the definition come first.
    pub fn packages(&self) -> Vec<Package<'_>> {
        let parsed: Vec<Vec<Package>> = self
            .packages
            .par_iter()
            .map(|text| paragraphs(text).filter_map(|paragraph| Package::parse(&paragraph)).collect())
            .collect();
        parsed.into_iter().flatten().collect()
    }

    /// All source packages, all versions; those of a suite that is named earlier in the definition come first.
    /// Left out are the entries that an archive keeps only because a binary was built with them (`Extra-Source-Only`).
    ///
    /// # Errors
    /// [`Kind::Document`] naming an entry that is not understood.
    pub fn sources(&self) -> Result<Vec<SourcePackage>> {
        let found = self.sources.iter().flat_map(|(name, text)| {
            paragraphs(text)
                .filter(|paragraph| paragraph.get("Extra-Source-Only") != Some("yes"))
                .map(|paragraph| SourcePackage::parse_entry(name, &paragraph))
        });
        found.collect()
    }

    /// The source packages called `name`, the newest first, each version once (of equal ones the earlier suite's); with
    /// `version` only that one.
    ///
    /// # Errors
    /// [`Kind::Resolve`] when there is none, naming the versions there are; [`Kind::Document`] when an entry is not
    /// understood.
    pub fn source(&self, name: &str, version: Option<&str>) -> Result<Vec<SourcePackage>> {
        let mut found = Vec::new();
        for (index, text) in &self.sources {
            let entries = called(text, name).filter(|entry| entry.get("Extra-Source-Only") != Some("yes"));
            for entry in entries {
                found.push(SourcePackage::parse_entry(index, &entry)?);
            }
        }
        newest_first(&format!("source package {name}"), found, |entry| &entry.version, version)
    }

    /// The binary packages called `name` for `architecture` or for all, as [`Indexes::source`].
    ///
    /// # Errors
    /// As [`Indexes::source`].
    pub fn binary(&self, name: &str, version: Option<&str>, architecture: &str) -> Result<Vec<PackageLock>> {
        let entries = self.packages.iter().flat_map(|text| called(text, name));
        let packages = entries.filter_map(|entry| Package::parse(&entry));
        let own = packages.filter(|package| [architecture, "all"].contains(&package.architecture));
        let found = own.map(|package| package.lock()).collect::<Result<Vec<PackageLock>>>()?;
        newest_first(&format!("binary package {name}"), found, |package| &package.version, version)
    }
}

/// The paragraphs about `name`. It stands in their first field, so this scan of a whole index stays cheap.
fn called<'t>(text: &'t str, name: &str) -> impl Iterator<Item = Paragraph<'t>> {
    paragraphs(text).filter(move |paragraph| paragraph.get("Package") == Some(name))
}

fn newest_first<T>(
    object: &str,
    mut found: Vec<T>,
    of: impl Fn(&T) -> &String,
    wanted: Option<&str>,
) -> Result<Vec<T>> {
    // Stable: of equal versions the earlier suite's stays first and is the one that is kept.
    found.sort_by(|a, b| version::compare(of(b), of(a)));
    let versions: Vec<String> = found.iter().map(|entry| of(entry).clone()).collect();
    found.retain(|entry| wanted.is_none_or(|wanted| wanted == of(entry)));
    found.dedup_by(|later, kept| version::compare(of(later), of(kept)).is_eq());
    if found.is_empty() { Err(missing(object, wanted, &versions)) } else { Ok(found) }
}

fn missing(object: &str, version: Option<&str>, versions: &[String]) -> Error {
    match version {
        Some(version) if !versions.is_empty() => {
            let cause = format!("is not in the archive any more; there is {}", versions.join(", "));
            Error::new(Kind::Resolve, format!("{object} {version}"), cause)
                .remedy("name one of these versions, or set `snapshot-time` to a time when it was there")
        }
        _ => Error::new(Kind::Resolve, object, "no suite of the archive has it")
            .remedy("check its spelling, or add the suite or component that has it"),
    }
}

/// The text of an index. Debian's indexes are UTF-8; in one that is not, the odd bytes are replaced, always alike.
fn unpack(raw: &Raw) -> Result<String> {
    let failed = |cause: String| {
        Error::new(Kind::Trust, &raw.name, format!("cannot be unpacked: {cause}"))
            .remedy("the archive itself is damaged; choose another mirror or wait until it is mended")
    };
    let reader: Box<dyn Read> = if raw.path.ends_with(".xz") {
        // 256 MiB is four times what the strongest preset of xz needs to unpack.
        let stream = liblzma::stream::Stream::new_stream_decoder(256 << 20, liblzma::stream::CONCATENATED);
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(raw.bytes.as_slice(), stream))
    } else {
        Box::new(flate2::bufread::MultiGzDecoder::new(raw.bytes.as_slice()))
    };
    let mut bytes = Vec::with_capacity(usize::try_from(raw.limit.min(LIMIT / 8)).unwrap_or_default() + 1);
    reader.take(raw.limit + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > raw.limit {
        return Err(failed(format!("it holds more than the {} bytes that InRelease promises", raw.limit)));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
