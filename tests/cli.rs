//! The command line as a user meets it: every kind of bad input gets its exit code, names its object and the remedy, and
//! leaves the store clean.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A copy of this project's documents, and a home of its own.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Desk(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let parts =
            ["releases", "images", "kvm.conf", "Containerfile.kernel", "Containerfile.qemu", "Containerfile.ovmf"];
        for entry in parts.iter().flat_map(|part| walkdir::WalkDir::new(root.join(part))).map(|entry| entry.unwrap()) {
            let to = desk.project().join(entry.path().strip_prefix(root).unwrap());
            if entry.file_type().is_dir() {
                std::fs::create_dir_all(to).unwrap();
            } else {
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
        desk
    }

    fn project(&self) -> PathBuf {
        self.0.path().join("project")
    }

    fn edit(&self, path: &str, change: impl Fn(String) -> String) {
        let path = self.project().join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
    }

    /// Runs the program with nothing of this machine's environment but the path.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snpforge"));
        command.args(arguments).current_dir(self.project()).env_clear();
        command.env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command.output().unwrap()
    }

    fn fails(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{arguments:?} does not say `{word}`:\n{told}");
        }
        assert_eq!(told.matches("error: ").count(), 1, "an error is shown once:\n{told}");
        let blobs = self.0.path().join(".cache/snpforge/blobs");
        let left =
            walkdir::WalkDir::new(blobs).into_iter().flatten().filter(|entry| entry.file_type().is_file()).count();
        assert_eq!(left, 0, "{arguments:?} left something in the store");
    }
}

#[test]
fn bad_input_gets_its_exit_code() {
    let desk = Desk::new();
    desk.fails(&["build", "--release", "nothing"], 2, &["release `nothing`", "choose one of", "debian"]);
    desk.fails(&["build", "grub"], 2, &["component `grub`", "kernel-host"]);
    let small =
        "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n[ovmf]\nbuild = \"DEBUG\"\nsource = { path = \"x\" }\n";
    std::fs::write(desk.project().join("releases/small.toml"), small).unwrap();
    desk.fails(&["build", "qemu", "--release", "small"], 2, &["does not declare qemu", "it declares: ovmf"]);
    desk.fails(&["image", "build", "nothing"], 2, &["image `nothing`"]);
    desk.fails(&["build", "ovmf", "--release", "debian", "--offline"], 6, &["store"]);
}

#[test]
fn a_bundle_is_a_whole_release_in_its_own_image() {
    let desk = Desk::new();
    let missing =
        ["--package", "packs the whole release `debian`", "kernel-host, ovmf would be missing", "name no component"];
    desk.fails(&["build", "kernel-guest", "qemu", "--package"], 2, &missing);
    let other = ["--package", "own image `debian-12`, not in `other`", "leave --image away", "image = \"other\""];
    desk.fails(&["build", "--package", "--image", "other"], 2, &other);
    // All components by name and the release's own image by name are the same wish: the build begins.
    let whole = ["build", "kernel", "qemu", "ovmf", "--package", "--image", "debian-12", "--offline"];
    desk.fails(&whole, 6, &["store"]);
}

#[test]
fn an_unknown_key_shows_its_line() {
    let desk = Desk::new();
    desk.edit("releases/debian.toml", |text| text.replace("build = \"DEBUG\"", "biuld = \"DEBUG\""));
    desk.fails(&["plan"], 3, &["releases/debian.toml", "biuld = \"DEBUG\"", "unknown field"]);
    let desk = Desk::new();
    desk.edit("images/debian-12.toml", |text| format!("{text}\nturbo = true\n"));
    desk.fails(&["image", "build", "debian-12"], 3, &["images/debian-12.toml", "turbo = true"]);
}

#[test]
fn a_containerfile_with_run_is_refused_by_line() {
    let desk = Desk::new();
    desk.edit("Containerfile.ovmf", |text| format!("{text}RUN apt-get update\n"));
    let line = std::fs::read_to_string(desk.project().join("Containerfile.ovmf")).unwrap().lines().count();
    desk.fails(&["build", "ovmf", "--offline"], 3, &[&format!("Containerfile.ovmf:{line}"), "instruction RUN"]);
}

#[test]
fn a_lock_that_does_not_fit_is_refused_with_locked() {
    let desk = Desk::new();
    desk.edit("releases/debian.toml", |text| text.replace("\"DEBUG\"", "\"RELEASE\""));
    desk.fails(&["build", "ovmf", "--locked"], 4, &["releases/debian.lock", "--locked", "snpforge lock"]);
    desk.fails(&["lock", "--check"], 4, &["releases/debian.lock", "does not fit"]);
    std::fs::remove_file(desk.project().join("images/debian-12.lock")).unwrap();
    desk.fails(&["build", "ovmf", "--locked"], 4, &["images/debian-12.lock"]);
}

#[test]
fn a_lock_of_a_newer_version_says_so() {
    let desk = Desk::new();
    desk.edit("images/debian-12.lock", |text| text.replacen("format = 1", "format = 99", 1));
    desk.fails(&["plan"], 3, &["format 99", "newer snpforge"]);
}

#[test]
fn an_engine_that_does_not_answer_is_named() {
    let desk = Desk::new();
    desk.fails(&["doctor", "engine", "--engine", "docker", "--host", "unix:///nowhere/docker.sock"], 8, &["engine"]);
    let output = desk.run(&["doctor", "engine", "--engine", "docker", "--host", "unix:///nowhere/docker.sock"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("/nowhere/docker.sock"));
}

#[test]
fn with_json_progress_an_error_is_one_json_line() {
    let desk = Desk::new();
    let last = |arguments: &[&str], code: i32| -> serde_json::Value {
        let output = desk.run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        let events: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.iter().filter(|event| event["event"] == "error").count(), 1, "{told}");
        events.last().unwrap().clone()
    };
    let error = last(&["build", "--release", "nothing", "--progress", "json"], 2);
    assert_eq!((&error["kind"], &error["exit_code"]), (&"usage".into(), &2.into()), "{error}");
    assert_eq!(error["object"], "release `nothing`");
    assert!(error["remedy"].as_str().unwrap().contains("choose one of"), "{error}");
    assert!(!error["cause"].as_str().unwrap().is_empty());
    // Text of several lines stays on one.
    desk.edit("releases/debian.toml", |text| text.replace("build = \"DEBUG\"", "biuld = \"DEBUG\""));
    let error = last(&["--progress=json", "plan"], 3);
    assert_eq!((&error["event"], &error["kind"]), (&"error".into(), &"document".into()));
    assert!(error["cause"].as_str().unwrap().contains("biuld"), "{error}");
    // So is what the command line itself gets wrong.
    let error = last(&["plan", "--progress", "json", "--frob"], 2);
    assert_eq!((&error["kind"], &error["object"]), (&"usage".into(), &"command line".into()));
    assert!(error["cause"].as_str().unwrap().contains("--frob"), "{error}");
    let help = desk.run(&["--progress", "json", "--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage"));
    let plain = desk.run(&["plan", "--frob"]);
    assert_eq!(plain.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&plain.stderr).starts_with("error: "));
}

#[test]
fn plan_is_pure_and_the_same_every_time() {
    let desk = Desk::new();
    let first = desk.run(&["plan", "--json"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, desk.run(&["plan", "--json"]).stdout);
    let plan: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    desk.edit("images/ovmf/build", |text| format!("{text}# changed\n"));
    let changed: serde_json::Value = serde_json::from_slice(&desk.run(&["plan", "--json"]).stdout).unwrap();
    let keys = |plan: &serde_json::Value| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        plan["tasks"].as_array().unwrap().iter().map(|task| (text(&task["component"]), text(&task["key"]))).collect()
    };
    let (before, after) = (keys(&plan), keys(&changed));
    assert_eq!(before.len(), 4);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(
            old.1 != new.1,
            old.0 == "ovmf",
            "a changed recipe is another action of its component only: {old:?}"
        );
    }
}

#[test]
fn completions_and_man_pages_are_made() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = desk.run(&["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("snpforge"), "{shell}");
    }
    assert!(desk.run(&["man", "pages"]).status.success());
    assert!(desk.project().join("pages/snpforge-build.1").is_file());
}

#[test]
fn the_readme_lists_every_exit_code() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for (_, code, words) in snpforge::error::Kind::ALL {
        assert!(readme.contains(&format!("| {code} | {words} |")), "exit code {code} is not in the README");
    }
}
