//! Locks, layers and a build from the stand-in.

use crate::archive::Signer;
use crate::desk::{DEAD, Desk, holds};
use crate::stand_in::{CHOSEN, WISHED, empty, stand_in};
use libtest_mimic::Completion;
use snpforge::definition::ImageDefinition;
use snpforge::digest::Digest;
use snpforge::lock::ImageLock;
use snpforge::store::Store;
use std::io::Read;

/// The time that the image asks for, and another one.
const TIME: &str = "20260112T000000Z";
const LATER: &str = "20260120T000000Z";

/// A desk with the stand-in of both times in the snapshot service, and a mirror that has today's packages only.
fn desk(shell: &[u8]) -> Desk {
    let mut desk = Desk::new();
    let (then, now) = (stand_in(shell, false), stand_in(shell, true));
    let lost = "pool/main/toolbox/toolbox_1.0-1ubuntu0.22.04.1_amd64.deb";
    assert!(then.files.contains_key(lost));
    desk.serve("mirror", now.files.clone().into_iter().filter(|(path, _)| path != lost));
    desk.serve(&format!("ubuntu/{TIME}"), then.files);
    desk.serve(&format!("ubuntu/{LATER}"), now.files);
    let mirrors = format!("{} {}", desk.server.url("mirror"), desk.server.url("ubuntu/{time}"));
    desk.environment.insert("SNPFORGE_MIRROR_UBUNTU", mirrors);
    desk.write("images/keys/test.gpg", &Signer::new(1).keyring());
    define(&desk, TIME);
    desk
}

/// The image, as it is written for the real archive, with wishes that the stand-in has.
fn define(desk: &Desk, time: &str) {
    let signer = Signer::new(1).fingerprint();
    let text = format!(
        "format = 1\nsummary = \"s\"\n[archive]\nfamily = \"ubuntu\"\n\
         suites = [\"jammy\", \"jammy-updates\", \"jammy-security\"]\ncomponents = [\"main\", \"universe\"]\n\
         keyring = \"keys/test.gpg\"\nsigners = [\"{signer}\"]\nmirrors = [\"http://archive.ubuntu.com/ubuntu\"]\n\
         snapshot = \"https://snapshot.ubuntu.com/ubuntu/{{time}}/\"\nsnapshot-time = \"{time}\"\n\
         [root]\nmerged-usr = true\npackages = {WISHED:?}\n[root.links]\n\"usr/bin/awk\" = \"mawk\"\n"
    );
    desk.write("images/j.toml", text.as_bytes());
}

fn lock(desk: &Desk, image: &str) -> ImageLock {
    ImageLock::parse("lock", &desk.text(&format!("images/{image}.lock"))).unwrap()
}

fn chosen(lock: &ImageLock) -> Vec<String> {
    lock.package.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

/// Paths that the server was asked for and `part` is in.
fn asked(desk: &Desk, part: &str) -> Vec<String> {
    let mut paths: Vec<String> = desk.server.seen().into_iter().map(|request| request.path).collect();
    paths.retain(|path| path.contains(part));
    paths
}

/// Every entry of the layer in the store: path and what it is.
fn layer(desk: &Desk, store: &str, diff_id: &Digest) -> Vec<String> {
    let bytes = Store::open(&desk.store(store).join("snpforge")).unwrap().read(diff_id).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.link_name().unwrap() {
            Some(target) => format!("{} -> {}", entry.path().unwrap().display(), target.display()),
            None => entry.path().unwrap().display().to_string(),
        })
        .collect()
}

pub fn the_stand_in_is_locked_as_ever() {
    /// A change here changes every image: it belongs under "Changes the product's bytes" in CHANGELOG.md.
    const DIFF_ID: &str = "349b06a5093b0596ad19b32d51e8885dab53df9b61d5d816a649c384119b6b31";
    let desk = desk(b"no shell, for a golden layer holds nothing of this machine\n");
    desk.said("one", &["lock", "--image", "j"], 0);
    let found = desk.text("images/j.lock");
    let lock = lock(&desk, "j");
    assert_eq!(chosen(&lock), CHOSEN);
    let suites: Vec<&str> = lock.suite.iter().map(|suite| suite.suite.as_str()).collect();
    assert_eq!(suites, ["jammy", "jammy-security", "jammy-updates"]);
    // Only the snapshot says what there is; bytes come from any place, and what the mirror lost from the snapshot.
    let snapshot = format!("ubuntu/{TIME}/");
    let indexes = asked(&desk, "dists/");
    assert!(!indexes.is_empty() && indexes.iter().all(|path| path.starts_with(&snapshot)), "{indexes:?}");
    assert_eq!(asked(&desk, "toolbox_").len(), 2, "the mirror and the snapshot");
    assert!(asked(&desk, "patched_").iter().all(|path| path.starts_with("mirror/")));
    // Merged /usr: the links are made, and what packages have in /bin and /lib lies below /usr.
    let layer = layer(&desk, "one", &lock.diff_id);
    for entry in [
        "bin -> usr/bin",
        "sbin -> usr/sbin",
        "lib -> usr/lib",
        "lib64 -> usr/lib64",
        "usr/bin/toolbox",
        "usr/bin/sh -> busybox",
        "usr/bin/awk -> mawk",
        "usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "etc/os-release -> ../usr/lib/os-release",
    ] {
        assert!(layer.iter().any(|found| found == entry), "no `{entry}` in {layer:#?}");
    }
    assert!(!layer.iter().any(|entry| entry.starts_with("bin/") || entry.starts_with("lib/")), "{layer:#?}");
    assert_eq!(lock.diff_id.to_string(), DIFF_ID, "the layer is another one:\n{}", layer.join("\n"));
    // Digests in it also change with the versions of the libraries that pack and sign the stand-in.
    assert_eq!(found, include_str!("golden.lock"), "the lock is another one; all of it:\n{found}");
}

pub fn another_time_is_another_lock() {
    let desk = desk(b"no shell\n");
    desk.said("one", &["lock", "--image", "j"], 0);
    let first = desk.text("images/j.lock");
    // Resolved anew, whatever mirrors have by now, in any store: the same bytes.
    std::fs::remove_file(desk.project("images/j.lock")).unwrap();
    desk.said("two", &["lock", "--image", "j"], 0);
    assert_eq!(desk.text("images/j.lock"), first);
    holds(&desk.said("one", &["lock", "--image", "j", "--update"], 0), &["images/j.lock is up to date"]);
    holds(&desk.said("one", &["image", "build", "j", "--locked", "--offline"], 0), &["localhost/snpforge/j:"]);
    // Another time in the definition needs no more words.
    define(&desk, LATER);
    let said = desk.said("one", &["lock", "--image", "j"], 0);
    holds(&said, &["toolbox 1.0-1ubuntu0.22.04.1 -> 1.0-1ubuntu0.22.04.2", "diff_id"]);
    // A time that the service does not know.
    define(&desk, "20260121T000000Z");
    let said = desk.said("one", &["lock", "--image", "j"], 6);
    holds(
        &said,
        &["ubuntu archive dists/jammy/InRelease", "ubuntu/20260121T000000Z/dists/jammy/InRelease: answers 404"],
    );
}

pub fn the_definition_of_jammy_resolves() {
    let desk = Desk::new();
    let mut text = desk.text("images/ubuntu-22.04.toml");
    let definition = ImageDefinition::parse("ubuntu-22.04.toml", &text).unwrap();
    let archive = definition.archive.clone().unwrap();
    let time = archive.snapshot_time.clone().unwrap();
    let good = Signer::new(1);
    let server = desk.server.url("");
    // What is the real archive's own: its hosts and its key.
    for (old, new) in [
        ("https://snapshot.ubuntu.com/", server.clone()),
        ("http://archive.ubuntu.com/", server),
        ("\"keys/ubuntu-archive.gpg\"", "\"keys/test.gpg\"".into()),
        (archive.signers[0].as_str(), good.fingerprint()),
    ] {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text = text.replace(old, &new);
    }
    desk.write("images/ubuntu-22.04.toml", text.as_bytes());
    desk.write("images/keys/test.gpg", &[good.keyring(), Signer::new(2).keyring()].concat());
    let base = format!("ubuntu/{time}");
    // A key that is in the file and that the definition does not name.
    desk.serve(&base, empty(&definition.root.packages, &Signer::new(2)).files);
    let said = desk.said("one", &["lock", "--image", "ubuntu-22.04"], 5);
    holds(&said, &["ubuntu archive dists/jammy/InRelease", "`signers` does not name"]);
    desk.serve(&base, empty(&definition.root.packages, &good).files);
    desk.said("one", &["lock", "--image", "ubuntu-22.04"], 0);
    let lock = lock(&desk, "ubuntu-22.04");
    let mut names: Vec<String> = lock.package.iter().map(|package| package.name.clone()).collect();
    names.retain(|name| name != "base-files");
    let mut wished = definition.root.packages;
    wished.sort();
    assert_eq!(names, wished);
    let indexes: usize = lock.suite.iter().map(|suite| suite.index.len()).sum();
    assert_eq!(indexes, 6, "three suites of two components");
    assert!(asked(&desk, "dists/").iter().all(|path| path.starts_with(&base)));
    let layer = layer(&desk, "one", &lock.diff_id);
    for (link, target) in definition.root.links {
        assert!(layer.contains(&format!("{link} -> {target}")), "{link}");
    }
}

/// Says where it runs and which programs it finds.
const RECIPE: &str = "#!/bin/sh\nset -eu\n. /etc/os-release\n/bin/mkdir -p /out/licenses/edk2\n\
    for name in OVMF OVMF_CODE OVMF_VARS OVMF.amdsev; do\n\
    { cat /src/edk2/a.c; echo \"$ID $VERSION_ID\"; toolbox; nasm; } >/out/$name.fd\ndone\n\
    cp /src/edk2/License.txt /out/licenses/edk2/License.txt\n";

pub fn a_component_is_built_in_it(shell: &[u8]) -> Completion {
    let desk = desk(shell);
    desk.component("j", RECIPE);
    let build = ["build", "ovmf", "--release", "r", "--engine", "embedded"];
    desk.said("one", &build, 0);
    assert_eq!(chosen(&lock(&desk, "j")), CHOSEN);
    let mut files = std::fs::read_dir(desk.project("out")).unwrap().map(|entry| entry.unwrap().path());
    let product = files.find(|path| path.extension().is_some_and(|ending| ending == "gz")).unwrap();
    let bytes = std::fs::read(product).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut firmware = entries.find(|entry| entry.path().unwrap().ends_with("usr/local/share/qemu/OVMF.fd")).unwrap();
    let mut text = String::new();
    firmware.read_to_string(&mut text).unwrap();
    assert_eq!(text, "int a;\nubuntu 22.04\ntoolbox 1.0-1ubuntu0.22.04.1\nnasm 2.15.05-1\n");
    // Nobody is asked for what is there.
    let mut desk = desk;
    desk.environment.insert("no_proxy", String::new());
    desk.environment.insert("SNPFORGE_MIRROR_UBUNTU", DEAD.into());
    holds(&desk.said("one", &build, 0), &["nothing ran"]);
    Completion::Completed
}
