//! What is at a path of an image.

/// Where the content of a file is: the layer, and which of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub(super) layer: u32,
    /// A tar of LAYER_MAX bytes has fewer headers than this can count.
    pub(super) member: u32,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder {
        /// Permission bits (12 bits).
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Its target as it stands in the layer.
        target: Box<[u8]>,
        /// Seconds since 1970.
        mtime: u64,
    },
    /// A regular file.
    File {
        /// Permission bits (12 bits).
        mode: u32,
        /// Seconds since 1970.
        mtime: u64,
        /// Its length.
        size: u64,
        /// Where its bytes are.
        content: Content,
    },
}

impl Node {
    /// Bytes of its name and of what it links to.
    pub(super) fn weight(&self, path: &[u8]) -> usize {
        match self {
            Node::Symlink { target, .. } => path.len() + target.len(),
            Node::Folder { .. } | Node::File { .. } => path.len(),
        }
    }

    /// Bytes of its content.
    pub(super) fn size(&self) -> u64 {
        match self {
            Node::File { size, .. } => *size,
            Node::Folder { .. } | Node::Symlink { .. } => 0,
        }
    }

    /// What it is, if it is no folder.
    pub(super) fn no_folder(&self) -> Option<String> {
        match self {
            Node::Folder { .. } => None,
            Node::Symlink { target, .. } => {
                Some(format!("is a symbolic link to `{}`", String::from_utf8_lossy(target)))
            }
            Node::File { .. } => Some("is a file".into()),
        }
    }
}
