//! Normalised source tars from Debian packages, tarballs and folders: the same tree gives the same bytes, and what no
//! source may hold is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "support/deb.rs"]
mod deb;
#[path = "support/workshop.rs"]
mod workshop;

use deb::{Deb, Packing};

use snpforge::archive::SourcePackage;
use snpforge::digest::Digest;
use snpforge::error::Kind;
use snpforge::lock::{FileLock, PackageLock, Pin};
use snpforge::release::Source;
use snpforge::source::Entry;
use std::os::unix::fs::symlink;
use tar::EntryType;
use workshop::{Bench, Member, bz2, file, folder, gz, link, special, tar_of, tarball, write, xz, zst};

/// The tree of most tests, in an order no file system would give.
fn upstream(top: &str) -> Vec<Member> {
    let at = |name: &str| format!("{top}{name}");
    vec![
        file(&at("z.c"), 0o664, b"int z;\n"),
        folder(&at("")),
        file(&at("configure"), 0o750, b"#!/bin/sh\n"),
        special(&at("copy.c"), EntryType::Link, &at("z.c")),
        folder(&at("empty/")),
        file(&at("a/b/deep.h"), 0o400, b"deep\n"),
        link(&at("a/l"), "../z.c"),
        link(&at("out"), "/opt/elsewhere"),
        file(&at("a-b"), 0o644, b"sorts before a/\n"),
        file(&at("debian/rules"), 0o755, b"upstream's own packaging\n"),
    ]
}

/// Changes here change every build: they belong under "Changes the product's bytes" in CHANGELOG.md and need a new
/// `lock::FORMAT`.
const GOLDEN: &str = "5bdd96b50f98fce9eb071c5b22b1b08dcd068aa1bafa1aea71000894feb64a2b";

fn debian(bench: &Bench, files: &[(&str, Vec<u8>)]) -> (Source, SourcePackage) {
    let lock = |name: &str, bytes: &[u8]| FileLock {
        path: format!("pool/{name}"),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
    };
    let mut locks = Vec::new();
    for (name, bytes) in files {
        bench.put(&format!("pool/{name}"), bytes);
        locks.push(lock(name, bytes));
    }
    // Not there: the index alone is enough.
    let dsc = lock("thing_1-2.dsc", b"lost by the mirror");
    let found = SourcePackage { name: "thing".into(), version: "1-2".into(), dsc, files: locks };
    (Source::Debian { archive: "a".into(), package: "thing".into(), version: None }, found)
}

fn packaging() -> Vec<Member> {
    vec![
        folder("debian/"),
        file("debian/control", 0o600, b"Source: thing\n"),
        file("debian/patches/one", 0o644, b"-\n"),
    ]
}

#[test]
fn a_debian_package_in_its_normal_form() {
    let bench = Bench::new();
    let component = vec![file("lib-9/x.c", 0o644, b"x\n"), folder("lib-9/")];
    let (source, package) = debian(
        &bench,
        &[
            ("thing_1-2.debian.tar.xz", xz(&tar_of(&packaging(), 5000))),
            ("thing_1.orig-lib.tar.gz", gz(&tar_of(&component, 4000))),
            ("thing_1.orig.tar.xz", xz(&tar_of(&upstream("thing-1/"), 3000))),
        ],
    );
    let lock = bench.resolve(&source, Some(&package)).unwrap();
    let digest = lock.digest.unwrap();
    let expected = [
        "thing/ 755 5002 0:0 ",
        "thing/a/ 755 5002 0:0 ",
        "thing/a-b 644 5002 0:0 sorts before a/\n",
        "thing/a/b/ 755 5002 0:0 ",
        "thing/a/b/deep.h 644 5002 0:0 deep\n",
        "thing/a/l 777 5002 0:0 -> ../z.c",
        "thing/configure 755 5002 0:0 #!/bin/sh\n",
        "thing/copy.c 644 5002 0:0 int z;\n",
        "thing/debian/ 755 5002 0:0 ",
        "thing/debian/control 644 5002 0:0 Source: thing\n",
        "thing/debian/patches/ 755 5002 0:0 ",
        "thing/debian/patches/one 644 5002 0:0 -\n",
        "thing/empty/ 755 5002 0:0 ",
        "thing/lib/ 755 5002 0:0 ",
        "thing/lib/x.c 644 5002 0:0 x\n",
        "thing/out 777 5002 0:0 -> /opt/elsewhere",
        "thing/z.c 644 5002 0:0 int z;\n",
    ];
    assert_eq!(bench.listing(&digest), expected);
    assert_eq!((lock.version.as_str(), lock.epoch.0), ("1-2", 5002));
    assert_eq!(digest.to_string(), GOLDEN);
    let Pin::Debian { files, .. } = &lock.pin else { panic!("{lock:?}") };
    assert_eq!(files.len(), 3, "the .dsc is not locked");
    // Another machine makes the same from the lock alone; here nothing is left to do.
    assert_eq!(bench.obtain(&lock).unwrap(), digest);
    std::fs::remove_file(bench.store.path(&digest)).unwrap();
    assert_eq!(bench.obtain(&lock).unwrap(), digest);
}

#[test]
fn compression_and_order_do_not_matter() {
    let bench = Bench::new();
    let mut members = upstream("thing-1/");
    let one = bench.resolve(&tarball(&bench, "1.tar.gz", &gz(&tar_of(&members, 7))), None).unwrap();
    // The hard link needs its file before it; all else may come in any order and with other owners.
    let last = members.remove(0);
    members.insert(2, last);
    for (name, packed) in [
        ("2.tar.xz", xz(&tar_of(&members, 7))),
        ("3.tar.zst", zst(&tar_of(&members, 7))),
        ("4.tar.bz2", bz2(&tar_of(&members, 7))),
        ("4.tar", tar_of(&members, 7)),
        ("5.tar", tar_of(&upstream(""), 7)),
        ("6.tar", tar_of(&upstream("./"), 7)),
    ] {
        let other = bench.resolve(&tarball(&bench, name, &packed), None).unwrap();
        assert_eq!(other.digest, one.digest, "{name}");
    }
    let mut changed = upstream("thing-1/");
    changed[0].content.push(b'x');
    let other = bench.resolve(&tarball(&bench, "7.tar", &tar_of(&changed, 7)), None).unwrap();
    assert_ne!(other.digest, one.digest);
}

#[test]
fn the_top_folder_goes_only_when_it_is_alone() {
    let bench = Bench::new();
    let names = |members: &[Member]| {
        let bytes = tar_of(members, 1);
        let lock = bench.resolve(&tarball(&bench, &Digest::of(&bytes).short(), &bytes), None).unwrap();
        let listing = bench.listing(&lock.digest.unwrap());
        listing.into_iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[file("x-1/a", 0o644, b"")]), ["thing/", "thing/a"]);
    assert_eq!(
        names(&[file("x/a", 0o644, b""), file("y/b", 0o644, b"")]),
        ["thing/", "thing/x/", "thing/x/a", "thing/y/", "thing/y/b"]
    );
    assert_eq!(names(&[file("only", 0o644, b"")]), ["thing/", "thing/only"]);
}

#[test]
fn hostile_members_are_refused_by_name() {
    let cases: Vec<(Vec<Member>, &str)> = vec![
        (vec![file("/etc/passwd", 0o644, b"x")], "`/etc/passwd` has an absolute name"),
        (vec![file("t/../../x", 0o644, b"x")], "`t/../../x` has `..` in its name"),
        (vec![link("t/a/l", "../../../x"), file("t/x", 0o644, b"")], "`a/l` is a link that climbs out"),
        (vec![link("t/l", "/etc"), file("t/l/passwd", 0o644, b"x")], "`l/passwd` lies below `l`, which is no folder"),
        (vec![file("t/f", 0o644, b""), file("t/f/x", 0o644, b"x")], "`f/x` lies below `f`, which is no folder"),
        (vec![special("t/sda", EntryType::Block, "")], "`t/sda` is of type Block"),
        (vec![special("t/null", EntryType::Char, "")], "`t/null` is of type Char"),
        (vec![special("t/pipe", EntryType::Fifo, "")], "`t/pipe` is of type Fifo"),
        (vec![special("t/hole", EntryType::GNUSparse, "")], "`t/hole` is of type GNUSparse"),
        // One whose map does not fit its size is refused by the tar library before anyone sees the member.
        (vec![special("t/hole", EntryType::GNUSparse, "x")], "cannot be read as a tar: mismatch in sparse file"),
        (vec![special("t/h", EntryType::Link, "/etc/shadow")], "`t/h` has an absolute name"),
        (vec![special("t/h", EntryType::Link, "../../x")], "`t/h` has `..` in its name"),
        (vec![special("t/h", EntryType::Link, "t/none")], "`t/h` is a hard link to `t/none`, which is no earlier file"),
    ];
    for (members, words) in cases {
        let bench = Bench::new();
        let bytes = tar_of(&members, 1);
        let error = bench.resolve(&tarball(&bench, "evil.tar", &bytes), None).unwrap_err();
        assert_eq!(error.kind(), Kind::Document, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.object(), "evil.tar");
        let blob = bench.store.path(&Digest::of(&bytes));
        let blob = blob.strip_prefix(bench.folder.path()).unwrap().display().to_string();
        assert_eq!(bench.files(), [blob], "only the download itself stays");
    }
}

#[test]
fn what_is_no_tar_or_damaged_or_empty_is_refused() {
    let whole = xz(&tar_of(&upstream("t/"), 1));
    for (bytes, words) in [
        (b"BZh91AY&SY".to_vec(), "cannot be read as a tar"),
        (whole[..whole.len() / 2].to_vec(), "cannot be read as a tar"),
        (tar_of(&[], 1), "is no tar, or an empty one"),
        (tar_of(&[folder("t/")], 1), "has no files in it"),
    ] {
        let bench = Bench::new();
        let error = bench.resolve(&tarball(&bench, "x.tar", &bytes), None).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Document, "x.tar"));
        assert!(error.cause().contains(words), "{error}");
    }
}

#[test]
fn a_lock_that_does_not_fit_is_refused_and_nothing_stays() {
    let bench = Bench::new();
    let bytes = tar_of(&upstream("t/"), 1);
    let good = bench.resolve(&tarball(&bench, "x.tar", &bytes), None).unwrap();
    std::fs::remove_file(bench.store.path(&good.digest.unwrap())).unwrap();
    let mut wrong = good.clone();
    wrong.digest = Some(Digest::of(b"something else"));
    let error = bench.obtain(&wrong).unwrap_err();
    assert_eq!(error.kind(), Kind::Trust);
    assert!(error.cause().contains("normal form (format 1)"), "{error}");
    assert!(error.cause().contains(&good.digest.unwrap().to_string()), "{error}");
    assert!(error.remedy_text().unwrap().contains("snpforge lock --update"));
    let mut wrong = good.clone();
    wrong.epoch.0 += 1;
    assert_eq!(bench.obtain(&wrong).unwrap_err().kind(), Kind::Trust);
    assert_eq!(bench.files().len(), 1, "{:?}", bench.files());
}

#[test]
fn packaging_outside_its_folder_and_damaged_downloads() {
    let bench = Bench::new();
    let outside = [file("debian/rules", 0o755, b""), file("Makefile", 0o644, b"")];
    let (source, package) = debian(
        &bench,
        &[
            ("thing_1.orig.tar.xz", xz(&tar_of(&upstream("t/"), 1))),
            ("thing_1-2.debian.tar.xz", xz(&tar_of(&outside, 1))),
        ],
    );
    let error = bench.resolve(&source, Some(&package)).unwrap_err();
    assert!(error.cause().contains("`Makefile` lies outside debian/"), "{error}");
    // A blob that rotted in the store is noticed before it is unpacked, and is gone for the next run.
    let path = bench.store.path(&package.files[0].sha256);
    std::fs::remove_file(&path).unwrap();
    write(&path, b"rotten", 0o444);
    assert_eq!(bench.resolve(&source, Some(&package)).unwrap_err().kind(), Kind::Trust);
    assert!(!path.exists());
    // And a mirror that lost it says so.
    std::fs::remove_file(bench.root.path().join(&package.files[0].path)).unwrap();
    let error = bench.resolve(&source, Some(&package)).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, "thing_1.orig.tar.xz"));
}

/// A binary package in the pool, and what the index would say of it.
fn binary(bench: &Bench, deb: &Deb) -> (Source, Entry) {
    let bytes = deb.build();
    let path = format!("pool/{}_{}_{}.deb", deb.name, deb.version, deb.architecture);
    bench.put(&path, &bytes);
    let lock = PackageLock {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        path,
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    };
    (Source::BinaryPackage { archive: "a".into(), package: deb.name.clone(), version: None }, Entry::Binary(lock))
}

#[test]
fn a_binary_package_is_unpacked_as_it_would_be_installed() {
    let listing = |packing: Packing| {
        let bench = Bench::new();
        let deb = Deb::new("tool", "1.7.0-1", packing)
            .architecture("all")
            .control("postinst", 0o755, "#!/bin/sh\nexit 1\n")
            .mtime(1000)
            .folder("./usr/", 0o755)
            .folder("./usr/bin/", 0o2755)
            .file("./usr/bin/tool", 0o755, b"#!/usr/bin/python3\n")
            .mtime(2000)
            .folder("./usr/lib/", 0o755)
            .file("./usr/lib/x.py", 0o640, b"x = 1\n")
            .mtime(1500)
            .hard_link("./usr/lib/y.py", "./usr/lib/x.py", 0o640)
            .symlink("./usr/lib/z.py", "../bin/tool")
            .symlink("./usr/lib/etc", "/etc");
        let (source, entry) = binary(&bench, &deb);
        let lock = bench.resolve_entry(&source, Some(&entry)).unwrap();
        assert_eq!((lock.version.as_str(), lock.epoch.0), ("1.7.0-1", 1_600_000_000), "the root folder's time counts");
        let Pin::BinaryPackage { archive, package, file } = &lock.pin else { panic!("{lock:?}") };
        assert_eq!(
            (archive.as_str(), package.as_str(), file.path.as_str()),
            ("a", "tool", "pool/tool_1.7.0-1_all.deb")
        );
        let digest = lock.digest.unwrap();
        std::fs::remove_file(bench.store.path(&digest)).unwrap();
        assert_eq!(bench.obtain(&lock).unwrap(), digest, "the lock alone is enough");
        (digest, bench.listing(&digest))
    };
    let (digest, found) = listing(Packing::Xz);
    let expected = [
        "thing/ 755 1600000000 0:0 ",
        "thing/usr/ 755 1600000000 0:0 ",
        "thing/usr/bin/ 755 1600000000 0:0 ",
        "thing/usr/bin/tool 755 1600000000 0:0 #!/usr/bin/python3\n",
        "thing/usr/lib/ 755 1600000000 0:0 ",
        "thing/usr/lib/etc 777 1600000000 0:0 -> /etc",
        "thing/usr/lib/x.py 644 1600000000 0:0 x = 1\n",
        "thing/usr/lib/y.py 644 1600000000 0:0 x = 1\n",
        "thing/usr/lib/z.py 777 1600000000 0:0 -> ../bin/tool",
    ];
    assert_eq!(found, expected);
    assert_eq!(listing(Packing::Zst).0, digest, "how a package is compressed does not matter");
}

#[test]
fn hostile_and_damaged_binary_packages_are_refused_by_name() {
    let deb = || Deb::new("tool", "1", Packing::Xz);
    for (deb, words) in [
        (deb().file("./../x", 0o644, b"x"), "`./../x`: leads out of the root"),
        (deb().symlink("./usr/l", "../../x"), "`usr/l` is a link that climbs out"),
        (deb().member(b"./sda", b"", EntryType::Block, 0o600, b""), "`./sda`: is a device"),
        (deb().hard_link("./h", "./none", 0o644), "hard link to `none`, no earlier file"),
        (deb().symlink("./l", "/etc").file("./l/passwd", 0o644, b"x"), "lies below the symbolic link `l`"),
        (deb().bytes(&[0xff; 512]), "damaged"),
    ] {
        let bench = Bench::new();
        let (source, entry) = binary(&bench, &deb);
        let error = bench.resolve_entry(&source, Some(&entry)).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Trust, "binary package tool"), "{error}");
        assert!(error.cause().contains(words), "{error}");
        assert_eq!(bench.files().len(), 1, "only the download itself stays: {:?}", bench.files());
    }
    let bench = Bench::new();
    let (source, entry) = binary(&bench, &deb());
    let error = bench.resolve_entry(&source, Some(&entry)).unwrap_err();
    assert!(error.cause().contains("has no files in it"), "{error}");
    // A source package's entry is no answer to the wish for a binary one.
    assert_eq!(bench.resolve(&source, None).unwrap_err().kind(), Kind::Resolve);
}

#[test]
fn a_folder_is_packed_as_it_is_now_and_said_to_be_unpinned() {
    let bench = Bench::new();
    let root = bench.root.path().join("work");
    write(&root.join("b.c"), b"b\n", 0o640);
    write(&root.join("run"), b"#!/bin/sh\n", 0o700);
    write(&root.join(".git/HEAD"), b"ref\n", 0o644);
    write(&root.join("sub/.git"), b"gitdir: elsewhere\n", 0o644);
    write(&root.join("sub/a.c"), b"a\n", 0o644);
    symlink("b.c", root.join("link")).unwrap();
    let lock = bench.resolve(&Source::Path("work".into()), None).unwrap();
    assert_eq!((lock.digest, lock.version.as_str()), (None, "unpinned"));
    let first = bench.obtain(&lock).unwrap();
    let expected = [
        "thing/ 755 315532800 0:0 ",
        "thing/b.c 644 315532800 0:0 b\n",
        "thing/link 777 315532800 0:0 -> b.c",
        "thing/run 755 315532800 0:0 #!/bin/sh\n",
        "thing/sub/ 755 315532800 0:0 ",
        "thing/sub/a.c 644 315532800 0:0 a\n",
    ];
    assert_eq!(bench.listing(&first), expected);
    assert!(bench.warnings()[0].contains("NOT PINNED"), "{:?}", bench.warnings());
    write(&root.join("b.c"), b"b\n", 0o600);
    assert_eq!(bench.obtain(&lock).unwrap(), first, "times, owners and other modes are not content");
    write(&root.join("b.c"), b"B\n", 0o600);
    assert_ne!(bench.obtain(&lock).unwrap(), first);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    assert!(bench.obtain(&lock).unwrap_err().cause().contains("is a device, pipe or socket"));
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(bench.obtain(&lock).unwrap_err().kind(), Kind::Document, "the network has no part in it");
    write(&bench.root.path().join("file"), b"", 0o644);
    for path in ["nowhere", "file"] {
        let error = bench.resolve(&Source::Path(path.into()), None).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Document, bench.root.path().join(path).to_str().unwrap()));
        assert!(error.cause().contains("is no folder, and `path` of a source"), "{error}");
    }
}
