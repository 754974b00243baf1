//! Lock files: what was resolved, sorted and made for diffs.
//!
//! Format history: 1 (first). A further kind of pin is no new format: what could be read before means the same, and a
//! version that does not know the kind refuses it by name. The same goes for an image's `[base]`, a source's `wish` and a
//! suite's `snapshot-time`.

use crate::component::Component;
use crate::date::{Day, Epoch};
use crate::definition::check_format;
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use crate::reference::Reference;
use serde::{Deserialize, Serialize};

/// The format version of lock files. It also stands for the way layers and source tars are normalised: a change
/// there is a new format.
pub const FORMAT: u32 = 1;

/// One file known by path, size and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileLock {
    /// Path below the archive's base URL, or the file's name.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Digest,
}

/// The state of one suite of an archive that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuiteLock {
    /// The archive's name in the release file; `image` in an image lock.
    pub archive: String,
    /// The suite.
    pub suite: String,
    /// `snapshot-time` of the archive's definition, if it has one: the state of another time is another state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<String>,
    /// The InRelease file's own date.
    pub date: Epoch,
    /// Fingerprint of the primary key that signed it.
    pub signer: String,
    /// Digest of the InRelease file.
    pub inrelease: Digest,
    /// The indexes that were read, relative to `dists/SUITE/`.
    pub index: Vec<FileLock>,
}

/// One binary package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageLock {
    /// Package name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Path below the archive's base URL.
    pub path: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Digest of the .deb.
    pub sha256: Digest,
}

/// One blob of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BlobLock {
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
}

/// One layer of a base, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseLayerLock {
    /// Digest of its compressed bytes.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
    /// Digest of the tar in it.
    pub diff_id: Digest,
    /// What the manifest says how it is packed.
    pub media_type: String,
}

/// An image of a registry below the packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseLock {
    /// The image as the definition names it.
    pub image: Reference,
    /// Its manifest.
    pub manifest: BlobLock,
    /// Its configuration.
    pub config: BlobLock,
    /// Its layers, the lowest first.
    pub layer: Vec<BaseLayerLock>,
}

impl BaseLock {
    /// Bytes of all layers as they are fetched.
    pub fn size(&self) -> u64 {
        self.layer.iter().map(|layer| layer.size).sum()
    }
}

/// `images/NAME.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageLock {
    /// [`FORMAT`].
    pub format: u32,
    /// Digest of the definition this was resolved from (its meaning, not its comments).
    pub definition: Digest,
    /// The newest date of the suites and of the base: the date of everything in the layer.
    pub epoch: Epoch,
    /// Digest of the uncompressed layer: the image's identity on every engine.
    pub diff_id: Digest,
    /// The suites as they were read, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suite: Vec<SuiteLock>,
    /// The packages, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub package: Vec<PackageLock>,
    /// The image below the packages, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseLock>,
}

/// A submodule of a git source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SubmoduleLock {
    /// Path in the tree, nested ones with their parents' path in front.
    pub path: String,
    /// Where it is fetched from.
    pub url: String,
    /// The commit its gitlink names.
    pub commit: String,
}

/// What a source was pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Pin {
    /// A Debian source package.
    Debian {
        /// The archive's name in the release file.
        archive: String,
        /// Source package name.
        package: String,
        /// Its tarballs, as the archive's signed index names them. The .dsc is not among them: it only repeats the
        /// index.
        files: Vec<FileLock>,
    },
    /// The files of a Debian binary package.
    BinaryPackage {
        /// The archive's name in the release file.
        archive: String,
        /// Binary package name.
        package: String,
        /// The .deb, as the archive's signed index names it.
        file: FileLock,
    },
    /// One commit of a git repository.
    Git {
        /// Where it is fetched from.
        url: String,
        /// The ref it was resolved from, when it was not a commit.
        reference: Option<String>,
        /// Full commit hash.
        commit: String,
        /// Full tree hash.
        tree: String,
        /// All submodules that are part of the source.
        submodules: Vec<SubmoduleLock>,
    },
    /// A tarball.
    Tarball {
        /// Where it is fetched from.
        urls: Vec<String>,
        /// Digest of the file as published.
        sha256: Digest,
    },
    /// A folder of this machine: not pinned, and said so in every output.
    Path {
        /// The folder, relative to the release file.
        path: String,
    },
}

/// One resolved source of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceLock {
    /// The component that is built from it.
    pub component: Component,
    /// The folder below /src that it fills.
    pub folder: String,
    /// Version for names: Debian's, a tarball's or git's short form.
    pub version: String,
    /// The source's own date: a commit's, else the newest member's.
    pub epoch: Epoch,
    /// Digest of the normalised source tar; none for an unpinned path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Digest of what the release file said of the source and its archive (but for where that is found): while it says
    /// the same, a new lock keeps what is here. None for a path, and in locks older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Digest>,
    /// What it was pinned to.
    pub pin: Pin,
}

/// `releases/NAME.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReleaseLock {
    /// [`FORMAT`].
    pub format: u32,
    /// Digest of the release file this was resolved from (its meaning, not its comments).
    pub definition: Digest,
    /// The day of the lock: a release's DATE.
    pub date: Day,
    /// The newest date among the sources: SOURCE_DATE_EPOCH of every build.
    pub epoch: Epoch,
    /// The suites of source archives as they were read.
    #[serde(default)]
    pub suite: Vec<SuiteLock>,
    /// The sources, by component and folder.
    pub source: Vec<SourceLock>,
}

/// What both kinds of lock share: reading and writing with the format checked.
macro_rules! document_form {
    ($kind:ty, $head:literal) => {
        impl $kind {
            /// Reads the lock; `name` is shown in errors.
            ///
            /// # Errors
            /// [`crate::error::Kind::Document`] for anything that is not understood, another format version included.
            pub fn parse(name: &str, text: &str) -> Result<Self> {
                let lock: Self = document::parse_made(name, text)?;
                check_format(name, lock.format, FORMAT)?;
                Ok(lock)
            }

            /// The lock as text.
            ///
            /// # Errors
            /// [`crate::error::Kind::Document`] when it has no TOML form.
            pub fn render(&self, name: &str) -> Result<String> {
                document::render(name, $head, self)
            }
        }
    };
}

document_form!(ImageLock, "# Written by `snpforge lock`: do not edit. What the image's definition was resolved to.\n");
document_form!(
    ReleaseLock,
    "# Written by `snpforge lock`: do not edit. What the release's sources were resolved to.\n"
);
