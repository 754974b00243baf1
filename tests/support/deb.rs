//! Makes .deb packages from descriptions, without packaging tools; also such as no packaging tool would make.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::disallowed_methods, reason = "packages of others have other headers than this tool's")]

use std::io::{Read, Write};

/// How a package's members are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Xz,
    Zst,
    Gz,
    Plain,
}

/// A package in the making. Paths are written as they are given: `./usr/bin/x`.
#[derive(Clone)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub architecture: String,
    packing: Packing,
    fields: String,
    control: Vec<(String, u32, Vec<u8>)>,
    data: Vec<u8>,
    mtime: u64,
}

impl Deb {
    /// A package for amd64 that holds the root folder only.
    pub fn new(name: &str, version: &str, packing: Packing) -> Self {
        let empty = Deb {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            packing,
            fields: String::new(),
            control: Vec::new(),
            data: Vec::new(),
            mtime: 1_600_000_000,
        };
        empty.folder("./", 0o755)
    }

    /// Another architecture.
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.into();
        self
    }

    /// A field of the control file; continuation lines as they will stand there.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\n"));
        self
    }

    /// A further file of the control tar.
    pub fn control(mut self, name: &str, mode: u32, content: &str) -> Self {
        self.control.push((name.into(), mode, content.into()));
        self
    }

    /// The time of the members that follow.
    pub fn mtime(mut self, mtime: u64) -> Self {
        self.mtime = mtime;
        self
    }

    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.member(path.as_bytes(), b"", tar::EntryType::Directory, mode, b"")
    }

    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.member(path.as_bytes(), b"", tar::EntryType::Regular, mode, content)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path.as_bytes(), target.as_bytes(), tar::EntryType::Symlink, 0o777, b"")
    }

    pub fn hard_link(self, path: &str, target: &str, mode: u32) -> Self {
        self.member(path.as_bytes(), target.as_bytes(), tar::EntryType::Link, mode, b"")
    }

    /// Any member at all.
    pub fn member(mut self, path: &[u8], link: &[u8], kind: tar::EntryType, mode: u32, content: &[u8]) -> Self {
        append(&mut self.data, path, link, kind, mode, self.mtime, content);
        self
    }

    /// Bytes in the data tar that are no member.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.data.extend_from_slice(bytes);
        self
    }

    /// The package's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut control = Vec::new();
        append(&mut control, b"./", b"", tar::EntryType::Directory, 0o755, self.mtime, b"");
        let stanza = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: Nobody <n@example.org>\n{}Description: one line\n \
             more\n",
            self.name, self.version, self.architecture, self.fields
        );
        append(&mut control, b"./control", b"", tar::EntryType::Regular, 0o644, self.mtime, stanza.as_bytes());
        for (name, mode, content) in &self.control {
            let path = format!("./{name}");
            append(&mut control, path.as_bytes(), b"", tar::EntryType::Regular, *mode, self.mtime, content);
        }
        let ending = match self.packing {
            Packing::Xz => ".xz",
            Packing::Zst => ".zst",
            Packing::Gz => ".gz",
            Packing::Plain => "",
        };
        archive(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{ending}"), &packed(self.packing, ended(control))),
            (&format!("data.tar{ending}"), &packed(self.packing, ended(self.data.clone()))),
        ])
    }
}

/// An ar archive.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut made = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
        made.extend_from_slice(header.as_bytes());
        made.extend_from_slice(content);
        if content.len() % 2 == 1 {
            made.push(b'\n');
        }
    }
    made
}

/// A compressed stream.
pub fn packed(packing: Packing, content: Vec<u8>) -> Vec<u8> {
    let mut made = Vec::new();
    match packing {
        Packing::Xz => drop(liblzma::read::XzEncoder::new(content.as_slice(), 6).read_to_end(&mut made).unwrap()),
        Packing::Zst => made = zstd::encode_all(content.as_slice(), 3).unwrap(),
        Packing::Gz => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&content).unwrap();
            made = encoder.finish().unwrap();
        }
        Packing::Plain => made = content,
    }
    made
}

/// The end mark of a tar.
fn ended(mut tar: Vec<u8>) -> Vec<u8> {
    tar.extend_from_slice(&[0; 1024]);
    tar
}

fn append(tar: &mut Vec<u8>, path: &[u8], link: &[u8], kind: tar::EntryType, mode: u32, mtime: u64, content: &[u8]) {
    for (name, long) in [(link, tar::EntryType::GNULongLink), (path, tar::EntryType::GNULongName)] {
        if name.len() > 100 {
            append(tar, b"././@LongLink", b"", long, 0o644, 0, &[name, b"\0"].concat());
        }
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(123);
    header.set_gid(45);
    header.set_mtime(mtime);
    header.set_size(content.len() as u64);
    let old = header.as_old_mut();
    old.name[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
    old.linkname[..link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
