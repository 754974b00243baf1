//! Whose signatures count.

use crate::release::{ALICE, BOB, NAME, Release, link};
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub fn signatures_that_do_not_count() {
    let release = Release::new();
    release.bad(&["signed by 0 of 1", "no signature stands beside it"]);
    release.succeeds(&["sign", "release", "--key", "keys/bob"]);
    release.bad(&["signed by 0 of 1", "by key SHA256:", "which is not listed"]);
    let release = Release::signed();
    let good = fs::read_to_string(release.signature(&ALICE)).unwrap();
    let spoilt = [
        good[..good.len() / 2].to_owned(),
        good[..good.len() - 2].to_owned(),
        good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        // Inside of the Ed25519 signature itself.
        good.replacen(good.lines().nth(4).unwrap(), good.lines().nth(3).unwrap(), 1),
        String::new(),
        "x".repeat(100_000),
        ALICE[1].clone(),
    ];
    for text in spoilt {
        fs::write(release.signature(&ALICE), &text).unwrap();
        release.bad(&["signed by 0 of 1", "SHA256SUMS.sigs/"]);
    }
    // A bad signature takes nothing away from a good one.
    release.put(&format!("{NAME}.SHA256SUMS.sigs/other.sig"), &good);
    assert!(release.good().contains("not counted"));
}

pub fn keys_are_counted() {
    let release = Release::signed();
    let both = format!("alice {}bob {}", ALICE[1], BOB[1]);
    release.put("keys/allowed", &both);
    let two = ["verify", "release", "--allowed-signers", "keys/allowed", "--threshold", "2"];
    release.fails(&two, 5, &["signed by 1 of 2 distinct keys"]);
    // One key under two names and in three files stays one key.
    release.put("keys/allowed", &format!("alice {}carol {}{both}", ALICE[1], ALICE[1]));
    fs::copy(release.signature(&ALICE), release.path(&format!("{NAME}.SHA256SUMS.sig"))).unwrap();
    fs::copy(release.signature(&ALICE), release.signature(&BOB)).unwrap();
    release.fails(&two, 5, &["signed by 1 of 2 distinct keys"]);
    release.succeeds(&["sign", "release", "--key", "keys/bob"]);
    let shown = release.succeeds(&two);
    assert!(shown.contains("signers      2 of 2 needed"), "{shown}");
    let three = ["verify", "release", "--allowed-signers", "keys/allowed", "--threshold", "3"];
    release.fails(&three, 5, &["signed by 2 of 3"]);
    for arguments in [&["--threshold", "0"][..], &["--threshold", "-1"], &["--sums-only"]] {
        let verify = [&["verify", "release", "--allowed-signers", "keys/allowed"], arguments].concat();
        assert_eq!(release.run(&verify).status.code(), Some(2), "{arguments:?}");
    }
}

pub fn the_allowed_signers_decide() {
    let release = Release::signed();
    let verdicts = [
        ("a namespaces=\"snp-release\"", None),
        ("a namespaces=\"file,snp-*\"", None),
        ("a valid-after=\"20200101Z\",valid-before=\"29990101Z\"", None),
        ("a valid-before=\"20200101Z\"", Some("makes valid only before 2020-01-01T00:00:00Z")),
        ("a valid-after=\"29990101Z\"", Some("makes valid only after 2999-01-01T00:00:00Z")),
        ("a namespaces=\"file\"", Some("allows for the namespaces file, not snp-release")),
    ];
    for (line, reason) in verdicts {
        release.put("keys/allowed", &format!("{line} {}", ALICE[1]));
        match reason {
            None => drop(release.good()),
            Some(reason) => release.bad(&["signed by 0 of 1", reason]),
        }
    }
    release.put("keys/allowed", &format!("*@example.org,!eve@* {}", ALICE[1]));
    let verify = |name| ["verify", "release", "--allowed-signers", "keys/allowed", "--identity", name];
    release.succeeds(&verify("alice@example.org"));
    release.fails(&verify("eve@example.org"), 5, &["lists as *@example.org,!eve@*, not eve@example.org"]);
    release.put("keys/allowed", &format!("# mine\nca cert-authority {}", ALICE[1]));
    let plain = ["verify", "release", "--allowed-signers", "keys/allowed"];
    release.fails(&plain, 3, &["keys/allowed:2", "cert-authority"]);
    release.put("keys/allowed", "alice ssh-ed25519 AAAA\n");
    release.fails(&plain, 3, &["keys/allowed:1", "damaged key"]);
    release.put("keys/allowed", "# nobody\n");
    release.fails(&plain, 3, &["lists no ssh-ed25519 key"]);
    fs::write(release.path("keys/allowed"), [b"alice \xff ", ALICE[1].as_bytes()].concat()).unwrap();
    release.fails(&plain, 3, &["keys/allowed: is not UTF-8 text", "allowed_signers format"]);
    // Whoever brings the release brings no list.
    fs::remove_file(release.path("keys/allowed")).unwrap();
    release.put("allowed_signers", &format!("a {}", ALICE[1]));
    assert_eq!(release.run(&plain).status.code(), Some(11));
}

pub fn hostile_files() {
    let release = Release::signed();
    fs::rename(release.signature(&ALICE), release.path("moved")).unwrap();
    link("../moved", &release.signature(&ALICE));
    release.bad(&["signed by 0 of 1", ".sig is a link"]);
    // Signing puts a file in the link's place and leaves the link's target alone.
    release.put("moved", "precious");
    release.succeeds(&["sign", "release", "--key", "keys/alice"]);
    assert_eq!(fs::read_to_string(release.path("moved")).unwrap(), "precious");
    assert!(fs::symlink_metadata(release.signature(&ALICE)).unwrap().is_file());
    release.good();

    let release = Release::signed();
    let folder = release.path(&format!("{NAME}.SHA256SUMS.sigs"));
    fs::rename(&folder, release.path("moved")).unwrap();
    link("moved", &folder);
    release.bad(&["signed by 0 of 1", "SHA256SUMS.sigs is a link"]);
    release.fails(&["sign", "release", "--key", "keys/alice"], 5, &["is no folder"]);

    let release = Release::signed();
    let folder = release.path(&format!("{NAME}.SHA256SUMS.sigs"));
    fs::write(folder.join("\u{1b}]0;x\u{7}\n.sig"), "x").unwrap();
    fs::create_dir(folder.join("folder.sig")).unwrap();
    fs::write(folder.join("large.sig"), "x".repeat(100_000)).unwrap();
    fs::write(folder.join("bytes.sig"), b"-----BEGIN SSH SIGNATURE-----\n\xff\xfe").unwrap();
    link("large.sig", &folder.join("link.sig"));
    fs::write(folder.join("locked.sig"), "x").unwrap();
    fs::set_permissions(folder.join("locked.sig"), PermissionsExt::from_mode(0o000)).unwrap();
    let locked =
        if rustix::process::geteuid().is_root() { "is no SSH signature" } else { "is unreadable: cannot open" };
    let shown = release.good();
    assert!(shown.contains("\\u{1b}]0;x\\u{7}\\n.sig is no SSH signature"), "{shown}");
    for (file, why) in [
        ("folder", "is no regular file"),
        ("large", "is too large"),
        ("bytes", "is no SSH signature"),
        ("link", "is a link"),
        ("locked", locked),
    ] {
        assert!(shown.contains(&format!("SHA256SUMS.sigs/{file}.sig {why}")), "{file}: {shown}");
    }
    assert!(shown.contains("signers      1 of 1 needed"), "the good one counts all the same: {shown}");
}

pub fn more_than_are_looked_at() {
    let release = Release::signed();
    // The good one comes last by name; the file system lists it somewhere.
    let folder = release.path(&format!("{NAME}.SHA256SUMS.sigs"));
    fs::rename(release.signature(&ALICE), folder.join("z.sig")).unwrap();
    for number in 0..1002 {
        fs::write(folder.join(format!("{number:04}.sig")), "x").unwrap();
    }
    release.bad(&["signed by 0 of 1", "among the first 1000 signatures by name; 3 more were not looked at"]);
    fs::rename(folder.join("z.sig"), folder.join("0000.sig")).unwrap();
    assert!(release.good().contains("not read     2 more files among the signatures"));
    let json = ["verify", "release", "--allowed-signers", "keys/allowed", "--json"];
    let verdict: serde_json::Value = serde_json::from_str(&release.succeeds(&json)).unwrap();
    assert_eq!((&verdict["skipped"], verdict["signatures"].as_array().unwrap().len()), (&2.into(), 1000));
}
