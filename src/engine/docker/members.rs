//! The tar an engine gives for /out, turned into members relative to /out. Docker and Podman name the same file
//! `out/a`, `/a` or `a` and shape its mode differently: here that ends. The tar is untrusted: what does not lie
//! below its own first folder is handed on under the name it claims, for the collector to refuse.

use crate::engine::{Member, MemberKind, Take};
use crate::error::{Error, Kind, Result};
use crate::tarball::Whole;
use std::io::Read;

/// Gives every member of `tar` but the folder itself to `take`.
///
/// # Errors
/// [`Kind::Engine`] when the tar is damaged, is no folder's or ends too early; what `take` fails with.
pub(super) fn hand_out(tar: &mut dyn Read, take: &mut Take<'_>) -> Result<()> {
    let mut archive = tar::Archive::new(Whole::new(tar));
    let mut prefix: Option<Vec<u8>> = None;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = trimmed(&entry.path_bytes()).to_vec();
        let kind = kind(entry.header().entry_type());
        let Some(prefix) = &prefix else {
            if kind != MemberKind::Folder {
                return Err(damaged("it does not begin with the folder"));
            }
            prefix = Some(name);
            continue;
        };
        let member = Member {
            path: String::from_utf8_lossy(below(&name, prefix)).into_owned(),
            kind,
            mode: entry.header().mode().map_err(damaged)? & 0o7777,
            size: if kind == MemberKind::File { entry.size() } else { 0 },
        };
        take(&member, &mut entry)?;
    }
    if archive.into_inner().is_cut() || prefix.is_none() {
        return Err(damaged("it ends too early"));
    }
    Ok(())
}

fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Engine, "archive of /out", format!("the engine sent a damaged one: {cause}"))
        .remedy("look at the engine's own log, then run the command again")
}

fn kind(entry: tar::EntryType) -> MemberKind {
    match entry {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => MemberKind::File,
        tar::EntryType::Directory => MemberKind::Folder,
        tar::EntryType::Symlink => MemberKind::Symlink,
        _ => MemberKind::Other,
    }
}

/// A name without the slashes around it and without `./` in front.
fn trimmed(mut name: &[u8]) -> &[u8] {
    loop {
        name = match name {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] => rest,
            [rest @ .., b'/'] => rest,
            b"." => return b"",
            other => return other,
        };
    }
}

/// The name below the archive's own folder, or the whole name where it does not lie below it.
fn below<'a>(name: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    if prefix.is_empty() {
        return name;
    }
    name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{Attributes, Writer};

    const PLAIN: Attributes = Attributes { mode: 0o644, mtime: 0, owner: 1000 };

    /// The same three members, named as an engine names them: `(folder, prefix of the members, type bits)`.
    fn named(folder: &str, prefix: &str, bits: u32) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let path = |name: &str| format!("{prefix}{name}").into_bytes();
        writer.folder(folder.as_bytes(), Attributes { mode: 0o755, ..PLAIN }).unwrap();
        writer.folder(&path("out"), Attributes { mode: 0o755, ..PLAIN }).unwrap();
        writer.file(&path("out/a"), Attributes { mode: 0o755 | bits, ..PLAIN }, 3, &mut &b"abc"[..]).unwrap();
        writer.symlink(&path("link"), b"/etc/passwd", PLAIN).unwrap();
        writer.finish().unwrap()
    }

    fn read(mut tar: &[u8]) -> Result<Vec<(Member, Vec<u8>)>> {
        let mut found = Vec::new();
        hand_out(&mut tar, &mut |member, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            found.push((member.clone(), bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_engine_tells_the_same() {
        let docker = read(&named("out", "out/", 0)).unwrap();
        let paths: Vec<_> = docker.iter().map(|(member, _)| member.path.as_str()).collect();
        assert_eq!(paths, ["out", "out/a", "link"]);
        assert_eq!(docker[1].0, Member { path: "out/a".into(), kind: MemberKind::File, mode: 0o755, size: 3 });
        assert_eq!((docker[1].1.as_slice(), docker[2].0.kind), (&b"abc"[..], MemberKind::Symlink));
        for (folder, prefix) in [("/", "/"), ("./", "./"), ("out/", "out/"), ("/out", "/out/")] {
            assert_eq!(read(&named(folder, prefix, 0)).unwrap(), docker, "{folder}");
        }
    }

    #[test]
    fn hostile_names_keep_their_claim() {
        let mut writer = Writer::new(Vec::new());
        writer.folder(b"out", PLAIN).unwrap();
        for name in [&b"out/../../etc/x"[..], b"elsewhere/x", b"out/bad\xff"] {
            writer.file(name, PLAIN, 0, &mut std::io::empty()).unwrap();
        }
        let found = read(&writer.finish().unwrap()).unwrap();
        let paths: Vec<_> = found.iter().map(|(member, _)| member.path.as_str()).collect();
        assert_eq!(paths, ["../../etc/x", "elsewhere/x", "bad\u{fffd}"]);
    }

    #[test]
    fn a_tar_cut_anywhere_is_noticed() {
        let whole = named("out", "out/", 0);
        for length in (0..whole.len() - 1024).step_by(512) {
            let error = read(&whole[..length]).unwrap_err();
            assert_eq!(error.kind(), Kind::Engine, "cut after {length} bytes");
        }
    }

    #[test]
    fn a_lone_file_is_no_folder() {
        let mut writer = Writer::new(Vec::new());
        writer.file(b"out", PLAIN, 0, &mut std::io::empty()).unwrap();
        assert!(read(&writer.finish().unwrap()).unwrap_err().to_string().contains("begin with the folder"));
    }
}
