//! Release files: what a person writes in `releases/NAME.toml`. Pure text to value.

mod check;
mod kernel;
pub mod stable_commits;

pub use check::is_version;
pub use kernel::{Base, Kernel, fragment};

use crate::component::Component;
use crate::definition::{Archive, check_format};
use crate::digest::Digest;
use crate::document;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format version of release files.
pub const FORMAT: u32 = 1;

/// Where a source comes from. In TOML exactly one of the keys `debian`, `binary-package`, `git`,
/// `tarball`, `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Source {
    /// A Debian source package of one of the release's archives.
    Debian {
        /// Name of an entry of `[archives]`.
        archive: String,
        /// Source package name.
        package: String,
        /// Exact version; without it the newest in the archive.
        #[serde(default)]
        version: Option<String>,
    },
    /// The files that a binary package of one of the release's archives installs, unpacked.
    BinaryPackage {
        /// Name of an entry of `[archives]`.
        archive: String,
        /// Binary package name, of the archive's architecture or `all`.
        package: String,
        /// Exact version; without it the newest in the archive.
        #[serde(default)]
        version: Option<String>,
    },
    /// A git repository.
    Git {
        /// Anything git can fetch from.
        url: String,
        /// Branch, tag or full commit hash.
        rev: String,
        /// Version for names, for a tree that says none; without it the tree's own and the commit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Submodule paths that the build does not need; `PATH/**` stands for all submodules inside PATH.
        #[serde(default)]
        without_submodules: Vec<String>,
    },
    /// A tarball (plain, gzip, xz, zstd, bzip2).
    Tarball {
        /// Where to get it, in order of preference.
        urls: Vec<String>,
        /// Digest of the file.
        sha256: Digest,
        /// Version for names.
        version: String,
    },
    /// A folder of this machine, for development: never pinned.
    Path(String),
}

/// A source beside the main one, put into its own folder below /src.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Extra {
    /// Folder below /src.
    pub folder: String,
    /// Where it comes from.
    pub source: Source,
}

/// How OVMF is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ovmf {
    /// edk2.
    pub source: Source,
    /// Sources beside it.
    #[serde(default)]
    pub extra: Vec<Extra>,
    /// edk2's build target. It changes the launch measurement.
    pub build: OvmfBuild,
    /// `-D NAME=VALUE` of edk2's build. They change the launch measurement.
    #[serde(default)]
    pub defines: BTreeMap<String, String>,
}

/// How QEMU is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Qemu {
    /// QEMU.
    pub source: Source,
    /// Sources beside it: `meson` and `libslirp`.
    #[serde(default)]
    pub extra: Vec<Extra>,
}

/// edk2's build target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OvmfBuild {
    /// With debug messages.
    Debug,
    /// Without.
    Release,
}

/// What the user of a development preview must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preview {
    /// One line.
    pub warning: String,
    /// Where to report what does not work.
    pub tracker: String,
}

/// `releases/NAME.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// [`FORMAT`].
    pub format: u32,
    /// One line for people.
    pub summary: String,
    /// The image the components are built in: NAME of `images/NAME.toml`.
    pub image: String,
    /// Set for a development preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// Source archives by name.
    #[serde(default)]
    pub archives: BTreeMap<String, Archive>,
    /// The host's kernel.
    #[serde(default)]
    pub kernel_host: Option<Kernel>,
    /// The guest's kernel.
    #[serde(default)]
    pub kernel_guest: Option<Kernel>,
    /// The virtual machine monitor.
    #[serde(default)]
    pub qemu: Option<Qemu>,
    /// The firmware.
    #[serde(default)]
    pub ovmf: Option<Ovmf>,
}

impl Release {
    /// Reads `releases/NAME.toml`; `name` is shown in errors.
    ///
    /// # Errors
    /// [`crate::error::Kind::Document`], with the line, for anything that is not understood or does not fit together.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let release: Release = document::parse(name, text).map_err(check::one_key)?;
        check_format(name, release.format, FORMAT)?;
        release.check(name)?;
        Ok(release)
    }

    /// The components this release declares, in build order.
    pub fn components(&self) -> Vec<Component> {
        Component::ALL.into_iter().filter(|component| self.declared(*component).is_some()).collect()
    }

    /// How a kernel is built, if `component` is one that this release declares.
    pub fn kernel(&self, component: Component) -> Option<&Kernel> {
        match component {
            Component::KernelHost => self.kernel_host.as_ref(),
            Component::KernelGuest => self.kernel_guest.as_ref(),
            Component::Qemu | Component::Ovmf => None,
        }
    }

    /// A component's main source with its folder below /src, and those beside it.
    fn declared(&self, component: Component) -> Option<(&str, &Source, &[Extra])> {
        match component {
            Component::KernelHost | Component::KernelGuest => {
                self.kernel(component).map(|kernel| ("linux", &kernel.source, kernel.extra.as_slice()))
            }
            Component::Qemu => self.qemu.as_ref().map(|qemu| ("qemu", &qemu.source, qemu.extra.as_slice())),
            Component::Ovmf => self.ovmf.as_ref().map(|ovmf| ("edk2", &ovmf.source, ovmf.extra.as_slice())),
        }
    }

    /// A component's main source.
    fn source_mut(&mut self, component: Component) -> Option<&mut Source> {
        match component {
            Component::KernelHost => self.kernel_host.as_mut().map(|kernel| &mut kernel.source),
            Component::KernelGuest => self.kernel_guest.as_mut().map(|kernel| &mut kernel.source),
            Component::Qemu => self.qemu.as_mut().map(|qemu| &mut qemu.source),
            Component::Ovmf => self.ovmf.as_mut().map(|ovmf| &mut ovmf.source),
        }
    }

    /// Declares a component no more.
    fn drop_component(&mut self, component: Component) {
        match component {
            Component::KernelHost => self.kernel_host = None,
            Component::KernelGuest => self.kernel_guest = None,
            Component::Qemu => self.qemu = None,
            Component::Ovmf => self.ovmf = None,
        }
    }

    /// Every source with its component and its folder below /src: the main one first, then the extras.
    pub fn sources(&self) -> Vec<(Component, &str, &Source)> {
        let mut all = Vec::new();
        for component in Component::ALL {
            if let Some((folder, source, extra)) = self.declared(component) {
                all.push((component, folder, source));
                all.extend(extra.iter().map(|extra| (component, extra.folder.as_str(), &extra.source)));
            }
        }
        all
    }
}
