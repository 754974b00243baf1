//! Where Ubuntu's archive cannot be reached: the error comes soon, names the archive and the way out, and nothing is
//! left behind. With this repository's own documents.

use crate::desk::{DEAD, Desk, holds};
use crate::http::{Reply, Server};
use std::time::{Duration, Instant};

/// What the first command of somebody without that archive may take.
const SOON: Duration = Duration::from_secs(10);

/// A desk with a release that uses the image and is not built from packages.
fn desk() -> Desk {
    let desk = Desk::new();
    let release = "format = 1\nsummary = \"s\"\nimage = \"ubuntu-22.04\"\n[ovmf]\nbuild = \"RELEASE\"\nsource = { path = \"x\" }\n";
    desk.write("releases/plain.toml", release.as_bytes());
    desk
}

/// Every file of the project, the store and beside them.
fn files(desk: &Desk) -> Vec<String> {
    let walk = walkdir::WalkDir::new(desk.folder.path()).sort_by_file_name().into_iter().map(Result::unwrap);
    walk.filter(|entry| entry.file_type().is_file()).map(|entry| entry.path().display().to_string()).collect()
}

/// Runs a command that must fail for want of the archive.
fn fails(desk: &Desk, arguments: &[&str], words: &[&str]) {
    let (before, begun) = (files(desk), Instant::now());
    let said = desk.said("store", arguments, 6);
    assert!(begun.elapsed() < SOON, "{arguments:?} took {:?}", begun.elapsed());
    holds(&said, words);
    let service = "https://snapshot.ubuntu.com/ubuntu/20261101T000000Z/dists/jammy/InRelease: ";
    holds(&said, &["error: ubuntu archive dists/jammy/InRelease: cannot be fetched", service, "`--release debian`"]);
    holds(&said, &["a mirror of the snapshot service has {time} in its URL in SNPFORGE_MIRROR_UBUNTU"]);
    assert!(!said.contains("--release plain"), "it needs the same archive: {said}");
    assert_eq!(files(desk), before, "{arguments:?} left something behind");
}

pub fn a_refusing_archive() {
    let mut desk = desk();
    desk.environment.insert("SNPFORGE_MIRROR_UBUNTU", format!("{DEAD}/ubuntu/{{time}}"));
    let mirror = "http://127.0.0.1:1/ubuntu/20261101T000000Z/dists/jammy/InRelease: no connection";
    for arguments in [
        &["lock", "--image", "ubuntu-22.04"][..],
        &["lock", "--release", "plain"],
        &["build", "--release", "plain"],
        &["build", "ovmf", "--release", "debian", "--image", "ubuntu-22.04"],
    ] {
        fails(&desk, arguments, &[mirror]);
    }
}

pub fn a_silent_archive() {
    let mut desk = desk();
    let silent = Server::start(|_, _| Reply::Silence);
    for proxy in ["http_proxy", "https_proxy"] {
        desk.environment.insert(proxy, silent.url(""));
    }
    fails(&desk, &["build", "--release", "plain"], &["no connection in time"]);
}
