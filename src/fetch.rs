//! Getting bytes from the network: by digest into the store, or small signed documents as they are now. One of the two
//! doors to the network (the other is git). Knows no archive formats.

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::Result;

/// A file that is known by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to call it in messages.
    pub name: String,
    /// Where it may be, in order of preference. All are equal: the digest decides.
    pub urls: Vec<String>,
    /// Its digest.
    pub sha256: Digest,
    /// Its length in bytes, where known.
    pub size: Option<u64>,
}

/// The door, as other borders see it.
pub trait Fetch: Send + Sync {
    /// Brings all files into the store that are not there yet.
    ///
    /// # Errors
    /// [`crate::error::Kind::Gone`] when every place of a file answered and none has it, else
    /// [`crate::error::Kind::Unavailable`] or [`crate::error::Kind::Trust`], naming each place's failure.
    fn all(&self, wanted: &[Wanted], cancel: &Cancel) -> Result<()>;

    /// A document of at most `limit` bytes whose digest is not known yet, from the first of `urls` that answers.
    ///
    /// # Errors
    /// [`crate::error::Kind::Gone`] when every place answered and none has it, else
    /// [`crate::error::Kind::Unavailable`].
    fn document(&self, urls: &[String], limit: u64, cancel: &Cancel) -> Result<Vec<u8>>;
}
