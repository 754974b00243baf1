//! Against ssh-keygen of this machine.

use crate::release::{ALICE, NAME, Release};
use std::fs::{self, File};
use std::process::Output;

const WHERE: [&str; 2] = ["/usr/bin/ssh-keygen", "/bin/ssh-keygen"];

/// Whether ssh-keygen is here and knows `-Y sign` (OpenSSH 8.1).
pub fn usable() -> Result<(), String> {
    if !WHERE.iter().any(|path| std::path::Path::new(path).is_file()) {
        return Err("no ssh-keygen in /usr/bin (Debian package openssh-client)".into());
    }
    let release = Release::new();
    let signed = keygen(&release, &["-Y", "sign", "-n", "x", "-f", "keys/alice", "keys/allowed"]);
    let told = String::from_utf8_lossy(&signed.stderr).into_owned();
    if signed.status.success() { Ok(()) } else { Err(format!("this ssh-keygen cannot sign: {told}")) }
}

fn keygen(release: &Release, arguments: &[&str]) -> Output {
    release.command("ssh-keygen", arguments).output().unwrap()
}

fn run(release: &Release, arguments: &[&str]) {
    let output = keygen(release, arguments);
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether ssh-keygen finds the signature good.
fn finds_good(release: &Release, signature: &str, identity: &str) -> bool {
    let arguments = ["-Y", "verify", "-f", "keys/allowed", "-I", identity, "-n", "snp-release", "-s", signature];
    let mut command = release.command("ssh-keygen", &arguments);
    command.stdin(File::open(release.sums()).unwrap()).env("TZ", "UTC").output().unwrap().status.success()
}

fn theirs(release: &Release, key: &str, namespace: &str) {
    let beside = release.path(&format!("{NAME}.SHA256SUMS.sig"));
    if beside.exists() {
        fs::remove_file(beside).unwrap();
    }
    run(release, &["-Y", "sign", "-n", namespace, "-f", key, &format!("release/{NAME}.SHA256SUMS")]);
}

pub fn same_bytes() {
    for key in ["keys/alice", "keys/bob"] {
        let release = Release::new();
        release.succeeds(&["sign", "release", "--key", key]);
        let mut ours = fs::read_dir(release.path(&format!("{NAME}.SHA256SUMS.sigs"))).unwrap();
        let ours = fs::read_to_string(ours.next().unwrap().unwrap().path()).unwrap();
        theirs(&release, key, "snp-release");
        assert_eq!(ours, fs::read_to_string(release.path(&format!("{NAME}.SHA256SUMS.sig"))).unwrap());
    }
}

pub fn both_ways() {
    let release = Release::signed();
    let ours = format!("release/{NAME}.SHA256SUMS.sigs/{}.sig", ALICE[2]);
    assert!(finds_good(&release, &ours, "alice@example.org"));
    assert!(!finds_good(&release, &ours, "bob@example.org"), "the negative control");
    fs::remove_file(release.signature(&ALICE)).unwrap();
    release.bad(&["no signature"]);
    theirs(&release, "keys/alice", "snp-release");
    assert!(release.good().contains("alice@example.org"));
    // ssh-keygen's other hash.
    fs::remove_file(release.path(&format!("{NAME}.SHA256SUMS.sig"))).unwrap();
    let sums = format!("release/{NAME}.SHA256SUMS");
    run(&release, &["-Y", "sign", "-O", "hashalg=sha256", "-n", "snp-release", "-f", "keys/alice", &sums]);
    release.good();
}

pub fn another_namespace() {
    let release = Release::new();
    release.put("keys/allowed", &format!("alice {}", ALICE[1]));
    for namespace in ["file", "snp-releas", "snp-release2", "git"] {
        theirs(&release, "keys/alice", namespace);
        release.bad(&["signed by 0 of 1", &format!("for the namespace `{namespace}`, not `snp-release`")]);
    }
}

pub fn other_kinds() {
    let release = Release::new();
    let way = "ssh-keygen -Y sign -n snp-release -f";
    run(&release, &["-q", "-t", "ed25519", "-N", "secret", "-f", "keys/locked"]);
    release.fails(&["sign", "release", "--key", "keys/locked"], 2, &["is encrypted with a passphrase", way]);
    for kind in ["rsa", "ecdsa"] {
        let key = format!("keys/{kind}");
        run(&release, &["-q", "-t", kind, "-N", "", "-f", &key]);
        release.fails(&["sign", "release", "--key", &key], 2, &["Ed25519", way]);
        // Such a signature is told and not counted; a line with such a key is read over.
        theirs(&release, &key, "snp-release");
        let public = fs::read_to_string(release.path(&format!("{key}.pub"))).unwrap();
        release.put("keys/allowed", &format!("x {public}alice {}", ALICE[1]));
        release.bad(&["signed by 0 of 1", "SHA256SUMS.sig "]);
    }
    run(&release, &["-q", "-t", "ed25519", "-m", "PEM", "-N", "", "-f", "keys/pem"]);
    release.succeeds(&["sign", "release", "--key", "keys/pem"]);
}

/// One table, two readers. Times have no Z, which older ones do not know: ssh-keygen takes local time, here UTC.
pub fn same_judgement() {
    let release = Release::signed();
    let ours = format!("release/{NAME}.SHA256SUMS.sigs/{}.sig", ALICE[2]);
    let key = &ALICE[1];
    let lines = [
        format!("me {key}"),
        format!("other {key}"),
        format!("\tme\t{key}"),
        format!("\"me\" {key}"),
        format!("\"me,you\"  {key}"),
        format!("m?,you {key}"),
        format!("*,!me {key}"),
        format!("!me,* {key}"),
        format!("*e {key}"),
        format!("ME {key}"),
        format!("me namespaces=\"snp-release\" {key}"),
        format!("me NameSpaces=\"a,snp-*\" {key}"),
        format!("me namespaces=\"snp\" {key}"),
        format!("me namespaces=\"*,!snp-release\" {key}"),
        format!("me valid-after=\"20200101\" {key}"),
        format!("me valid-before=\"20200101\" {key}"),
        format!("me valid-after=\"299901010000\" {key}"),
        format!("me valid-before=\"29990101000000\",namespaces=\"snp-release\" {key}"),
        format!("me valid-after=\"2020\" {key}"),
        format!("me frob {key}"),
        format!("me namespaces=snp-release {key}"),
        format!("# me {key}\n\nme {key}"),
        format!("me namespaces=\"x\" {key}me {key}"),
        "me ssh-ed25519 AAAA\n".to_owned(),
    ];
    for line in lines {
        release.put("keys/allowed", &line);
        let verify = ["verify", "release", "--allowed-signers", "keys/allowed", "--identity", "me"];
        let here = release.run(&verify).status.success();
        assert_eq!(here, finds_good(&release, &ours, "me"), "{line}");
    }
}
