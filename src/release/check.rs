//! What a release file that can be read must be beyond that: sources that can be told apart, and have a place to come from.

use super::{Release, Source};
use crate::error::{Error, Kind, Result};
use std::collections::BTreeSet;

impl Release {
    /// Refuses what does not fit together, naming the file as `name`.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        if self.components().is_empty() {
            return Err(Error::new(Kind::Document, name, "declares no component")
                .remedy("add one or more of [kernel-host], [kernel-guest], [qemu] and [ovmf], each with its source"));
        }
        for archive in self.archives.values() {
            archive.check(name)?;
        }
        if let Some(preview) = &self.preview {
            check_line(name, "preview.warning", &preview.warning)?;
            check_line(name, "preview.tracker", &preview.tracker)?;
        }
        let mut folders = BTreeSet::new();
        for (component, folder, source) in self.sources() {
            self.check_source(name, folder, source)?;
            if !folders.insert((component, folder)) {
                let cause = format!("two sources of {component} in folder `{folder}`");
                return Err(Error::new(Kind::Document, name, cause).remedy("give each a folder of its own"));
            }
        }
        for kernel in [&self.kernel_host, &self.kernel_guest].into_iter().flatten() {
            kernel.check(name)?;
        }
        Ok(())
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
pub(super) fn one_key(error: Error) -> Error {
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
    use crate::digest::Digest;

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
