//! Archive and image definitions: what a person writes in `images/NAME.toml` (and in a release's `[archives.NAME]`)
//! about where packages come from and what the builder's root file system holds. Pure text to value.

use crate::document;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format version of image definitions.
pub const FORMAT: u32 = 1;

/// The archive families this tool can read. Their repositories share one layout; trust roots and mirrors differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Family {
    /// The lower-case name, as mirrors' settings and environment variables use it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Debian => "debian",
            Family::Ubuntu => "ubuntu",
        }
    }
}

/// A Debian-family package archive, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// The family, which decides which of a machine's own mirrors serve it.
    pub family: Family,
    /// Suites in order of preference for equal versions, for example `bookworm`.
    pub suites: Vec<String>,
    /// Components to read, for example `main`.
    pub components: Vec<String>,
    /// The architecture of binary packages.
    #[serde(default = "amd64")]
    pub architecture: String,
    /// OpenPGP keyring (binary or armoured), relative to the folder of the defining file.
    pub keyring: String,
    /// Fingerprints (40 hexadecimal digits) of the primary keys in the keyring that are trusted; empty: all of them.
    #[serde(default)]
    pub signers: Vec<String>,
    /// Public mirrors: base URLs that hold `dists/` and `pool/`.
    pub mirrors: Vec<String>,
    /// The snapshot service: a base URL in which `{time}` stands for `YYYYMMDDTHHMMSSZ`.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Resolve the archive as it was at this time (`YYYYMMDDTHHMMSSZ`), through the snapshot service.
    #[serde(default)]
    pub snapshot_time: Option<String>,
}

/// Debian's word for what this tool builds for.
const AMD64: &str = "amd64";

fn amd64() -> String {
    AMD64.into()
}

/// An image of a registry below the packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Base {
    /// The image, by the digest of its manifest for linux/amd64.
    pub image: Reference,
    /// What the image's own os-release file must say, for example `VERSION_ID`: engines do not look at a tag beside a
    /// digest, and public files pin one release under the tag of another.
    pub os_release: BTreeMap<String, String>,
}

/// What the builder's root file system holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Root {
    /// Make the merged-/usr links (`/bin -> usr/bin`, ...) that the distribution's installer would make.
    pub merged_usr: bool,
    /// The wished packages; essential packages and all dependencies come by themselves.
    pub packages: Vec<String>,
    /// Links that a configured system would have and compilers need: path to target, for example
    /// `"usr/bin/cc" = "gcc"`.
    #[serde(default)]
    pub links: std::collections::BTreeMap<String, String>,
    /// Path patterns (`*` matches within a name, `**` across folders) that are left out of the layer.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Path patterns that stay although an `exclude` pattern matches.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// `images/NAME.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageDefinition {
    /// [`FORMAT`].
    pub format: u32,
    /// One line for people.
    pub summary: String,
    /// Where the packages come from; only an image that is nothing but its base can do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// An image of a registry that fills in what the packages do not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// What is put into the root file system.
    pub root: Root,
}

impl ImageDefinition {
    /// Reads `images/NAME.toml`; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`], with the line, for anything that is not understood.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let definition: ImageDefinition = document::parse(name, text)?;
        check_format(name, definition.format, FORMAT)?;
        definition.check(name)?;
        Ok(definition)
    }

    /// The archive that packages are resolved from; none for an image that is nothing but its base.
    pub fn resolves(&self) -> Option<&Archive> {
        self.archive.as_ref().filter(|_| self.base.is_none() || !self.root.packages.is_empty())
    }

    /// The architecture of everything in it, in Debian's words.
    pub fn architecture(&self) -> &str {
        self.archive.as_ref().map_or(AMD64, |archive| &archive.architecture)
    }

    fn check(&self, name: &str) -> Result<()> {
        if let Some(archive) = &self.archive {
            archive.check(name)?;
        }
        let wrong = |cause: &str, remedy: &str| Err(Error::new(Kind::Document, name, cause).remedy(remedy));
        match &self.base {
            None if self.archive.is_none() => {
                wrong("has neither [archive] nor [base]", "say where packages come from, or name an image under [base]")
            }
            Some(_) if self.archive.is_none() && !self.root.packages.is_empty() => {
                wrong("root.packages names packages, but there is no [archive]", "add [archive], or empty the list")
            }
            Some(base) if base.os_release.is_empty() => wrong(
                "base.os-release is empty",
                "claim what the image is, for example { ID = \"ubuntu\", VERSION_ID = \"22.04\" }",
            ),
            Some(_) if self.architecture() != AMD64 => {
                wrong("a base is for amd64, archive.architecture is not", "remove archive.architecture")
            }
            _ => Ok(()),
        }
    }
}

impl Archive {
    /// Refuses what parses but cannot work.
    ///
    /// # Errors
    /// [`Kind::Document`] naming the key.
    pub fn check(&self, name: &str) -> Result<()> {
        let empty = [("suites", self.suites.is_empty()), ("components", self.components.is_empty())];
        for (key, missing) in empty {
            if missing {
                return Err(Error::new(Kind::Document, name, format!("archive.{key} is empty"))
                    .remedy(format!("name at least one entry in `{key}`")));
            }
        }
        if self.snapshot_time.is_some() && self.snapshot.is_none() {
            return Err(Error::new(Kind::Document, name, "archive.snapshot-time is set without archive.snapshot")
                .remedy("add the snapshot service's URL with {time} in it"));
        }
        Ok(())
    }
}

/// Refuses a document of another format version.
///
/// # Errors
/// [`Kind::Document`] naming both versions.
pub fn check_format(name: &str, found: u32, known: u32) -> Result<()> {
    if found == known {
        return Ok(());
    }
    let remedy = if found > known { "use a newer snpforge" } else { "write it anew with this snpforge" };
    Err(Error::new(Kind::Document, name, format!("has format {found}, this snpforge knows {known}")).remedy(remedy))
}
