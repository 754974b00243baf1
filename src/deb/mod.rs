//! Reading .deb packages: an ar archive with a control tar and a data tar, as deb(5) describes it. A package is an
//! input from elsewhere: sizes are bounded, and [`crate::tarball`] refuses members that could write outside a root. Knows
//! nothing of images.

mod ar;
mod stanza;
pub mod version;

pub use stanza::Stanza;

use crate::compress::{self, Format};
use crate::error::{Error, Result};
use crate::tarball::{Body, Dialect, Member, walk};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Uncompressed bytes of a control tar. The largest of Debian's (md5sums of a documentation package) have 4 MiB.
const CONTROL_MAX: u64 = 32 << 20;
/// Uncompressed bytes of a data tar: ten times the largest package in Debian.
const DATA_MAX: u64 = 16 << 30;

/// What dpkg writes: GNU tar with long-name members; anything else is refused.
const PACKAGE: Dialect = Dialect {
    whole: "package",
    remedy: "do not use this package; fetch it anew or ask where it comes from",
    has_pax: false,
    may_repeat: false,
    // As many as a path's bytes allow.
    parts_max: usize::MAX,
    is_known: false,
};

/// A package that is read from its start to its end: first [`Deb::control`], then [`Deb::members`].
pub struct Deb<'a> {
    name: String,
    ar: ar::Ar<Box<dyn Read + Send + 'a>>,
}

/// What a control tar holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The file `control`.
    pub stanza: Stanza,
    /// All other files by name: maintainer scripts, md5sums, conffiles, triggers, ...
    pub files: BTreeMap<String, ControlFile>,
}

/// One file of a control tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFile {
    /// Permission bits (9 bits).
    pub mode: u32,
    /// The bytes.
    pub content: Vec<u8>,
}

impl<'a> Deb<'a> {
    /// Starts reading the package whose file is called `name` (for errors).
    ///
    /// # Errors
    /// [`crate::error::Kind::Trust`] when it is no package of format 2, [`crate::error::Kind::Io`] when `input` cannot be
    /// read.
    pub fn open(name: &str, input: Box<dyn Read + Send + 'a>) -> Result<Self> {
        let mut ar = ar::Ar::open(input).map_err(|error| failed(name, error))?;
        let mut version = Vec::new();
        let first = ar.next().map_err(|error| failed(name, error))?;
        (&mut ar).take(16).read_to_end(&mut version).map_err(|error| failed(name, error))?;
        if first.as_deref() != Some("debian-binary") || !version.starts_with(b"2.") {
            return Err(refused(name, "is no Debian package of format 2"));
        }
        Ok(Deb { name: name.to_owned(), ar })
    }

    /// Reads the control tar.
    ///
    /// # Errors
    /// [`crate::error::Kind::Trust`] when it is missing, damaged, too large or holds more than plain files.
    pub fn control(&mut self) -> Result<Control> {
        let name = self.name.clone();
        let mut files = BTreeMap::new();
        let mut tar = self.part("control.tar", CONTROL_MAX)?;
        walk(&name, &PACKAGE, &mut tar, &mut |member| {
            let file = String::from_utf8_lossy(&member.path).into_owned();
            let Body::File { content, .. } = member.body else {
                let folder = matches!(member.body, Body::Folder) && member.path.is_empty();
                return if folder { Ok(()) } else { Err(refused(&name, format!("control member `{file}`: no file"))) };
            };
            if !file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)) {
                return Err(refused(&name, format!("control member `{file}`: no control file's name")));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(|error| failed(&name, error))?;
            files.insert(file, ControlFile { mode: member.mode & 0o777, content: bytes });
            Ok(())
        })?;
        drop(tar);
        let control = files.remove("control").ok_or_else(|| refused(&name, "has no control file"))?;
        let text = String::from_utf8(control.content).map_err(|_| refused(&name, "control file: is not UTF-8"))?;
        Ok(Control {
            stanza: Stanza::parse(&text).map_err(|cause| refused(&name, format!("control file: {cause}")))?,
            files,
        })
    }

    /// Reads the data tar and hands every member to `visit`, in the archive's order, then reads to the package's end.
    /// Skips the control tar if it was not asked for.
    ///
    /// # Errors
    /// [`crate::error::Kind::Trust`] when it is missing, damaged, too large or hostile, naming the member; whatever
    /// `visit` fails with.
    pub fn members(mut self, visit: &mut dyn FnMut(Member<'_>) -> Result<()>) -> Result<()> {
        let name = self.name.clone();
        let mut tar = self.part("data.tar", DATA_MAX)?;
        walk(&name, &PACKAGE, &mut tar, visit)?;
        // To the end of everything: checksums of compressed streams stand there.
        io::copy(&mut tar, &mut io::sink()).map_err(|error| failed(&name, error))?;
        drop(tar);
        while self.ar.next().map_err(|error| failed(&name, error))?.is_some() {}
        Ok(())
    }

    /// The part called `wanted`, possibly with a compressor's ending, uncompressed.
    fn part(&mut self, wanted: &str, limit: u64) -> Result<Box<dyn Read + Send + '_>> {
        loop {
            let found = self.ar.next().map_err(|error| failed(&self.name, error))?;
            let Some(found) = found else { return Err(refused(&self.name, format!("has no {wanted}"))) };
            if found.strip_prefix(wanted).is_some_and(|rest| matches!(rest, "" | ".xz" | ".zst" | ".gz")) {
                let name = &self.name;
                return compress::reader(Box::new(&mut self.ar), Some(Format::of_name(&found)), limit)
                    .map_err(|error| failed(name, error));
            }
            // deb(5): names that start with an underscore are to be skipped; a control tar that was not asked for, too.
            if !found.starts_with('_') && !found.starts_with("control.tar") {
                return Err(refused(&self.name, format!("has `{found}` where {wanted} is expected")));
            }
        }
    }
}

/// A package that is damaged or hostile: what in it, in words.
pub(crate) fn refused(package: &str, cause: impl std::fmt::Display) -> Error {
    PACKAGE.refused(package, cause)
}

/// A failed read of a package: of this machine when the system says so, else of the package's bytes.
pub(crate) fn failed(package: &str, error: io::Error) -> Error {
    PACKAGE.failed(package, error)
}
