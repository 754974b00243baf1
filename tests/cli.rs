//! The command line as a user meets it: every kind of bad input gets its exit code, names its object and the remedy, and
//! leaves the store clean.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
#[path = "support/http.rs"]
mod http;
#[path = "support/listener.rs"]
mod listener;

use engine::Engine;
use snpforge::document;
use snpforge::release::Release;
use std::os::unix::ffi::OsStrExt;
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
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snpforge"));
        command.args(arguments).current_dir(self.project()).env_clear();
        command.env("HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        command
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
    let host = Engine::start();
    desk.fails(&at(&host.host(), &["build", "ovmf", "--release", "debian", "--offline"]), 6, &["store"]);
}

#[test]
fn a_bundle_is_a_whole_release_in_its_own_image() {
    let desk = Desk::new();
    let missing =
        ["--package", "packs the whole release `debian`", "kernel-host, ovmf would be missing", "name no component"];
    desk.fails(&["build", "kernel-guest", "qemu", "--package", "--release", "debian"], 2, &missing);
    let other = ["--package", "own image `debian-12`, not in `other`", "leave --image away", "image = \"other\""];
    desk.fails(&["build", "--package", "--image", "other", "--release", "debian"], 2, &other);
    // All components by name and the release's own image by name are the same wish: the build begins.
    let whole =
        ["build", "kernel", "qemu", "ovmf", "--package", "--release", "debian", "--image", "debian-12", "--offline"];
    let host = Engine::start();
    desk.fails(&at(&host.host(), &whole), 6, &["store"]);
}

#[test]
fn an_unknown_key_shows_its_line() {
    let desk = Desk::new();
    desk.edit("releases/debian.toml", |text| text.replace("build = \"DEBUG\"", "biuld = \"DEBUG\""));
    desk.fails(&["plan", "--release", "debian"], 3, &["releases/debian.toml", "biuld = \"DEBUG\"", "unknown field"]);
    let desk = Desk::new();
    desk.edit("images/debian-12.toml", |text| format!("{text}\nturbo = true\n"));
    desk.fails(&["image", "build", "debian-12"], 3, &["images/debian-12.toml", "turbo = true"]);
}

#[test]
fn documents_that_mean_nothing_are_refused() {
    let desk = Desk::new();
    let lock = desk.project().join("releases/odd.lock");
    let head = "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n";
    let tarball =
        |urls: &str| format!("tarball = {{ urls = [{urls}], sha256 = \"{}\", version = \"1\" }}", "0".repeat(64));
    std::fs::write(desk.project().join("file"), "").unwrap();
    for (source, words) in [
        (None, ["releases/odd.toml: declares no component", "[ovmf]"]),
        (Some(tarball("")), ["tarball.urls of source `edk2` is empty", "https://HOST/PATH"]),
        (Some(tarball("\"/tmp/x.tar.gz\"")), ["`/tmp/x.tar.gz` in tarball.urls", "file:///PATH"]),
        (Some(tarball("\"htp://foo\"")), ["`htp://foo` in tarball.urls", "http://HOST/PATH"]),
        (Some("path = \"nosuch\"".into()), ["project/nosuch: is no folder, and `path`", "correct the `path`"]),
        (Some("path = \"file\"".into()), ["project/file: is no folder, and `path`", "correct the `path`"]),
    ] {
        let ovmf = |source: String| format!("[ovmf]\nbuild = \"DEBUG\"\nsource = {{ {source} }}\n");
        let text = format!("{head}{}", source.map_or_else(String::new, ovmf));
        std::fs::write(desk.project().join("releases/odd.toml"), text).unwrap();
        for command in ["lock", "plan"] {
            desk.fails(&[command, "--release", "odd"], 3, &words);
        }
        assert!(!lock.exists(), "{words:?}");
    }
}

#[test]
fn a_folder_is_said_to_be_unpinned_once_in_every_run() {
    let desk = Desk::new();
    let text =
        "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n[ovmf]\nbuild = \"DEBUG\"\nsource = { path = \"edk2\" }\n";
    std::fs::write(desk.project().join("releases/loose.toml"), text).unwrap();
    std::fs::create_dir(desk.project().join("edk2")).unwrap();
    std::fs::write(desk.project().join("edk2/a.c"), "int a;\n").unwrap();
    // With a lock and without one, which `plan` then writes.
    for command in [&["plan"][..], &["plan"], &["lock", "--check"], &["lock"], &["lock"]] {
        let output = desk.run(&[command, &["--release", "loose"]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let warnings: Vec<&str> = told.lines().filter(|line| line.contains("NOT PINNED")).collect();
        assert!(matches!(warnings.as_slice(), [one] if one.contains("warning: source `edk2`")), "{command:?}: {told}");
        if command == ["lock"] {
            std::fs::remove_file(desk.project().join("releases/loose.lock")).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_not_there_comes_with_the_one_to_name() {
    let desk = Desk::new();
    let sums = format!("{}  snp-release-2026-11-23/SHA256SUMS\n", "0".repeat(64));
    std::fs::write(desk.project().join("snp-release-2026-11-23.SHA256SUMS"), sums).unwrap();
    desk.fails(&["import-stable-commits", "/nope"], 11, &["/nope: cannot read", "name the stable-commits file"]);
    let verify = ["verify", "snp-release-2026-11-23.SHA256SUMS", "--allowed-signers", "nope"];
    desk.fails(&verify, 11, &["/nope: cannot read the allowed signers", "list of keys", "README, `Verify`"]);
    desk.fails(&["diff", "debian", "debian.lock"], 11, &["/debian.lock: cannot read", "name releases/NAME.lock"]);
    let words =
        ["releases/debian.toml: is a release file", "name the release `debian`, or its lock releases/debian.lock"];
    desk.fails(&["diff", "debian", "releases/debian.toml"], 2, &words);
    let words = ["images/debian-12.toml: is an image definition", "name its lock images/debian-12.lock"];
    desk.fails(&["diff", "images/debian-12.toml", "debian"], 2, &words);
    // What no command could find again is not written.
    std::fs::write(desk.project().join("stable-commits"), "QEMU_GIT_URL=https://h/q\nQEMU_BRANCH=b\n").unwrap();
    for out in ["releases/mine.txt", "releases/mine"] {
        desk.fails(&["import-stable-commits", "stable-commits", "--out", out], 2, &[out, "releases/NAME.toml"]);
        assert!(!desk.project().join(out).exists());
    }
}

#[test]
fn a_containerfile_with_run_is_refused_by_line() {
    let desk = Desk::new();
    desk.edit("Containerfile.ovmf", |text| format!("{text}RUN apt-get update\n"));
    let line = std::fs::read_to_string(desk.project().join("Containerfile.ovmf")).unwrap().lines().count();
    desk.fails(
        &["build", "ovmf", "--release", "debian", "--offline"],
        3,
        &[&format!("Containerfile.ovmf:{line}"), "instruction RUN"],
    );
}

#[test]
fn a_lock_that_does_not_fit_is_refused_with_locked() {
    let desk = Desk::new();
    desk.edit("releases/debian.toml", |text| text.replace("\"DEBUG\"", "\"RELEASE\""));
    desk.fails(
        &["build", "ovmf", "--release", "debian", "--locked"],
        4,
        &["releases/debian.lock", "--locked", "snpforge lock"],
    );
    desk.fails(&["lock", "--release", "debian", "--check"], 4, &["releases/debian.lock", "does not fit"]);
    std::fs::remove_file(desk.project().join("images/debian-12.lock")).unwrap();
    desk.fails(&["build", "ovmf", "--release", "debian", "--locked"], 4, &["images/debian-12.lock", "does not exist"]);
}

#[test]
fn a_release_file_that_wishes_the_same_sources_keeps_the_tracked_lock() {
    let desk = Desk::new();
    let before = std::fs::read_to_string(desk.project().join("releases/debian.lock")).unwrap();
    desk.edit("releases/debian.toml", |text| text.replacen("summary = \"", "summary = \"Ours: ", 1));
    // Nobody is asked: the lock knows what was wished of every source.
    let mut command = desk.command(&["lock", "--release", "debian"]);
    let output = command.env("all_proxy", "http://127.0.0.1:9").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let after = std::fs::read_to_string(desk.project().join("releases/debian.lock")).unwrap();
    assert_ne!(before, after, "the lock is of the new file");
    let kept = |text: &str| text.lines().filter(|line| !line.starts_with("definition = ")).map(str::to_owned).collect();
    let (before, after): (Vec<String>, Vec<String>) = (kept(&before), kept(&after));
    // The date of the lock is a day of its own.
    let differs: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
    assert!(before.len() == after.len() && differs.iter().all(|(old, _)| old.starts_with("date = ")), "{differs:?}");
}

#[test]
fn a_damaged_lock_is_restored_or_made_anew() {
    let desk = Desk::new();
    desk.edit("releases/debian.lock", |text| format!("<<<<<<< HEAD\n{text}"));
    let ways = "restore it from version control, or remove it and run `snpforge lock`";
    desk.fails(&["lock", "--release", "debian", "--check"], 3, &["releases/debian.lock", "line 1", ways]);
}

#[test]
fn wrong_names_of_documents_are_told_with_the_right_ones() {
    let desk = Desk::new();
    let images = ["there is no images/nosuch.toml", "debian-12, ubuntu-22.04"];
    desk.fails(&["lock", "--check", "--image", "nosuch"], 2, &images);
    desk.fails(&["lock", "--image", "debian-12", "--release", "nosuch"], 2, &["--image", "--release"]);
    for name in ["debian.toml", "releases/debian.toml", "debian.lock"] {
        desk.fails(&["plan", "--release", name], 2, &[&format!("release `{name}`"), "write `debian`"]);
    }
    // What is advised is about the release that was asked for.
    for lock in ["images/ubuntu-22.04.lock", "releases/amd.lock"] {
        let _absent_until_someone_made_it = std::fs::remove_file(desk.project().join(lock));
    }
    desk.fails(&["lock", "--check", "--release", "amd"], 4, &["`snpforge lock --image ubuntu-22.04`"]);
    desk.edit("releases/amd.toml", |text| text.replace("ubuntu-22.04", "debian-12"));
    desk.fails(&["lock", "--check", "--release", "amd"], 4, &["releases/amd.lock", "`snpforge lock --release amd`"]);
    std::fs::write(desk.project().join("releases/amd.toml"), b"format = 1 # \xe4\n").unwrap();
    desk.fails(
        &["plan", "--release", "amd"],
        3,
        &["amd.toml", "is not UTF-8 text, from byte 13 on", "save it as UTF-8"],
    );
}

#[test]
fn a_lock_of_a_newer_version_says_so() {
    let desk = Desk::new();
    desk.edit("images/debian-12.lock", |text| text.replacen("format = 1", "format = 99", 1));
    desk.fails(&["plan", "--release", "debian"], 3, &["format 99", "newer snpforge"]);
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
    let error = last(&["--progress=json", "plan", "--release", "debian"], 3);
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
    let first = desk.run(&["plan", "--release", "debian", "--json"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, desk.run(&["plan", "--release", "debian", "--json"]).stdout);
    let plan: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    desk.edit("images/ovmf/build", |text| format!("{text}# changed\n"));
    let changed: serde_json::Value =
        serde_json::from_slice(&desk.run(&["plan", "--release", "debian", "--json"]).stdout).unwrap();
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
fn a_release_without_a_lock_names_the_way_to_one() {
    let desk = Desk::new();
    for release in ["upstream", "amd"] {
        let lock = format!("releases/{release}.lock");
        let _absent_until_someone_made_it = std::fs::remove_file(desk.project().join(&lock));
        let way = format!("`snpforge lock --release {release}`");
        let words = [lock.as_str(), "does not exist", "--locked", &way];
        desk.fails(&["build", "--release", release, "--image", "debian-12", "--locked"], 4, &words);
        desk.fails(&["plan", "--release", release, "--image", "debian-12", "--locked"], 4, &words);
    }
    // Without --locked it would be made now, which needs the network once.
    let mut command = desk.command(&["build", "ovmf", "--release", "upstream", "--image", "debian-12"]);
    let output = command.env("all_proxy", "http://127.0.0.1:9").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{told}");
    for word in
        ["releases/upstream.lock does not exist yet", "`snpforge lock --release upstream`", "`--release debian`"]
    {
        assert!(told.contains(word), "no `{word}`:\n{told}");
    }
    assert!(!desk.project().join("releases/upstream.lock").exists());
}

#[test]
fn the_default_release_is_upstream() {
    let help = Desk::new().run(&["build", "--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("[default: upstream]"));
}

#[test]
fn stable_commits_become_a_release() {
    let desk = Desk::new();
    let seed = "# qemu commit\nQEMU_GIT_URL=\"https://h/qemu.git\"\nQEMU_BRANCH=\"snp-v3\"\n";
    std::fs::write(desk.project().join("stable-commits"), seed).unwrap();
    let printed = desk.run(&["import-stable-commits", "stable-commits"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    for word in
        ["# Made by `snpforge import-stable-commits`", "summary = \"Imported from stable-commits\"", "rev = \"snp-v3\""]
    {
        assert!(text.contains(word), "no `{word}`:\n{text}");
    }
    let written = desk.run(&["import-stable-commits", "stable-commits", "--out", "releases/mine.toml"]);
    assert!(String::from_utf8_lossy(&written.stdout).contains("`snpforge lock --release mine`"));
    assert_eq!(std::fs::read_to_string(desk.project().join("releases/mine.toml")).unwrap(), text);
    desk.fails(&["build", "ovmf", "--release", "mine", "--locked"], 2, &["does not declare ovmf", "it declares: qemu"]);
    std::fs::write(desk.project().join("stable-commits"), seed.replace("snp-v3\"", "$X\"")).unwrap();
    desk.fails(&["import-stable-commits", "stable-commits"], 3, &["stable-commits:3", "computed by a shell"]);
    std::fs::write(desk.project().join("stable-commits"), seed.replace("snp-v3", "snp-v4")).unwrap();
    let again = ["import-stable-commits", "stable-commits", "--out", "releases/mine.toml"];
    desk.fails(&again, 2, &["releases/mine.toml", "is another file", "--out"]);
    assert_eq!(std::fs::read_to_string(desk.project().join("releases/mine.toml")).unwrap(), text);
    desk.fails(&["import-stable-commits", "nothing"], 11, &["nothing"]);
}

#[test]
fn arguments_of_build_sh_are_answered_with_ours() {
    let desk = Desk::new();
    desk.fails(&["build", "--package", "kernel", "host"], 2, &["`host`", "`snpforge build --package kernel-host`"]);
    desk.fails(&["build", "--amd", "qemu"], 2, &["--amd", "tip", "`snpforge build --release amd qemu`"]);
    desk.fails(&["build", "--release", "nothing", "qemu"], 2, &["choose one of: amd, debian, upstream"]);
    let told = String::from_utf8(desk.run(&["build", "--amd", "--progress=json"]).stderr).unwrap();
    let error: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert!(error["cause"].as_str().unwrap().contains("`snpforge build --release amd --progress=json`"), "{told}");
    let told = String::from_utf8(desk.run(&["build", "--frob"]).stderr).unwrap();
    assert!(!told.contains("build.sh"), "{told}");
}

#[test]
fn plan_tells_the_line_the_notes_and_the_preview() {
    let desk = Desk::new();
    let release = "releases/debian.toml";
    let definition = |desk: &Desk| {
        let text = std::fs::read_to_string(desk.project().join(release)).unwrap();
        document::identity(&Release::parse(release, &text).unwrap()).unwrap().to_string()
    };
    let old = definition(&desk);
    let preview = "[preview]\nwarning = \"not for production\"\ntracker = \"https://h/issues\"\n";
    desk.edit(release, |text| text.replace("[archives.debian-13]", &format!("{preview}\n[archives.debian-13]")));
    let new = definition(&desk);
    desk.edit("releases/debian.lock", |text| text.replace(&old, &new));
    let plan = String::from_utf8(desk.run(&["plan", "--release", "debian"]).stdout).unwrap();
    for line in [
        "preview not for production\n",
        "tracker https://h/issues\n",
        "line    upstream: launch dialect of QEMU 9.1",
        "        SEV firmware 1.51 or newer",
        "note    Private guest memory is guest_memfd",
        "note    edk2 before stable202511 lacks",
    ] {
        assert!(plan.contains(line), "no `{line}`:\n{plan}");
    }
    let json = desk.run(&["plan", "--release", "debian", "--json"]).stdout;
    let plan: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(plan["preview"]["tracker"], "https://h/issues");
    assert_eq!(plan["advice"]["line"]["name"], "upstream");
    let host = Engine::start();
    desk.fails(
        &at(&host.host(), &["build", "ovmf", "--release", "debian", "--offline"]),
        6,
        &["warning: not for production", "https://h/issues"],
    );
}

#[test]
fn a_lock_whose_parts_do_not_fit_is_refused() {
    let desk = Desk::new();
    desk.edit("releases/debian.lock", |text| text.replace("version = \"1:10.0", "version = \"1:8.2"));
    let words =
        ["releases/debian.lock", "qemu 8.2.13 with kernel-host 6.12.107", "QEMU speaks since 9.1", "choose qemu 9.1"];
    desk.fails(&["plan", "--release", "debian"], 4, &words);
    desk.fails(&["build", "ovmf", "--release", "debian", "--locked", "--offline"], 4, &words);
    desk.edit("releases/known/compatibility.toml", |text| text.replace("because", "becuase"));
    desk.fails(&["plan", "--release", "debian"], 3, &["releases/known/compatibility.toml", "becuase"]);
}

/// A repository with one file, on a branch `main`.
fn repository(path: &Path, file: &str, content: &str) -> String {
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join(file), content).unwrap();
    let user = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    for step in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "m"]] {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(path);
        assert!(git.args(user).args(step).status().unwrap().success(), "{step:?}");
    }
    path.display().to_string()
}

#[test]
fn parts_that_do_not_fit_never_become_a_lock() {
    let desk = Desk::new();
    let linux = "VERSION = 6\nPATCHLEVEL = 6\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n";
    let linux = repository(&desk.0.path().join("linux"), "Makefile", linux);
    let qemu = repository(&desk.0.path().join("qemu"), "VERSION", "8.2.0\n");
    let text = format!(
        "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n\
         [kernel-host]\nsource = {{ git = {{ url = \"{linux}\", rev = \"main\" }} }}\n\
         [qemu]\nsource = {{ git = {{ url = \"{qemu}\", rev = \"main\" }} }}\n"
    );
    std::fs::write(desk.project().join("releases/mixed.toml"), &text).unwrap();
    let output = desk.run(&["lock", "--release", "mixed"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("kernel-host 6.6.0 with qemu 8.2.0: SNP in QEMU 8.2 is AMD's tree"), "{told}");
    assert!(!desk.project().join("releases/mixed.lock").exists());
    repository(&desk.0.path().join("qemu"), "VERSION", "8.1.0\n");
    assert!(desk.run(&["lock", "--release", "mixed"]).status.success());
    let lock = std::fs::read_to_string(desk.project().join("releases/mixed.lock")).unwrap();
    assert!(lock.contains("version = \"6.6.0-rc1-g") && lock.contains("version = \"8.1.0-g"), "{lock}");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let desk = Desk::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let lock = "releases/debian.lock";
    for arguments in [
        &["plan", "--release", "debian", "--json"][..],
        &["plan", "--release", "debian"],
        &["notes", lock, lock, "--offline"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        for json in [false, true] {
            let progress: &[&str] = if json { &["--progress", "json"] } else { &["--progress", "plain"] };
            let output = desk.command(&[progress, arguments].concat()).stdout(full()).output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(11), "{arguments:?}: {told}");
            let last = told.lines().rfind(|line| !line.starts_with("  ")).unwrap();
            if json {
                let error: serde_json::Value = serde_json::from_str(last).unwrap();
                assert_eq!((&error["kind"], &error["object"]), (&"io".into(), &"standard output".into()), "{told}");
                assert_eq!(told.matches("standard output").count(), 1, "an error is shown once:\n{told}");
            } else {
                assert!(last.starts_with("error: standard output: cannot write: No space left"), "{told}");
                assert_eq!(told.matches("error: ").count(), 1, "an error is shown once:\n{told}");
            }
        }
        // Who closes a pipe has read enough.
        let (_, closed) = std::io::pipe().unwrap();
        let output = desk.command(arguments).stdout(closed).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !told.contains("error"), "{arguments:?}: {told}");
    }
    // What the command itself fails with comes first, and where nobody can be told, the exit code still says it.
    let failed = desk
        .command(&["doctor", "engine", "--engine", "docker", "--host", "unix:///nowhere/docker.sock"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(8));
    let untold = desk.command(&["plan", "--release", "nothing"]).stderr(full()).output().unwrap();
    assert_eq!(untold.status.code(), Some(2));
    let untold = desk.command(&["plan", "--release", "debian"]).stderr(full()).output().unwrap();
    assert!(untold.status.success() && !untold.stdout.is_empty());
}

#[test]
fn a_store_that_cannot_be_had_stops_only_who_needs_it() {
    let desk = Desk::new();
    let file = desk.0.path().join("file");
    std::fs::write(&file, "").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"/tmp/caf\xe9");
    let run = |arguments: &[&str], cache: Option<&std::ffi::OsStr>| {
        let mut command = desk.command(arguments);
        command.env_remove("HOME").envs(cache.map(|cache| ("XDG_CACHE_HOME", cache)));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    for (cache, code) in [(None, 2), (Some(file.as_os_str()), 11)] {
        for read in [&["lock", "--check", "--release", "debian"][..], &["image", "list"]] {
            let (code, out, told) = run(read, cache);
            assert!(code == 0 && !out.is_empty(), "{read:?}: {told}");
        }
        // Named by the one who needs it, and by the doctor, who goes on.
        let (found, _, told) = run(&["image", "build", "debian-12", "--offline"], cache);
        assert!(found == code && told.contains("XDG_CACHE_HOME"), "{told}");
        let doctor = ["doctor", "engine", "--engine", "docker", "--host", "unix:///nowhere/docker.sock"];
        let (code, out, told) = run(&doctor, cache);
        assert_eq!(code, 8, "{told}");
        let mut lines = out.lines();
        assert!(lines.next().unwrap().starts_with("store: "), "{out}");
        assert!(lines.next().unwrap().starts_with("  help: ") && out.contains("XDG_CACHE_HOME"), "{out}");
        assert!(lines.any(|line| line.contains("/nowhere/docker.sock")), "{out}");
        let (_, out, _) = run(&[&doctor[..], &["--json"]].concat(), cache);
        let seen: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(seen[0]["origin"] == "store" && seen[0]["engine"].is_null() && seen.as_array().unwrap().len() == 2);
    }
    let sound = desk.run(&["doctor", "engine", "--engine", "docker", "--host", "unix:///nowhere/docker.sock"]);
    let out = String::from_utf8_lossy(&sound.stdout);
    let is_told = out.contains("/nowhere/docker.sock") && !out.contains("store: ");
    assert!(sound.status.code() == Some(8) && is_told, "{out}");
    // A place that cannot be understood is no reason to take another one.
    let (code, _, told) = run(&["image", "list"], Some(odd));
    assert!(code == 2 && told.contains("error: XDG_CACHE_HOME: is not UTF-8") && told.contains("help: "), "{told}");
}

#[test]
fn a_folder_that_cannot_be_read_is_told_once() {
    let desk = Desk::new();
    std::fs::remove_dir_all(desk.project().join("images/ovmf")).unwrap();
    let output = desk.run(&["plan", "--release", "debian"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(11), "{told}");
    let error = told.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.ends_with("images/ovmf: cannot read: No such file or directory (os error 2)"), "{told}");
    assert_eq!(told.matches("images/ovmf").count(), 1, "{told}");
}

#[test]
fn a_stopped_run_says_how_to_go_on() {
    let desk = Desk::new();
    // A server that takes connections and never answers.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("git://{}/x.git", server.local_addr().unwrap());
    let release = format!(
        "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n[qemu]\nsource = {{ git = {{ url = \"{url}\", rev = \"main\" }} }}\n"
    );
    std::fs::write(desk.project().join("releases/silent.toml"), release).unwrap();
    for json in [false, true] {
        let mode = if json { "json" } else { "plain" };
        let mut command = desk.command(&["lock", "--release", "silent", "--progress", mode]);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let begun = std::time::Instant::now();
        let _held = loop {
            if let Ok((asked, _)) = server.accept() {
                break asked;
            }
            let waits = child.try_wait().unwrap().is_none() && begun.elapsed().as_secs() < 60;
            assert!(waits, "the server is never asked");
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{told}");
        let again = if json { "\"remedy\":\"run the command again\"" } else { "\n  help: run the command again\n" };
        assert!(told.contains(": interrupted") || told.contains("\"interrupted\""), "{told}");
        assert!(told.contains(again), "{told}");
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

// What would fail late fails early.

/// A command with the engine at `host`.
fn at<'a>(host: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    [command, &["--engine", "docker", "--host", host]].concat()
}

#[test]
fn an_engine_is_asked_for_before_anything_is_fetched() {
    let desk = Desk::new();
    // Nothing is in the store: what had to be fetched would fail with 6.
    let build = ["build", "ovmf", "--release", "debian", "--offline"];
    desk.fails(&at("unix:///nowhere/docker.sock", &build), 8, &["/nowhere/docker.sock: nothing answers there"]);
    assert!(!desk.project().join("out").exists());
    // What cannot be meant is said before anything is read.
    let words = ["engine address `foo`: is of an unknown kind", "write unix:///path/to/socket or tcp://host:port"];
    desk.fails(&["build", "--release", "nothing", "--host", "foo", "--engine", "podman"], 2, &words);
    let words = ["`unix:///x`: --host is for Docker and Podman", "leave --host away"];
    desk.fails(&["build", "--release", "nothing", "--host", "unix:///x", "--engine", "embedded"], 2, &words);
    let doctor = ["doctor", "engine", "--host", "unix:///x", "--engine", "embedded"];
    desk.fails(&doctor, 8, &["see the lines above"]);
    let said = String::from_utf8(desk.run(&doctor).stdout).unwrap();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn folders_for_products_are_tried_before_anything_is_fetched() {
    let desk = Desk::new();
    let host = Engine::start();
    let host = host.host();
    let build = |more: &[&'static str], code, words: &[&str]| {
        let build = ["build", "ovmf", "--release", "debian", "--offline"];
        desk.fails(&at(&host, &[&build[..], more].concat()), code, words);
    };
    // Nothing is in the store: what had to be fetched would fail with 6.
    let words = ["error: /proc/x: cannot make the folder", "name another folder with --install"];
    build(&["--out", "new/out", "--install", "/proc/x"], 11, &words);
    assert!(!desk.project().join("new").exists(), "a refused build leaves no folder");
    build(&["--out", "/proc/x"], 11, &["error: /proc/x: cannot make the folder", "name another folder with --out"]);
    std::fs::create_dir(desk.project().join("there")).unwrap();
    build(&["--out", "there", "--install", "kvm.conf/x"], 11, &["kvm.conf/x: cannot make the folder"]);
    assert!(desk.project().join("there").is_dir(), "what was there stays");
    // Where both can be written, the build goes on.
    build(&["--out", "there", "--install", "new/tree"], 6, &["store"]);
    assert_eq!(std::fs::read_dir(desk.project().join("there")).unwrap().count(), 0);
}

#[test]
fn an_image_is_not_loaded_into_what_keeps_none() {
    let words = ["embedded sandbox keeps no images", "`snpforge image export debian-12 FILE`", "`snpforge build`"];
    Desk::new().fails(&["image", "load", "debian-12", "--engine", "embedded"], 2, &words);
}

#[test]
fn a_plan_names_files_that_people_can_read() {
    let desk = Desk::new();
    let output = desk.run(&["plan", "--release", "debian"]);
    let plan = String::from_utf8(output.stdout).unwrap();
    let made: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("  makes ")).collect();
    assert!(made.len() > 20 && made.iter().all(|path| !path.is_empty() && !path.contains(['{', '}'])), "{plan}");
    for (start, end) in [
        ("config.guest", ""),
        ("linux/guest/linux-image-VERSION-snp-guest-", "_VERSION-1_amd64.deb"),
        ("linux/host/kernel-VERSION_snp_host_", "-1.x86_64.rpm"),
        ("linux/host/linux-VERSION-snp-host-", ".tar.gz"),
    ] {
        assert!(made.iter().any(|path| path.starts_with(start) && path.ends_with(end)), "{start}: {plan}");
    }
    assert_eq!(plan.matches("where VERSION is the kernel's own version").count(), 2);
}

#[test]
fn a_wrong_name_is_no_input_that_got_lost() {
    let desk = Desk::new();
    let qemu = repository(&desk.0.path().join("qemu"), "VERSION", "10.1.0\n");
    let write = |rev: &str| {
        let text = format!(
            "format = 1\nsummary = \"s\"\nimage = \"debian-12\"\n\
             [qemu]\nsource = {{ git = {{ url = \"{qemu}\", rev = \"{rev}\" }} }}\n"
        );
        std::fs::write(desk.project().join("releases/typo.toml"), text).unwrap();
    };
    let fails = || {
        // Asking for all of it anew would need Debian's archive.
        let mut command = desk.command(&["build", "--release", "typo"]);
        let output = command.env("all_proxy", "http://127.0.0.1:9").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(12), "{told}");
        assert!(told.contains("`mian`") && !told.contains("warning: ") && !told.contains("lock image"), "{told}");
    };
    write("mian");
    fails();
    // The same with a lock, which the document has left.
    write("main");
    assert!(desk.run(&["lock", "--release", "typo"]).status.success());
    write("mian");
    fails();
}
