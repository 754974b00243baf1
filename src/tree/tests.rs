//! Tars and folders against each other; hostile tars against the folder's borders.

use super::*;
use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::tarball::{Attributes, Writer};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

const EPOCH: u64 = 1_700_000_000;

fn plain(mode: u32) -> Attributes {
    Attributes { mode, mtime: EPOCH, owner: 0 }
}

fn tar(fill: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    fill(&mut writer);
    writer.finish().unwrap()
}

fn file(writer: &mut Writer<Vec<u8>>, name: &str, mode: u32, text: &str) {
    writer.file(name.as_bytes(), plain(mode), text.len() as u64, &mut text.as_bytes()).unwrap();
}

fn into(tar: &[u8], folder: &Path) -> Result<()> {
    unpack(&mut &*tar, folder, Owners::Mine, &Cancel::new())
}

fn same(tar: &[u8], folder: &Path) -> Result<()> {
    compare(&mut &*tar, folder, Owners::Mine, &Cancel::new())
}

/// Modes that forbid their own content, a setuid bit, a name of 200 bytes, and links to nowhere.
fn sample() -> Vec<u8> {
    tar(|writer| {
        writer.folder(b"./", plain(0o751)).unwrap();
        writer.folder(b"closed", plain(0o555)).unwrap();
        file(writer, "closed/file", 0o444, "text");
        file(writer, "closed/tool", 0o4755, "#!/bin/sh\n");
        writer.folder(b"closed/inner", plain(0o500)).unwrap();
        file(writer, "closed/inner/empty", 0o600, "");
        writer.symlink(b"link", b"/nowhere/at all", plain(0o777)).unwrap();
        let long = "n".repeat(200);
        file(writer, &long, 0o640, &"x".repeat(300_000));
    })
}

#[test]
fn what_was_unpacked_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    into(&sample(), folder.path()).unwrap();
    same(&sample(), folder.path()).unwrap();
    let stat = fs::metadata(folder.path().join("closed/tool")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o4755, EPOCH.cast_signed()));
    let stat = fs::symlink_metadata(folder.path().join("link")).unwrap();
    assert_eq!(stat.mtime(), EPOCH.cast_signed());
    remove(&folder.path().join("closed")).unwrap();
    assert!(!folder.path().join("closed").exists());
    let error = same(&sample(), folder.path()).unwrap_err();
    assert!(error.kind() == Kind::Trust && error.object() == folder.path().display().to_string(), "{error}");
}

/// What is named, with what words, after which change.
type Case = (&'static str, &'static str, fn(&Path));

#[test]
fn every_difference_is_named() {
    let cases: [Case; 5] = [
        ("a", "has mode 600", |root| fs::set_permissions(root.join("a"), PermissionsExt::from_mode(0o600)).unwrap()),
        ("b", "points to `c`", |root| {
            fs::remove_file(root.join("b")).unwrap();
            symlink("c", root.join("b")).unwrap();
        }),
        ("a", "is a Symlink", |root| {
            rename(&root.join("a"), &root.join("moved"));
            symlink("moved", root.join("a")).unwrap();
        }),
        ("d/e", "lies behind", |root| {
            rename(&root.join("d"), &root.join("moved"));
            symlink("moved", root.join("d")).unwrap();
        }),
        ("zzz", "not part", |root| fs::create_dir(root.join("zzz")).unwrap()),
    ];
    // No folders in it: their times would change with what happens inside.
    let sample = tar(|writer| {
        file(writer, "a", 0o644, "text");
        writer.symlink(b"b", b"a", plain(0o777)).unwrap();
        file(writer, "d/e", 0o644, "text");
    });
    let listed = tar(|writer| {
        file(writer, "a", 0o644, "text");
        writer.symlink(b"b", b"a", plain(0o777)).unwrap();
    });
    for (name, how, change) in cases {
        let folder = tempfile::tempdir().unwrap();
        let sample = if name == "d/e" { &sample } else { &listed };
        into(sample, folder.path()).unwrap();
        change(folder.path());
        if name == "b" {
            let time = Epoch(EPOCH);
            touch_link(&folder.path().join("b"), time);
        }
        let error = same(sample, folder.path()).unwrap_err();
        assert_eq!(error.object(), folder.path().join(name).display().to_string(), "{error}");
        assert!(error.cause().contains(how), "{error}");
    }
}

fn rename(from: &Path, to: &Path) {
    use rustix::fs::{CWD, renameat};
    renameat(CWD, from, CWD, to).unwrap();
}

fn touch_link(path: &Path, epoch: Epoch) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: epoch.0.cast_signed(), tv_nsec: 0 };
    utimensat(CWD, path, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap();
}

/// The first member's kind, changed by hand: no writer of ours makes such members.
fn as_kind(mut tar: Vec<u8>, kind: u8) -> Vec<u8> {
    tar[156] = kind;
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar
}

#[test]
fn no_member_leaves_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let named = |name: &str| tar(|writer| file(writer, name, 0o644, "x"));
    let through = |way: &str| {
        tar(|writer| {
            writer.symlink(b"way", way.as_bytes(), plain(0o777)).unwrap();
            file(writer, "way/x", 0o644, "x");
        })
    };
    let over_link = tar(|writer| {
        writer.symlink(b"x", b"../outside/x", plain(0o777)).unwrap();
        file(writer, "x", 0o644, "x");
    });
    let folder_over_link = tar(|writer| {
        writer.symlink(b"x", b"../outside", plain(0o777)).unwrap();
        writer.folder(b"x", plain(0o700)).unwrap();
    });
    let hostile = [
        named("../outside/x"),
        named("a/../../outside/x"),
        named(&outside.join("x").display().to_string()),
        named(&"d/".repeat(200)),
        through("../outside"),
        through(&outside.display().to_string()),
        over_link,
        folder_over_link,
        as_kind(named("hard"), b'1'),
        as_kind(named("device"), b'3'),
        as_kind(named("fifo"), b'6'),
        tar(|writer| {
            file(writer, "twice", 0o644, "x");
            file(writer, "twice", 0o644, "y");
        }),
    ];
    for (number, tar) in hostile.iter().enumerate() {
        let folder = outer.path().join(number.to_string());
        fs::create_dir(&folder).unwrap();
        let error = into(tar, &folder).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust, "{number}: {error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(outside.metadata().unwrap().mode() & 0o777, 0o777 & !umask());
}

/// The mode the tests' folders get.
fn umask() -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let probe = folder.path().join("probe");
    fs::create_dir(&probe).unwrap();
    0o777 & !probe.metadata().unwrap().mode()
}

#[test]
fn unknown_owners_are_refused_where_owners_count() {
    let foreign = tar(|writer| {
        writer.file(b"x", Attributes { owner: 1001, ..plain(0o644) }, 0, &mut std::io::empty()).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let error = unpack(&mut &*foreign, folder.path(), Owners::FromTar, &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("1001"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_cut_tar_is_damaged_wherever_it_is_cut() {
    let whole = sample();
    for length in [512, 1024, 1536, 2000, whole.len() - 1024, whole.len() - 300_000] {
        let folder = tempfile::tempdir().unwrap();
        let error = into(&whole[..length], folder.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust, "{length}: {error}");
        remove(&folder.path().join("closed")).unwrap();
    }
}

#[test]
fn a_packed_folder_says_nothing_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a", "a/inner", "z"] {
        fs::create_dir(at(name)).unwrap();
    }
    for (name, mode) in [("a/c", 0o600), ("a-b", 0o711), ("a/inner/x", 0o4777)] {
        put(&at(name));
        fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    symlink("/etc/passwd", at("a/link")).unwrap();
    let packed = tar(|writer| pack(folder.path(), "src/recipe", Epoch(EPOCH), writer).unwrap());
    let mut archive = tar::Archive::new(packed.as_slice());
    let found: Vec<(String, u32, u64, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let name = entry.path().unwrap().display().to_string();
            (name, header.mode().unwrap(), header.mtime().unwrap(), header.uid().unwrap() + header.gid().unwrap())
        })
        .collect();
    let expected = [
        ("src/", 0o755),
        ("src/recipe/", 0o755),
        ("src/recipe/a/", 0o755),
        ("src/recipe/a-b", 0o755),
        ("src/recipe/a/c", 0o644),
        ("src/recipe/a/inner/", 0o755),
        ("src/recipe/a/inner/x", 0o755),
        ("src/recipe/a/link", 0o777),
        ("src/recipe/z/", 0o755),
    ];
    let expected: Vec<(String, u32, u64, u64)> =
        expected.iter().map(|(name, mode)| ((*name).to_owned(), *mode, EPOCH, 0)).collect();
    assert_eq!(found, expected);

    rustix::fs::mkfifoat(rustix::fs::CWD, at("z/pipe"), rustix::fs::Mode::RUSR).unwrap();
    let error = pack(folder.path(), "", Epoch(EPOCH), &mut Writer::new(Vec::new())).unwrap_err();
    assert!(error.object().ends_with("z/pipe") && error.kind() == Kind::Document, "{error}");
}

fn put(path: &Path) {
    crate::store::files::write_whole(path, b"text").unwrap();
}

#[test]
fn removing_needs_no_rights_in_the_tree_and_leaves_its_links_targets() {
    let outer = tempfile::tempdir().unwrap();
    let target = outer.path().join("target");
    put(&target);
    let tree = outer.path().join("tree");
    fs::create_dir_all(tree.join("a/b/c")).unwrap();
    put(&tree.join("a/b/c/file"));
    // A name that the removal itself uses.
    fs::create_dir_all(tree.join("removed-0/x")).unwrap();
    symlink(&target, tree.join("a/link")).unwrap();
    symlink(outer.path(), tree.join("a/up")).unwrap();
    for name in ["a/b/c", "a/b", "a", ""] {
        fs::set_permissions(tree.join(name), PermissionsExt::from_mode(0o000)).unwrap();
    }
    remove(&tree).unwrap();
    assert!(!tree.exists() && target.exists());
    remove(&tree).unwrap();
}
