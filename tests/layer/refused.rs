//! What must not become a layer: hostile and damaged packages, packages that cannot be together, failures.

use crate::deb::{Deb, Packing, archive};
use crate::sample::{EPOCH, build, listing, packages, root, sample};
use snpforge::cancel::Cancel;
use snpforge::digest::HashWriter;
use snpforge::error::{Error, Kind};
use snpforge::oci::layer::{self, Contract, Package, Recipe};
use snpforge::report::Collected;
use std::io;
use tar::EntryType;

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
    // Cut in the middle of a file that travels in several pieces.
    let large = Deb::new("evil", "1", Packing::Plain).file("./x", 0o644, &[5; 1_000_000]).build();
    let cases = [
        (large[..700_000].to_vec(), "truncated"),
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
    let recipe = Recipe { root: &root(), base: None, epoch: EPOCH, contract };
    let stopped = layer::build(
        &packages(&sample()),
        &recipe,
        2,
        &tempfile::tempfile().unwrap(),
        &mut HashWriter::new(io::sink()),
        &Collected::default(),
        &cancel,
    )
    .unwrap_err();
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
    let recipe = Recipe { root: &root(), base: None, epoch: EPOCH, contract };
    // More than may wait in memory, so that reading threads are waiting when the writer fails.
    let large = |name: &str| Deb::new(name, "1", Packing::Gz).file(&format!("./opt/{name}"), 0o644, &vec![0; 40 << 20]);
    let list = packages(&[large("a"), large("b"), large("c")]);
    let error = layer::build(
        &list,
        &recipe,
        2,
        &tempfile::tempfile().unwrap(),
        &mut HashWriter::new(Full(1 << 20)),
        &Collected::default(),
        &Cancel::new(),
    )
    .unwrap_err();
    assert!(error.kind() == Kind::Io && error.remedy_text().is_some(), "{error}");
}
