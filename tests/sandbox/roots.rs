//! The unpacked image: equal to its layer before every build, or not used.

use crate::bench::{Bench, put};
use libtest_mimic::Completion;
use snpforge::cancel::Cancel;
use snpforge::engine::Engine;
use snpforge::engine::embedded::Embedded;
use snpforge::error::Kind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A way to damage a root, and the path that must be named.
type Damage = (&'static str, &'static str, fn(&Path));

const DAMAGES: [Damage; 9] = [
    ("other bytes, same size and time", "etc/passwd", |root| {
        let path = root.join("etc/passwd");
        let before = path.metadata().unwrap().modified().unwrap();
        put(&path, b"Builder:x:1000:1000::/build:/bin/sh\n");
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    }),
    ("a longer file", "etc/group", |root| put(&root.join("etc/group"), b"builder:x:1000:\nmore")),
    ("a missing file", "etc/hosts", |root| std::fs::remove_file(root.join("etc/hosts")).unwrap()),
    ("one file more", "bin/zzz", |root| put(&root.join("bin/zzz"), b"")),
    ("another mode", "bin/busybox", |root| {
        std::fs::set_permissions(root.join("bin/busybox"), PermissionsExt::from_mode(0o777)).unwrap();
    }),
    ("a link elsewhere", "bin/true", |root| {
        std::fs::remove_file(root.join("bin/true")).unwrap();
        symlink("/bin/busybox", root.join("bin/true")).unwrap();
    }),
    ("a file instead of a link", "bin/false", |root| {
        std::fs::remove_file(root.join("bin/false")).unwrap();
        put(&root.join("bin/false"), b"");
    }),
    ("a link instead of a folder", "usr", |root| {
        std::fs::remove_dir(root.join("usr")).unwrap();
        symlink("bin", root.join("usr")).unwrap();
    }),
    ("no folder", "var/tmp", |root| std::fs::remove_dir(root.join("var/tmp")).unwrap()),
];

pub fn a_changed_root_is_noticed_and_put_right() -> Completion {
    let bench = Bench::new();
    assert_eq!(bench.engine.layers(&bench.image).unwrap(), [bench.image.diff_id]);
    // What `load` compared is good for one container; the next one compares anew.
    bench.engine.remove(&bench.create(&["/bin/true"])).unwrap();
    for (what, path, damage) in DAMAGES {
        damage(&bench.root());
        for error in [
            bench.engine.create(&bench.image, &Bench::spec(&["/bin/true"])).map(drop).unwrap_err(),
            bench.engine.layers(&bench.image).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Trust, "{what}: {error}");
            // Removing or making an entry also changes its folder, which comes first in the tar.
            let folder = Path::new(path).parent().unwrap();
            let named = [bench.root().join(path), bench.root().join(folder)];
            assert!(named.iter().any(|path| *path == Path::new(error.object())), "{what}: {error}");
        }
        bench.engine.load(&bench.image, &Cancel::new()).unwrap();
        bench.engine.remove(&bench.create(&["/bin/true"])).unwrap();
        bench.engine.layers(&bench.image).unwrap();
    }
    assert_eq!(bench.script("exit 4").0, 4);
    Completion::Completed
}

pub fn a_root_in_use_is_not_replaced() -> Completion {
    let bench = Bench::new();
    let id = bench.create(&["/bin/true"]);
    put(&bench.root().join("etc/zzz"), b"");
    let other = Embedded::new(bench.folder.path().join("sandbox"));
    let error = other.load(&bench.image, &Cancel::new()).unwrap_err();
    assert!(error.remedy_text().unwrap().contains("another build uses"), "{error}");
    bench.engine.remove(&id).unwrap();
    other.load(&bench.image, &Cancel::new()).unwrap();
    Completion::Completed
}

pub fn many_may_load_at_once() -> Completion {
    let bench = Bench::new();
    let folder = bench.folder.path().join("shared");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let engine = Embedded::new(folder.clone());
                engine.load(&bench.image, &Cancel::new()).unwrap();
                let id = engine.create(&bench.image, &Bench::spec(&["/bin/true"])).unwrap();
                assert_eq!(engine.run(&id, &mut Vec::new(), &Cancel::new()).unwrap().code, 0);
                engine.remove(&id).unwrap();
            });
        }
    });
    let mut left: Vec<String> = std::fs::read_dir(folder.join("roots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, [bench.image.diff_id.to_string(), format!("{}.lock", bench.image.diff_id)]);
    Completion::Completed
}

pub fn a_damaged_layer_is_no_image() -> Completion {
    let bench = Bench::new();
    let mut bytes = std::fs::read(&bench.image.layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(&bench.image.layer, &bytes);
    let fresh = Embedded::new(bench.folder.path().join("fresh"));
    let error = fresh.load(&bench.image, &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Trust);
    assert!(error.object().ends_with("layer.tar"), "{error}");
    bytes.truncate(middle);
    put(&bench.image.layer, &bytes);
    assert_eq!(fresh.load(&bench.image, &Cancel::new()).unwrap_err().kind(), Kind::Trust);
    let left = std::fs::read_dir(bench.folder.path().join("fresh/roots")).unwrap().count();
    assert_eq!(left, 1, "only the lock file stays");
    Completion::Completed
}
