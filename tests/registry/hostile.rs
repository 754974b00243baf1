//! What must not become a layer.

use crate::desk::{Desk, holds};
use crate::image::*;
use crate::workshop::{Member, file, folder, gz, link, special};
use snpforge::digest::Digest;
use tar::EntryType;

/// Locking an image of these layers fails with exit code 5 and says all of `words` and the digest of the last layer.
fn refused(layers: &[Layer], words: &[&str]) {
    let desk = Desk::new();
    define(&desk, &Image::new(layers).served(&desk));
    let said = desk.said("one", &["lock", "--image", "b"], 5);
    holds(&said, words);
    holds(&said, &[&layers.last().unwrap().digest()]);
    assert!(!desk.project("images/b.lock").exists());
    assert!(unfinished(&desk, "one").is_empty());
}

pub fn members() {
    let good = || Layer::new(GZIP, &lower(b""));
    let text = |path: &str| file(path, 0o644, b"x");
    let pax = |record: &str| {
        let record = format!(" {record}\n");
        let length = (record.len()..).find(|length| length.to_string().len() + record.len() == *length).unwrap();
        special("pax", EntryType::XHeader, &format!("{length}{record}"))
    };
    let cases: Vec<(Vec<Member>, &str, &str)> = vec![
        (vec![text("../outside")], "`../outside`", "leads out of the root"),
        (vec![text("usr/../../outside")], "`usr/../../outside`", "leads out of the root"),
        (vec![text("/../outside")], "`/../outside`", "leads out of the root"),
        (vec![pax("path=../outside"), text("harmless")], "`../outside`", "leads out of the root"),
        (vec![pax("x=y"), special("pax", EntryType::XHeader, "9 x=y\n")], "`pax`", "damaged pax header"),
        (vec![pax("size=5"), text("harmless")], "`pax`", "size in a pax header"),
        (vec![pax("GNU.sparse.major=1"), text("harmless")], "`pax`", "sparse"),
        (vec![link("out", "/etc"), text("out/shadow")], "`out/shadow`", "below the symbolic link `out`"),
        // The link is in the layer below.
        (vec![text("lib64/../lib64/x")], "`lib64/../lib64/x`", "leads out"),
        (vec![text("lib64/x")], "`lib64/x`", "below the symbolic link `lib64` to `usr/lib64` of a layer below"),
        (vec![text("etc/passwd/x")], "`etc/passwd/x`", "below the file `etc/passwd` of a layer below"),
        (vec![special("dev/sda", EntryType::Block, "")], "`dev/sda`", "is a device"),
        (vec![special("usr/null", EntryType::Char, "")], "`usr/null`", "is a device"),
        (vec![special("pipe", EntryType::Fifo, "")], "`pipe`", "is a FIFO"),
        (vec![special("hard", EntryType::Link, "usr/bin/tool")], "`hard`", "no earlier file of the layer"),
        (vec![special("hard", EntryType::Link, "../../etc/shadow")], "`hard`", "leads out"),
        (vec![special("hard", EntryType::Link, "/etc/shadow")], "`hard`", "hard link to `etc/shadow`, no earlier file"),
        (vec![text("a/b"), text("a")], "`a`", "is there twice"),
        (vec![pax(&format!("path={}x", "a/".repeat(256))), text("x")], "a/a/a/x`", "lies below more than 256 folders"),
        (vec![text("lib64/.wh.ld.so")], "`lib64/.wh.ld.so`", "below the symbolic link `lib64` to `usr/lib64`"),
        (
            vec![text("lib64/x/.wh..wh..opq")],
            "`lib64/x/.wh..wh..opq`",
            "below the symbolic link `lib64` to `usr/lib64`",
        ),
        (vec![text("usr/.wh...")], "`usr/.wh...`", "marks no name"),
        (vec![text("usr/.wh.")], "`usr/.wh.`", "marks no name"),
        (vec![folder("usr/.wh.x/"), text("usr/.wh.x/y")], "`usr/.wh.x/y`", "lies below a mark"),
    ];
    for (members, path, cause) in cases {
        refused(&[good(), Layer::new(GZIP, &members)], &[path, cause]);
    }
    // So many links to one large file that reading it for each would take for ever.
    let mut many = vec![file("a", 0o644, &vec![0; 9 << 20])];
    many.extend((0..300).map(|count| special(&format!("a{count}"), EntryType::Link, "a")));
    refused(&[good(), Layer::new(GZIP, &many)], &["`a`", "more than 256 hard links", "more than 8388608 bytes"]);
    // 8 MiB, packed 8 KiB, that would be written as 5 GB.
    let mut copies = vec![file("a", 0o644, &vec![0; 8 << 20])];
    copies.extend((0..600).map(|count| special(&format!("a{count:03}"), EntryType::Link, "a")));
    let copies = Layer::new(GZIP, &copies);
    assert!(copies.bytes.len() < 20_000, "{}", copies.bytes.len());
    refused(
        &[good(), copies],
        &["`a510`", "files of the image have more than 4294967296 bytes", "hard link", "do not use"],
    );
}

/// What engines write and dpkg does not: it becomes a layer.
pub fn unusual_members() {
    let text = |path: &str, content: &str| file(path, 0o644, content.as_bytes());
    let mut members = vec![
        folder("/"),
        special("pax", EntryType::XHeader, "27 SCHILY.xattr.user.x=a\nb\n"),
        text("/absolute", "a"),
        special("/hard", EntryType::Link, "/absolute"),
        text("twice", "first"),
        text("twice", "second"),
        text("box/0", "box"),
    ];
    members.extend((1..400).map(|count| special(&format!("box/{count}"), EntryType::Link, "box/0")));
    let desk = Desk::new();
    define(&desk, &Image::new(&[Layer::new(GZIP, &lower(b"")), Layer::new(GZIP, &members)]).served(&desk));
    desk.said("one", &["lock", "--image", "b"], 0);
    let layer = layer(&desk, "one");
    for entry in ["absolute 644 a", "hard 644 a", "twice 644 second"] {
        assert_eq!(layer.iter().filter(|found| *found == entry).count(), 1, "`{entry}` in {layer:#?}");
    }
    let boxes = layer.iter().filter(|entry| entry.starts_with("box/") && entry.ends_with(" 644 box"));
    assert_eq!(boxes.count(), 400);
}

pub fn layers() {
    let good = || Layer::new(GZIP, &lower(b""));
    let top = || Layer::new(GZIP, &[file("a", 0o644, &[1; 5000])]);
    refused(&[good(), Layer { diff_id: Digest::of(b"other"), ..top() }], &["its tar has sha256", "configuration says"]);
    let mut flipped = top();
    let at = flipped.bytes.len() - 20;
    flipped.bytes[at] ^= 0x40;
    refused(&[good(), flipped], &["is damaged"]);
    let mut cut = top();
    cut.bytes.truncate(cut.bytes.len() - 12);
    refused(&[good(), cut], &["is truncated"]);
    refused(&[good(), Layer { media_type: ZSTD.into(), ..top() }], &["promises zstd, the bytes are gzip"]);
    refused(&[good(), Layer { bytes: gz(b"no tar at all"), ..top() }], &["is damaged: failed to read entire block"]);
    refused(
        &[good(), Layer { media_type: "application/x-cpio".into(), ..top() }],
        &["media type `application/x-cpio`"],
    );
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    refused(&[good(), Layer { media_type: foreign.into(), ..top() }], &["foreign layer"]);
    refused(&[good(), Layer { more: r#","urls":["http://127.0.0.1:1/x"]"#.into(), ..top() }], &["foreign layer"]);
}

pub fn a_lying_registry() {
    // The manifest.
    let desk = Desk::new();
    let (image, other) = (jammy(b"no shell\n"), jammy(b"another\n"));
    let reference = image.served(&desk);
    define(&desk, &reference);
    let serve = |path: String, bytes: &[u8]| desk.serve(&format!("v2/{NAME}"), [(path, bytes.to_vec())]);
    serve(format!("manifests/{}", image.digest()), &other.manifest);
    let said = desk.said("one", &["lock", "--image", "b"], 5);
    holds(&said, &[&image.digest(), "something else than was asked for", &host(&desk)]);
    serve(format!("manifests/{}", image.digest()), &image.manifest);
    // A layer: as long as promised, longer and shorter.
    let (digest, bytes) = &image.blobs[1];
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    for (bytes, code) in [(flipped, 5), ([bytes.as_slice(), b"more"].concat(), 5), (bytes[..100].to_vec(), 6)] {
        serve(format!("blobs/{digest}"), &bytes);
        holds(&desk.said("one", &["lock", "--image", "b"], code), &[&reference, &host(&desk)]);
        assert!(unfinished(&desk, "one").is_empty());
        assert!(!store(&desk, "one").contains(&digest.parse().unwrap()));
    }
    serve(format!("blobs/{digest}"), bytes);
    desk.said("one", &["lock", "--image", "b"], 0);
    // A manifest that says another length, of a blob that is on its way and of one that is there.
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let longer = text.replace(&format!("{digest}\",\"size\":{}", bytes.len()), &format!("{digest}\",\"size\":100000"));
    assert_ne!(longer, text);
    let wrong = Image { manifest: longer.into_bytes(), blobs: image.blobs.clone() };
    define(&desk, &wrong.served(&desk));
    let there = format!("its manifest says that {digest} has 100000 bytes, and it has {}", bytes.len());
    holds(&desk.said("one", &["lock", "--image", "b"], 5), &[&there]);
    let coming = format!("{} bytes, not 100000, for {digest}", bytes.len());
    holds(&desk.said("two", &["lock", "--image", "b"], 5), &[&coming]);
    assert!(!store(&desk, "two").contains(&digest.parse().unwrap()));
}
