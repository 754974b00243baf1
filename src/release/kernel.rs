//! What a release file says of a kernel: its source and where its configuration comes from. Knows nothing of Kconfig.

use super::{Extra, Source};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// How a kernel is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// Linux.
    pub source: Source,
    /// Sources beside it.
    #[serde(default)]
    pub extra: Vec<Extra>,
    /// What the configuration starts from; without it the profile's own base.
    #[serde(default)]
    pub base: Option<Base>,
    /// Configuration fragments beside those of role and profile, merged last: NAME for one of the recipe's own
    /// (images/kernel/config/NAME.config), `PATH/NAME.config` for a file relative to the release file.
    #[serde(default)]
    pub fragments: Vec<String>,
    /// Revision of the packages: raise it when the same sources are packed anew.
    #[serde(default = "first")]
    pub revision: u32,
}

fn first() -> u32 {
    1
}

/// What a kernel configuration starts from. In TOML exactly one of the keys `target`, `file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Base {
    /// A target of the kernel's own makefile, for example `x86_64_defconfig`.
    Target(String),
    /// A whole configuration.
    File {
        /// The file, relative to the release file.
        path: String,
        /// Digest of the file.
        sha256: Digest,
    },
}

impl Kernel {
    /// Refuses what parses but cannot work.
    ///
    /// # Errors
    /// [`Kind::Document`] naming the key.
    pub fn check(&self, name: &str) -> Result<()> {
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if let Some(Base::Target(target)) = &self.base
            && !(plain(target) && target.ends_with("config"))
        {
            return Err(Error::new(Kind::Document, name, format!("`{target}` is no configuration target of a kernel"))
                .remedy("name one as `make help` lists them, for example x86_64_defconfig"));
        }
        for fragment in &self.fragments {
            if !self::fragment(fragment).is_some_and(plain) {
                return Err(Error::new(Kind::Document, name, format!("`{fragment}` is no configuration fragment"))
                    .remedy("give NAME of images/kernel/config/NAME.config, or a file NAME.config relative to the release file"));
            }
        }
        Ok(())
    }

    /// The fragments that are files of the release: path relative to the release file, and name.
    pub fn own_fragments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fragments
            .iter()
            .filter(|path| path.ends_with(".config"))
            .filter_map(|path| Some((path.as_str(), fragment(path)?)))
    }
}

/// The name of a fragment: NAME of `NAME` or `folder/NAME.config`.
pub fn fragment(path: &str) -> Option<&str> {
    match path.strip_suffix(".config") {
        Some(stem) => stem.rsplit('/').next(),
        None => Some(path),
    }
}
