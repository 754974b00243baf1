//! Images in the making: layers, configuration, manifest; and what a desk says of them.

use crate::desk::Desk;
use crate::workshop::{Member, file, folder, gz, link, special, tar_of, zst};
use snpforge::digest::Digest;
use snpforge::lock::ImageLock;
use snpforge::store::Store;
use std::io::Read;
use tar::EntryType;

/// The repository in all tests.
pub const NAME: &str = "library/jammy";
pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// When the image was made, and its members.
pub const CREATED: &str = "2024-01-01T00:00:00Z";
pub const MADE: u64 = 1_700_000_000;

/// One layer: media type, stored bytes, digest of the tar.
#[derive(Clone)]
pub struct Layer {
    pub media_type: String,
    pub bytes: Vec<u8>,
    pub diff_id: Digest,
    /// More keys of its descriptor.
    pub more: String,
}

impl Layer {
    pub fn new(media_type: &str, members: &[Member]) -> Self {
        let tar = tar_of(members, MADE);
        let bytes = match media_type {
            GZIP => gz(&tar),
            ZSTD => zst(&tar),
            _ => tar.clone(),
        };
        Layer { media_type: media_type.into(), bytes, diff_id: Digest::of(&tar), more: String::new() }
    }

    pub fn digest(&self) -> String {
        Digest::of(&self.bytes).oci()
    }
}

/// An image: its blobs by digest, and its manifest.
pub struct Image {
    pub blobs: Vec<(String, Vec<u8>)>,
    pub manifest: Vec<u8>,
}

impl Image {
    pub fn new(layers: &[Layer]) -> Self {
        Self::of_platform(layers, "amd64")
    }

    pub fn of_platform(layers: &[Layer], architecture: &str) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("{:?}", layer.diff_id.oci())).collect();
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","created":"{CREATED}","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let descriptor = |media_type: &str, bytes: &[u8], more: &str| {
            let digest = Digest::of(bytes).oci();
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}{more}}}"#, bytes.len())
        };
        let list: Vec<String> =
            layers.iter().map(|layer| descriptor(&layer.media_type, &layer.bytes, &layer.more)).collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
            descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes(), ""),
            list.join(",")
        );
        let mut blobs = vec![(Digest::of(config.as_bytes()).oci(), config.into_bytes())];
        blobs.extend(layers.iter().map(|layer| (layer.digest(), layer.bytes.clone())));
        Image { blobs, manifest: manifest.into_bytes() }
    }

    pub fn digest(&self) -> String {
        Digest::of(&self.manifest).oci()
    }

    /// The paths that a registry has it under.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let blobs = self.blobs.iter().map(|(digest, bytes)| (format!("v2/{NAME}/blobs/{digest}"), bytes.clone()));
        let manifest = (format!("v2/{NAME}/manifests/{}", self.digest()), self.manifest.clone());
        blobs.chain([manifest]).collect()
    }

    /// The desk's own server is a registry that has it; the image's reference there.
    pub fn served(&self, desk: &Desk) -> String {
        let files = self.files().into_iter();
        desk.serve("v2", files.map(|(path, bytes)| (path.strip_prefix("v2/").unwrap().to_owned(), bytes)));
        format!("{}/{NAME}@{}", host(desk), self.digest())
    }
}

pub fn host(desk: &Desk) -> String {
    desk.server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned()
}

const STATUS: &str = "Package: only\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nDescription: stays\n\n\
    Package: tool\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\nDescription: goes\n\n";

/// What a distribution's image has, in two layers.
pub fn lower(shell: &[u8]) -> Vec<Member> {
    let text = |path: &str, content: &str| file(path, 0o644, content.as_bytes());
    let mut members = vec![
        link("bin", "usr/bin"),
        link("lib", "usr/lib"),
        link("lib64", "usr/lib64"),
        link("sbin", "usr/sbin"),
        folder("etc/"),
        text("etc/.pwd.lock", ""),
        text("etc/group", "root:x:0:\nubuntu:x:1000:\n"),
        text("etc/hosts", "127.0.0.1 elsewhere\n"),
        text("etc/ld.so.cache", "cache"),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n"),
        link("etc/os-release", "../usr/lib/os-release"),
        text("run/leftover", "x"),
        folder("usr/"),
        folder("usr/bin/"),
        file("usr/bin/busybox", 0o755, shell),
        file("usr/bin/only", 0o4755, b"#!/bin/sh\necho only 1\n"),
        special("usr/bin/only-again", EntryType::Link, "usr/bin/only"),
        file("usr/bin/tool", 0o755, b"#!/bin/sh\necho tool 1\n"),
        folder("usr/lib64/"),
        text("usr/lib64/ld.so", "loader"),
        text("usr/lib/os-release", "ID=ubuntu\nVERSION_ID=\"22.04\"\n"),
        text("usr/share/doc/only/README", "long"),
        text("usr/share/gone/a", "a"),
        text("usr/share/stays/.hidden", "a"),
        text("usr/share/opaque/old", "old"),
        text("usr/share/tool/data", "data 1"),
        text("var/cache/x/y", "noise"),
        text("var/lib/dpkg/status", STATUS),
        text("var/lib/dpkg/status-old", "noise"),
        text("var/lib/dpkg/lock", ""),
        text("var/lib/dpkg/diversions", "/a\n/a.real\nonly\n/b\n/b.real\ntool\n"),
        text("var/lib/dpkg/alternatives/awk", "auto\n"),
        text("var/lib/dpkg/info/format", "1\n"),
        text("var/lib/dpkg/info/only.list", "/.\n/bin\n/bin/only\n/bin/only-again\n/usr\n/usr/share/shared\n"),
        text("var/lib/dpkg/info/only.md5sums", "0  bin/only\n"),
        text("var/lib/dpkg/info/only.triggers", "interest-noawait /usr/share/watched\n"),
        text("var/lib/dpkg/info/tool:amd64.list", "/.\n/bin\n/bin/tool\n/usr/share/tool/data\n/usr/share/tool/conf\n"),
        text("var/lib/dpkg/info/tool:amd64.md5sums", "0  bin/tool\n"),
        text("var/log/x", "noise"),
    ];
    members.extend(["sh", "cat", "cp", "mkdir"].map(|word| link(&format!("usr/bin/{word}"), "busybox")));
    members
}

pub fn upper() -> Vec<Member> {
    let text = |path: &str, content: &str| file(path, 0o644, content.as_bytes());
    let long = format!("usr/share/long/{}", "n".repeat(120));
    let record = format!("path={long}\n");
    let length = record.len() + 4;
    vec![
        folder("etc/"),
        text("etc/issue", "upper\n"),
        folder("usr/"),
        folder("usr/share/"),
        text("usr/share/.wh.gone", ""),
        text("usr/share/.wh.never-there", ""),
        text("usr/share/opaque/.wh..wh..opq", ""),
        text("usr/share/opaque/new", "new"),
        text("usr/share/shared", "base's"),
        text("usr/share/tool/conf", "conf 1"),
        special("pax", EntryType::XHeader, &format!("{length} {record}")),
        text("short", "long name"),
    ]
}

/// The two layers as an image.
pub fn jammy(shell: &[u8]) -> Image {
    Image::new(&[Layer::new(GZIP, &lower(shell)), Layer::new(ZSTD, &upper())])
}

/// Writes images/b.toml: nothing but a base.
pub fn define(desk: &Desk, reference: &str) {
    define_with(desk, reference, "{ ID = \"ubuntu\", VERSION_ID = \"22.04\" }", "", "[]");
}

pub fn define_with(desk: &Desk, reference: &str, claim: &str, archive: &str, packages: &str) {
    let text = format!(
        "format = 1\nsummary = \"s\"\n{archive}[base]\nimage = \"{reference}\"\nos-release = {claim}\n\
         [root]\nmerged-usr = true\npackages = {packages}\nexclude = [\"usr/share/doc/**\"]\n"
    );
    desk.write("images/b.toml", text.as_bytes());
}

pub fn lock(desk: &Desk) -> ImageLock {
    ImageLock::parse("lock", &desk.text("images/b.lock")).unwrap()
}

pub fn store(desk: &Desk, store: &str) -> Store {
    Store::open(&desk.store(store).join("snpforge")).unwrap()
}

/// Every entry of the layer in the store: path, mode, time, and target or content.
pub fn layer(desk: &Desk, name: &str) -> Vec<String> {
    let bytes = store(desk, name).read(&lock(desk).diff_id).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    entries
        .map(|mut entry| {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            let (uid, mtime) = (entry.header().uid().unwrap(), entry.header().mtime().unwrap());
            assert!(uid == 0 || ["build/", "out/"].contains(&path.as_str()), "{path} belongs to {uid}");
            assert!(mtime <= lock(desk).epoch.0, "{path} is of {mtime}");
            match entry.link_name().unwrap() {
                Some(target) => format!("{path} -> {}", target.display()),
                None => {
                    let text = format!("{path} {mode:o} {}", String::from_utf8_lossy(&content).replace('\n', "\\n"));
                    text.trim_end().to_owned()
                }
            }
        })
        .collect()
}

/// The names of everything in a store that was being written or fetched.
pub fn unfinished(desk: &Desk, name: &str) -> Vec<String> {
    let root = desk.store(name).join("snpforge");
    ["tmp", "partial"]
        .iter()
        .flat_map(|part| std::fs::read_dir(root.join(part)).unwrap())
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect()
}
