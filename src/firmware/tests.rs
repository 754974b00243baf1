//! Synthetic images: the two flavours as edk2 builds them, and everything that can be wrong with them.

use super::*;

type Raw = (u32, u32, u32);

/// The sections of edk2 2025.02's OvmfPkgX64: base, size, type.
const OVMF: [Raw; 6] = [
    (0x80_0000, 0x9000, 1),
    (0x80_a000, 0x3000, 1),
    (0x80_d000, 0x1000, 2),
    (0x80_e000, 0x1000, 3),
    (0x80_f000, 0x1000, 4),
    (0x81_0000, 0x1_0000, 1),
];

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn entry(guid: Guid, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + ENTRY_TAIL).unwrap();
    [data, &length.to_le_bytes(), &guid.0].concat()
}

fn metadata(sections: &[Raw]) -> Vec<u8> {
    let count = u32::try_from(sections.len()).unwrap();
    let body: Vec<u32> = sections.iter().flat_map(|(base, size, kind)| [*base, *size, *kind]).collect();
    [b"ASEV".to_vec(), words(&[16 + 12 * count, 1, count]), words(&body)].concat()
}

/// An image of 16 KiB whose table holds `entries` behind the pointer to `metadata`.
fn image(metadata: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let pointer = entry(Guid::SEV_METADATA, &words(&[0]));
    let body = [&[pointer], entries].concat().concat();
    let total = body.len() + ENTRY_TAIL;
    let footer = [&u16::try_from(total).unwrap().to_le_bytes()[..], &Guid::FOOTER.0].concat();
    let after = [&body[..], &footer, &[0x90; RESET_VECTOR]].concat();
    let distance = u32::try_from(after.len() + metadata.len()).unwrap();
    let mut made = [&vec![0xff; 16384 - after.len() - metadata.len()][..], metadata, &after].concat();
    let at = made.len() - after.len();
    made[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    made
}

fn usual(hash_table: [u32; 2]) -> Vec<Vec<u8>> {
    vec![
        entry(Guid::HASH_TABLE, &words(&hash_table)),
        entry(Guid::SECRET, &words(&[0, 0])),
        entry(Guid::ES_RESET, &words(&[0x0080_b004])),
    ]
}

fn ovmf() -> Vec<u8> {
    image(&metadata(&OVMF), &usual([0, 0]))
}

fn with_sections(sections: &[Raw]) -> Result<Firmware> {
    Firmware::parse(&image(&metadata(sections), &usual([0, 0])))
}

/// The refusal's text; panics if the image is accepted.
fn refusal(image: &[u8]) -> String {
    let error = Firmware::parse(image).unwrap_err();
    assert_eq!(error.kind(), Kind::Document);
    assert!(error.remedy_text().is_some());
    error.to_string()
}

#[test]
fn both_flavours_are_read_in_file_order() {
    let read = Firmware::parse(&ovmf()).unwrap();
    let kinds: Vec<SectionKind> = read.sections.iter().map(|section| section.kind).collect();
    use SectionKind::{Cpuid, KernelHashes, SecMemory, Secrets, SvsmCallingArea};
    assert_eq!(kinds, [SecMemory, SecMemory, Secrets, Cpuid, SvsmCallingArea, SecMemory]);
    assert_eq!(read.sections[1].region, Region { base: 0x80_a000, size: 0x3000 });
    assert_eq!(read.es_reset, Some(0x0080_b004));
    assert_eq!((read.hash_table, read.secret, read.kernel_hashes()), (None, None, None));
    let guids: Vec<Guid> = read.entries.iter().map(|entry| entry.guid).collect();
    assert_eq!(guids, [Guid::SEV_METADATA, Guid::HASH_TABLE, Guid::SECRET, Guid::ES_RESET]);

    let mut sections = OVMF.to_vec();
    sections[5] = (0x81_1000, 0xf000, 1);
    sections.push((0x81_0000, 0x1000, 0x10));
    let read = Firmware::parse(&image(&metadata(&sections), &usual([0x81_0c00, 0x400]))).unwrap();
    assert_eq!(read.hash_table, Some(Region { base: 0x81_0c00, size: 0x400 }));
    assert_eq!(
        read.kernel_hashes(),
        Some(Section { kind: KernelHashes, region: Region { base: 0x81_0000, size: 0x1000 } })
    );
}

#[test]
fn what_is_not_there_is_not_invented() {
    // An image from before SNP: a table without the pointer.
    let mut old = ovmf();
    let at = old.windows(16).position(|window| window == Guid::SEV_METADATA.0).unwrap();
    old[at] ^= 1;
    let read = Firmware::parse(&old).unwrap();
    assert!(read.sections.is_empty());
    assert_eq!(read.es_reset, Some(0x0080_b004));
    assert_eq!(with_sections(&[]).unwrap().sections, []);
    assert_eq!(with_sections(&[(0, 0x1000, 0x77)]).unwrap().sections[0].kind, SectionKind::Other(0x77));
}

#[test]
fn guids_are_shown_as_people_write_them() {
    assert_eq!(Guid::FOOTER.to_string(), "96b582de-1fb2-45f7-baea-a366c55a082d");
    assert_eq!(Guid::SEV_METADATA.to_string(), "dc886566-984a-4798-a75e-5585a7bf67cc");
    assert_eq!(Guid::HASH_TABLE.to_string(), "7255371f-3a3b-4b04-927b-1da6efa8d454");
    assert_eq!(Guid::SECRET.to_string(), "4c2eb361-7d9b-4cc3-8081-127c90d3d294");
    assert_eq!(Guid::ES_RESET.to_string(), "00f771de-1a7e-4fcb-890e-68c77e2fb44e");
    // The order of the bytes in the file, as ResetVectorVtf0.asm writes them.
    assert_eq!(hex::encode(Guid::ES_RESET.0), "de71f7007e1acb4f890e68c77e2fb44e");
}

#[test]
fn an_image_cut_at_the_front_is_read_or_refused_by_what_is_left() {
    let whole = ovmf();
    let described = whole.windows(4).position(|window| window == b"ASEV").unwrap();
    for start in 0..=whole.len() {
        let read = Firmware::parse(&whole[start..]);
        assert_eq!(read.is_ok(), start <= described, "cut at {start}");
    }
    for end in 0..whole.len() {
        refusal(&whole[..end]);
    }
}

#[test]
fn a_wrong_table_is_refused() {
    assert!(refusal(&[0xff; 4096]).contains("does not end with a table"));
    assert!(refusal(&[]).contains("too short"));
    let good = ovmf();
    let footer = good.len() - RESET_VECTOR - ENTRY_TAIL;
    for total in [0, 1, 17, 0xffff] {
        let mut bad = good.clone();
        bad[footer..footer + 2].copy_from_slice(&u16::to_le_bytes(total));
        assert!(refusal(&bad).contains(&format!("cannot have {total} bytes")), "{total}");
    }
    // The last entry before the footer: too short for its own tail, and longer than the table.
    for length in [0, 17, 0x7fff] {
        let mut bad = good.clone();
        bad[footer - 18..footer - 16].copy_from_slice(&u16::to_le_bytes(length));
        assert!(refusal(&bad).contains("is broken"), "{length}");
    }
    let twice = [usual([0, 0]), usual([0, 0])].concat();
    assert!(refusal(&image(&metadata(&OVMF), &twice)).contains("twice"));
    let odd = [entry(Guid::ES_RESET, &[0; 5])];
    assert!(refusal(&image(&metadata(&OVMF), &odd)).contains("5 bytes instead of 4"));
    assert!(refusal(&image(&metadata(&OVMF), &usual([0xffff_f000, 0x2000]))).contains("beyond 4 GiB"));
}

#[test]
fn wrong_metadata_is_refused() {
    let with = |at: usize, word: u32| {
        let mut raw = metadata(&OVMF);
        raw[at..at + 4].copy_from_slice(&word.to_le_bytes());
        refusal(&image(&raw, &usual([0, 0])))
    };
    assert!(with(0, 0).contains("ASEV"));
    assert!(with(4, 15).contains("6 sections in 15 bytes"));
    assert!(with(4, u32::MAX).contains("cannot hold"));
    assert!(with(8, 2).contains("version 2"));
    for count in [5, 7, 257, 0x1555_5555, u32::MAX] {
        assert!(with(12, count).contains("cannot hold"), "{count}");
    }
    // Count and length agree with each other and not with the file.
    let mut raw = metadata(&OVMF);
    raw[4..16].copy_from_slice(&words(&[16 + 12 * 200, 1, 200]));
    assert!(refusal(&image(&raw, &usual([0, 0]))).contains("does not lie in the image"));
    for distance in [0, 1, 15, 16385, u32::MAX] {
        let mut bad = ovmf();
        let at = bad.windows(16).position(|window| window == Guid::SEV_METADATA.0).unwrap() - 6;
        bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(distance));
        refusal(&bad);
    }
}

#[test]
fn sections_are_whole_pages_apart_from_each_other() {
    for (sections, cause) in [
        ([(0x1000, 0x2000, 1), (0x2000, 0x1000, 2)], "section 1 of the SEV metadata overlaps section 0"),
        ([(0x1000, 0x3000, 1), (0x2000, 0x1000, 2)], "overlaps"),
        ([(0x1000, 0x1000, 1), (0x1000, 0x1000, 1)], "overlaps"),
        ([(0x1000, 0x1000, 1), (0x2800, 0x1000, 2)], "whole pages"),
        ([(0x1000, 0x1000, 1), (0x2000, 0x0800, 2)], "whole pages"),
        ([(0x1000, 0x1000, 1), (0x2000, 0x0000, 2)], "whole pages"),
        ([(0x1000, 0x1000, 1), (0xffff_f000, 0x2000, 2)], "beyond 4 GiB"),
    ] {
        let shown = with_sections(&sections).unwrap_err().to_string();
        assert!(shown.contains(cause), "{sections:x?}: {shown}");
    }
    // Neighbours touch, and the last page below 4 GiB is one.
    with_sections(&[(0x2000, 0x1000, 1), (0x1000, 0x1000, 2), (0xffff_f000, 0x1000, 3)]).unwrap();
}

/// Numbers that look random and are the same in every run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

#[test]
fn no_mutation_panics_and_what_is_accepted_keeps_the_promises() {
    let good = ovmf();
    let described = good.windows(4).position(|window| window == b"ASEV").unwrap();
    let mut random = Xorshift(0x5eed_0f0f_5eed_0f0f);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..200_000 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(6) {
            let at = described + random.below(good.len() - described);
            bytes[at] = [0, 1, 0x10, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(16)][random.below(8)];
        }
        let from = if random.below(8) == 0 { random.below(bytes.len()) } else { 0 };
        let Ok(read) = Firmware::parse(&bytes[from..]) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        for (number, section) in read.sections.iter().enumerate() {
            let Region { base, size } = section.region;
            assert!(size > 0 && base % PAGE == 0 && size % PAGE == 0 && section.region.end() <= 1 << 32);
            let apart = |other: &Section| {
                other.region.end() <= u64::from(base) || section.region.end() <= u64::from(other.region.base)
            };
            assert!(read.sections[..number].iter().all(apart));
        }
        let table: usize = read.entries.iter().map(|entry| entry.data.len() + ENTRY_TAIL).sum();
        assert!(table <= usize::from(u16::MAX));
    }
    // Both ways must be taken often, or the mutations say nothing.
    assert!(accepted > 10_000 && refused > 10_000, "{accepted} accepted, {refused} refused");
}
