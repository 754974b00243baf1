//! Where an archive's bytes may be asked for, in order: mirrors that the user configured, the machine's own apt sources
//! where they serve the same distribution, the definition's mirrors, the snapshot service. All are equal, since
//! signature and digest decide; so nothing here ends up in a lock or a product.
//!
//! Knows apt's two file formats and the suite names of each family. Asks nobody.

mod apt;

pub use apt::machine;

use crate::date::Epoch;
use crate::definition::{Archive, Family};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeSet;

/// Base URLs of one archive, without a slash at the end, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// For what is read by name: InRelease and the indexes. With a snapshot time in the definition only the snapshot
    /// of that time tells the truth.
    pub indexes: Vec<String>,
    /// For what is known by digest.
    pub files: Vec<String>,
}

/// What stands for the time in the URL of a snapshot service.
const TIME: &str = "{time}";

/// The places of `archive`: `configured` and `machine` are base URLs for its family (from [`configured`] and
/// [`machine`]); `date` is the lock's date where there is a lock, for the snapshot service to be asked about. A
/// configured base with `{time}` in it is a mirror of the snapshot service, and is asked before the service itself.
///
/// # Errors
/// [`Kind::Document`] when the snapshot's URL lacks `{time}` or `date` is beyond the calendar.
pub fn bases(archive: &Archive, configured: &[String], machine: &[String], date: Option<Epoch>) -> Result<Bases> {
    let time = match (&archive.snapshot_time, date) {
        (Some(time), _) => Some(time.clone()),
        (None, Some(date)) => Some(date.compact()?),
        (None, None) => None,
    };
    let service = archive.snapshot.iter().filter(|_| time.is_some());
    if let Some(url) = service.clone().find(|url| !url.contains(TIME)) {
        return Err(Error::new(Kind::Document, format!("archive.snapshot `{url}`"), "has no {time} in it")
            .remedy("write {time} where the service's URLs have YYYYMMDDTHHMMSSZ"));
    }
    let all = configured.iter().chain(machine).chain(&archive.mirrors).chain(service.clone());
    let files = at(time.as_deref(), all);
    let indexes = match &archive.snapshot_time {
        Some(_) => at(time.as_deref(), configured.iter().filter(|base| base.contains(TIME)).chain(service)),
        None => files.clone(),
    };
    Ok(Bases { indexes, files })
}

/// The bases as URLs, each once: those of a snapshot service at `time`, and none of them where no time is known.
fn at<'a>(time: Option<&str>, bases: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    bases
        .filter(|base| time.is_some() || !base.contains(TIME))
        .map(|base| base.replace(TIME, time.unwrap_or_default()).trim_end_matches('/').to_owned())
        .filter(|base| seen.insert(base.clone()))
        .collect()
}

/// The environment variable that names mirrors of a family.
pub fn variable(family: Family) -> String {
    format!("SNPFORGE_MIRROR_{}", family.name().to_ascii_uppercase())
}

/// The mirrors of `family` that the user configured: base URLs separated by commas or spaces, `{time}` in those that
/// mirror the snapshot service.
///
/// # Errors
/// [`Kind::Usage`] naming the variable when an entry is no http, https or file URL.
pub fn configured(environment: &Environment, family: Family) -> Result<Vec<String>> {
    let name = variable(family);
    let value = environment.get(&name).unwrap_or_default();
    let entries = value.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match is_base(entry) {
            true => Ok(entry.to_owned()),
            false => Err(Error::new(Kind::Usage, format!("{name}: `{entry}`"), "is no base URL of a mirror")
                .remedy("write http://HOST/PATH, https://HOST/PATH or file:///PATH, separated by commas")),
        })
        .collect()
}

/// Whether the door to the network understands the URL and it has no secrets in it.
fn is_base(url: &str) -> bool {
    let rest = ["http://", "https://", "file:///"].iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.split('/').next().unwrap_or_default().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(snapshot_time: Option<&str>) -> Archive {
        Archive {
            family: Family::Debian,
            suites: vec!["bookworm".into()],
            components: vec!["main".into()],
            architecture: "amd64".into(),
            keyring: "k".into(),
            signers: Vec::new(),
            mirrors: vec!["http://public.example/debian".into()],
            snapshot: Some("https://old.example/{time}/".into()),
            snapshot_time: snapshot_time.map(str::to_owned),
        }
    }

    #[test]
    fn the_order_of_places() {
        let configured = ["http://mine.example/debian/".to_owned()];
        let machine = ["http://near.example/debian".to_owned(), "http://public.example/debian/".to_owned()];
        let found = bases(&archive(None), &configured, &machine, Some(Epoch(1_757_152_953))).unwrap();
        let expected = [
            "http://mine.example/debian",
            "http://near.example/debian",
            "http://public.example/debian",
            "https://old.example/20250906T100233Z",
        ];
        assert_eq!(found.files, expected);
        assert_eq!(found.indexes, expected);
        assert_eq!(bases(&archive(None), &[], &[], None).unwrap().files, ["http://public.example/debian"]);
    }

    #[test]
    fn with_a_snapshot_time_only_the_snapshot_has_the_indexes() {
        let found = bases(&archive(Some("20250101T000000Z")), &[], &[], Some(Epoch(0))).unwrap();
        assert_eq!(found.indexes, ["https://old.example/20250101T000000Z"]);
        assert_eq!(found.files, ["http://public.example/debian", "https://old.example/20250101T000000Z"]);
        let configured = ["http://mine.example/debian".to_owned(), "http://near.example/snap/{time}/".to_owned()];
        let found = bases(&archive(Some("20250101T000000Z")), &configured, &[], None).unwrap();
        let snapshots = ["http://near.example/snap/20250101T000000Z", "https://old.example/20250101T000000Z"];
        assert_eq!(found.indexes, snapshots, "a mirror of the snapshot service tells the truth, too");
        let files = ["http://mine.example/debian", snapshots[0], "http://public.example/debian", snapshots[1]];
        assert_eq!(found.files, files);
        let now = bases(&archive(None), &configured, &[], None).unwrap();
        assert_eq!(now.indexes, ["http://mine.example/debian", "http://public.example/debian"], "no time, no snapshot");
        let wrong = Archive { snapshot: Some("https://old.example/".into()), ..archive(Some("20250101T000000Z")) };
        assert!(bases(&wrong, &[], &[], None).unwrap_err().cause().contains("{time}"));
    }

    #[test]
    fn the_variable_is_named_when_it_cannot_be_read() {
        let set = |value: &str| Environment::from_iter([("SNPFORGE_MIRROR_UBUNTU", value)]);
        let found = configured(&set("http://a/u, file:///srv/u  https://b/u/"), Family::Ubuntu).unwrap();
        assert_eq!(found, ["http://a/u", "file:///srv/u", "https://b/u/"]);
        assert_eq!(configured(&set("http://a/u"), Family::Debian).unwrap(), Vec::<String>::new());
        for wrong in ["a/u", "ftp://a/u", "http://", "http://user:secret@a/u"] {
            let error = configured(&set(wrong), Family::Ubuntu).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.object().starts_with("SNPFORGE_MIRROR_UBUNTU: "), "{error}");
        }
    }
}
