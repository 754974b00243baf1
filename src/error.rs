//! The one error type. An error names its object, says the cause and offers the remedy; its kind, never its text,
//! chooses the exit code. This module must not know who prints errors.

use serde::Serialize;
use std::fmt;
use std::path::Path;

/// What went wrong, as the exit code tells it to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The command line asks for something that does not exist or does not fit together.
    Usage,
    /// A file a person wrote (release, image definition, Containerfile, lock) cannot be understood.
    Document,
    /// The lock is missing, does not fit its document, or `--locked` forbids what would be needed.
    Lock,
    /// A signature, digest or size does not match what was promised.
    Trust,
    /// An input cannot be had: no mirror serves it or no host answers.
    Unavailable,
    /// No mirror that answers has the input any more.
    Gone,
    /// The wished packages cannot be had together.
    Resolve,
    /// No engine can be used, or the engine failed or disappeared.
    Engine,
    /// A component's build ended with a non-zero status.
    Build,
    /// A build delivered something other than the expected files.
    Output,
    /// Reading or writing a file of this machine failed.
    Io,
    /// The user (or a signal) stopped the run.
    Interrupted,
}

impl Kind {
    /// All kinds with the exit code and a few words, for the documentation and its test.
    pub const ALL: [(Kind, u8, &'static str); 12] = [
        (Kind::Usage, 2, "wrong use of the command line"),
        (Kind::Document, 3, "a release, image, lock or Containerfile cannot be understood"),
        (Kind::Lock, 4, "the lock is missing or out of date"),
        (Kind::Trust, 5, "a signature, digest or size does not match"),
        (Kind::Unavailable, 6, "an input cannot be fetched"),
        (Kind::Resolve, 7, "packages cannot be resolved"),
        (Kind::Engine, 8, "no usable engine, or the engine failed"),
        (Kind::Build, 9, "a component's build failed"),
        (Kind::Output, 10, "a build delivered unexpected files"),
        (Kind::Io, 11, "a file of this machine cannot be read or written"),
        (Kind::Gone, 12, "an input is gone from every mirror that answers"),
        (Kind::Interrupted, 130, "interrupted"),
    ];

    /// The process exit code for this kind, as the README documents it.
    pub fn exit_code(self) -> u8 {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(1, |(_, code, _)| *code)
    }
}

/// An error with object, cause and remedy. Made with [`Error::new`] and the `remedy`/`because` methods.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    object: String,
    cause: String,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` about `object` (a file, a package, a URL: what the user can look at), with its cause in words.
    pub fn new(kind: Kind, object: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Error(Box::new(Inner {
            kind,
            object: object.to_string(),
            cause: cause.to_string(),
            remedy: None,
            source: None,
        }))
    }

    /// A failed operation on a file of this machine: `verb` is what was tried ("read", "write", "rename").
    pub fn io(path: &Path, verb: &str, error: std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::StorageFull => {
                Some("free space on that file system, or set XDG_CACHE_HOME or --out to a larger one")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                Some("make that file system writable, or set XDG_CACHE_HOME or --out to another one")
            }
            std::io::ErrorKind::QuotaExceeded => {
                Some("free some of your quota, or set XDG_CACHE_HOME or --out to another file system")
            }
            std::io::ErrorKind::PermissionDenied => Some("check the owner and mode of the path"),
            _ => None,
        };
        let error = bare(error);
        let mut made = Error::new(Kind::Io, path.display(), format!("cannot {verb}: {error}"));
        made.0.remedy = remedy.map(str::to_owned);
        made.0.source = Some(Box::new(error));
        made
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl fmt::Display) -> Self {
        self.0.remedy = Some(remedy.to_string());
        self
    }

    /// The same error, told of another object: who asked for it knows better what the user can look at.
    #[must_use]
    pub fn named(mut self, object: impl fmt::Display) -> Self {
        self.0.object = object.to_string();
        self
    }

    /// Adds words to the cause.
    #[must_use]
    pub fn adding(mut self, words: impl fmt::Display) -> Self {
        self.0.cause.push_str(&words.to_string());
        self
    }

    /// Adds another thing that the user can do about it.
    #[must_use]
    pub fn also(self, remedy: impl fmt::Display) -> Self {
        match self.0.remedy.clone() {
            Some(first) => self.remedy(format!("{first}; {remedy}")),
            None => self.remedy(remedy),
        }
    }

    /// Keeps the foreign error that led to this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind, which chooses the exit code.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What the error is about.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// The cause in words.
    pub fn cause(&self) -> &str {
        &self.0.cause
    }

    /// What the user can do, if anything is known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
}

/// The error as the system told it: tempfile and walkdir wrap it in words with a path, which has its place elsewhere.
fn bare(error: std::io::Error) -> std::io::Error {
    let Some(wrapped) = error.get_ref() else { return error };
    let inner = wrapped.source().and_then(|inner| inner.downcast_ref::<std::io::Error>());
    if let Some(code) = inner.and_then(std::io::Error::raw_os_error) {
        return std::io::Error::from_raw_os_error(code);
    }
    // tempfile keeps the inner error to itself.
    match wrapped.to_string().split_once(" at path \"") {
        Some((words, _)) => std::io::Error::new(error.kind(), words),
        None => error,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.object, self.0.cause)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_never_zero_or_one() {
        let mut codes: Vec<u8> = Kind::ALL.iter().map(|(kind, ..)| kind.exit_code()).collect();
        assert!(codes.iter().all(|code| *code > 1));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }

    #[test]
    fn a_cause_and_a_path_are_told_once() {
        let path = Path::new("/nowhere/x");
        let file = tempfile::NamedTempFile::new_in(path).unwrap_err();
        let entry = walkdir::WalkDir::new(path).into_iter().next().unwrap().unwrap_err();
        for (error, text) in [(file, "/.tmp"), (entry.into(), "IO error for operation")] {
            assert!(error.to_string().contains(text), "the test tries nothing: {error}");
            let error = Error::io(path, "read", error);
            assert_eq!(error.to_string(), "/nowhere/x: cannot read: No such file or directory (os error 2)");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(source, "No such file or directory (os error 2)");
        }
        let other = Error::io(path, "read", std::io::Error::other("odd words"));
        assert_eq!(other.to_string(), "/nowhere/x: cannot read: odd words");
    }

    #[test]
    fn a_full_disk_names_the_way_out() {
        let error = Error::io(Path::new("/x"), "write", std::io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.remedy_text().is_some_and(|text| text.contains("XDG_CACHE_HOME")), "{error:?}");
    }
}
