//! Names that stand in members of their own, before the one they belong to: GNU's long names, and pax headers. Knows nothing
//! of what makes a name a good one.

use super::dialect::Tar;
use super::name::PATH_MAX;
use crate::error::Result;
use std::io::Read;

/// Bytes of a pax header: names, and extended attributes that nobody reads here.
const PAX_MAX: u64 = 1 << 20;

/// What is known of the next member's names.
#[derive(Default)]
pub(super) struct Long {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Long {
    /// Whether a member only says something of the next one, which is remembered then.
    pub(super) fn takes(&mut self, tar: Tar<'_>, entry: &mut tar::Entry<'_, impl Read>) -> Result<bool> {
        match entry.header().entry_type() {
            tar::EntryType::GNULongName => self.path = Some(gnu(tar, entry)?),
            tar::EntryType::GNULongLink => self.link = Some(gnu(tar, entry)?),
            tar::EntryType::XGlobalHeader if tar.dialect.has_pax => {}
            tar::EntryType::XHeader if tar.dialect.has_pax => self.pax(tar, entry)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The path of a member, and its link's target, as they stand in the tar.
    pub(super) fn names(&mut self, header: &tar::Header) -> (Vec<u8>, Option<Vec<u8>>) {
        let path = self.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.link.take().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        (path, link)
    }

    /// Takes the names out of a pax header. All else in it (finer times, names of owners, extended attributes) is nothing
    /// that a root keeps.
    fn pax(&mut self, tar: Tar<'_>, entry: &mut tar::Entry<'_, impl Read>) -> Result<()> {
        let name = entry.header().path_bytes().into_owned();
        let mut bytes = Vec::new();
        entry.take(PAX_MAX + 1).read_to_end(&mut bytes).map_err(|error| tar.failed(error))?;
        if bytes.len() as u64 > PAX_MAX {
            return tar.refuse(&name, format!("its pax header is longer than {PAX_MAX} bytes"));
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value) = pax_record(&mut rest)
                .ok_or_else(|| tar.refused(&name, "damaged pax header: a record is not as long as it says"))?;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                // Only files of 8 GiB need it.
                b"size" => return tar.refuse(&name, "has its size in a pax header"),
                key if key.starts_with(b"GNU.sparse") => return tar.refuse(&name, "is a sparse file"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The content of a long-name member, without the NUL at its end.
fn gnu(tar: Tar<'_>, entry: &mut impl Read) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.take(PATH_MAX as u64 + 2).read_to_end(&mut name).map_err(|error| tar.failed(error))?;
    if name.last() == Some(&0) {
        name.pop();
    }
    if name.len() > PATH_MAX {
        return tar.refuse(&name[..64], format!("is longer than {PATH_MAX} bytes"));
    }
    Ok(name)
}

/// The next record, `LENGTH KEY=VALUE` and a line end, by its length: values may hold line ends.
fn pax_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let space = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let record = rest.get(space..length)?.strip_prefix(b" ")?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    *rest = &rest[length..];
    Some((&record[..equals], &record[equals + 1..]))
}
