//! What the sums say against what is there.

use crate::release::{ALICE, NAME, Release, link};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

const VERIFY: [&str; 4] = ["verify", "release", "--allowed-signers", "keys/allowed"];
/// What is spoilt, how, and what is said of it.
type Spoil = (&'static str, fn(&Release), &'static [&'static str]);
/// A change of the sums file, and what is said of it.
type Odd = (fn(String) -> String, &'static str);

pub fn holds_however_it_is_named() {
    let release = Release::signed();
    let (folder, sums) = (format!("release/{NAME}"), format!("release/{NAME}.SHA256SUMS"));
    link(NAME, &release.path("latest"));
    for bundle in ["release", &folder, &sums, "release/latest", &format!("{folder}/.")] {
        let shown = release.succeeds(&["verify", bundle, "--allowed-signers", "keys/allowed"]);
        let lines = [
            format!("{NAME}: good"),
            "alice@example.org".into(),
            format!("checked      {NAME}/: 3 files, 2400021 bytes"),
            format!("checked      {NAME}.tar.gz"),
            "checked      ovmf-2025.02-0123456789ab.tar.gz".into(),
        ];
        for line in lines {
            assert!(shown.contains(&line), "{bundle}: no `{line}` in\n{shown}");
        }
        assert!(!shown.contains("not here"), "{shown}");
    }
}

pub fn signing_again_changes_nothing() {
    let release = Release::new();
    let unsigned = release.snapshot();
    assert!(release.succeeds(&["sign", "release", "--key", "keys/alice"]).starts_with(&format!("{NAME}: signed\n")));
    let mut signed = release.snapshot();
    let modified = fs::metadata(release.signature(&ALICE)).unwrap().modified().unwrap();
    let again = release.succeeds(&["sign", "release", "--key", "keys/alice"]);
    assert!(again.contains("was signed already"), "{again}");
    assert_eq!(release.snapshot(), signed);
    assert_eq!(fs::metadata(release.signature(&ALICE)).unwrap().modified().unwrap(), modified);
    signed.retain(|(path, _)| *path != release.signature(&ALICE));
    assert_eq!(signed, unsigned, "signing changes no byte of the release");
    // A release of other content under the same name: the old signature is worth nothing.
    release.put(&format!("{NAME}.tar.gz"), "another build\n");
    release.sum();
    release.bad(&["signed by 0 of 1", "was changed after key SHA256:"]);
    let replaced = release.succeeds(&["sign", "release", "--key", "keys/alice"]);
    assert!(replaced.contains("an older signature of this key was replaced"), "{replaced}");
    release.good();
}

pub fn every_change_of_a_file_is_seen() {
    let spoil: [Spoil; 9] = [
        ("a changed file", |r| r.put(&format!("{NAME}/install.sh"), "#!/bin/sh\nrm\n"), &["install.sh: was changed"]),
        ("an extra file", |r| r.put(&format!("{NAME}/usr/x"), ""), &["usr/x: is a file that is not listed"]),
        (
            "an extra folder",
            |r| fs::create_dir(r.path(NAME).join("new")).unwrap(),
            &["new: is a folder that is not listed"],
        ),
        ("a missing file", |r| fs::remove_file(r.path(NAME).join("install.sh")).unwrap(), &["install.sh: is missing"]),
        ("no inner sums", |r| fs::remove_file(r.path(NAME).join("SHA256SUMS")).unwrap(), &["SHA256SUMS: is missing"]),
        ("other inner sums", |r| r.put(&format!("{NAME}/SHA256SUMS"), "x"), &["SHA256SUMS: was changed"]),
        ("a changed tarball", |r| r.put(&format!("{NAME}.tar.gz"), "other\n"), &["tar.gz: was changed: its sha256 is"]),
        (
            "a file that runs as root",
            |r| fs::set_permissions(r.path(NAME).join("install.sh"), PermissionsExt::from_mode(0o4755)).unwrap(),
            &["install.sh: would run as another user"],
        ),
        (
            "two things",
            |r| {
                r.put(&format!("{NAME}/a"), "");
                r.put(&format!("{NAME}/install.sh"), "");
            },
            &["2 things do not hold", "/a: is a file that is not listed", "install.sh: was changed"],
        ),
    ];
    for (what, spoil, words) in spoil {
        let release = Release::signed();
        release.good();
        spoil(&release);
        assert_ne!(release.run(&VERIFY).status.code(), Some(0), "{what} goes unseen");
        release.bad(words);
    }
    // A forger who keeps the files and the sums consistent fails at the signature, and the files are not looked at.
    let release = Release::signed();
    release.put(&format!("{NAME}/install.sh"), "#!/bin/sh\nrm\n");
    release.sum();
    release.bad(&["is signed by 0 of 1", "does not fit the sums file"]);
    fs::remove_file(release.sums()).unwrap();
    release.fails(&["verify", "release", "--allowed-signers", "keys/allowed"], 5, &["SHA256SUMS: is not there"]);
}

pub fn what_is_no_plain_file_is_refused() {
    let release = Release::signed();
    // Of the right content, but elsewhere.
    fs::rename(release.path(NAME).join("install.sh"), release.path("elsewhere")).unwrap();
    link("../elsewhere", &release.path(NAME).join("install.sh"));
    release.bad(&["install.sh: is no regular file"]);
    let release = Release::signed();
    link("/etc/passwd", &release.path(NAME).join("link"));
    release.bad(&["link: is a link"]);
    let release = Release::signed();
    fs::rename(release.path(NAME).join("usr"), release.path("usr")).unwrap();
    link("../usr", &release.path(NAME).join("usr"));
    release.bad(&["usr: is a link", "usr/local/bin/qemu-img: is missing"]);
    let release = Release::signed();
    fs::rename(release.path(NAME), release.path("moved")).unwrap();
    link("moved", &release.path(NAME));
    release.bad(&["is no folder"]);
    for name in [format!("{NAME}.tar.gz"), format!("{NAME}/SHA256SUMS")] {
        let release = Release::signed();
        fs::rename(release.path(&name), release.path("moved")).unwrap();
        link(release.path("moved").to_str().unwrap(), &release.path(&name));
        release.bad(&[&name, "is a link"]);
    }
    let release = Release::signed();
    fs::rename(release.sums(), release.path("moved")).unwrap();
    link("moved", &release.sums());
    release.fails(&["verify", "release", "--allowed-signers", "keys/allowed"], 5, &["SHA256SUMS: is a link"]);
    // A pipe must not make the check wait.
    let release = Release::signed();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        release.path(NAME).join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    release.bad(&["pipe: is neither file nor folder"]);
    // More than any release has is no trouble of this machine.
    let release = Release::signed();
    fs::create_dir_all(release.path(NAME).join("d/".repeat(64))).unwrap();
    release.bad(&[NAME, "holds folders deeper than 64"]);
    // Names that a terminal would obey are shown, not sent.
    let release = Release::signed();
    fs::write(release.path(NAME).join(std::ffi::OsStr::from_bytes(b"\x1b[2J\n\xff")), "").unwrap();
    release.bad(&["\\u{1b}[2J\\n"]);
}

pub fn parts_are_enough_and_said() {
    let release = Release::signed();
    fs::remove_file(release.path("ovmf-2025.02-0123456789ab.tar.gz")).unwrap();
    fs::remove_dir_all(release.path(NAME)).unwrap();
    let shown = release.good();
    assert!(shown.contains(&format!("checked      {NAME}.tar.gz")), "{shown}");
    assert!(shown.contains("not here     ovmf-") && shown.contains(&format!("not here     {NAME}/")), "{shown}");
    fs::remove_file(release.path(&format!("{NAME}.tar.gz"))).unwrap();
    release.bad(&["nothing was checked"]);
    let release = Release::signed();
    fs::remove_file(release.path(&format!("{NAME}.tar.gz"))).unwrap();
    assert!(release.good().contains(&format!("not here     {NAME}.tar.gz")));
}

pub fn sums_alone() {
    let release = Release::new();
    let shown = release.succeeds(&["verify", "release", "--sums-only"]);
    assert!(shown.contains("NO SIGNATURE WAS CHECKED") && !shown.contains("good"), "{shown}");
    release.put(&format!("{NAME}/install.sh"), "");
    release.fails(&["verify", "release", "--sums-only"], 5, &["install.sh: was changed"]);
    release.fails(&["verify", "release"], 2, &["--allowed-signers", "--sums-only"]);
}

pub fn never_signed() {
    let release = Release::new();
    release.put(&format!("{NAME}/install.sh"), "");
    release.fails(&["sign", "release", "--key", "keys/alice"], 5, &["install.sh: was changed"]);
    let release = Release::new();
    fs::remove_file(release.path("ovmf-2025.02-0123456789ab.tar.gz")).unwrap();
    release.fails(&["sign", "release", "--key", "keys/alice"], 5, &["ovmf-", "is not there"]);
    let odd: [Odd; 5] = [
        (|sums| format!("{sums}{}  ../../etc/passwd\n", "0".repeat(64)), "SHA256SUMS:4: the path has"),
        (|sums| sums.replace("  ovmf", "  /ovmf"), "the path is absolute"),
        (|sums| sums.replace("  ovmf-", "  o/vmf-"), "o/vmf-2025.02-0123456789ab.tar.gz: is listed beside"),
        (
            |sums| sums.lines().filter(|line| !line.contains('/')).map(|line| format!("{line}\n")).collect(),
            "does not list",
        ),
        (|_| String::new(), "lists no file"),
    ];
    for (change, word) in odd {
        let release = Release::new();
        let sums = fs::read_to_string(release.sums()).unwrap();
        release.put(&format!("{NAME}.SHA256SUMS"), &change(sums));
        release.fails(&["sign", "release", "--key", "keys/alice"], 5, &[word]);
        assert!(!release.path(&format!("{NAME}.SHA256SUMS.sigs")).exists());
    }
}

pub fn no_release() {
    let release = Release::signed();
    let verify = |bundle| ["verify", bundle, "--allowed-signers", "keys/allowed"];
    release.fails(&verify("keys"), 2, &["holds no release", "snp-release-<DATE>"]);
    release.fails(&verify("nowhere"), 2, &["does not exist"]);
    release.fails(&verify("keys/alice"), 2, &["is not named snp-release-<DATE>.SHA256SUMS"]);
    release.put("snp-release-2026-11-24.SHA256SUMS", "");
    release.fails(&verify("release"), 2, &["several releases", "2026-11-23, snp-release-2026-11-24"]);
}

pub fn json() {
    let release = Release::new();
    let signed = release.succeeds(&["sign", "release", "--key", "keys/alice", "--json"]);
    let signed: serde_json::Value = serde_json::from_str(&signed).unwrap();
    assert_eq!(signed["file"], release.signature(&ALICE).canonicalize().unwrap().to_str().unwrap());
    assert_eq!(signed["unchanged"], false);
    let verify = ["verify", "release", "--allowed-signers", "keys/allowed", "--json"];
    let verdict: serde_json::Value = serde_json::from_str(&release.succeeds(&verify)).unwrap();
    assert_eq!((&verdict["good"], &verdict["signers"], &verdict["threshold"]), (&true.into(), &1.into(), &1.into()));
    assert_eq!(verdict["signatures"][0]["principals"], "alice@example.org");
    assert_eq!(verdict["signatures"][0]["key"], signed["key"]);
    assert_eq!(verdict["sums_sha256"], signed["sums_sha256"]);
    assert_eq!(verdict["content"]["folder"], serde_json::json!({ "files": 3, "bytes": 2_400_021 }));
    release.put(&format!("{NAME}/x"), "");
    let verdict: serde_json::Value =
        serde_json::from_str(&release.fails(&verify, 5, &["x: is a file that is not listed"])).unwrap();
    assert_eq!(verdict["good"], false);
    assert_eq!(verdict["content"]["folder"], serde_json::Value::Null);
    let problem = serde_json::json!([{ "object": format!("{NAME}/x"), "cause": "is a file that is not listed" }]);
    assert_eq!(verdict["problems"], problem);
}
