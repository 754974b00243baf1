//! Where a bundle comes from: signatures made and checked by ssh-keygen.

use crate::Test;
use crate::bundle::{Bundle, NAME};
use crate::machine::{Install, Need, Run, Shell, System};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("a_signed_release_is_accepted", Need::Keys, accepted),
    ("a_signer_may_be_named", Need::Keys, identity),
    ("unknown_and_revoked_signers_are_refused", Need::Keys, signers),
    ("signatures_for_other_things_are_refused", Need::Keys, other_things),
    ("what_is_missing_is_named", Need::Keys, missing),
    ("the_name_of_a_signature_is_no_program", Need::Keys, odd_names),
];

/// Makes a key and returns the path of its private half.
fn key(bundle: &Bundle, name: &str) -> PathBuf {
    let path = bundle.scratch.path().join(name);
    let mut make = Command::new("ssh-keygen");
    let output = make.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn public(key: &std::path::Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

/// A list of signers, outside of the bundle.
fn list(bundle: &Bundle, lines: &[String]) -> String {
    let path = bundle.scratch.path().join("allowed signers");
    std::fs::write(&path, lines.concat()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn allow(key: &std::path::Path, principals: &str) -> String {
    format!("{principals} namespaces=\"snp-release\" {}", public(key))
}

fn signed() -> (Bundle, PathBuf) {
    let bundle = Bundle::new();
    let release = key(&bundle, "release");
    bundle.write_outer();
    bundle.sign(&release, "snp-release");
    (bundle, release)
}

/// One run that must end with `code` and, if that is no success, leave the root as it was.
#[track_caller]
fn attempt(shell: Shell, bundle: &Bundle, code: i32, arguments: &[&str], words: &[&str]) -> Run {
    let system = System::new();
    let before = system.state();
    let run = Install::new(shell, bundle).root(&system).with(&["--no-kernel"]).with(arguments).run();
    run.expect(code, words);
    assert_eq!(before == system.state(), code != 0);
    run
}

fn accepted(shell: Shell) {
    let (bundle, release) = signed();
    let signers = list(&bundle, &[allow(&release, "release@example.org")]);
    let run = attempt(shell, &bundle, 0, &["--allowed-signers", &signers], &["origin: signed by release@example.org"]);
    assert!(!run.err.contains("warning"), "{}", run.err);
    // One of several is enough, the others do no harm; a line may name several principals.
    let stranger = key(&bundle, "stranger");
    bundle.sign(&stranger, "snp-release");
    let signers = list(&bundle, &[allow(&release, "!nobody@example.org,a@example.org,b@example.org")]);
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers], &["origin: signed by a@example.org"]);
}

fn identity(shell: Shell) {
    let (bundle, release) = signed();
    let second = key(&bundle, "second");
    let signers = list(&bundle, &[allow(&release, "release"), allow(&second, "second")]);
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers, "--identity", "release"], &["signed by release"]);
    attempt(
        shell,
        &bundle,
        5,
        &["--allowed-signers", &signers, "--identity", "second"],
        &["no signature counts as one of second"],
    );
}

fn signers(shell: Shell) {
    let (bundle, release) = signed();
    let stranger = key(&bundle, "stranger");
    let unknown = list(&bundle, &[allow(&stranger, "stranger")]);
    attempt(
        shell,
        &bundle,
        5,
        &["--allowed-signers", &unknown],
        &["not among the allowed signers", "no signature counts"],
    );
    let signers = list(&bundle, &[allow(&release, "release")]);
    let revoked = bundle.scratch.path().join("revoked keys");
    std::fs::write(&revoked, public(&release)).unwrap();
    let revoked = revoked.to_str().unwrap();
    attempt(
        shell,
        &bundle,
        5,
        &["--allowed-signers", &signers, "--revoked", revoked],
        &["no signature counts", "revoked"],
    );
    std::fs::write(revoked, public(&stranger)).unwrap();
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers, "--revoked", revoked], &[]);
    let expired = format!("release valid-before=\"20200101\" {}", public(&release));
    let signers = list(&bundle, &[expired]);
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &["no signature counts", "clock"]);
    let elsewhere = format!("release namespaces=\"git\" {}", public(&release));
    let signers = list(&bundle, &[elsewhere]);
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &["no signature counts"]);
}

fn other_things(shell: Shell) {
    // The bytes that were signed are others.
    let (bundle, release) = signed();
    let signers = list(&bundle, &[allow(&release, "release")]);
    let good = std::fs::read_to_string(bundle.outer()).unwrap();
    std::fs::write(bundle.outer(), format!("{good}\n")).unwrap();
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &["no signature counts"]);
    std::fs::write(bundle.outer(), good).unwrap();
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers], &[]);
    // Signed, but for the bundle as it was before: the list inside was made anew around a changed file.
    bundle.write("usr/local/bin/qemu-img", b"of an attacker");
    bundle.sums();
    let why = "it is not the one that snp-release-2026-11-23.SHA256SUMS was signed for";
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &[why]);
    // Signed for another release.
    let name = "snp-release-2027-01-01";
    std::fs::write(bundle.outer(), std::fs::read_to_string(bundle.outer()).unwrap().replace(NAME, name)).unwrap();
    bundle.sign(&release, "snp-release");
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &[why]);
    // Signed by the right key for another purpose.
    bundle.write_outer();
    bundle.sign(&release, "file");
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &["no signature counts"]);
    bundle.sign(&release, "snp-release");
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers], &[]);
}

fn missing(shell: Shell) {
    let (bundle, release) = signed();
    let signers = list(&bundle, &[allow(&release, "release")]);
    let signatures = bundle.outer().with_file_name(format!("{NAME}.SHA256SUMS.sigs"));
    std::fs::remove_dir_all(signatures).unwrap();
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &["holds no *.sig"]);
    std::fs::remove_file(bundle.outer()).unwrap();
    attempt(shell, &bundle, 5, &["--allowed-signers", &signers], &[".SHA256SUMS: it is missing"]);
    // A list that came with the bundle proves nothing.
    bundle.write("allowed", allow(&release, "release").as_bytes());
    bundle.sums();
    let inside = bundle.folder.join("allowed").to_str().unwrap().to_owned();
    attempt(shell, &bundle, 2, &["--allowed-signers", &inside], &["proves nothing about the bundle"]);
}

/// The folder of signatures is signed by nobody: its names may be made to be misread.
fn odd_names(shell: Shell) {
    let (bundle, release) = signed();
    let signers = list(&bundle, &[allow(&release, "release")]);
    let signatures = bundle.outer().with_file_name(format!("{NAME}.SHA256SUMS.sigs"));
    let genuine = std::fs::read_dir(&signatures).unwrap().next().unwrap().unwrap().path();
    // In a program of GNU sed, `e` would run the line and `w` write it to a file.
    for name in ["touch marked;:|e;#.sig", ":|w marked.sig", "\x1b[2J\n.sig"] {
        std::fs::copy(&genuine, signatures.join(name)).unwrap();
    }
    let system = System::new();
    let arguments = ["--no-kernel", "--allowed-signers", &signers, "--identity", "nobody"];
    let install = Install::new(shell, &bundle).inside(bundle.scratch.path()).root(&system).with(&arguments);
    let around = || -> BTreeSet<_> {
        std::fs::read_dir(bundle.scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = around();
    let run = install.run();
    run.expect(
        5,
        &["touch?marked???e??.sig: no signature of a release has such a name", "no signature counts as one of nobody"],
    );
    assert!(!run.err.contains('\x1b'), "{}", run.err);
    assert_eq!(before, around(), "a name was run");
    attempt(shell, &bundle, 0, &["--allowed-signers", &signers], &["origin: signed by release"]);
}
