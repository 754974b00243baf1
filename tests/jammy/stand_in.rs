//! The archive: a release, its two pockets and two components, with every case in which they disagree about a version.

use crate::archive::{Archive, DAY, Signer, Suite};
use crate::deb::{Deb, Packing};

/// A package as Ubuntu builds them: both members packed with zstd.
fn deb(name: &str, version: &str) -> Deb {
    Deb::new(name, version, Packing::Zst)
}

/// A program that says its name and version. It lies in /bin, which only merged /usr turns into /usr/bin.
fn program(name: &str, version: &str) -> Deb {
    let text = format!("#!/bin/sh\necho {name} {version}\n");
    deb(name, version).folder("./bin/", 0o755).file(&format!("./bin/{name}"), 0o755, text.as_bytes())
}

fn base_files(version: &str) -> Deb {
    deb("base-files", version)
        .folder("./bin/", 0o755)
        .folder("./etc/", 0o755)
        .symlink("./etc/os-release", "../usr/lib/os-release")
        .folder("./lib/", 0o755)
        .folder("./usr/", 0o755)
        .folder("./usr/lib/", 0o755)
        .file("./usr/lib/os-release", 0o644, b"ID=ubuntu\nVERSION_ID=\"22.04\"\nVERSION_CODENAME=jammy\n")
        .field("Essential", "yes")
}

/// The folders of /lib and the loader's link in /lib64, as in every libc6.
fn libc(version: &str) -> Deb {
    deb("libc6", version)
        .folder("./lib/", 0o755)
        .folder("./lib/x86_64-linux-gnu/", 0o755)
        .file("./lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, version.as_bytes())
        .folder("./lib64/", 0o755)
        .symlink("./lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
}

/// What shells and their words are: `shell` is the content of /bin/busybox.
fn busybox(shell: &[u8]) -> Deb {
    let start = deb("busybox-static", "1:1.30.1-7ubuntu3")
        .folder("./bin/", 0o755)
        .file("./bin/busybox", 0o755, shell)
        .field("Essential", "yes");
    ["sh", "cat", "cp", "mkdir"].iter().fold(start, |deb, word| deb.symlink(&format!("./bin/{word}"), "busybox"))
}

fn suite(pocket: &str, days: u32) -> Suite {
    let mut suite = Suite::new("jammy");
    suite.pocket = Some(format!("jammy{pocket}"));
    suite.date += days * DAY;
    suite
}

/// What the wishes of [`stand_in`]'s image come to, in the lock's order.
pub const CHOSEN: [&str; 9] = [
    "base-files 12ubuntu4.7",
    "busybox-static 1:1.30.1-7ubuntu3",
    "fresh 1.0-1",
    "halted 1.1-0ubuntu0.1",
    "libc6 2.35-0ubuntu3.8",
    "mawk 1.3.4.20200120-3",
    "nasm 2.15.05-1",
    "patched 2.0-0ubuntu0.2",
    "toolbox 1.0-1ubuntu0.22.04.1",
];

/// The wishes: everything else comes by itself.
pub const WISHED: [&str; 5] = ["fresh", "halted", "nasm", "patched", "toolbox"];

/// Places in the list of suites.
const RELEASE: usize = 0;
const UPDATES: usize = 1;
const SECURITY: usize = 2;

/// Suite, component, fields of the index, package.
type Row = (usize, &'static str, &'static str, Deb);

fn rows(shell: &[u8], later: bool) -> Vec<Row> {
    let essential = "Essential: yes\nPriority: required\nPre-Depends: libc6 (>= 2.35)";
    let base = "Essential: yes\nPriority: required\nPre-Depends: awk";
    let awk = "Priority: optional\nProvides: awk\nPre-Depends: libc6 (>= 2.35)";
    let required_awk = "Priority: required\nProvides: awk\nPre-Depends: libc6 (>= 2.35)";
    let mut rows = vec![
        (RELEASE, "main", base, base_files("12ubuntu4")),
        (UPDATES, "main", base, base_files("12ubuntu4.7")),
        (RELEASE, "main", essential, busybox(shell)),
        // Of the providers of awk not the first by name, but the one that every system has.
        (RELEASE, "main", awk, program("gawk", "1:5.1.0-1build3")),
        (RELEASE, "main", required_awk, program("mawk", "1.3.4.20200120-3")),
        // One version in both pockets, as most security updates.
        (RELEASE, "main", "Priority: required", libc("2.35-0ubuntu3")),
        (UPDATES, "main", "Priority: required", libc("2.35-0ubuntu3.8")),
        (SECURITY, "main", "Priority: required", libc("2.35-0ubuntu3.8")),
        // Phased: for every tenth machine, and stopped. Neither counts.
        (RELEASE, "main", "", program("toolbox", "1.0-1")),
        (UPDATES, "main", "Phased-Update-Percentage: 10", program("toolbox", "1.0-1ubuntu0.22.04.1")),
        (RELEASE, "main", "", program("halted", "1.0-1")),
        (UPDATES, "main", "Phased-Update-Percentage: 0", program("halted", "1.1-0ubuntu0.1")),
        // A security update that -updates does not have yet.
        (RELEASE, "main", "", program("patched", "2.0-0ubuntu0")),
        (UPDATES, "main", "", program("patched", "2.0-0ubuntu0.1")),
        (SECURITY, "main", "", program("patched", "2.0-0ubuntu0.2")),
        // A pocket is not right because it is a pocket.
        (RELEASE, "main", "", program("fresh", "1.0-1")),
        (UPDATES, "main", "", program("fresh", "1.0~rc1-1")),
        (RELEASE, "universe", "Depends: libc6 (>= 2.35), toolbox (>= 1.0)", program("nasm", "2.15.05-1")),
        (UPDATES, "universe", "", program("unwanted", "1-1")),
        (SECURITY, "universe", "", program("unwanted", "1-1ubuntu0.1")),
    ];
    if later {
        rows.push((UPDATES, "main", "Phased-Update-Percentage: 50", program("toolbox", "1.0-1ubuntu0.22.04.2")));
    }
    rows
}

/// The archive; later, -updates has one more version of the toolbox and mirrors have lost the one before.
pub fn stand_in(shell: &[u8], later: bool) -> Archive {
    let mut archive = Archive::default();
    let mut suites = [suite("", 0), suite("-updates", if later { 15 } else { 9 }), suite("-security", 10)];
    for (place, component, fields, deb) in rows(shell, later) {
        let paragraph = archive.package(&deb.name, &deb.version, fields, &deb.build());
        let suite = &mut suites[place];
        if component == "main" { &mut suite.packages } else { &mut suite.universe }.push(paragraph);
    }
    for suite in &suites {
        archive.publish(suite, &[&Signer::new(1)]);
    }
    // Mirrors without these folders exist, whatever InRelease says.
    archive.files.retain(|path, _| !(path.starts_with("dists/jammy-security/") && path.contains("/by-hash/")));
    archive
}

/// An archive in which every one of `wished` is an empty package, half of them in universe, signed by `signer`.
pub fn empty(wished: &[String], signer: &Signer) -> Archive {
    let mut archive = Archive::default();
    let (mut release, mut pockets) = (suite("", 0), [suite("-updates", 1), suite("-security", 1)]);
    for (count, name) in wished.iter().enumerate() {
        let paragraph = archive.package(name, "1", "", &deb(name, "1").build());
        if count % 2 == 0 { &mut release.packages } else { &mut release.universe }.push(paragraph);
    }
    let base = archive.package("base-files", "1", "Essential: yes", &base_files("1").build());
    release.packages.push(base.clone());
    for pocket in &mut pockets {
        pocket.packages.push(base.clone());
        pocket.universe.push(base.clone());
    }
    for suite in pockets.iter().chain([&release]) {
        archive.publish(suite, &[signer]);
    }
    archive
}
