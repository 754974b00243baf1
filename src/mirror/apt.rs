//! The machine's own apt sources, in both formats (sources.list(5)): which of them serve a family's main archive.

use super::is_base;
use crate::definition::Family;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Base URLs from `root`/etc/apt that serve `family`'s main archive, in apt's own order. Left out: security archives
/// and third parties (another keyring, suites of other names, no component `main`), disabled entries, URLs with
/// secrets. A machine without apt, or with files that cannot be read, has none.
pub fn machine(root: &Path, family: Family) -> Vec<String> {
    let apt = root.join("etc/apt");
    let mut entries = one_line(&text(&apt.join("sources.list")));
    for file in parts(&apt.join("sources.list.d")) {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("list") => entries.extend(one_line(&text(&file))),
            _ => entries.extend(deb822(&text(&file))),
        }
    }
    let mut seen = BTreeSet::new();
    let serving = entries.iter().filter(|entry| entry.serves(family)).flat_map(|entry| &entry.bases);
    serving.map(|base| base.trim_end_matches('/')).filter(|base| seen.insert(*base)).map(str::to_owned).collect()
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The files apt reads in the folder: these endings, plain names, by name.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let reads = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.chars().all(plain) && (name.ends_with(".list") || name.ends_with(".sources"))
    };
    let found = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    found.filter(reads).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One entry of either format.
#[derive(Default)]
struct Entry {
    bases: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

impl Entry {
    fn serves(&self, family: Family) -> bool {
        let own_keyring = match &self.signed_by {
            None => true,
            Some(keyrings) => keyrings.split([',', ' ']).any(|keyring| {
                // A key written into the file, or one by fingerprint, is somebody else's.
                Path::new(keyring.trim())
                    .file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(&format!("{}-archive-keyring", family.name())))
            }),
        };
        own_keyring
            && self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| is_suite(family, suite))
    }
}

/// Whether `suite` is one of the family's main archive: a release's name or class, bare or with one of the pockets
/// that live in the same archive.
fn is_suite(family: Family, suite: &str) -> bool {
    let (names, pockets): (&[&str], &[&str]) = match family {
        Family::Debian => (
            &[
                "buster",
                "bullseye",
                "bookworm",
                "trixie",
                "forky",
                "duke",
                "sid",
                "stable",
                "oldstable",
                "oldoldstable",
                "testing",
                "unstable",
            ],
            &["", "-updates", "-backports", "-proposed-updates"],
        ),
        // `-security` is a pocket of Ubuntu's main archive too, but alone it names the security host.
        Family::Ubuntu => (
            &["focal", "jammy", "mantic", "noble", "oracular", "plucky", "questing", "resolute", "devel"],
            &["", "-updates", "-backports", "-proposed"],
        ),
    };
    let suite = suite.trim_end_matches('/');
    names.iter().any(|name| suite.strip_prefix(name).is_some_and(|pocket| pockets.contains(&pocket)))
}

/// `deb [ option=value ... ] URI SUITE [COMPONENT...]`, one a line.
fn one_line(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = ["deb-src", "deb"]
            .iter()
            .find_map(|kind| line.strip_prefix(kind).filter(|rest| rest.starts_with([' ', '\t', '['])))
        else {
            continue;
        };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((options, rest)) => (options, rest),
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let (Some(base), Some(suite)) = (words.next(), words.next()) else { continue };
        let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        entries.push(Entry {
            bases: plain_bases([base]),
            suites: vec![suite],
            components: words.collect(),
            signed_by: signed_by.map(str::to_owned),
        });
    }
    entries
}

/// Paragraphs of `Field: value`, lines that begin with white space going on with the field above.
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend(entry(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn entry(fields: &[(String, String)]) -> Option<Entry> {
    let field = |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let words = |name: &str| field(name).unwrap_or_default().split_whitespace().map(str::to_owned);
    let off = field("enabled").is_some_and(|value| ["no", "false", "off", "0", "without", "disable"].contains(&value));
    let kind = words("types").any(|kind| kind == "deb" || kind == "deb-src");
    (kind && !off).then(|| Entry {
        bases: plain_bases(words("uris")),
        suites: words("suites").collect(),
        components: words("components").collect(),
        signed_by: field("signed-by").map(str::to_owned),
    })
}

/// The URLs that can be used as they stand: no apt variables, no other transports, no secrets, no security host.
fn plain_bases(urls: impl IntoIterator<Item = String>) -> Vec<String> {
    let usable = |url: &String| {
        let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        is_base(url) && !url.contains("$(") && !last.ends_with("-security") && !host.starts_with("security.")
    };
    urls.into_iter().map(|url| url.strip_prefix("file:/").map_or(url.clone(), slashes)).filter(usable).collect()
}

/// apt also takes `file:/path`.
fn slashes(rest: &str) -> String {
    format!("file:///{}", rest.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::write_whole;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write_whole(&root.path().join("etc/apt").join(name), text.as_bytes()).unwrap();
        }
        root
    }

    #[test]
    fn deb822_of_a_debian_machine() {
        let sources = "Types: deb\n# a remark\nURIs: http://near.example/debian/\nSuites: bookworm\n bookworm-updates\n\
            Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
            Types: deb\nURIs: http://near.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
            Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
            Types: deb\nURIs: https://vendor.example/debian\nSuites: bookworm\nComponents: main\n\
            Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBFit\n\n\
            Types: deb deb-src\nURIs: http://second.example/debian http://third.example/debian\nSuites: trixie\n\
            Components: main\n";
        let root = root(&[("sources.list.d/debian.sources", sources)]);
        let found = machine(root.path(), Family::Debian);
        let expected = ["http://near.example/debian", "http://second.example/debian", "http://third.example/debian"];
        assert_eq!(found, expected);
        assert!(machine(root.path(), Family::Ubuntu).is_empty());
    }

    #[test]
    fn one_line_of_an_ubuntu_machine() {
        let list = "# deb http://old.example/ubuntu focal main\n\
            deb [arch=amd64 signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] http://a.example/ubuntu jammy main # x\n\
            deb http://a.example/ubuntu/ jammy-updates main universe\n\
            deb http://security.ubuntu.example/ubuntu jammy main\n\
            deb http://a.example/ubuntu jammy-security main\n\
            deb\thttp://b.example/ubuntu noble main\n\
            deb cdrom:[Ubuntu]/ jammy main\n\
            deb mirror+file:/etc/mirrors jammy main\n\
            deb file:/srv/ubuntu jammy main\n\
            deb http://user:secret@c.example/ubuntu jammy main\n\
            deb http://d.example/$(ARCH)/ubuntu jammy main\n";
        let others = "deb [signed-by=/etc/apt/keyrings/docker.gpg] https://vendor.example/ubuntu jammy main\n\
            deb https://vendor.example/ppa jammy stable\n";
        let root = root(&[
            ("sources.list", list),
            ("sources.list.d/vendor.list", others),
            ("sources.list.d/kept.list.save", "deb http://saved.example/ubuntu jammy main\n"),
        ]);
        let found = machine(root.path(), Family::Ubuntu);
        assert_eq!(found, ["http://a.example/ubuntu", "http://b.example/ubuntu", "file:///srv/ubuntu"]);
        assert!(machine(root.path(), Family::Debian).is_empty());
    }

    #[test]
    fn the_main_file_comes_first_and_a_machine_without_apt_has_none() {
        let root = root(&[
            ("sources.list", "deb http://m.example/debian stable main\n"),
            ("sources.list.d/b.list", "deb-src http://b.example/debian sid main\n"),
            (
                "sources.list.d/a.sources",
                "Types: deb\nURIs: http://a.example/debian\nSuites: testing\nComponents: main\n",
            ),
        ]);
        let found = machine(root.path(), Family::Debian);
        assert_eq!(found, ["http://m.example/debian", "http://a.example/debian", "http://b.example/debian"]);
        assert!(machine(Path::new("/nonexistent"), Family::Debian).is_empty());
    }
}
