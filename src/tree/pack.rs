//! A folder of this machine into a tar that says nothing of this machine: sorted, modes 0644 and 0755, owner root, one
//! time. For recipes and local sources.

use super::shown;
use super::walk::{DEEPEST, Found, Limits, Walker, list};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use crate::tarball::{Attributes, Writer};
use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes everything in `folder` below `prefix` (`a/b`; empty: at the top), with an entry for each folder of the prefix,
/// sorted by the bytes of the whole name. Symbolic links stay links.
///
/// # Errors
/// [`Kind::Document`] naming a device, FIFO or socket; [`Kind::Io`] when reading or writing fails, or a file changes
/// while it is read.
pub fn pack<W: Write>(folder: &Path, prefix: &str, epoch: Epoch, writer: &mut Writer<W>) -> Result<()> {
    let mut walker = Walker::new(folder).map_err(|error| Error::io(folder, "read", error))?;
    let mut found =
        list(&mut walker, &Limits { entries: usize::MAX, depth: DEEPEST }).map_err(|why| why.about(folder))?;
    found.sort_by_cached_key(Found::name);
    let attributes = |mode| Attributes { mode, mtime: epoch.0, owner: 0 };
    let mut above = Vec::new();
    for part in prefix.split('/').filter(|part| !part.is_empty()) {
        above.extend_from_slice(part.as_bytes());
        writer.folder(&above, attributes(0o755)).map_err(|error| Error::io(folder, "pack", error))?;
        above.push(b'/');
    }
    for entry in found {
        let name = [above.as_slice(), &entry.name()].concat();
        let path = folder.join(shown(&entry.name()));
        let packed = match entry.kind() {
            FileType::Directory => writer.folder(&name, attributes(0o755)),
            FileType::Symlink => link(&mut walker, &entry, |target| writer.symlink(&name, target, attributes(0o777))),
            FileType::RegularFile => {
                let mode = if entry.stat.st_mode & 0o111 == 0 { 0o644 } else { 0o755 };
                content(&mut walker, &entry)
                    .and_then(|(mut file, size)| writer.file(&name, attributes(mode), size, &mut file))
            }
            other => {
                return Err(Error::new(
                    Kind::Document,
                    path.display(),
                    format!("is a {other:?}, which no tar of sources holds"),
                )
                .remedy("remove it from the folder"));
            }
        };
        packed.map_err(|error| Error::io(&path, "pack", error))?;
    }
    Ok(())
}

fn parts(entry: &Found) -> Vec<&[u8]> {
    entry.path.iter().map(Vec::as_slice).collect()
}

fn link(walker: &mut Walker, entry: &Found, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let parts = parts(entry);
    let Some((name, parents)) = parts.split_last() else { return Ok(()) };
    let target = readlinkat(walker.folder(parents)?, *name, Vec::new())?;
    take(target.to_bytes())
}

/// The file, opened and of the size it has now.
fn content(walker: &mut Walker, entry: &Found) -> io::Result<(File, u64)> {
    let parts = parts(entry);
    let Some((name, parents)) = parts.split_last() else { return Err(io::ErrorKind::NotFound.into()) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(walker.folder(parents)?, *name, flags, Mode::empty())?);
    let size = file.metadata()?.len();
    Ok((file, size))
}
