//! `diff` and `notes`, run as a user runs them: over locks whose repositories tell what lies between, and over bundles.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test says what went wrong by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

const BIN: &str = env!("CARGO_BIN_EXE_snpforge");

/// A folder with a repository of AMD's kind: a base, and a branch that is rebased onto a newer one.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk { folder: tempfile::tempdir().unwrap() };
        desk.git(&["init", "--quiet", "--initial-branch=snp-latest", "repository"]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let repository = self.path("repository");
        let place = if repository.is_dir() { repository } else { self.folder.path().to_owned() };
        let mut command = Command::new("git");
        command.args(arguments).current_dir(place).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nowhere");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@b");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, subject: &str) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A lock of OVMF at a commit.
    fn lock(&self, name: &str, version: &str, commit: &str) -> PathBuf {
        let path = self.path(&format!("{name}.lock"));
        let url = self.path("repository").display().to_string();
        let text = format!(
            "format = 1\ndefinition = \"{digest}\"\ndate = \"2026-11-01\"\nepoch = 1\n\n[[source]]\ncomponent = \"ovmf\"\n\
             folder = \"edk2\"\nversion = \"{version}\"\nepoch = 1\ndigest = \"{digest}\"\n\n[source.pin.git]\nurl = \"{url}\"\n\
             reference = \"refs/heads/snp-latest\"\ncommit = \"{commit}\"\ntree = \"{commit}\"\nsubmodules = []\n",
            digest = "0".repeat(64),
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What the program says on both channels; it must end with this code.
    fn said(&self, arguments: &[&str], code: i32) -> (String, String) {
        let mut command = Command::new(BIN);
        command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", self.path("cache"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        (out, error)
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn commits_between_are_counted_and_named() {
    let desk = Desk::new();
    let first = desk.commit("first");
    for number in 1..30 {
        desk.commit(&format!("number {number}"));
    }
    let last = desk.commit("last | one");
    let (old, new) = (desk.lock("old", "1", &first), desk.lock("new", "2", &last));
    let (out, error) = desk.said(&["diff", "--commits", shown(&old), shown(&new)], 0);
    assert!(!error.contains("warning"), "{error}");
    assert!(out.starts_with("  ovmf edk2 1 -> 2\n"), "{out}");
    for part in [
        &format!("      old: commit {first} (refs/heads/snp-latest)\n"),
        &format!("      new: commit {last} (refs/heads/snp-latest)\n"),
        "      30 commits\n",
        &format!("        {} last | one\n", &last[..12]),
        " number 11\n        ... and 10 more\n",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let (notes, _) = desk.said(&["notes", shown(&old), shown(&new)], 0);
    assert!(notes.contains("## ovmf\n\n- edk2: 1 → 2\n"), "{notes}");
    assert!(notes.contains(&format!("    - `{}` last \\| one\n", &last[..12])), "{notes}");
    let (without, _) = desk.said(&["notes", "--offline", shown(&old), shown(&new)], 0);
    assert!(without.contains(&first) && !without.contains("last"), "{without}");
}

#[test]
fn a_rebased_branch_is_told_from_one_that_went_on() {
    let desk = Desk::new();
    desk.commit("base");
    desk.git(&["checkout", "--quiet", "-b", "before"]);
    let old = desk.commit("our patch");
    desk.git(&["checkout", "--quiet", "snp-latest"]);
    desk.commit("upstream");
    let new = desk.commit("our patch, anew");
    let (old, new) = (desk.lock("old", "1", &old), desk.lock("new", "1", &new));
    let (json, _) = desk.said(&["diff", "--commits", "--json", shown(&old), shown(&new)], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let commits = &json["sources"][0]["commits"];
    assert_eq!((&commits["come"], &commits["gone"]), (&2.into(), &1.into()), "{json}");
    let (out, _) = desk.said(&["diff", "--commits", shown(&old), shown(&new)], 0);
    assert!(out.contains("commits: 2 have come, 1 gone; the branch was rebased or pushed anew"), "{out}");
}

#[test]
fn a_branch_that_was_merged_is_counted_as_git_counts_it() {
    let desk = Desk::new();
    let mut fork = String::new();
    for number in 0..150 {
        let commit = desk.commit(&format!("main {number}"));
        if number == 5 {
            fork = commit;
        }
    }
    let old = desk.git(&["rev-parse", "HEAD"]);
    desk.git(&["checkout", "--quiet", "-b", "side", &fork]);
    desk.commit("side");
    desk.git(&["merge", "--quiet", "--no-edit", "--strategy=ours", "snp-latest"]);
    let new = desk.git(&["rev-parse", "HEAD"]);
    desk.git(&["config", "uploadpack.allowFilter", "true"]);
    let (old, new) = (desk.lock("old", "1", &old), desk.lock("new", "1", &new));
    let (json, _) = desk.said(&["diff", "--commits", "--json", shown(&old), shown(&new)], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let commits = &json["sources"][0]["commits"];
    assert_eq!((&commits["come"], &commits["gone"]), (&2.into(), &0.into()), "{json}");
    assert_eq!(std::fs::read_dir(desk.path("cache/snpforge/git")).unwrap().count(), 0, "nothing stays");
}

#[test]
fn a_commit_that_is_gone_is_a_warning() {
    let desk = Desk::new();
    let here = desk.commit("here");
    let (old, new) = (desk.lock("old", "1", &"a".repeat(40)), desk.lock("new", "1", &here));
    let (out, error) = desk.said(&["diff", "--commits", shown(&old), shown(&new)], 0);
    assert!(out.contains(&"a".repeat(40)) && out.contains(&here), "{out}");
    assert!(error.contains("warning: ovmf edk2: what lies between its commits is not known"), "{error}");
}

/// A bundle with these documents, as far as comparing reads it.
fn bundle(desk: &Desk, folder: &str, config: &str, lock: &Path) -> PathBuf {
    let root = desk.path(folder).join("snp-release-2026-11-01");
    for inner in ["recipe/releases", "recipe/images"] {
        std::fs::create_dir_all(root.join(inner)).unwrap();
    }
    let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
    write("manifest.json", "{\"release\": \"r\", \"image\": {\"name\": \"i\"}}");
    std::fs::copy(lock, root.join("recipe/releases/r.lock")).unwrap();
    let image = format!(
        "format = 1\ndefinition = \"{0}\"\nepoch = 1\ndiff-id = \"{0}\"\nsuite = []\npackage = []\n",
        "0".repeat(64)
    );
    write("recipe/images/i.lock", &image);
    write("config.host", config);
    write("SHA256SUMS", &format!("{}  config.host\n", if config.contains("=m") { "1" } else { "2" }.repeat(64)));
    desk.path(folder)
}

#[test]
fn bundles_show_options_and_files_too() {
    let desk = Desk::new();
    let lock = desk.lock("r", "1", &"a".repeat(40));
    let old = bundle(&desk, "old", "CONFIG_KVM=m\nCONFIG_A=y\n", &lock);
    let new = bundle(&desk, "new", "CONFIG_KVM=y\nCONFIG_A=y\n", &lock);
    let (out, _) = desk.said(&["diff", shown(&old), shown(&new.join("snp-release-2026-11-01"))], 0);
    let sums = format!("    config.host {} -> {}\n", "1".repeat(64), "2".repeat(64));
    assert_eq!(out, format!("kernel-host: 1 option of its configuration\n    CONFIG_KVM m -> y\n1 file\n{sums}"));
    let (same, _) = desk.said(&["diff", shown(&old), shown(&old)], 0);
    assert_eq!(same, "nothing differs\n");
    std::fs::remove_file(new.join("snp-release-2026-11-01/manifest.json")).unwrap();
    let (_, error) = desk.said(&["diff", shown(&old), shown(&new)], 5);
    assert!(
        error.contains("snp-release-2026-11-01/manifest.json: is missing") && error.contains("snpforge verify"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_compared_is_named() {
    let desk = Desk::new();
    let (_, error) = desk.said(&["diff", "nothing", "debian"], 2);
    assert!(error.contains("nothing: is no bundle, no lock file, and no release of this project"), "{error}");
    assert!(error.contains("snp-release-<DATE>"), "{error}");
    let (_, error) = desk.said(&["diff", "amd", "debian"], 4);
    assert!(
        error.contains("releases/amd.lock: does not exist") && error.contains("snpforge lock --release amd"),
        "{error}"
    );
    let (same, error) = desk.said(&["diff", "debian", "releases/debian.lock"], 0);
    assert_eq!(same, "nothing differs\n", "an image is not compared with nothing");
    assert!(error.contains("not compared, since only one side knows of them: packages"), "{error}");
    let (json, _) = desk.said(&["diff", "--json", "debian", "images/debian-12.lock"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["not_compared"], serde_json::json!(["sources"]), "an empty list is no answer");
    assert_eq!((&json["sources"], &json["packages"]), (&serde_json::json!([]), &serde_json::json!([])));
    let (_, error) = desk.said(&["diff", "releases/debian.lock", "images/debian-12.lock"], 2);
    assert!(error.contains("have nothing that can be compared"), "{error}");
}
