//! Release files: what a person writes in `releases/NAME.toml`. Pure text to value.

mod kernel;
pub mod stable_commits;

pub use kernel::{Base, Kernel, fragment};

use crate::component::Component;
use crate::definition::{Archive, check_format};
use crate::digest::Digest;
use crate::document;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// [`Kind::Document`], with the line, for anything that is not understood or does not fit together.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let release: Release = document::parse(name, text).map_err(one_key)?;
        check_format(name, release.format, FORMAT)?;
        if release.components().is_empty() {
            return Err(Error::new(Kind::Document, name, "declares no component")
                .remedy("add one or more of [kernel-host], [kernel-guest], [qemu] and [ovmf], each with its source"));
        }
        for archive in release.archives.values() {
            archive.check(name)?;
        }
        if let Some(preview) = &release.preview {
            check_line(name, "preview.warning", &preview.warning)?;
            check_line(name, "preview.tracker", &preview.tracker)?;
        }
        let mut folders = BTreeSet::new();
        for (component, folder, source) in release.sources() {
            release.check_source(name, folder, source)?;
            if !folders.insert((component, folder)) {
                let cause = format!("two sources of {component} in folder `{folder}`");
                return Err(Error::new(Kind::Document, name, cause).remedy("give each a folder of its own"));
            }
        }
        for kernel in [&release.kernel_host, &release.kernel_guest].into_iter().flatten() {
            kernel.check(name)?;
        }
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

    fn check_source(&self, name: &str, folder: &str, source: &Source) -> Result<()> {
        let refuse = |cause: String, remedy: &str| Err(Error::new(Kind::Document, name, cause).remedy(remedy));
        let plain = folder.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
        if !plain || folder.is_empty() || folder.starts_with('.') || folder == "recipe" {
            return refuse(format!("folder `{folder}` of a source"), "use one plain name other than `recipe`");
        }
        if let Source::Debian { archive, .. } | Source::BinaryPackage { archive, .. } = source
            && !self.archives.contains_key(archive)
        {
            return refuse(format!("archive `{archive}` is not declared"), "add it under [archives.NAME]");
        }
        if let Source::Tarball { urls, .. } = source {
            let remedy = "name at least one place: http://HOST/PATH, https://HOST/PATH or file:///PATH";
            if urls.is_empty() {
                return refuse(format!("tarball.urls of source `{folder}` is empty"), remedy);
            }
            if let Some(bad) = urls.iter().find(|url| !is_url(url)) {
                let bad = bad.escape_debug();
                return refuse(format!("`{bad}` in tarball.urls of source `{folder}` is no URL of a file"), remedy);
            }
        }
        match declared_version(source) {
            Some(version) if !is_version(version) => refuse(
                format!("version `{}` of source `{folder}` cannot stand in a file name", version.escape_debug()),
                "use letters, digits and .+~:_- only",
            ),
            _ => Ok(()),
        }
    }
}

/// Whether a source's version may stand in the names of products and in the sums of a release.
pub fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~:_-".contains(&byte))
}

/// Whether a tarball may be looked for there: by HTTP, or on this machine, where `file://PATH` would be a host's name.
fn is_url(url: &str) -> bool {
    match url.split_once("://") {
        Some(("http" | "https", rest)) => !rest.is_empty(),
        Some(("file", path)) => path.starts_with('/'),
        _ => false,
    }
}

/// Adds to the error of the TOML reader about several keys (or none) where there must be one what these are: it only
/// counts them.
fn one_key(error: Error) -> Error {
    if !error.cause().contains("wanted exactly 1 element") {
        return error;
    }
    error.also(
        "exactly one key is wanted there: of a source debian, binary-package, git, tarball or path; of a kernel's base \
         target or file",
    )
}

fn declared_version(source: &Source) -> Option<&str> {
    match source {
        Source::Debian { version, .. } | Source::BinaryPackage { version, .. } | Source::Git { version, .. } => {
            version.as_deref()
        }
        Source::Tarball { version, .. } => Some(version),
        Source::Path(_) => None,
    }
}

/// Refuses text that is shown as one line, and is none.
fn check_line(name: &str, key: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(Error::new(Kind::Document, name, format!("{key} is not one line of text")).remedy("write one line"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> Result<Release> {
        let head = "format = 1\nsummary = \"s\"\nimage = \"i\"\n";
        let archive = "[archives.a]\nfamily = \"debian\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeyring = \"k\"\n\
                       mirrors = []\n";
        Release::parse("releases/r.toml", &format!("{head}{archive}[qemu]\nsource = {source}\n"))
    }

    #[test]
    fn a_version_that_cannot_name_a_file_is_refused() {
        let tarball = |version: &str| {
            format!(
                "{{ tarball = {{ urls = [\"https://h/u\"], sha256 = \"{}\", version = '{version}' }} }}",
                Digest::of(b"")
            )
        };
        let debian = |kind: &str, version: &str| {
            format!("{{ {kind} = {{ archive = \"a\", package = \"p\", version = '{version}' }} }}")
        };
        for good in ["10.0.2", "1:10.0.2+dfsg-1~deb13u1", "2025_02"] {
            parse(&tarball(good)).unwrap();
            parse(&debian("debian", good)).unwrap();
        }
        for bad in ["", "1/../../x", "1 2", "1\\n", "1(2)", "ä"] {
            let git = format!("{{ git = {{ url = \"u\", rev = \"r\", version = '{bad}' }} }}");
            for source in [tarball(bad), debian("debian", bad), debian("binary-package", bad), git] {
                let error = parse(&source).unwrap_err();
                assert_eq!((error.kind(), error.object()), (Kind::Document, "releases/r.toml"), "{source}");
                assert!(error.cause().contains("of source `qemu`"), "{error}");
                assert!(error.remedy_text().is_some_and(|text| text.contains(".+~:_-")), "{error}");
            }
        }
    }

    #[test]
    fn a_release_of_nothing_is_refused() {
        let error = Release::parse("releases/r.toml", "format = 1\nsummary = \"s\"\nimage = \"i\"\n").unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Document, "releases/r.toml: declares no component")
        );
        assert!(error.remedy_text().unwrap().contains("[kernel-guest]"), "{error:?}");
    }

    #[test]
    fn places_that_no_tarball_can_come_from_are_refused() {
        let tarball = |urls: &str| {
            format!("{{ tarball = {{ urls = [{urls}], sha256 = \"{}\", version = \"1\" }} }}", Digest::of(b""))
        };
        parse(&tarball("\"http://h/a\", \"https://h/a\", \"file:///a\"")).unwrap();
        assert!(parse(&tarball("")).unwrap_err().cause().contains("tarball.urls of source `qemu` is empty"));
        for bad in ["", "/tmp/x.tar.gz", "htp://foo", "ftp://h/a", "https://", "file://tmp/a", "h/a"] {
            let error = parse(&tarball(&format!("\"https://h/a\", \"{bad}\""))).unwrap_err();
            assert_eq!(error.kind(), Kind::Document, "{bad}");
            assert!(error.cause().starts_with(&format!("`{bad}` in tarball.urls of source `qemu`")), "{error}");
            assert!(error.remedy_text().unwrap().contains("file:///PATH"), "{error:?}");
        }
    }

    #[test]
    fn a_source_of_two_kinds_is_told_which_there_are() {
        let git = "git = { url = \"https://h/g\", rev = \"r\" }";
        for source in [format!("{{ path = \"p\", {git} }}"), "{}".to_owned()] {
            let error = parse(&source).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.cause().contains("line 11"), "{error}");
            assert!(error.remedy_text().unwrap().contains("debian, binary-package, git, tarball or path"), "{error:?}");
        }
    }

    #[test]
    fn two_sources_in_one_folder_are_refused() {
        let extra = |folder: &str| format!("{{ folder = \"{folder}\", source = {{ path = \"p\" }} }}");
        let with = |folders: [&str; 2]| {
            parse(&format!("{{ path = \"p\" }}\nextra = [{}, {}]", extra(folders[0]), extra(folders[1])))
        };
        with(["a", "b"]).unwrap();
        for (folders, twice) in [(["a", "a"], "a"), (["a", "qemu"], "qemu")] {
            let error = with(folders).unwrap_err();
            assert_eq!(error.cause(), format!("two sources of qemu in folder `{twice}`"));
        }
    }
}
