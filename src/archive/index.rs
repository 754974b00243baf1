//! Which indexes of a suite are read, and what is in them: Packages and Sources. They are read as streams; what nobody
//! will ask for is never kept.

use super::control::{Paragraph, paragraphs, read_paragraph};
use super::package::{List, Packages};
use super::reach::{Graph, Reach};
use super::release_file::ReleaseFile;
use super::source_package::SourcePackage;
use crate::deb::version;
use crate::definition::Archive;
use crate::error::{Error, Kind, Result};
use crate::lock::{FileLock, PackageLock};
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

impl Need {
    /// What is wanted when `other` is wanted too.
    #[must_use]
    pub fn and(self, other: Need) -> Need {
        if self == other { self } else { Need::Both }
    }

    /// Whether the index at this path of a suite is one of those.
    pub fn covers(self, path: &str) -> bool {
        match self {
            Need::Packages => !is_of_sources(path),
            Need::Sources => is_of_sources(path),
            Need::Both => true,
        }
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

/// What is kept of the indexes, which list 100 000 packages.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// All binary packages, no sources.
    Packages,
    /// The binary packages that can have a part in resolving these wishes.
    Reachable(&'a [String]),
    /// Binary and source packages of these names.
    Named(&'a [&'a str]),
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
    /// Reads the indexes, several at once.
    pub(super) fn read(raw: &[Raw], keep: Keep<'_>) -> Result<Self> {
        let kept = match keep {
            Keep::Packages => read_all(raw, &|_, is_source| !is_source)?,
            Keep::Named(names) => {
                let wanted = |name: &str| names.contains(&name);
                read_all(raw, &|paragraph, _| paragraph.get("Package").is_some_and(wanted))?
            }
            // Twice through the indexes is less than all of them in memory.
            Keep::Reachable(wished) => {
                let graphs = raw.par_iter().map(graph).collect::<Result<_>>()?;
                let reach = Reach::new(graphs, wished);
                read_all(raw, &|paragraph, is_source| !is_source && reach.has(paragraph))?
            }
        };
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

    /// The source packages called `name`, the newest first, each version once (of equal ones the earlier suite's); with
    /// `version` only that one. Left out are the entries that an archive keeps only because a binary was built with them
    /// (`Extra-Source-Only`), and the names that were not asked for when the indexes were read.
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
        let entries = self.packages().iter().filter(|package| package.name == name);
        let own = entries.filter(|package| [architecture, "all"].contains(&package.architecture));
        let found = own.map(|package| package.lock()).collect::<Result<Vec<PackageLock>>>()?;
        newest_first(&format!("binary package {name}"), found, |package| &package.version, version)
    }
}

/// The paragraphs about `name`.
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

/// Whether a paragraph is kept; whether it is of a source package stands beside it.
type Wanted<'w> = dyn Fn(&Paragraph<'_>, bool) -> bool + Sync + 'w;

fn read_all(raw: &[Raw], wanted: &Wanted<'_>) -> Result<Vec<Kept>> {
    raw.par_iter().map(|raw| read(raw, wanted)).collect()
}

fn read(raw: &Raw, wanted: &Wanted<'_>) -> Result<Kept> {
    if is_of_sources(&raw.path) {
        let mut sources = String::new();
        each(raw, &mut |text, paragraph| {
            if wanted(paragraph, true) {
                sources.push_str(text);
                sources.push_str("\n\n");
            }
        })?;
        return Ok(Kept::Sources(sources));
    }
    let mut packages = List::default();
    each(raw, &mut |_, paragraph| {
        if wanted(paragraph, false) {
            packages.push(paragraph);
        }
    })?;
    Ok(Kept::Packages(packages))
}

/// What the packages of an index name.
fn graph(raw: &Raw) -> Result<Graph> {
    let mut graph = Graph::default();
    if !is_of_sources(&raw.path) {
        each(raw, &mut |_, paragraph| graph.push(paragraph))?;
    }
    Ok(graph)
}

fn is_of_sources(path: &str) -> bool {
    path.contains("/source/")
}

/// Goes through an index, paragraph by paragraph. Debian's are UTF-8; in one that is not, the odd bytes are replaced, always
/// alike.
fn each(raw: &Raw, take: &mut dyn FnMut(&str, &Paragraph<'_>)) -> Result<()> {
    let failed = |error: io::Error| {
        if error.raw_os_error().is_some() {
            return Error::io(&raw.file, "read", error);
        }
        Error::new(Kind::Trust, &raw.name, format!("cannot be unpacked: {error}"))
            .remedy("the archive itself is damaged; choose another mirror or wait until it is mended")
    };
    let mut input = unpacked(raw).map_err(failed)?;
    let mut paragraph = Vec::new();
    while read_paragraph(&mut input, &mut paragraph).map_err(failed)? {
        let text = String::from_utf8_lossy(&paragraph);
        if let Some(fields) = paragraphs(&text).next() {
            take(&text, &fields);
        }
    }
    if input.limit() == 0 {
        let promised = format!("it holds more than the {} bytes that InRelease promises", raw.limit);
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, promised)));
    }
    Ok(())
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
