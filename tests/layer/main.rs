//! Image layers from synthetic packages: golden bytes, what must not matter, and what must be refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "../support/deb.rs"]
mod deb;
mod refused;
mod sample;

use deb::{Deb, Packing};
use sample::{build, listing, packages, root, sample};
use snpforge::definition::Root;
use snpforge::digest::Digest;
use std::io::Read;
use tar::EntryType;

#[test]
fn golden_layer() {
    // A change here changes every image: it belongs under "Changes the product's bytes" in CHANGELOG.md.
    const DIFF_ID: &str = "a7547d2307044f060040c38c969888a234e0dd28e123ed6668103eb9c3b84d46";
    let (tar, layer) = build(&packages(&sample()), &root(), 2).unwrap();
    assert_eq!((layer.diff_id, layer.size), (Digest::of(&tar), tar.len() as u64));
    let found = listing(&tar);
    assert_eq!(layer.entries, found.len());
    let expected: Vec<&str> = include_str!("golden.txt").lines().collect();
    let missing =
        expected.iter().filter(|line| !found.iter().any(|other| other == *line)).map(|line| format!("-{line}"));
    let added = found.iter().filter(|line| !expected.contains(&line.as_str())).map(|line| format!("+{line}"));
    let changes: Vec<String> = missing.chain(added).collect();
    assert!(
        changes.is_empty(),
        "entries differ from tests/layer/golden.txt:\n{}\n\nall:\n{}",
        changes.join("\n"),
        found.join("\n")
    );
    assert_eq!(found, expected, "the order of entries differs from tests/layer/golden.txt");
    assert_eq!(layer.diff_id.to_string(), DIFF_ID, "all entries are as expected, so the tar dialect has changed");
}

#[test]
fn threads_and_the_order_of_packages_do_not_matter() {
    let (_, expected) = build(&packages(&sample()), &root(), 1).unwrap();
    let mut debs = sample();
    for workers in [0, 1, 2, 8] {
        debs.rotate_left(1);
        let (_, found) = build(&packages(&debs), &root(), workers).unwrap();
        assert_eq!(found, expected, "{workers} threads, {} first", debs[0].name);
    }
}

#[test]
fn how_a_package_is_compressed_does_not_matter() {
    let content = |packing| Deb::new("a", "1", packing).folder("./opt/", 0o755).file("./opt/x", 0o644, &[1; 70_000]);
    let digests = [Packing::Xz, Packing::Zst, Packing::Gz, Packing::Plain]
        .map(|packing| build(&packages(&[content(packing)]), &root(), 2).unwrap().1.diff_id);
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn folders_come_first_and_paths_once() {
    let (tar, _) = build(&packages(&sample()), &root(), 2).unwrap();
    let mut folders = std::collections::BTreeSet::from([Vec::new()]);
    let mut paths = std::collections::BTreeSet::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let mut path = entry.path_bytes().into_owned();
        if entry.header().entry_type() == EntryType::Directory {
            assert_eq!(path.pop(), Some(b'/'));
            folders.insert(path.clone());
        }
        let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path[..at]);
        assert!(folders.contains(parent), "{} stands before its folder", path.escape_ascii());
        assert!(paths.insert(path.clone()), "{} is there twice", path.escape_ascii());
    }
}

/// The content of one file of a layer.
fn content(tar: &[u8], path: &str) -> String {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry =
        entries.find(|entry| *entry.path_bytes() == *path.as_bytes()).unwrap_or_else(|| panic!("no {path}"));
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_package_database_is_that_of_an_installed_system() {
    let (tar, _) = build(&packages(&sample()), &root(), 2).unwrap();
    let status = content(&tar, "var/lib/dpkg/status");
    let paragraphs: Vec<&str> = status.split("\n\n").collect();
    assert_eq!(
        paragraphs[0],
        "Package: base-files\nStatus: install ok installed\nVersion: 12\nArchitecture: amd64\nMaintainer: Nobody \
         <n@example.org>\nEssential: yes\nDescription: one line\n more\nConffiles:\n /etc/base.conf \
         6bc5aa55a24a9d663f97616fed018e1a"
    );
    assert_eq!(paragraphs.len(), 5, "four packages and the end");
    assert_eq!(status.matches("\nStatus: install ok installed\n").count(), 4);
    assert!(!status.contains("deinstall"), "a package says itself what its status is: {status}");
    let list = content(&tar, "var/lib/dpkg/info/tool:amd64.list");
    assert!(list.starts_with("/.\n/bin\n/bin/su\n/lib\n"), "paths are the package's own: {list}");
    assert!(list.contains("/usr/share/doc/tool/README\n"), "excluded files stay listed: {list}");
    assert!(!list.contains("taken-over"), "a file that was taken over belongs to its new owner: {list}");
    assert!(content(&tar, "var/lib/dpkg/info/zz-newer.list").contains("/usr/share/shared/taken-over\n"));
    assert_eq!(content(&tar, "var/lib/dpkg/triggers/File"), "/usr/share/shared tool:amd64/noawait\n");
    assert_eq!(content(&tar, "var/lib/dpkg/triggers/tool-event"), "tool:amd64\n");
    let sums = content(&tar, "var/lib/dpkg/info/tool:amd64.md5sums");
    assert!(sums.contains("  usr/bin/su-again\n") && sums.contains("  usr/share/doc/tool/README\n"), "{sums}");
}

#[test]
fn without_merged_usr_paths_stay() {
    let root = Root { merged_usr: false, ..root() };
    let (tar, _) = build(&packages(&sample()[..1]), &root, 1).unwrap();
    let lines = listing(&tar);
    assert!(lines.iter().any(|line| line.contains(" bin/ folder")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(" bin/sh 5 ")), "{lines:?}");
}

#[test]
fn a_distribution_that_ships_the_merged_links() {
    let deb = Deb::new("base", "1", Packing::Gz).symlink("./bin", "usr/bin").symlink("./lib64", "usr/lib64");
    let deb = deb.folder("./usr/", 0o755).folder("./usr/bin/", 0o755).file("./usr/bin/sh", 0o755, b"x");
    let (tar, _) = build(&packages(&[deb]), &root(), 1).unwrap();
    let lines = listing(&tar);
    for link in [" bin -> usr/bin", " lib64 -> usr/lib64"] {
        assert_eq!(lines.iter().filter(|line| line.ends_with(link)).count(), 1, "{link}: {lines:?}");
    }
}
