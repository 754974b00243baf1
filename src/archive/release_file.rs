//! What a suite's InRelease says: when it was made, how long it holds, and the digest of every index. Pure; whether it
//! may be believed is `signature`'s work.

use super::control;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// How far a file's date may lie ahead of the time it is judged at: clocks differ, days do not.
const AHEAD: u64 = 24 * 60 * 60;

/// The fields of an InRelease file that are used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile<'a> {
    /// When the archive made it.
    pub date: Epoch,
    /// Until when the archive vouches for it.
    pub valid_until: Option<Epoch>,
    /// Whether indexes can be asked for by their digest.
    pub by_hash: bool,
    /// The components the suite has.
    pub components: Vec<&'a str>,
    /// The architectures the suite has.
    pub architectures: Vec<&'a str>,
    /// Whether packages of architecture `all` are listed only in an index of their own.
    pub all_apart: bool,
    /// Digest and size of each index, by path below `dists/SUITE/`.
    pub files: BTreeMap<&'a str, (Digest, u64)>,
}

impl<'a> ReleaseFile<'a> {
    /// Reads the signed text of an InRelease file; `name` is shown in errors and `suite` is what was asked for.
    ///
    /// # Errors
    /// [`Kind::Document`] for a field that is missing or not understood, [`Kind::Trust`] when it speaks of another suite.
    pub fn parse(name: &str, suite: &str, text: &'a str) -> Result<Self> {
        let mut paragraphs = control::paragraphs(text);
        let wrong = |cause: String| Error::new(Kind::Document, name, cause).remedy("choose another mirror");
        let fields = match (paragraphs.next(), paragraphs.next()) {
            (Some(fields), None) => fields,
            _ => return Err(wrong("is not one paragraph of fields".into())),
        };
        let wanted = |field: &str| fields.get(field).ok_or_else(|| wrong(format!("has no field {field}")));
        let words = |field: &str| fields.get(field).map_or(Vec::new(), |value| value.split_whitespace().collect());
        let says_yes = |field: &str| fields.get(field).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        let own = names(fields.get("Suite"), fields.get("Codename"));
        if !own.contains(&suite) {
            let cause = format!("speaks of suite `{}`, not of `{suite}`", own.join("` or `"));
            return Err(Error::new(Kind::Trust, name, cause)
                .remedy("write the suite as the archive calls it, or choose another mirror"));
        }
        let epoch = |value: &str| Epoch::parse_rfc2822(value).map_err(|error| wrong(error.to_string()));
        let architectures: Vec<&str> = words("Architectures");
        let all_apart =
            architectures.contains(&"all") && !words("No-Support-for-Architecture-all").contains(&"Packages");
        Ok(ReleaseFile {
            date: epoch(wanted("Date")?)?,
            valid_until: fields.get("Valid-Until").map(epoch).transpose()?,
            by_hash: says_yes("Acquire-By-Hash"),
            components: words("Components"),
            all_apart,
            architectures,
            files: wanted("SHA256")?
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| {
                    file_line(line)
                        .ok_or_else(|| wrong(format!("has a line in SHA256 that is not understood: `{line}`")))
                })
                .collect::<Result<_>>()?,
        })
    }

    /// Refuses a state that is out of date, or not yet made, at the time `now`.
    ///
    /// # Errors
    /// [`Kind::Trust`] naming the dates.
    pub fn check_time(&self, name: &str, now: Epoch) -> Result<()> {
        if let Some(until) = self.valid_until.filter(|until| *until < now) {
            let cause = format!("was valid until {}, and it is {} now", until.rfc3339()?, now.rfc3339()?);
            return Err(Error::new(Kind::Trust, name, cause)
                .remedy("choose a mirror that is up to date, or set this machine's clock"));
        }
        if self.date.0 > now.0.saturating_add(AHEAD) {
            let cause = format!("is dated {}, and it is {} now", self.date.rfc3339()?, now.rfc3339()?);
            return Err(Error::new(Kind::Trust, name, cause).remedy("set this machine's clock"));
        }
        Ok(())
    }
}

/// What a suite may be asked for as: its name or its code name. Ubuntu's pockets all have the release's code name, and
/// one of them must not pass for the release: `jammy-updates` (code name jammy) goes by its own name only.
fn names<'a>(suite: Option<&'a str>, codename: Option<&'a str>) -> Vec<&'a str> {
    let pocket =
        |(suite, codename): (&str, &str)| suite.strip_prefix(codename).is_some_and(|rest| rest.starts_with('-'));
    let codename = codename.filter(|_| !suite.zip(codename).is_some_and(pocket));
    suite.into_iter().chain(codename).collect()
}

/// `digest size path`, the form of SHA256 here and of Checksums-Sha256 in source indexes and .dsc files.
pub(super) fn file_line(line: &str) -> Option<(&str, (Digest, u64))> {
    let mut words = line.split_whitespace();
    let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
    match words.next() {
        None => Some((path, (digest.parse().ok()?, size.parse().ok()?))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn text() -> String {
        format!(
            "Origin: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
             Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
             No-Support-for-Architecture-all: Packages\nComponents: main contrib\nSHA256:\n {DIGEST}  3 main/x\n"
        )
    }

    #[test]
    fn fields_of_a_real_form() {
        let text = text();
        let release = ReleaseFile::parse("InRelease", "bookworm", &text).unwrap();
        assert_eq!(release.date, Epoch(1_783_764_997));
        assert_eq!(release.valid_until, Some(Epoch(release.date.0 + 7 * 86400)));
        assert!(release.by_hash && !release.all_apart);
        assert_eq!(release.components, ["main", "contrib"]);
        assert_eq!(release.files["main/x"], (DIGEST.parse().unwrap(), 3));
        assert!(ReleaseFile::parse("InRelease", "oldstable", &text).is_ok());
        let apart = text.replace("No-Support-for-Architecture-all: Packages\n", "");
        assert!(ReleaseFile::parse("InRelease", "bookworm", &apart).unwrap().all_apart);
    }

    #[test]
    fn another_suite_is_not_believed() {
        let error = ReleaseFile::parse("InRelease", "trixie", &text()).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust);
        assert!(error.cause().contains("`oldstable` or `bookworm`, not of `trixie`"), "{error}");
    }

    #[test]
    fn a_pocket_of_ubuntu_does_not_pass_for_its_release() {
        let pocket = text().replace("Suite: oldstable\nCodename: bookworm", "Suite: jammy-updates\nCodename: jammy");
        assert!(ReleaseFile::parse("InRelease", "jammy-updates", &pocket).is_ok());
        for other in ["jammy", "jammy-security"] {
            let error = ReleaseFile::parse("InRelease", other, &pocket).unwrap_err();
            assert_eq!(error.kind(), Kind::Trust);
            assert!(error.cause().contains(&format!("suite `jammy-updates`, not of `{other}`")), "{error}");
        }
        let release = pocket.replace("jammy-updates", "jammy");
        assert!(ReleaseFile::parse("InRelease", "jammy", &release).is_ok());
        assert!(ReleaseFile::parse("InRelease", "jammy-updates", &release).is_err());
    }

    #[test]
    fn broken_fields_are_named() {
        for (old, new, cause) in [
            ("Date: Sat", "Date: yesterday", "yesterday"),
            ("Date: ", "Dato: ", "no field Date"),
            ("SHA256:", "SHA1:", "no field SHA256"),
            ("  3 main/x", "  three main/x", "three main/x"),
            ("  3 main/x", "  3 main/x y", "main/x y"),
            ("Components", "\nComponents", "one paragraph"),
        ] {
            let error = ReleaseFile::parse("InRelease", "bookworm", &text().replace(old, new)).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.cause().contains(cause), "{error}");
        }
    }

    #[test]
    fn times_before_and_after() {
        let text = text();
        let release = ReleaseFile::parse("InRelease", "bookworm", &text).unwrap();
        let date = release.date.0;
        for good in [date - AHEAD, date, date + 7 * 86400] {
            release.check_time("InRelease", Epoch(good)).unwrap();
        }
        let late = release.check_time("InRelease", Epoch(date + 7 * 86400 + 1)).unwrap_err();
        assert!(late.cause().contains("2026-07-18T10:16:37Z") && late.kind() == Kind::Trust, "{late}");
        let early = release.check_time("InRelease", Epoch(date - AHEAD - 1)).unwrap_err();
        assert!(early.remedy_text().is_some_and(|text| text.contains("clock")), "{early}");
    }
}
