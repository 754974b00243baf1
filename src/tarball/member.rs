//! What the walk hands out.

use std::io::Read;

/// One member of a tar.
pub struct Member<'a> {
    /// Path from the root, without a leading `/` or `./`, without empty, `.` or `..` parts; empty for the root itself.
    pub path: Vec<u8>,
    /// Permission bits (12 bits).
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// What it is.
    pub body: Body<'a>,
}

/// What a member is, and its content.
pub enum Body<'a> {
    /// A folder.
    Folder,
    /// A regular file of `size` bytes.
    File {
        /// Its length.
        size: u64,
        /// Its bytes. What is not read is skipped.
        content: &'a mut dyn Read,
    },
    /// A symbolic link; the target is as it stands in the tar.
    Symlink(Vec<u8>),
    /// A hard link to an earlier regular file of the same tar, by its normalised path.
    HardLink(Vec<u8>),
}
