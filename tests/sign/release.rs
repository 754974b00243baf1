//! A small release on the disk, keys, and the program run on it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

pub const NAME: &str = "snp-release-2026-11-23";
/// A key as OpenSSH private key, public key line, and SHA-256 of the public key's binary form.
pub type Key = LazyLock<[String; 3]>;
pub static ALICE: Key = LazyLock::new(|| key(1, "alice@example.org"));
pub static BOB: Key = LazyLock::new(|| key(2, "bob@example.org"));

/// The same key every time, so that no private key needs to lie in the project.
fn key(seed: u8, comment: &str) -> [String; 3] {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
    let private = ssh_key::PrivateKey::new(pair.into(), comment).unwrap();
    let public = private.public_key();
    let digest = snpforge::digest::Digest::of(&public.to_bytes().unwrap()).to_string();
    let private = private.to_openssh(ssh_key::LineEnding::LF).unwrap().to_string();
    [private, format!("{}\n", public.to_openssh().unwrap()), digest]
}

/// A folder with a release in it, as `build --package` leaves it, and keys beside.
pub struct Release(tempfile::TempDir);

impl Release {
    /// Unsigned.
    pub fn new() -> Self {
        let release = Release(tempfile::tempdir().unwrap());
        release.put(&format!("{NAME}/install.sh"), "#!/bin/sh\n");
        release.put(&format!("{NAME}/usr/local/bin/qemu-img"), "not really\n");
        release.put(&format!("{NAME}/usr/local/share/qemu/OVMF.fd"), &"firmware".repeat(300_000));
        release.put(&format!("{NAME}.tar.gz"), "a tarball\n");
        release.put("ovmf-2025.02-0123456789ab.tar.gz", "another tarball\n");
        release.sum();
        for (name, key) in [("alice", &ALICE), ("bob", &BOB)] {
            release.put(&format!("keys/{name}"), &key[0]);
            std::fs::set_permissions(release.path(&format!("keys/{name}")), PermissionsExt::from_mode(0o600)).unwrap();
        }
        release.put("keys/allowed", &format!("alice@example.org namespaces=\"snp-release\" {}", ALICE[1]));
        release
    }

    /// Signed by Alice.
    pub fn signed() -> Self {
        let release = Release::new();
        release.succeeds(&["sign", "release", "--key", "keys/alice"]);
        release
    }

    /// Writes both sums files anew.
    pub fn sum(&self) {
        use snpforge::{digest::Digest, sums};
        let digest = |path: &str| Digest::of(&std::fs::read(self.path(path)).unwrap());
        let inner = ["install.sh", "usr/local/bin/qemu-img", "usr/local/share/qemu/OVMF.fd"];
        let files = inner.map(|path| (path.to_owned(), digest(&format!("{NAME}/{path}"))));
        self.put(&format!("{NAME}/SHA256SUMS"), &sums::render(&files.into()));
        let outer = [&format!("{NAME}/SHA256SUMS"), &format!("{NAME}.tar.gz"), "ovmf-2025.02-0123456789ab.tar.gz"];
        let files = outer.map(|path| (path.to_owned(), digest(path)));
        self.put(&format!("{NAME}.SHA256SUMS"), &sums::render(&files.into()));
    }

    /// `keys/...` lies beside the folder of the release, all else in it.
    pub fn path(&self, name: &str) -> PathBuf {
        let folder = if name.starts_with("keys/") { "" } else { "release" };
        self.0.path().join(folder).join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn sums(&self) -> PathBuf {
        self.path(&format!("{NAME}.SHA256SUMS"))
    }

    /// Where the signature of a key stands.
    pub fn signature(&self, key: &[String; 3]) -> PathBuf {
        self.path(&format!("{NAME}.SHA256SUMS.sigs/{}.sig", key[2]))
    }

    /// A program in the folder above the release; the environment has nothing but a path and a home.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_snpforge"), arguments).output().unwrap()
    }

    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts the exit code and that every word is said on stderr; gives stdout.
    pub fn fails(&self, arguments: &[&str], code: i32, words: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{arguments:?} does not say `{word}`:\n{told}");
        }
        assert_eq!(
            told.lines().filter(|line| line.starts_with("error: ")).count(),
            1,
            "an error is shown once:\n{told}"
        );
        assert!(told.contains("  help: "), "no remedy:\n{told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `verify` by Alice's key finds something that does not hold.
    pub fn bad(&self, words: &[&str]) {
        let shown = self.fails(&["verify", "release", "--allowed-signers", "keys/allowed"], 5, words);
        assert!(shown.starts_with(&format!("{NAME}: DOES NOT HOLD\n")), "{shown}");
    }

    pub fn good(&self) -> String {
        let shown = self.succeeds(&["verify", "release", "--allowed-signers", "keys/allowed"]);
        assert!(shown.starts_with(&format!("{NAME}: good\n")), "{shown}");
        shown
    }

    /// Every file and link below the release's folder with its content.
    pub fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let all = walkdir::WalkDir::new(self.path("")).sort_by_file_name();
        let files = all.into_iter().map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
        files.map(|entry| (entry.path().to_owned(), std::fs::read(entry.path()).unwrap_or_default())).collect()
    }
}

pub fn link(to: &str, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}
