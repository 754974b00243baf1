//! Private keys that `sign` does not take.

use crate::release::{ALICE, NAME, Release};
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub fn way_out() {
    let release = Release::new();
    let sign = ["sign", "release", "--key", "keys/key"];
    let put = |text: &str| {
        release.put("keys/key", text);
        fs::set_permissions(release.path("keys/key"), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let way = format!("ssh-keygen -Y sign -n snp-release -f {}", release.path("keys/key").display());
    put(&ALICE[1]);
    release.fails(&sign, 2, &["is a public key", "agent", &way, &format!("{NAME}.SHA256SUMS.sig")]);
    put("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n");
    release.fails(&sign, 2, &["is no private key in OpenSSH's format", &way]);
    put(&ALICE[0][..ALICE[0].len() / 2]);
    release.fails(&sign, 2, &["cannot be read as an Ed25519 key", &way]);
    put(&ALICE[0]);
    for mode in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(release.path("keys/key"), PermissionsExt::from_mode(mode)).unwrap();
        release.fails(&sign, 2, &["can be read by others", &format!("mode {mode:04o}"), "chmod 600"]);
    }
    fs::set_permissions(release.path("keys/key"), PermissionsExt::from_mode(0o400)).unwrap();
    release.succeeds(&sign);
    release.fails(&["sign", "release", "--key", "keys"], 2, &["is no key file"]);
    assert_eq!(release.run(&["sign", "release", "--key", "keys/none"]).status.code(), Some(11));
}
