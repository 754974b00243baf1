//! `docker build` of every Containerfile adds no layer: the root file system is the image's own on every way to it.
//! Ignored, with the reason, where no Docker daemon or no client is there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

use libtest_mimic::{Arguments, Failed, Trial};
use snpforge::date::Epoch;
use snpforge::digest::Digest;
use snpforge::oci::image::{Description, describe};
use snpforge::oci::layer::Layer;
use snpforge::oci::layout;
use snpforge::tarball::{Attributes, Writer};
use std::path::Path;
use std::process::{Command, Output};

const FILES: [&str; 3] = ["Containerfile.kernel", "Containerfile.qemu", "Containerfile.ovmf"];

fn docker(arguments: &[&str]) -> std::io::Result<Output> {
    // The classic builder: BuildKit is a plugin that a machine may lack.
    Command::new("docker").args(arguments).env("DOCKER_BUILDKIT", "0").output()
}

fn why_not() -> Option<String> {
    match docker(&["version", "--format", "{{.Server.Version}}"]) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("docker cannot be started: {error}")),
    }
}

fn ok(output: std::io::Result<Output>) -> Result<String, Failed> {
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A root with the contract's folders, as one hybrid tar; its reference and diff_id.
fn image(folder: &Path) -> (String, Digest) {
    let path = folder.join("layer.tar");
    let mut writer = Writer::new(Vec::new());
    for (name, owner) in [("build", 1000), ("out", 1000), ("src", 0)] {
        writer.folder(name.as_bytes(), Attributes { mode: 0o755, mtime: 1_700_000_000, owner }).unwrap();
    }
    let bytes = writer.finish().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let diff_id = Digest::of(&bytes);
    let layer = Layer { diff_id, size: bytes.len() as u64, entries: 3 };
    let description = Description {
        reference: "localhost/snpforge-test/containerfiles:1",
        architecture: "amd64",
        epoch: Epoch(1_700_000_000),
        title: "test",
        summary: "test",
        lock: diff_id,
        path: "/bin",
    };
    let image = describe(&layer, &path, &description).unwrap();
    layout::write(&image, &mut std::fs::File::create(folder.join("image.tar")).unwrap()).unwrap();
    (image.reference, diff_id)
}

fn adds_no_layer(name: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let (reference, diff_id) = image(folder.path());
    ok(docker(&["load", "-i", &folder.path().join("image.tar").display().to_string()]))?;
    let context = folder.path().join("context");
    std::fs::create_dir(&context).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string();
    let tag = format!("localhost/snpforge-test/{}:1", name.to_ascii_lowercase());
    let base = format!("BASE={reference}");
    let context = context.display().to_string();
    ok(docker(&["build", "--network", "none", "--build-arg", &base, "-t", &tag, "-f", &file, &context]))?;
    let layers = ok(docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", &tag]));
    let user = ok(docker(&["image", "inspect", "--format", "{{.Config.User}} {{json .Config.Entrypoint}}", &tag]));
    ok(docker(&["image", "rm", "--force", &tag]))?;
    assert_eq!(layers?, format!("[\"{}\"]", diff_id.oci()));
    assert_eq!(user?, "1000:1000 [\"/src/recipe/build\"]");
    Ok(())
}

fn main() {
    let arguments = Arguments::from_args();
    let reason = why_not();
    let trials = FILES.iter().map(|name| {
        let file = *name;
        let title = match &reason {
            None => format!("docker_build_of_{name}_adds_no_layer"),
            Some(reason) => format!("docker_build_of_{name}_adds_no_layer ({reason})"),
        };
        Trial::test(title, move || adds_no_layer(file)).with_ignored_flag(reason.is_some())
    });
    // One after the other: they load the same image.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
