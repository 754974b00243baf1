//! What differs between the tars that are read here, as data of those who read them, and the words for a tar that is
//! refused, which all of them share.

use super::name::show;
use crate::error::{Error, Kind, Result};
use std::fmt::Display;
use std::io;

/// Whose tars they are. Long-name members of GNU tar are in all of them.
pub(crate) struct Dialect {
    /// What one tar is, for messages.
    pub(crate) whole: &'static str,
    /// What can be done about one that is refused.
    pub(crate) remedy: &'static str,
    /// Whether there may be pax headers.
    pub(crate) has_pax: bool,
    /// Whether a path may come again: a folder as a folder; of files and links the last one counts.
    pub(crate) may_repeat: bool,
    /// Parts of a path.
    pub(crate) parts_max: usize,
    /// Whether it was read before: what its members are to each other is not looked into, and not remembered, again.
    pub(crate) is_known: bool,
}

impl Dialect {
    /// A tar of `name` that is damaged or hostile: what in it, in words.
    pub(crate) fn refused(&self, name: &str, cause: impl Display) -> Error {
        Error::new(Kind::Trust, name, cause).remedy(self.remedy)
    }

    /// A failed read: of this machine when the system says so, else of the bytes.
    pub(crate) fn failed(&self, name: &str, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            return Error::new(Kind::Io, name, format!("cannot read: {error}")).because(error);
        }
        let cause = match error.kind() {
            io::ErrorKind::UnexpectedEof => "is truncated".to_owned(),
            io::ErrorKind::FileTooLarge => error.to_string(),
            _ => format!("is damaged: {error}"),
        };
        self.refused(name, cause).because(error)
    }
}

/// One tar, as what is wrong in it is told of.
#[derive(Clone, Copy)]
pub(super) struct Tar<'a> {
    /// What it is of, in errors.
    pub(super) name: &'a str,
    pub(super) dialect: &'a Dialect,
}

impl Tar<'_> {
    pub(super) fn failed(&self, error: io::Error) -> Error {
        self.dialect.failed(self.name, error)
    }

    /// Refuses it for the member whose path stands in it as `raw`.
    pub(super) fn refuse<T>(&self, raw: &[u8], cause: impl Display) -> Result<T> {
        Err(self.refused(raw, cause))
    }

    pub(super) fn refused(&self, raw: &[u8], cause: impl Display) -> Error {
        self.dialect.refused(self.name, format!("member `{}`: {cause}", show(raw)))
    }
}
