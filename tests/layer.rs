//! Image layers from synthetic packages: golden bytes, what must not matter, and what must be refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "support/deb.rs"]
mod deb;

use deb::{Deb, Packing, archive};
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::definition::Root;
use snpforge::digest::Digest;
use snpforge::error::{Error, Kind};
use snpforge::oci::layer::{self, Contract, Layer, Package, Recipe};
use snpforge::report::Collected;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use tar::EntryType;

const EPOCH: Epoch = Epoch(1_700_000_000);

fn root() -> Root {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Root {
        merged_usr: true,
        packages: Vec::new(),
        links: BTreeMap::from([("usr/bin/cc".into(), "gcc".into())]),
        exclude: texts(&["usr/share/doc/**", "usr/share/man/**"]),
        keep: texts(&["usr/share/doc/*", "usr/share/doc/*/copyright"]),
    }
}

/// Packages with everything that real ones have been seen with.
#[expect(clippy::too_many_lines, reason = "a list of everything a package may hold")]
fn sample() -> Vec<Deb> {
    let long_name = "n".repeat(120);
    let long_path = format!("./usr/share/{}{}", format!("{}/", "d".repeat(90)).repeat(3), "file");
    let base = Deb::new("base-files", "12", Packing::Gz)
        .field("Essential", "yes")
        .control("conffiles", 0o644, "/etc/base.conf\nremove-on-upgrade /etc/gone.conf\n")
        .control("postinst", 0o755, "#!/bin/sh\nexit 0\n")
        .control("md5sums", 0o644, "d41d8cd98f00b204e9800998ecf8427e  bin/sh\n")
        .folder("./bin/", 0o755)
        .file("./bin/sh", 0o755, b"shell")
        .folder("./etc/", 0o755)
        .file("./etc/base.conf", 0o644, b"setting = 1\n")
        .file("./etc/hosts", 0o644, b"127.0.0.1 elsewhere\n")
        .folder("./root/", 0o700)
        .folder("./tmp/", 0o1777)
        .folder("./usr/", 0o755)
        .folder("./usr/share/", 0o755)
        .folder("./usr/share/base-passwd/", 0o755)
        .file("./usr/share/base-passwd/passwd.master", 0o644, b"root:*:0:0:root:/root:/bin/bash\n")
        .folder("./var/", 0o755)
        .folder("./var/cache/", 0o755)
        .folder("./var/cache/something/", 0o755)
        .folder("./var/log/", 0o755)
        .file("./var/log/old.log", 0o644, b"noise");
    let tool = Deb::new("tool", "1:1.0-1", Packing::Zst)
        .field("Multi-Arch", "same")
        .control("triggers", 0o644, "# comment\ninterest-noawait /usr/share/shared\ninterest tool-event\nactivate x\n")
        .folder("./bin/", 0o755)
        .symlink("./bin/su", "/usr/bin/su")
        .folder("./lib/", 0o755)
        .file("./lib/libtool.so.1", 0o644, &[7; 200_000])
        .symlink("./lib/libtool.so", "libtool.so.1")
        .folder("./lib64/", 0o755)
        .symlink("./lib64/ld.so", "/lib/ld.so")
        .folder("./usr/", 0o755)
        .folder("./usr/bin/", 0o755)
        .file("./usr/bin/su", 0o4755, b"set-id program")
        .hard_link("./usr/bin/su-again", "./usr/bin/su", 0o4755)
        .hard_link("./usr/bin/su-once-more", "./usr/bin/su", 0o4755)
        .folder("./usr/share/", 0o755)
        .folder("./usr/share/doc/", 0o755)
        .folder("./usr/share/doc/tool/", 0o755)
        .file("./usr/share/doc/tool/README", 0o644, b"long text")
        .file("./usr/share/doc/tool/copyright", 0o644, b"licence")
        .folder("./usr/share/shared/", 0o2775)
        .file("./usr/share/shared/tool", 0o664, b"")
        .file("./usr/share/shared/taken-over", 0o644, b"the old owner's");
    let newer = Deb::new("zz-newer", "2.0~rc1-1+b1", Packing::Xz)
        .architecture("all")
        .field("Replaces", "tool (<< 1:2), other")
        .field("Status", "deinstall ok half-installed")
        .mtime(1_800_000_000)
        .member("./usr/share/caf\u{e9}".as_bytes(), b"", EntryType::Directory, 0o755, b"")
        .member(b"./usr/share/latin-\xe9", b"", EntryType::Regular, 0o644, b"bytes are names")
        .folder("./usr/share/shared/", 0o755)
        .file("./usr/share/shared/taken-over", 0o644, b"the new owner's")
        .file(&format!("./usr/share/{long_name}"), 0o644, b"long name")
        .symlink(&format!("./usr/share/link-{long_name}"), &long_name)
        .file(&long_path, 0o644, b"long path")
        .mtime(0)
        .file("./usr/share/ancient", 0o600, b"1970")
        .folder("./opt/empty/", 0o755);
    vec![base, tool, newer, Deb::new("plain", "0", Packing::Plain)]
}

fn packages(debs: &[Deb]) -> Vec<Package> {
    debs.iter()
        .map(|deb| {
            let bytes: Arc<[u8]> = deb.build().into();
            Package {
                name: deb.name.clone(),
                version: deb.version.clone(),
                architecture: deb.architecture.clone(),
                open: Box::new(move || Ok(Box::new(io::Cursor::new(Arc::clone(&bytes))))),
            }
        })
        .collect()
}

fn build(packages: &[Package], root: &Root, workers: usize) -> Result<(Vec<u8>, Layer), Error> {
    let contract = Contract {
        folders: &["build", "out", "src"],
        owned: &["build", "out"],
        id: 1000,
        user: "builder",
        home: "/build",
    };
    let mut tar = Vec::new();
    let recipe = Recipe { root, epoch: EPOCH, contract };
    let layer = layer::build(packages, &recipe, workers, &mut tar, &Collected::default(), &Cancel::new())?;
    Ok((tar, layer))
}

/// One line for each entry: mode, owner, mtime, kind, size or target, first digits of the content's digest, path.
fn listing(tar: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let what = match header.entry_type() {
            EntryType::Directory => "folder".to_owned(),
            EntryType::Symlink => format!("-> {}", entry.link_name().unwrap().unwrap().display()),
            EntryType::Regular => format!("{} {}", content.len(), Digest::of(&content).short()),
            other => panic!("an entry of kind {other:?}"),
        };
        let path = entry.path_bytes().escape_ascii().to_string();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let (mode, mtime) = (header.mode().unwrap(), header.mtime().unwrap());
        lines.push(format!("{mode:05o} {uid}:{gid} {mtime} {path} {what}"));
    }
    lines
}

#[test]
fn golden_layer() {
    // A change here changes every image: it belongs under "Changes the product's bytes" in CHANGELOG.md.
    const DIFF_ID: &str = "a7547d2307044f060040c38c969888a234e0dd28e123ed6668103eb9c3b84d46";
    let (tar, layer) = build(&packages(&sample()), &root(), 2).unwrap();
    assert_eq!((layer.diff_id, layer.size), (Digest::of(&tar), tar.len() as u64));
    let found = listing(&tar);
    assert_eq!(layer.entries, found.len());
    let expected: Vec<&str> = include_str!("golden/layer.txt").lines().collect();
    let missing =
        expected.iter().filter(|line| !found.iter().any(|other| other == *line)).map(|line| format!("-{line}"));
    let added = found.iter().filter(|line| !expected.contains(&line.as_str())).map(|line| format!("+{line}"));
    let changes: Vec<String> = missing.chain(added).collect();
    assert!(
        changes.is_empty(),
        "entries differ from tests/golden/layer.txt:\n{}\n\nall:\n{}",
        changes.join("\n"),
        found.join("\n")
    );
    assert_eq!(found, expected, "the order of entries differs from tests/golden/layer.txt");
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

/// What building a layer of these fails with.
fn refusal(debs: &[Deb]) -> Error {
    build(&packages(debs), &root(), 2).unwrap_err()
}

#[test]
fn hostile_members_are_refused_by_package_and_name() {
    let deb = || Deb::new("evil", "1", Packing::Gz);
    let odd = |path: &str, kind| deb().member(path.as_bytes(), b"x", kind, 0o644, b"");
    let cases = [
        (deb().file("./../outside", 0o644, b""), "./../outside", "leads out"),
        (deb().file("/usr/../../outside", 0o644, b""), "/usr/../../outside", "leads out"),
        (deb().folder("..", 0o755), "..", "leads out"),
        (odd("./dev/sda", EntryType::Block), "./dev/sda", "device"),
        (odd("./usr/null", EntryType::Char), "./usr/null", "device"),
        (odd("./usr/pipe", EntryType::Fifo), "./usr/pipe", "FIFO"),
        (odd("./usr/x", EntryType::XHeader), "./usr/x", "tar type 'x'"),
        (odd("./usr/s", EntryType::GNUSparse), "./usr/s", "tar type 'S'"),
        (
            deb().symlink("./usr/l", "/etc").file("./usr/l/passwd", 0o644, b""),
            "./usr/l/passwd",
            "below the symbolic link",
        ),
        (deb().file("./f", 0o644, b"").file("./f/x", 0o644, b""), "./f/x", "below the file"),
        (deb().file("./a/b", 0o644, b"").symlink("./a", "/etc"), "./a", "there twice"),
        (deb().file("./a", 0o644, b"1").file("./a", 0o644, b"2"), "./a", "there twice"),
        (deb().file("./a", 0o644, b"1").file("a", 0o644, b"2"), "a", "there twice"),
        (deb().folder("./a/", 0o755).folder("./a/", 0o700), "./a/", "there twice"),
        (deb().hard_link("./shadow", "/etc/shadow", 0o644), "./shadow", "no earlier file"),
        (deb().hard_link("./shadow", "../etc/shadow", 0o644), "./shadow", "leads out"),
        (deb().symlink("./l", "/etc/shadow").hard_link("./h", "./l", 0o644), "./h", "no earlier file"),
        (deb().hard_link("./h", "./later", 0o644).file("./later", 0o644, b""), "./h", "no earlier file"),
        (deb().file("./a\nb", 0o644, b""), "a\nb", "line end"),
        (deb().file(&format!("./{}", "x".repeat(256)), 0o644, b""), "xxx", "longer than 255"),
        (deb().symlink("./l", ""), "./l", "without a target"),
        (deb().symlink("./", "/etc"), "./", "in place of the root"),
        (deb().file("./usr/x/", 0o644, b""), "./usr/x/", "slash at its end"),
    ];
    for (deb, member, cause) in cases {
        let error = refusal(&[sample().remove(0), deb]);
        let shown = error.to_string();
        assert_eq!(error.kind(), Kind::Trust, "{shown}");
        assert!(shown.starts_with("evil_1_amd64.deb: member `"), "{shown}");
        assert!(shown.contains(member) && shown.contains(cause), "{member}, {cause}: {shown}");
        assert!(error.remedy_text().is_some());
    }
}

#[test]
fn absolute_names_are_names_from_the_root() {
    let deb = Deb::new("a", "1", Packing::Gz).file("/opt//x", 0o644, b"").file("opt/./y", 0o644, b"");
    let lines = listing(&build(&packages(&[deb]), &root(), 1).unwrap().0);
    assert!(
        ["opt/x", "opt/y"].iter().all(|path| lines.iter().any(|line| line.contains(&format!(" {path} ")))),
        "{lines:?}"
    );
}

fn raw(bytes: Vec<u8>) -> Package {
    let (name, version, architecture) = ("evil".into(), "1".into(), "amd64".into());
    Package { name, version, architecture, open: Box::new(move || Ok(Box::new(io::Cursor::new(bytes.clone())))) }
}

#[test]
fn damaged_packages_are_refused() {
    let good = Deb::new("evil", "1", Packing::Xz).file("./x", 0o644, &[5; 100_000]).build();
    build(&[raw(good.clone())], &root(), 1).unwrap();
    let control = good.windows(11).position(|bytes| bytes == b"control.tar").unwrap();
    let mut flipped = good.clone();
    let at = flipped.len() - 60;
    flipped[at] ^= 0x40;
    let plain = |control: &[u8], data: &[u8]| {
        archive(&[("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
    };
    let cases = [
        (good[..good.len() / 2].to_vec(), "truncated"),
        (good[..good.len() - 8].to_vec(), "truncated"),
        (flipped, "damaged"),
        (b"short".to_vec(), "truncated"),
        (b"<html>404 not found</html>".to_vec(), "ar archive"),
        (archive(&[("debian-binary", b"3.0\n")]), "format 2"),
        (archive(&[("control.tar", b"")]), "format 2"),
        (good[..control].to_vec(), "has no control.tar"),
        (archive(&[("debian-binary", b"2.0\n"), ("control.tar.gz", b"plain")]), "promises gzip"),
        (archive(&[("debian-binary", b"2.0\n"), ("other", b""), ("control.tar", b"")]), "has `other`"),
        (plain(&[], &[]), "no control file"),
    ];
    for (bytes, cause) in cases {
        let error = build(&[raw(bytes)], &root(), 2).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust, "{error}");
        assert!(error.to_string().contains(cause) && error.object() == "evil_1_amd64.deb", "{cause}: {error}");
    }
}

#[test]
fn a_package_that_is_another_is_refused() {
    for (name, version, architecture) in [("other", "1", "amd64"), ("evil", "2", "amd64"), ("evil", "1", "all")] {
        let deb = Deb::new(name, version, Packing::Gz).architecture(architecture);
        let error = build(&[raw(deb.build())], &root(), 1).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust, "{error}");
        assert!(error.to_string().contains(", not `"), "{error}");
    }
}

#[test]
fn a_small_package_cannot_become_a_large_one() {
    // Larger than any control tar may be, packed to a thousandth.
    let bomb = Deb::new("evil", "1", Packing::Gz).control("templates", 0o644, &" ".repeat(33 << 20));
    assert!(bomb.build().len() < 100_000);
    let error = refusal(&[bomb]);
    assert!(error.kind() == Kind::Trust && error.to_string().contains("33554432 bytes"), "{error}");
}

#[test]
fn packages_that_cannot_be_together_are_named() {
    let deb = |name: &str| Deb::new(name, "1", Packing::Gz);
    let cases = [
        (deb("a").file("./opt/x", 0o644, b"1"), deb("b").file("./opt/x", 0o644, b"2"), "/opt/x"),
        (deb("a").file("./bin/x", 0o755, b"1"), deb("b").file("./usr/bin/x", 0o755, b"2"), "/usr/bin/x"),
        (deb("a").file("./opt/x", 0o644, b"1"), deb("b").folder("./opt/x/", 0o755), "/opt/x"),
        (deb("a").folder("./opt/x/", 0o755), deb("b").file("./opt/x", 0o644, b"1"), "/opt/x"),
        (deb("a").symlink("./opt/x", "/etc"), deb("b").file("./opt/x/y", 0o644, b"1"), "/opt/x"),
        (deb("a").file("./opt/x/y", 0o644, b"1"), deb("b").symlink("./opt/x", "/etc"), "/opt/x"),
    ];
    for (first, second, path) in cases {
        let error = refusal(&[second, first]);
        assert_eq!((error.kind(), error.object()), (Kind::Resolve, path), "{error}");
        assert!(error.cause().contains("packages a 1 and b 1"), "{error}");
    }
    let error = refusal(&[deb("a"), Deb::new("a", "2", Packing::Gz)]);
    assert!(error.kind() == Kind::Lock && error.to_string().contains("twice, as 1 and 2"), "{error}");
}

#[test]
fn a_definition_link_in_the_way_of_a_package_is_named() {
    let error = refusal(&[Deb::new("a", "1", Packing::Gz).file("./usr/bin/cc", 0o755, b"")]);
    assert!(error.kind() == Kind::Document && error.to_string().contains("/usr/bin/cc"), "{error}");
}

#[test]
fn failures_of_this_machine_are_no_fault_of_the_package() {
    let mut list = packages(&sample());
    list[1].open = Box::new(|| Err(io::Error::from_raw_os_error(5)));
    let error = build(&list, &root(), 2).unwrap_err();
    assert!(error.kind() == Kind::Io && error.object().starts_with("tool_1:1.0-1"), "{error}");
    let cancel = Cancel::new();
    cancel.cancel();
    let contract = Contract { folders: &[], owned: &[], id: 1000, user: "builder", home: "/" };
    let recipe = Recipe { root: &root(), epoch: EPOCH, contract };
    let stopped =
        layer::build(&packages(&sample()), &recipe, 2, &mut io::sink(), &Collected::default(), &cancel).unwrap_err();
    assert_eq!(stopped.kind(), Kind::Interrupted);
}

#[test]
fn a_full_disk_ends_the_build() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let contract = Contract { folders: &[], owned: &[], id: 1000, user: "builder", home: "/" };
    let recipe = Recipe { root: &root(), epoch: EPOCH, contract };
    // More than may wait in memory, so that reading threads are waiting when the writer fails.
    let large = |name: &str| Deb::new(name, "1", Packing::Gz).file(&format!("./opt/{name}"), 0o644, &vec![0; 40 << 20]);
    let list = packages(&[large("a"), large("b"), large("c")]);
    let error = layer::build(&list, &recipe, 2, &mut Full(1 << 20), &Collected::default(), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::Io && error.remedy_text().is_some(), "{error}");
}
