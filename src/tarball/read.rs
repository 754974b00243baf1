//! The walk over a tar that others made: its members in their order, each normalised and checked before it is handed out.
//! Knows nothing of what becomes of them.

use super::dialect::{Dialect, Tar};
use super::long::Long;
use super::member::{Body, Member};
use super::name::{normalised, symlink_target};
use super::seen::Seen;
use crate::error::Result;
use std::io::Read;

/// Reads `tar` to its end and hands every member to `visit`. `name` says what it is of in errors.
///
/// # Errors
/// [`crate::error::Kind::Trust`] for what is damaged or hostile, naming the member, [`crate::error::Kind::Io`] when it
/// cannot be read; whatever `visit` fails with.
pub(crate) fn walk(
    name: &str,
    dialect: &Dialect,
    tar: &mut dyn Read,
    visit: &mut dyn FnMut(Member<'_>) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    let tar = Tar { name, dialect };
    let (mut seen, mut long) = (Seen::new(), Long::default());
    // Raw: the long-name members come here too, where their size is bounded, and nothing else is interpreted.
    for entry in archive.entries().map_err(|error| tar.failed(error))?.raw(true) {
        let mut entry = entry.map_err(|error| tar.failed(error))?;
        if long.takes(tar, &mut entry)? {
            continue;
        }
        let (raw, link) = long.names(entry.header());
        let member = member(tar, &raw, link, &mut entry)?;
        if !dialect.is_known {
            seen.note(tar, &raw, &member.path, &member.body)?;
        }
        visit(member)?;
    }
    Ok(())
}

/// The member whose path and link stand in the tar as `raw` and `link`.
fn member<'a>(
    tar: Tar<'_>,
    raw: &[u8],
    link: Option<Vec<u8>>,
    entry: &'a mut tar::Entry<'_, &mut dyn Read>,
) -> Result<Member<'a>> {
    let refused = |cause: String| tar.refused(raw, cause);
    let damaged = |error: std::io::Error| refused(format!("damaged header: {error}"));
    let header = entry.header();
    let kind = header.entry_type();
    let mode = header.mode().map_err(damaged)? & 0o7777;
    let mtime = header.mtime().map_err(damaged)?;
    let size = header.entry_size().map_err(damaged)?;
    let normalised = |raw: &[u8]| normalised(raw, tar.dialect.parts_max).map_err(refused);
    let path = normalised(raw)?;
    let body = match kind {
        tar::EntryType::Directory => Body::Folder,
        tar::EntryType::Regular if raw.ends_with(b"/") => return tar.refuse(raw, "a file with a slash at its end"),
        tar::EntryType::Regular => Body::File { size, content: entry },
        tar::EntryType::Symlink => Body::Symlink(symlink_target(link).map_err(refused)?),
        tar::EntryType::Link => Body::HardLink(normalised(&link.unwrap_or_default())?),
        tar::EntryType::Char | tar::EntryType::Block => return tar.refuse(raw, "is a device"),
        tar::EntryType::Fifo => return tar.refuse(raw, "is a FIFO"),
        other => return tar.refuse(raw, format!("is of tar type {:?}", char::from(other.as_byte()))),
    };
    Ok(Member { path, mode, mtime, body })
}
