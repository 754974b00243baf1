//! The bundle with a recording engine: what is in it, what moves which key, that its bytes depend on nothing else, and
//! that nothing of other content is replaced.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "support/bench.rs"]
mod bench;

use bench::{Bench, Wish};
use snpforge::build::pack::Packed;
use snpforge::component::Component;
use snpforge::digest::Digest;
use snpforge::engine::recorder::{Left, Recorder, Scripted};
use snpforge::engine::{Member, MemberKind, Outcome};
use snpforge::error::Kind;
use snpforge::project::Project;
use snpforge::store::files;
use snpforge::sums;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const SOURCE: &str = "source = { path = \"x\" }\n";

const PACKAGE: Wish<'static> = Wish { package: true, install: None, meanwhile: None };

fn bench() -> Bench {
    Bench::new(&format!(
        "[preview]\nwarning = \"not for production\"\ntracker = \"https://h/issues\"\n[kernel-host]\n{SOURCE}[kernel-guest]\n{SOURCE}[qemu]\n{SOURCE}[ovmf]\nbuild = \"DEBUG\"\n{SOURCE}"
    ))
}

fn left(files: &[(&str, &str)]) -> Scripted {
    let member =
        |path: &str, size: usize| Member { path: path.into(), kind: MemberKind::File, mode: 0o644, size: size as u64 };
    let out: Left = files.iter().map(|(path, text)| (member(path, text.len()), text.as_bytes().to_vec())).collect();
    Scripted { log: vec![], outcome: Outcome { code: 0, out_of_memory: None }, out }
}

/// What a kernel's build leaves, for the release that the plan asks for.
fn kernel(bench: &Bench, component: Component) -> Scripted {
    let plan = bench.plan();
    let task = plan.tasks.iter().find(|task| task.component == component).unwrap();
    let release = format!("6.12.107{}", task.inputs.environment["KERNEL_LOCALVERSION"]);
    let vmlinuz = format!("tree/boot/vmlinuz-{release}");
    let module = format!("tree/usr/lib/modules/{release}/kernel/drivers/virt/coco/sev-guest/sev-guest.ko");
    left(&[
        ("release", &format!("{release}\n")),
        ("config", "CONFIG_64BIT=y\n"),
        ("linux-image.deb", "image"),
        ("linux-headers.deb", "headers"),
        ("kernel.rpm", "rpm"),
        ("kernel-devel.rpm", "devel"),
        (&vmlinuz, "vmlinuz"),
        (&module, "module"),
        ("licenses/COPYING", "GPL"),
    ])
}

fn qemu() -> Scripted {
    left(&[
        ("bin/qemu-system-x86_64", "qemu"),
        ("bin/qemu-img", "img"),
        ("bin/qemu-nbd", "nbd"),
        ("share/qemu/bios-256k.bin", "bios"),
        ("share/qemu/keymaps/en-us", "keys"),
        ("licenses/qemu/COPYING", "GPL"),
    ])
}

fn ovmf() -> Scripted {
    let names = ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd", "licenses/edk2/License.txt"];
    left(&names.map(|name| (name, name)))
}

fn all(bench: &Bench) -> Recorder {
    with(bench, qemu())
}

/// All builds, QEMU's with an outcome of its own.
fn with(bench: &Bench, qemu: Scripted) -> Recorder {
    Recorder::new([kernel(bench, Component::KernelHost), kernel(bench, Component::KernelGuest), qemu, ovmf()])
}

fn packed(bench: &Bench) -> Packed {
    bench.build(&all(bench), PACKAGE).0.unwrap()
}

fn sums_of(path: &Path) -> BTreeMap<String, Digest> {
    sums::parse("sums", &std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_bundle_has_its_layout_and_its_sums_hold() {
    let bench = bench();
    let packed = packed(&bench);
    let bundle = packed.bundle.unwrap();
    assert!(bundle.path.ends_with("out/r-lean/snp-release-2026-11-23"), "{}", bundle.path.display());
    let inner = sums_of(&bundle.path.join("SHA256SUMS"));
    for (path, sha256) in &inner {
        assert_eq!(Digest::of(&std::fs::read(bundle.path.join(path)).unwrap()), *sha256, "{path}");
    }
    let outer = sums_of(&bundle.sums);
    assert_eq!(outer.len(), 6, "{outer:?}");
    for (path, sha256) in &outer {
        let whole = bundle.sums.parent().unwrap().join(path);
        assert_eq!(Digest::of(&std::fs::read(whole).unwrap()), *sha256, "{path}");
    }
    let plan = bench.plan();
    let release = format!("6.12.107{}", plan.tasks[1].inputs.environment["KERNEL_LOCALVERSION"]);
    assert!(release.starts_with("6.12.107-snp-guest-"), "{release}");
    let rpm = release.replace('-', "_");
    for path in [
        "install.sh",
        "launch-qemu.sh",
        "kvm.conf",
        "manifest.json",
        "config.host",
        "config.guest",
        "source-config",
        "source-commit.kernel.guest",
        "usr/local/bin/qemu-img",
        "usr/local/share/qemu/keymaps/en-us",
        "usr/local/share/qemu/OVMF.amdsev.fd",
        "licenses/qemu/qemu/COPYING",
        "recipe/releases/r.toml",
        "recipe/releases/r.lock",
        "recipe/releases/known/compatibility.toml",
        "recipe/images/i.lock",
        "recipe/images/k",
        "recipe/Containerfile.kernel",
        "recipe/images/kernel/config/lean.config",
        &format!("linux/guest/linux-image-{release}_6.12.107-1_amd64.deb"),
        &format!("linux/guest/kernel-{rpm}-1.x86_64.rpm"),
        &format!("linux/guest/linux-{release}.tar.gz"),
    ] {
        assert!(inner.contains_key(path), "{path} is missing in {:#?}", inner.keys());
    }
    let on_disk = walkdir::WalkDir::new(&bundle.path).into_iter().filter(|e| e.as_ref().unwrap().file_type().is_file());
    assert_eq!(on_disk.count(), inner.len() + 1, "only SHA256SUMS itself is not listed");
    let config = std::fs::read_to_string(bundle.path.join("source-config")).unwrap();
    assert!(config.contains("QEMU_GIT_URL='http://h/it'\\''s.tar'"), "{config}");
    assert!(config.contains("\nKERNEL_GIT_URL='http://h/it'\\''s.tar'\n"), "both kernels are from one place: {config}");
    for comment in [
        "\n# PREVIEW: not for production\n# Tracker: https://h/issues\n",
        "\n# Line upstream: launch dialect of QEMU 9.1",
        "\n# SEV firmware 1.51",
        "\n# Note: edk2 before stable202511 lacks the SNP coherency mitigation.\n",
    ] {
        assert!(config.contains(comment), "no {comment:?}:\n{config}");
    }
    let project = Project::find(&bundle.path.join("recipe")).unwrap();
    assert_eq!(project.release("r").unwrap().components().len(), 4, "the recipe is a project");
    assert!(project.release_lock("r", true).unwrap().is_some());
}

#[test]
fn the_manifest_says_which_component_delivered_a_file() {
    let bench = bench();
    let bundle = packed(&bench).bundle.unwrap();
    let text = std::fs::read_to_string(bundle.path.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let files = |component: &str| -> Vec<String> {
        serde_json::from_value(manifest["components"][component]["files"].clone()).unwrap()
    };
    let firmware = |component: &str| -> Vec<String> {
        files(component).into_iter().filter(|path| path.starts_with("usr/local/share/qemu/O")).collect()
    };
    let names = ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd"];
    assert_eq!(firmware("ovmf"), names.map(|name| format!("usr/local/share/qemu/{name}")));
    assert_eq!(firmware("qemu"), [""; 0]);
    assert!(files("qemu").contains(&"usr/local/share/qemu/bios-256k.bin".to_owned()));
    for component in ["kernel-host", "kernel-guest", "qemu", "ovmf"] {
        for path in files(component) {
            assert!(manifest["files"][&path]["sha256"].is_string(), "{component}: {path}");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_a_kernels_tree_unpacks_at_the_root() {
    let (one, two) = (bench(), bench());
    let (first, second) = (packed(&one).bundle.unwrap(), packed(&two).bundle.unwrap());
    assert_eq!(first.sha256, second.sha256);
    assert_eq!(std::fs::read(&first.sums).unwrap(), std::fs::read(&second.sums).unwrap());
    let tree = walkdir::WalkDir::new(first.path.join("linux/guest"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .unwrap();
    let bytes = std::fs::read(tree).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        std::io::copy(&mut entry.by_ref(), &mut std::io::sink()).unwrap();
        names.push(entry.path().unwrap().display().to_string());
    }
    assert!(
        names.contains(&"boot/".to_owned()) && names.iter().any(|n| n.starts_with("usr/lib/modules/6.12.107-")),
        "{names:?}"
    );
    // Beside the recording engine nothing changed: nothing runs, nothing is written anew.
    let before = one.files();
    let again = one.build(&Recorder::default(), PACKAGE).0.unwrap();
    assert_eq!(again.bundle.unwrap().sha256, first.sha256);
    assert_eq!(one.files(), before);
}

#[test]
fn one_fragment_moves_only_the_keys_of_kernels_that_use_it() {
    let bench = bench();
    let keys = || -> BTreeMap<Component, Digest> { bench.plan().tasks.iter().map(|t| (t.component, t.key)).collect() };
    let moved = |fragment: &str| -> Vec<Component> {
        let path = bench.project.root().join("images/kernel/config").join(fragment);
        let old = std::fs::read(&path).unwrap();
        let before = keys();
        files::write_whole(&path, &[old.as_slice(), b"# touched\n"].concat()).unwrap();
        let after = keys();
        files::write_whole(&path, &old).unwrap();
        before.into_iter().filter(|(component, key)| after[component] != *key).map(|(component, _)| component).collect()
    };
    assert_eq!(moved("guest.config"), [Component::KernelGuest]);
    assert_eq!(moved("host.config"), [Component::KernelHost]);
    assert_eq!(moved("common.config"), [Component::KernelHost, Component::KernelGuest]);
    assert_eq!(moved("btf.config"), [], "no kernel of this release uses it");
}

#[test]
fn a_kernel_that_calls_itself_otherwise_is_refused() {
    for said in ["6.12.107\n", "../../6.12-snp-host-x\n", "6.12.107-snp-guest-0-0\n", ""] {
        let bench = Bench::new(&format!("[kernel-host]\n{SOURCE}"));
        let mut script = kernel(&bench, Component::KernelHost);
        script.out[0] = left(&[("release", said)]).out[0].clone();
        let before = bench.files();
        let error = bench.build(&Recorder::new([script]), Wish::default()).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Output, "{said:?}: {error}");
        assert!(error.to_string().contains("release"), "{error}");
        assert_eq!(bench.files(), before);
    }
}

#[test]
fn a_damaged_release_of_a_kernel_is_no_fault_of_its_build() {
    let bench = bench();
    bench.build(&all(&bench), Wish::default()).0.unwrap();
    let local = bench.plan().tasks[0].inputs.environment["KERNEL_LOCALVERSION"].clone();
    let blob = bench.store.path(&Digest::of(format!("6.12.107{local}\n").as_bytes()));
    std::fs::remove_file(&blob).unwrap();
    files::write_whole(&blob, b"6.12.107\n").unwrap();
    let error = bench.build(&Recorder::default(), Wish::default()).0.unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Trust, &*blob.display().to_string()));
    assert!(error.remedy_text().is_some_and(|text| text.contains("run the command again")), "{error}");
}

#[test]
fn a_bundle_of_other_content_is_never_replaced() {
    let bench = bench();
    let bundle = packed(&bench).bundle.unwrap();
    let again = || bench.build(&Recorder::default(), PACKAGE).0;
    files::write_whole(&bundle.path.join("kvm.conf"), b"mine\n").unwrap();
    let error = again().unwrap_err();
    assert_eq!(error.kind(), Kind::Output);
    assert!(error.to_string().contains("kvm.conf"), "{error}");
    assert_eq!(std::fs::read(bundle.path.join("kvm.conf")).unwrap(), b"mine\n");
    std::fs::remove_dir_all(&bundle.path).unwrap();
    assert!(again().is_ok());
    files::write_whole(&bundle.path.join("more"), b"").unwrap();
    assert!(again().unwrap_err().to_string().contains("`more`"));
    std::fs::remove_file(bundle.path.join("more")).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(bundle.path.join("install.sh"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    assert!(again().unwrap_err().to_string().contains("`install.sh` has mode 0644, now 0755"));
    mode(0o755);
    assert!(again().is_ok());
    let (file, away) = (bundle.path.join("kvm.conf"), bench.folder.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    std::os::unix::fs::symlink(&away, &file).unwrap();
    assert!(again().unwrap_err().to_string().contains("no regular file"), "a link to the same bytes is not the file");
}

#[test]
fn the_program_plans_the_same_keys_from_a_bundles_recipe() {
    let bench = bench();
    let bundle = packed(&bench).bundle.unwrap();
    // As the README has it, from beside the bundle, where there is no project.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snpforge"));
    command.args(["plan", "--project", "snp-release-2026-11-23/recipe", "--release", "r", "--profile", "lean"]);
    command
        .args(["--locked", "--json"])
        .current_dir(bundle.path.parent().unwrap())
        .env_clear()
        .env("HOME", bench.folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<String> =
        plan["tasks"].as_array().unwrap().iter().map(|task| task["key"].as_str().unwrap().to_owned()).collect();
    let keys: Vec<String> = bench.plan().tasks.iter().map(|task| task.key.to_string()).collect();
    assert_eq!(found, keys, "the same keys are the same bytes");
    assert_eq!(plan["date"], "2026-11-23");
}

#[test]
fn what_is_edited_during_the_build_is_not_in_the_bundle() {
    let bench = bench();
    let plan = bench.plan();
    let root = bench.project.root();
    let paths =
        ["images/kernel/config/lean.config", "images/qemu/build", "images/bundle/install.sh", "Containerfile.ovmf"];
    let before = paths.map(|path| std::fs::read(root.join(path)).unwrap());
    let edit = || {
        for path in paths {
            files::write_whole(&root.join(path), b"edited").unwrap();
        }
        files::write_whole(&root.join("images/ovmf/more"), b"new").unwrap();
        files::write_whole(&root.join("releases/r.toml"), b"edited").unwrap();
    };
    let wish = Wish { meanwhile: Some(&edit), ..PACKAGE };
    let bundle = bench.build_plan(&plan, &all(&bench), wish).0.unwrap().bundle.unwrap();
    assert_eq!(std::fs::read(root.join(paths[0])).unwrap(), b"edited", "the user did edit it");
    let recipe = bundle.path.join("recipe");
    assert_eq!(paths.map(|path| std::fs::read(recipe.join(path)).unwrap()), before);
    assert_eq!(std::fs::read(bundle.path.join("install.sh")).unwrap(), before[2]);
    assert!(!recipe.join("images/ovmf/more").exists());
    let project = Project::find(&recipe).unwrap();
    assert_eq!(project.release("r").unwrap(), plan.release_documents.0);
}

#[test]
fn a_document_that_changed_after_the_plan_is_named_and_nothing_runs() {
    for path in ["releases/r.toml", "images/i.toml"] {
        let bench = bench();
        let (plan, recorder) = (bench.plan(), all(&bench));
        let file = bench.project.root().join(path);
        let text = std::fs::read_to_string(&file).unwrap();
        files::write_whole(&file, text.replace("summary = \"s\"", "summary = \"other\"").as_bytes()).unwrap();
        let before = bench.files();
        let error = bench.build_plan(&plan, &recorder, PACKAGE).0.unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Output, path));
        assert!(error.cause().contains("changed while it was built"), "{error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("again")), "{error}");
        assert_eq!(bench.files(), before);
        assert!(recorder.verbs().is_empty(), "nothing ran");
    }
}

#[test]
fn an_odd_file_name_in_the_project_is_refused_before_anything_runs() {
    for path in ["images/bundle/notes (old).txt", "images/qemu/-x", "images/kernel/b\u{fc}ild"] {
        let (bench, recorder) = (bench(), Recorder::default());
        files::write_whole(&bench.project.root().join(path), b"x").unwrap();
        let before = bench.files();
        let error = bench.build(&recorder, PACKAGE).0.unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Document, &*format!("file `{path}` of the project")));
        assert!(error.cause().contains("the path"), "{error}");
        assert!(error.remedy_text().is_some_and(|text| text.contains("move it away")), "{error}");
        assert_eq!(bench.files(), before);
        assert!(recorder.verbs().is_empty());
    }
}

#[test]
fn two_components_never_deliver_different_files_of_one_name() {
    let also = |text: &str| {
        let mut script = qemu();
        script.out.extend(left(&[("share/qemu/OVMF.fd", text)]).out);
        script
    };
    let one = bench();
    let before = one.files();
    let error = one.build(&with(&one, also("other")), PACKAGE).0.unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Output, "usr/local/share/qemu/OVMF.fd"));
    assert_eq!(error.cause(), "differs between qemu and ovmf");
    assert!(error.remedy_text().is_some_and(|text| text.contains("images/")), "{error}");
    let new = one.files().into_iter().filter(|path| !before.contains(path) && !path.starts_with("store/actions/"));
    assert_eq!(new.collect::<Vec<String>>(), [""; 0], "nothing is packed");
    let two = bench();
    assert!(two.build(&with(&two, also("OVMF.fd")), PACKAGE).0.is_ok(), "the same file twice is one file");
}

#[test]
fn install_copies_the_local_tree_only() {
    let bench = bench();
    let folder = bench.folder.path().join("prefix");
    let wish = Wish { install: Some(folder.clone()), ..Wish::default() };
    let packed = bench.build(&all(&bench), wish).0.unwrap();
    assert!(packed.bundle.is_none());
    assert_eq!(std::fs::read(folder.join("bin/qemu-img")).unwrap(), b"img");
    assert_eq!(std::fs::read(folder.join("share/qemu/OVMF.fd")).unwrap(), b"OVMF.fd");
    let top: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(top.len(), 2, "{top:?}");
    let name = packed.products[2].path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("qemu-10.0-1-"), "no colon of Debian's epoch: {name}");
}
