//! Which indexes of a suite are read, and what is in them: Packages and Sources. They are read as streams; what nobody
//! will ask for is never kept.

use super::control::{paragraphs, read_paragraph};
use super::package::{List, Packages};
use super::release_file::ReleaseFile;
use super::source_package::SourcePackage;
use crate::definition::Archive;
use crate::error::{Error, Kind, Result};
use crate::lock::FileLock;
use rayon::prelude::*;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;

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

/// An index as it came: its name for errors, its path in the archive, its checked file and the most it may unpack to.
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) file: PathBuf,
    pub(super) limit: u64,
}

/// The size of the unpacked index as the release file promises it, else a general limit.
pub(super) fn limit(release: &ReleaseFile<'_>, path: &str) -> u64 {
    let stem = ENDINGS.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path);
    release.files.get(stem).map_or(LIMIT, |(_, size)| *size)
}

/// What the indexes of an archive list, in the order of its suites and components.
pub struct Indexes {
    packages: Vec<List>,
    sources: Vec<(String, String)>,
}

/// What is kept of one index.
enum Kept {
    Packages(List),
    /// The paragraphs of the wanted source packages.
    Sources(String),
}

impl Indexes {
    /// Reads the indexes, several at once. Of source packages only those called as one of `sources` are kept.
    pub(super) fn read(raw: &[Raw], sources: &[&str]) -> Result<Self> {
        let kept: Vec<Kept> = raw.par_iter().map(|raw| read(raw, sources)).collect::<Result<_>>()?;
        let mut found = Indexes { packages: Vec::new(), sources: Vec::new() };
        for (raw, kept) in raw.iter().zip(kept) {
            match kept {
                Kept::Packages(list) => found.packages.push(list),
                Kept::Sources(text) => found.sources.push((raw.name.clone(), text)),
            }
        }
        Ok(found)
    }

    /// All binary packages, all versions; those of a suite that is named earlier in the definition come first.
    pub fn packages(&self) -> Packages<'_> {
        Packages(&self.packages)
    }

    /// The source package called `name`, one of those that were wanted: of the given version, else the newest (of
    /// equal ones the earlier suite's). Left out are the entries that an archive keeps only because a binary was built
    /// with them (`Extra-Source-Only`).
    ///
    /// # Errors
    /// [`Kind::Resolve`] when there is none, naming the versions there are; [`Kind::Document`] when its entry is not
    /// understood.
    pub fn source(&self, name: &str, version: Option<&str>) -> Result<SourcePackage> {
        let mut versions = Vec::new();
        let mut best: Option<SourcePackage> = None;
        for (index, text) in &self.sources {
            for paragraph in paragraphs(text) {
                if paragraph.get("Package") != Some(name) || paragraph.get("Extra-Source-Only") == Some("yes") {
                    continue;
                }
                let entry = SourcePackage::parse_entry(index, &paragraph)?;
                versions.push(entry.version.clone());
                let wanted = version.is_none_or(|wanted| wanted == entry.version);
                let newer = |best: &SourcePackage| super::version::compare(&entry.version, &best.version).is_gt();
                if wanted && best.as_ref().is_none_or(newer) {
                    best = Some(entry);
                }
            }
        }
        best.ok_or_else(|| missing_source(name, version, &versions))
    }
}

fn missing_source(name: &str, version: Option<&str>, versions: &[String]) -> Error {
    match version {
        Some(version) if !versions.is_empty() => {
            let cause = format!("is not in the archive any more; there is {}", versions.join(", "));
            Error::new(Kind::Resolve, format!("source package {name} {version}"), cause)
                .remedy("name one of these versions, or set `snapshot-time` to a time when it was there")
        }
        _ => Error::new(Kind::Resolve, format!("source package {name}"), "no suite of the archive has it")
            .remedy("check its spelling, or add the suite or component that has it"),
    }
}

/// Reads an index. Debian's are UTF-8; in one that is not, the odd bytes are replaced, always alike.
fn read(raw: &Raw, sources: &[&str]) -> Result<Kept> {
    let failed = |error: io::Error| {
        if error.raw_os_error().is_some() {
            return Error::io(&raw.file, "read", error);
        }
        Error::new(Kind::Trust, &raw.name, format!("cannot be unpacked: {error}"))
            .remedy("the archive itself is damaged; choose another mirror or wait until it is mended")
    };
    let mut input = unpacked(raw).map_err(failed)?;
    let mut paragraph = Vec::new();
    let mut kept = match raw.path.contains("/source/") {
        true => Kept::Sources(String::new()),
        false => Kept::Packages(List::default()),
    };
    while read_paragraph(&mut input, &mut paragraph).map_err(failed)? {
        let text = String::from_utf8_lossy(&paragraph);
        let Some(fields) = paragraphs(&text).next() else { continue };
        match &mut kept {
            Kept::Packages(list) => list.push(&fields),
            // The name is the first field, so this look is cheap.
            Kept::Sources(wanted) if fields.get("Package").is_some_and(|name| sources.contains(&name)) => {
                wanted.push_str(&text);
                wanted.push_str("\n\n");
            }
            Kept::Sources(_) => {}
        }
    }
    if input.limit() == 0 {
        let promised = format!("it holds more than the {} bytes that InRelease promises", raw.limit);
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, promised)));
    }
    Ok(kept)
}

/// The unpacked bytes of an index, cut one byte after its limit.
fn unpacked(raw: &Raw) -> io::Result<io::Take<BufReader<Box<dyn Read>>>> {
    let packed = BufReader::with_capacity(64 * 1024, File::open(&raw.file)?);
    let reader: Box<dyn Read> = if raw.path.ends_with(".xz") {
        // 256 MiB is four times what the strongest preset of xz needs to unpack.
        let stream = liblzma::stream::Stream::new_stream_decoder(256 << 20, liblzma::stream::CONCATENATED)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
    } else {
        Box::new(flate2::bufread::MultiGzDecoder::new(packed))
    };
    Ok(BufReader::with_capacity(64 * 1024, reader).take(raw.limit + 1))
}
