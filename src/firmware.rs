//! What an OVMF image says about itself: the table of GUIDed entries at its end and the SEV metadata the table points to.
//! A launch measurement and the check that a flavour is what it claims both start here. The bytes may come from anyone,
//! so every length is checked before it is used. This module must not know where an image comes from, nor what a
//! hypervisor does with a section.
//!
//! Formats: edk2 `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm` (the table) and `OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`.
//! The image is mapped so that it ends at 4 GiB. Its last 32 bytes are the reset vector; the table ends before them and
//! is read backwards: each entry is its data, a 16-bit length of the whole entry, and a GUID. All numbers are
//! little-endian.

use crate::error::{Error, Kind, Result};
use std::fmt;

#[cfg(test)]
mod tests;

/// Bytes after the table: 16-bit start code and the jump at 0xfffffff0.
const RESET_VECTOR: usize = 0x20;
/// An entry's 16-bit length and GUID.
const ENTRY_TAIL: usize = 2 + 16;
/// Signature, length, version and count of the SEV metadata, four bytes each.
const METADATA_HEADER: usize = 16;
/// Base, size and type of a section, four bytes each.
const METADATA_SECTION: usize = 12;
/// The only version edk2 has written.
const METADATA_VERSION: u32 = 1;
/// edk2 writes seven sections; the bound keeps a hostile count from costing time.
const SECTIONS: u32 = 256;
/// Sections are handed to the processor in whole pages.
const PAGE: u32 = 4096;

/// A GUID in its byte order on disk: the first three fields little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// The table's last entry, which holds the table's length.
    pub const FOOTER: Guid = Guid::new(0x96b5_82de, 0x1fb2, 0x45f7, [0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d]);
    /// Distance of the SEV metadata from the image's end.
    pub const SEV_METADATA: Guid =
        Guid::new(0xdc88_6566, 0x984a, 0x4798, [0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc]);
    /// Where the hypervisor puts the hashes of kernel, initrd and command line.
    pub const HASH_TABLE: Guid =
        Guid::new(0x7255_371f, 0x3a3b, 0x4b04, [0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54]);
    /// Where an injected launch secret goes.
    pub const SECRET: Guid = Guid::new(0x4c2e_b361, 0x7d9b, 0x4cc3, [0x80, 0x81, 0x12, 0x7c, 0x90, 0xd3, 0xd2, 0x94]);
    /// Where application processors start under SEV-ES.
    pub const ES_RESET: Guid = Guid::new(0x00f7_71de, 0x1a7e, 0x4fcb, [0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e]);

    const fn new(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Guid([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, rest @ ..] = self.0;
        let (a, b, c) =
            (u32::from_le_bytes([a0, a1, a2, a3]), u16::from_le_bytes([b0, b1]), u16::from_le_bytes([c0, c1]));
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d0:02x}{d1:02x}-{}", hex::encode(rest))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// One entry of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the data is.
    pub guid: Guid,
    /// The entry without its length and GUID.
    pub data: Vec<u8>,
}

/// A piece of guest-physical memory below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

impl Region {
    /// The address after the last byte; up to 4 GiB, hence wider.
    pub fn end(&self) -> u64 {
        u64::from(self.base) + u64::from(self.size)
    }
}

/// What a section of the SEV metadata is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Memory the hypervisor validates before the start; its addresses are measured, its content is not.
    SecMemory,
    /// The secrets page.
    Secrets,
    /// The CPUID page.
    Cpuid,
    /// The calling area of an SVSM.
    SvsmCallingArea,
    /// The page with the hashes of kernel, initrd and command line.
    KernelHashes,
    /// A type this program does not know.
    Other(u32),
}

impl From<u32> for SectionKind {
    /// The numbers of edk2's `OVMF_SECTION_TYPE_*`.
    fn from(number: u32) -> Self {
        match number {
            1 => SectionKind::SecMemory,
            2 => SectionKind::Secrets,
            3 => SectionKind::Cpuid,
            4 => SectionKind::SvsmCallingArea,
            0x10 => SectionKind::KernelHashes,
            other => SectionKind::Other(other),
        }
    }
}

/// One section of the SEV metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is for.
    pub kind: SectionKind,
    /// Where it lies: whole pages, at least one, apart from every other section.
    pub region: Region,
}

/// An OVMF image's description of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The table without its footer, in file order.
    pub entries: Vec<Entry>,
    /// The SEV metadata's sections in file order, which is the order of the launch; empty if the image has none.
    pub sections: Vec<Section>,
    /// SEV-ES start of application processors: bits 0 to 15 are IP, the rest is the base of CS.
    pub es_reset: Option<u32>,
    /// Where the hash table goes. `None` also if the image has an entry with no room, as `OvmfPkgX64` does.
    pub hash_table: Option<Region>,
    /// Where a launch secret goes; `None` as for `hash_table`.
    pub secret: Option<Region>,
}

impl Firmware {
    /// Reads the description at the end of `image`.
    ///
    /// # Errors
    /// [`Kind::Document`] if there is no table, or if any length, count or address in it cannot be true.
    pub fn parse(image: &[u8]) -> Result<Self> {
        let entries = table(image)?;
        let sections = match value(&entries, Guid::SEV_METADATA)? {
            Some(distance) => sections(image, u32::from_le_bytes(distance))?,
            None => Vec::new(),
        };
        let es_reset = value(&entries, Guid::ES_RESET)?.map(u32::from_le_bytes);
        let hash_table = region(&entries, Guid::HASH_TABLE)?;
        let secret = region(&entries, Guid::SECRET)?;
        Ok(Firmware { entries, sections, es_reset, hash_table, secret })
    }

    /// The section for the hashes of kernel, initrd and command line: only with it does a launch measure them.
    pub fn kernel_hashes(&self) -> Option<Section> {
        self.sections.iter().copied().find(|section| section.kind == SectionKind::KernelHashes)
    }
}

fn bad(cause: impl fmt::Display) -> Error {
    Error::new(Kind::Document, "firmware image", cause).remedy(
        "give an OVMF.fd or OVMF_CODE.fd as edk2's OvmfPkg builds it; a variable store (OVMF_VARS.fd) has no table",
    )
}

fn bytes<const N: usize>(image: &[u8], at: usize) -> Option<[u8; N]> {
    image.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The entries before the footer, in file order.
fn table(image: &[u8]) -> Result<Vec<Entry>> {
    let footer =
        image.len().checked_sub(RESET_VECTOR + ENTRY_TAIL).ok_or_else(|| bad("it is too short for a table"))?;
    if bytes(image, footer + 2).map(Guid) != Some(Guid::FOOTER) {
        return Err(bad("it does not end with a table of GUIDed entries"));
    }
    let total = usize::from(bytes(image, footer).map_or(0, u16::from_le_bytes));
    let start = (footer + ENTRY_TAIL).checked_sub(total).filter(|start| *start <= footer);
    let mut rest = start
        .and_then(|start| image.get(start..footer))
        .ok_or_else(|| bad(format!("its table cannot have {total} bytes")))?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, before) = last_entry(rest).ok_or_else(|| {
            bad(format!("the table's entry that ends {} bytes after its start is broken", rest.len()))
        })?;
        entries.push(entry);
        rest = before;
    }
    entries.reverse();
    Ok(entries)
}

/// The entry at the end of `table` and what stands before it.
fn last_entry(table: &[u8]) -> Option<(Entry, &[u8])> {
    let tail = table.len().checked_sub(ENTRY_TAIL)?;
    let length = usize::from(u16::from_le_bytes(bytes(table, tail)?));
    let (before, entry) = table.split_at_checked(table.len().checked_sub(length)?)?;
    let data = entry.get(..length.checked_sub(ENTRY_TAIL)?)?.to_vec();
    Some((Entry { guid: Guid(bytes(table, tail + 2)?), data }, before))
}

/// The data of the one entry with this GUID. Two are refused: readers disagree about which of them counts.
fn value<const N: usize>(entries: &[Entry], guid: Guid) -> Result<Option<[u8; N]>> {
    let mut found = entries.iter().filter(|entry| entry.guid == guid);
    let Some(entry) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(bad(format!("its table holds {guid} twice")));
    }
    let data = entry.data.as_slice().try_into();
    data.map(Some).map_err(|_| bad(format!("its table holds {guid} with {} bytes instead of {N}", entry.data.len())))
}

fn region(entries: &[Entry], guid: Guid) -> Result<Option<Region>> {
    let Some([a, b, c, d, e, f, g, h]) = value(entries, guid)? else { return Ok(None) };
    let region = Region { base: u32::from_le_bytes([a, b, c, d]), size: u32::from_le_bytes([e, f, g, h]) };
    if region.end() > 1 << 32 {
        return Err(bad(format!("the region of {guid} reaches beyond 4 GiB")));
    }
    Ok(Some(region).filter(|region| region.size > 0))
}

/// The sections of the SEV metadata that starts `distance` bytes before the image's end.
fn sections(image: &[u8], distance: u32) -> Result<Vec<Section>> {
    let beyond = || bad(format!("the SEV metadata, {distance} bytes before the end, does not lie in the image"));
    let start =
        usize::try_from(distance).ok().and_then(|distance| image.len().checked_sub(distance)).ok_or_else(beyond)?;
    let metadata = &image[start..];
    let word = |at| bytes(metadata, at).map(u32::from_le_bytes).ok_or_else(beyond);
    if !metadata.starts_with(b"ASEV") {
        return Err(bad("the SEV metadata does not start with ASEV"));
    }
    let (length, version, count) = (word(4)?, word(8)?, word(12)?);
    if version != METADATA_VERSION {
        return Err(bad(format!("the SEV metadata has version {version}, only {METADATA_VERSION} is known")));
    }
    if count > SECTIONS || u64::from(length) != METADATA_HEADER as u64 + METADATA_SECTION as u64 * u64::from(count) {
        return Err(bad(format!("the SEV metadata cannot hold {count} sections in {length} bytes")));
    }
    let body =
        usize::try_from(length).ok().and_then(|length| metadata.get(METADATA_HEADER..length)).ok_or_else(beyond)?;
    let mut made: Vec<Section> = Vec::new();
    for (number, raw) in body.as_chunks::<METADATA_SECTION>().0.iter().enumerate() {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *raw;
        let region = Region { base: u32::from_le_bytes([a, b, c, d]), size: u32::from_le_bytes([e, f, g, h]) };
        let section = Section { kind: u32::from_le_bytes([i, j, k, l]).into(), region };
        check(&made, section).map_err(|cause| bad(format!("section {number} of the SEV metadata {cause}")))?;
        made.push(section);
    }
    Ok(made)
}

/// Why `section` cannot stand after those `before` it.
fn check(before: &[Section], section: Section) -> std::result::Result<(), String> {
    let Region { base, size } = section.region;
    if size == 0 || !base.is_multiple_of(PAGE) || !size.is_multiple_of(PAGE) {
        return Err(format!("is not made of whole pages: {size:#x} bytes at {base:#x}"));
    }
    if section.region.end() > 1 << 32 {
        return Err(format!("reaches beyond 4 GiB: {size:#x} bytes at {base:#x}"));
    }
    let other = before
        .iter()
        .position(|other| u64::from(base) < other.region.end() && u64::from(other.region.base) < section.region.end());
    other.map_or(Ok(()), |number| Err(format!("overlaps section {number}: {size:#x} bytes at {base:#x}")))
}
