//! The project's own table, judged case by case.

use super::*;
use crate::date::Epoch;
use crate::digest::Digest;

const TABLE: &str = include_str!("../../releases/known/compatibility.toml");

fn table() -> Compatibility {
    Compatibility::parse("compatibility.toml", TABLE).unwrap()
}

/// A lock of these parts: host, guest, QEMU, OVMF; an empty one is not there, 40 digits are a commit.
fn lock(parts: [&str; 4]) -> ReleaseLock {
    let source = |(component, text): (Component, &str)| {
        let git = Pin::Git {
            url: "https://h/x".into(),
            reference: None,
            commit: text.into(),
            tree: String::new(),
            submodules: vec![],
        };
        let tarball = Pin::Tarball { urls: vec![], sha256: Digest::of(b"") };
        let (version, pin) = if text.len() == 40 { (&text[..12], git) } else { (text, tarball) };
        let source = |folder: &str, version: &str| SourceLock {
            component,
            folder: folder.into(),
            version: version.into(),
            epoch: Epoch(0),
            digest: None,
            wish: None,
            pin: pin.clone(),
        };
        // What stands beside the main source does not count.
        [source("main", version), source("extra", "0.1")]
    };
    let parts = Component::ALL.into_iter().zip(parts).filter(|(_, text)| !text.is_empty());
    ReleaseLock {
        format: 1,
        definition: Digest::of(b""),
        date: "2026-11-23".parse().unwrap(),
        epoch: Epoch(0),
        suite: vec![],
        source: parts.flat_map(source).collect(),
    }
}

const HOST: &str = "5a170ce1a08259ac57a9074e1e7a170d6b8c0cda";
const GUEST: &str = "038d61fd642278bab63ee8ef722c50d10ab01e8f";
const QEMU: &str = "f246dd2ad51d2c6c3ce9a588a8ce9c6a2d8c20e1";
const OVMF: &str = "09fbe92dc545779671d7fd89a5bd4f1b14f7e69b";
const OTHER: &str = "1111111111111111111111111111111111111111";

#[test]
fn parts_that_do_not_fit_are_refused_with_the_reason() {
    for (parts, cause, remedy) in [
        (
            ["6.12.107-1", "6.12.107-1", "1:8.2.0+ds-1", "2025.02-8"],
            "qemu 8.2.0 with kernel-host 6.12.107: host kernels have upstream's SNP interface since 6.11, which QEMU speaks \
             since 9.1; out of step, a launch fails with ret=-22 or ret=-25",
            "choose qemu 9.1 or newer, or other versions",
        ),
        (
            ["6.9.0-rc7-g111111111111", "", "10.2.0", ""],
            "kernel-host 6.9.0 with qemu 10.2.0: QEMU speaks upstream's SNP interface since 9.1",
            "choose kernel-host 6.11 or newer",
        ),
        (
            ["6.18.5", "6.18.5", "10.2.0", "202402"],
            "ovmf 202402 with kernel-host 6.18.5: older edk2 lacks the APIC MMIO fix: QEMU stops with \"Convert non \
             guest_memfd backed memory region (0xfee00000)\"",
            "choose ovmf 202405 or newer",
        ),
        (
            ["5.19.0-rc6", "5.19.0", "6.1.50", "edk2-stable202305"],
            "ovmf 202305 with kernel-host 5.19.0: an AP creation fix in edk2 after stable202302",
            "choose ovmf 202302 or older",
        ),
        (
            ["6.6.0-rc1-g5a170ce1a082", "", "8.2.0-gf246dd2ad51d", ""],
            "kernel-host 6.6.0 with qemu 8.2.0: SNP in QEMU 8.2 is AMD's tree of the 6.8-rc5 line",
            "choose kernel-host 6.8 to 6.10",
        ),
        (
            ["", "5.15.9", "", ""],
            "kernel-guest 5.15.9: Linux runs as an SNP guest since 5.19",
            "choose kernel-guest 5.19",
        ),
    ] {
        let error = table().judge("mine", &lock(parts)).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Lock, "releases/mine.lock"), "{parts:?}");
        assert!(error.cause().contains(&format!("its parts do not fit together: {cause}")), "{parts:?}: {error}");
        let said = error.remedy_text().unwrap();
        assert!(said.contains(remedy) && said.contains("`snpforge lock --release mine`"), "{parts:?}: {said}");
    }
}

#[test]
fn the_four_seen_heads_of_amds_branches_are_no_release() {
    let error = table().judge("amd", &lock([HOST, GUEST, QEMU, OVMF])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "releases/amd.lock: its parts are of different eras: kernel-host of November 2023 (linux snp-host-latest, \
         6.6.0-rc1); kernel-guest of 2025 (linux snp-guest-latest, v6.16); qemu of February 2024 (qemu snp-latest, 8.2.0); \
         ovmf of November 2023 (ovmf snp-latest, about edk2-stable202302)"
    );
    assert!(error.remedy_text().unwrap().contains("releases/amd.toml"));
    for two in [[HOST, "", QEMU, ""], ["", GUEST, QEMU, ""], ["", "", QEMU, OVMF]] {
        assert_eq!(table().judge("amd", &lock(two)).unwrap_err().kind(), Kind::Lock, "{two:?}");
    }
    for one in [[HOST, "", "", OVMF], [OTHER, OTHER, QEMU, OTHER], [OTHER; 4]] {
        assert!(table().judge("amd", &lock(one)).is_ok(), "{one:?}");
    }
}

#[test]
fn every_line_has_its_dialect_and_its_notes() {
    let (memory, patched, srso, file, gone, init2) =
        ("guest_memfd", "patched OVMF", "SRSO", "from a file", "PAUSE_ATTESTATION", "KVM_SEV_INIT2");
    let all = [memory, patched, srso, file, gone, init2];
    for (parts, line, dialect, notes) in [
        (["5.19.0", "5.19.0", "6.1.50", "202302"], "5.19", "two pflash drives", vec![]),
        (["6.5.0-rc2", "6.16.0", "8.0.0", OTHER], "6.5", "kvm-type=protected", vec![memory, patched]),
        (["6.6.0-rc1", "", "", OTHER], "6.6", "memory-backend-memfd-private", vec![memory, patched, srso]),
        (["6.8.0-rc5", "", "8.2.0", ""], "6.8-rc5", "certs-path", vec![memory, patched, srso, file]),
        (["6.9.0-rc1", "", "", ""], "6.9-rc1", "sev-snp-guest,help", vec![memory, patched, srso, file]),
        (["6.10.0-rc1", "", "", ""], "kvm/next", "-bios", all.to_vec()),
        (["6.18.5", "6.18.5", "10.2.0", "202511"], "upstream", "-bios", vec![memory, srso, file, gone, init2]),
        (
            ["6.12.107-1", "6.12.107-1", "1:10.0.13+ds-0", "2025.02-8"],
            "upstream",
            "-bios",
            vec![memory, srso, file, gone, init2],
        ),
    ] {
        let advice = table().judge("r", &lock(parts)).unwrap();
        let found = advice.line.unwrap();
        assert_eq!(found.name, line);
        assert!(found.dialect.contains(dialect) && found.firmware.contains("1.51"), "{line}: {found:?}");
        let told: Vec<&str> =
            all.into_iter().filter(|word| advice.notes.iter().any(|note| note.contains(word))).collect();
        assert_eq!(told, notes, "{line}");
    }
    // Between the lines, and with nothing but a commit, nothing is claimed.
    for parts in [["6.7.1", "", "", ""], [OTHER, "", "", ""], ["", "", "10.2.0", ""]] {
        assert_eq!(table().judge("r", &lock(parts)).unwrap().line, None, "{parts:?}");
    }
}

#[test]
fn edk2s_notes_follow_its_tags() {
    for (ovmf, words) in [
        ("202302", vec!["subhook", "202505", "202511"]),
        ("202411", vec!["202505", "202511"]),
        ("2025.02-8", vec!["-bios", "202505", "202511"]),
        ("202508", vec!["-bios", "202511"]),
        ("202511", vec!["-bios"]),
    ] {
        let notes = table().judge("r", &lock(["", "", "", ovmf])).unwrap().notes;
        let told = ["subhook", "-bios", "202505", "202511"]
            .into_iter()
            .filter(|word| notes.iter().any(|note| note.contains(word)));
        assert_eq!(told.collect::<Vec<_>>(), words, "{ovmf}: {notes:?}");
    }
}

#[test]
fn a_table_that_makes_no_sense_is_refused_by_line() {
    let rule = "format = 1\n[[rule]]\nneeds = { qemu = { from = \"new\" } }\nbecause = \"b\"\n";
    let error = Compatibility::parse("t.toml", rule).unwrap_err();
    assert!(error.cause().contains("line 3") && error.cause().contains("`new`"), "{error}");
    let error = Compatibility::parse("t.toml", &rule.replace("qemu", "grub")).unwrap_err();
    assert!(error.cause().contains("grub"), "{error}");
    assert!(Compatibility::parse("t.toml", "format = 2\n").unwrap_err().cause().contains("format 2"));
    let nothing = Compatibility::default().judge("r", &lock(["6.12", "", "8.2.0", ""])).unwrap();
    assert_eq!(nothing, Advice::default(), "where nothing is known, nothing is refused");
}
