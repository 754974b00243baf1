//! Versions as far as they decide what fits: numbers. edk2's tags are year and month, whoever writes them.

use crate::error::{Error, Kind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The numbers of a version. Release candidates, package revisions and commits behind them do not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Vec<u64>);

impl Version {
    /// The version of a source as locks have it: Debian's (`1:10.0.13+ds-0+deb13u1`), a tarball's, a tree's own with its
    /// commit (`6.6.0-rc1-g5a170ce1a082`), edk2's (`2025.02-8`, `202511`); `None` when it is no version, as a commit is
    /// none.
    pub fn of_package(text: &str) -> Option<Self> {
        let text = text.split_once(':').map_or(text, |(_, version)| version);
        let text = text.strip_prefix("edk2-stable").unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        if !rest.is_empty() && !rest.starts_with(['-', '+', '~']) {
            return None;
        }
        let mut parts = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
        // A tag of edk2.
        if parts.len() == 1 && numbers.len() == 6 {
            parts = vec![parts[0] / 100, parts[0] % 100];
        }
        (parts.len() > 1).then_some(Version(parts))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = match self.0.as_slice() {
            [year, month] if *year >= 2000 => vec![format!("{year}{month:02}")],
            parts => parts.iter().map(ToString::to_string).collect(),
        };
        f.write_str(&parts.join("."))
    }
}

impl TryFrom<String> for Version {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Version::of_package(&text).ok_or_else(|| {
            Error::new(Kind::Document, format!("version `{text}`"), "is none")
                .remedy("write it as 6.11 or edk2-stable202405")
        })
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

/// Versions from one to another, both included. `to` counts as far as it is written: 6.6.30 is in the range to 6.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The oldest.
    #[serde(default)]
    pub from: Option<Version>,
    /// The newest.
    #[serde(default)]
    pub to: Option<Version>,
}

impl Range {
    /// Whether a version is in it.
    pub fn holds(&self, version: &Version) -> bool {
        let young = self.from.as_ref().is_none_or(|from| version >= from);
        let old = self.to.as_ref().is_none_or(|Version(to)| version.0.iter().take(to.len()).le(to.iter()));
        young && old
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "{from}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
            (Some(from), None) => write!(f, "{from} or newer"),
            (None, Some(to)) => write!(f, "{to} or older"),
            (None, None) => f.write_str("of any version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_kinds_of_sources() {
        for (text, shown) in [
            ("1:10.0.13+ds-0+deb13u1", "10.0.13"),
            ("6.12.107-1", "6.12.107"),
            ("6.18.5", "6.18.5"),
            ("6.6.0-rc1-g5a170ce1a082", "6.6.0"),
            ("2025.02-8+deb13u1", "202502"),
            ("202511", "202511"),
            ("edk2-stable202302", "202302"),
        ] {
            assert_eq!(Version::of_package(text).map(|version| version.to_string()).as_deref(), Some(shown), "{text}");
        }
        for commit in ["09fbe92dc545", "123456789abc", "202302abcdef", "5a170ce1a082", "main", "", "6", "6..1", "1:"] {
            assert_eq!(Version::of_package(commit), None, "{commit}");
        }
    }

    #[test]
    fn ranges_include_both_ends() {
        let version = |text: &str| Version::of_package(text).unwrap();
        let range = |from: &str, to: &str| Range { from: Version::of_package(from), to: Version::of_package(to) };
        for (from, to, inside, outside) in [
            ("6.11", "", vec!["6.11", "6.11.3", "6.18.5", "7.2"], vec!["6.10.14", "6.9", "5.19"]),
            ("6.6", "6.6", vec!["6.6", "6.6.0-rc1", "6.6.99"], vec!["6.5.1", "6.7"]),
            ("", "202302", vec!["202302", "2022.11-6", "2023.02-1"], vec!["202305", "2025.02-8"]),
            ("", "", vec!["1.0"], vec![]),
        ] {
            let range = range(from, to);
            inside.iter().for_each(|text| assert!(range.holds(&version(text)), "{text} in {range}"));
            outside.iter().for_each(|text| assert!(!range.holds(&version(text)), "{text} in {range}"));
        }
    }
}
