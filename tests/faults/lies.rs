//! What the mirrors have: a small signed archive and the bytes in it, well or with a lie.

use crate::archive::{Archive, DAY, MADE, Signer, Suite, sign_all};
use crate::deb::{Deb, Packing};
use crate::table::Lie;
use crate::workshop::{file, tar_of, xz};
use snpforge::digest::Digest;
use std::sync::LazyLock;
use std::time::SystemTime;

/// Bytes that no compressor makes smaller.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A source tarball: half a megabyte that must be fetched, and 3 MB that must be unpacked.
pub static UPSTREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let members = [file("edk2-1/noise", 0o644, &noise(500_000, 1)), file("edk2-1/zeros", 0o644, &vec![0; 3_000_000])];
    xz(&tar_of(&members, 1_700_000_000))
});

pub static UPSTREAM_DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(&UPSTREAM));

/// The package of the image, with 3 MB to be unpacked.
static TOOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let deb = Deb::new("tool", "1.0", Packing::Xz).folder("./usr/", 0o755).folder("./usr/bin/", 0o755);
    deb.file("./usr/bin/tool", 0o755, b"#!/bin/sh\n").file("./usr/bin/zeros", 0o644, &vec![0; 3_000_000]).build()
});

/// Cuts the end off in a way that only reading shows.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() * 2 / 3].to_vec()
}

/// The archive, well or with a lie that is signed as the truth would be.
pub fn archive(lie: Option<Lie>) -> Archive {
    let now = u32::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let mut archive = Archive::default();
    let mut suite = Suite::new("stable");
    let packaging = xz(&tar_of(&[file("debian/control", 0o644, b"Source: edk2\n")], 1_700_000_001));
    let orig = if lie == Some(Lie::SourceDamaged) { damaged(&UPSTREAM) } else { UPSTREAM.clone() };
    let files: [(&str, &[u8]); 2] = [("edk2_1.orig.tar.xz", &orig), ("edk2_1-1.debian.tar.xz", &packaging)];
    suite.sources.push(archive.source("edk2", "1-1", "3.0 (quilt)", &files));
    let deb = if lie == Some(Lie::DebDamaged) { damaged(&TOOL) } else { TOOL.clone() };
    suite.packages.push(archive.package("tool", "1.0", "", &deb));
    match lie {
        Some(Lie::Expired) => suite.valid_until = Some(MADE + DAY),
        Some(Lie::Ahead) => suite.date = now + 30 * DAY,
        _ => {}
    }
    let text = archive.indexes(&suite);
    let signer = Signer::new(if lie == Some(Lie::Stranger) { 2 } else { 1 });
    let at = if lie == Some(Lie::SignedAhead) { now + 30 * DAY } else { MADE };
    let text = if lie == Some(Lie::IndexDamaged) { damage_index(&mut archive, &text) } else { text };
    let mut signed = sign_all(&[&signer], &text, at);
    match lie {
        Some(Lie::Changed) => signed = signed.replace("Origin: Test", "Origin: Tess"),
        Some(Lie::Cut) => signed.truncate(signed.len() / 2),
        Some(Lie::Portal) => signed = "<html>please log in</html>\n".into(),
        _ => {}
    }
    archive.files.insert("dists/stable/InRelease".into(), signed.into_bytes());
    for (_, bytes) in archive.files.iter_mut().filter(|(path, _)| path.contains("/main/")) {
        let middle = bytes.len() / 2;
        match lie {
            Some(Lie::IndexOther) => bytes[middle] ^= 1,
            Some(Lie::IndexCut) => bytes.truncate(middle),
            _ => {}
        }
    }
    archive
}

/// Makes the index of packages a damaged one that InRelease promises.
fn damage_index(archive: &mut Archive, text: &str) -> String {
    let whole = archive.files["dists/stable/main/binary-amd64/Packages.xz"].clone();
    let cut = damaged(&whole);
    for (_, bytes) in archive.files.iter_mut().filter(|(_, bytes)| **bytes == whole) {
        bytes.clone_from(&cut);
    }
    let line = |bytes: &[u8]| format!(" {} {} main/binary-amd64/Packages.xz", Digest::of(bytes), bytes.len());
    let (old, new) = (Digest::of(&whole).to_string(), Digest::of(&cut).to_string());
    let moved = archive.files.iter().find(|(path, _)| path.ends_with(&old)).map(|(path, _)| path.clone()).unwrap();
    archive.files.insert(moved.replace(&old, &new), cut.clone());
    assert!(text.contains(&line(&whole)));
    text.replace(&line(&whole), &line(&cut))
}
