//! Packages with everything that real ones have been seen with, and layers of them.

use crate::deb::{Deb, Packing};
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::definition::Root;
use snpforge::digest::Digest;
use snpforge::digest::HashWriter;
use snpforge::error::Error;
use snpforge::oci::layer::{self, Contract, Layer, Package, Recipe};
use snpforge::report::Collected;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use tar::EntryType;

pub const EPOCH: Epoch = Epoch(1_700_000_000);

pub fn root() -> Root {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Root {
        merged_usr: true,
        packages: Vec::new(),
        links: BTreeMap::from([("usr/bin/cc".into(), "gcc".into())]),
        exclude: texts(&["usr/share/doc/**", "usr/share/man/**"]),
        keep: texts(&["usr/share/doc/*", "usr/share/doc/*/copyright"]),
    }
}

/// Packages of all compressions.
pub fn sample() -> Vec<Deb> {
    vec![base(), tool(), newer(), Deb::new("plain", "0", Packing::Plain)]
}

/// What every system has, and what only a running one should.
fn base() -> Deb {
    Deb::new("base-files", "12", Packing::Gz)
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
        .file("./var/log/old.log", 0o644, b"noise")
}

/// Links of all kinds, set-id bits, triggers; no md5sums.
fn tool() -> Deb {
    Deb::new("tool", "1:1.0-1", Packing::Zst)
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
        .file("./usr/share/shared/taken-over", 0o644, b"the old owner's")
}

/// Takes a file of `tool` over; names of all lengths and bytes; times of all ages.
fn newer() -> Deb {
    let long_name = "n".repeat(120);
    let long_path = format!("./usr/share/{}{}", format!("{}/", "d".repeat(90)).repeat(3), "file");
    Deb::new("zz-newer", "2.0~rc1-1+b1", Packing::Xz)
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
        .folder("./opt/empty/", 0o755)
}

pub fn packages(debs: &[Deb]) -> Vec<Package> {
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

pub fn build(packages: &[Package], root: &Root, workers: usize) -> Result<(Vec<u8>, Layer), Error> {
    let contract = Contract {
        folders: &["build", "out", "src"],
        owned: &["build", "out"],
        id: 1000,
        user: "builder",
        home: "/build",
    };
    let mut tar = Vec::new();
    let recipe = Recipe { root, base: None, epoch: EPOCH, contract };
    let layer = layer::build(
        packages,
        &recipe,
        workers,
        &tempfile::tempfile().unwrap(),
        &mut HashWriter::new(&mut tar),
        &Collected::default(),
        &Cancel::new(),
    )?;
    Ok((tar, layer))
}

/// One line for each entry: mode, owner, mtime, kind, size or target, first digits of the content's digest, path.
pub fn listing(tar: &[u8]) -> Vec<String> {
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
