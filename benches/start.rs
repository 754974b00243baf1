//! Starting a build's container: the embedded sandbox against `docker run --network none`, in one run, as a ratio.
//! Both have the image loaded (and the sandbox has compared it with its layer, as before every build), create a
//! container, run `/bin/true` in it and remove it. Needs /bin/busybox (static) and a Docker daemon.
//!
//!     cargo bench --bench start

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark tells what it measured"
)]

use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::digest::Digest;
use snpforge::engine::embedded::{self, Embedded};
use snpforge::engine::{Engine, Spec};
use snpforge::oci::image::{Description, describe};
use snpforge::oci::layer::Layer;
use snpforge::oci::{Image, layout};
use snpforge::tarball::{Attributes, Writer};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
/// Before each start: what the one before leaves to the kernel and to a daemon (namespaces, mounts, a container's state)
/// is cleaned up after it has answered, and must not be on the other's bill.
const PAUSE: Duration = Duration::from_millis(300);

fn image(folder: &Path) -> Image {
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let at = |mode, owner| Attributes { mode, mtime: 1_700_000_000, owner };
    let mut writer = Writer::new(Vec::new());
    for name in ["bin", "dev", "etc", "proc", "run", "src", "sys", "tmp", "var", "var/tmp"] {
        writer.folder(name.as_bytes(), at(0o755, 0)).unwrap();
    }
    for name in ["build", "out"] {
        writer.folder(name.as_bytes(), at(0o755, 1000)).unwrap();
    }
    for name in ["hosts", "resolv.conf", "hostname"] {
        writer.file(format!("etc/{name}").as_bytes(), at(0o644, 0), 0, &mut std::io::empty()).unwrap();
    }
    writer.file(b"bin/busybox", at(0o755, 0), busybox.len() as u64, &mut busybox.as_slice()).unwrap();
    writer.symlink(b"bin/true", b"busybox", at(0o777, 0)).unwrap();
    let bytes = writer.finish().unwrap();
    let path = folder.join("layer.tar");
    std::fs::write(&path, &bytes).unwrap();
    let diff_id = Digest::of(&bytes);
    let description = Description {
        reference: "localhost/snpforge-bench/start:1",
        architecture: "amd64",
        epoch: Epoch(1_700_000_000),
        title: "bench",
        summary: "bench",
        lock: diff_id,
        path: "/bin",
    };
    describe(&Layer { diff_id, size: bytes.len() as u64, entries: 0 }, &path, &description).unwrap()
}

/// Create, run and remove.
fn in_sandbox(engine: &Embedded, image: &Image) -> [Duration; 3] {
    engine.load(image, &Cancel::new()).unwrap();
    std::thread::sleep(PAUSE);
    let begun = Instant::now();
    let spec = Spec {
        name: "bench".into(),
        command: vec!["/bin/true".into()],
        environment: [("PATH".to_owned(), "/bin".to_owned())].into(),
        workdir: "/build".into(),
        memory: None,
    };
    let id = engine.create(image, &spec).unwrap();
    let created = begun.elapsed();
    let outcome = engine.run(&id, &mut std::io::sink(), &Cancel::new()).unwrap();
    let ran = begun.elapsed();
    engine.remove(&id).unwrap();
    assert_eq!(outcome.code, 0);
    [created, ran - created, begun.elapsed() - ran]
}

fn in_docker(image: &Image) -> Duration {
    std::thread::sleep(PAUSE);
    let begun = Instant::now();
    let status = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--entrypoint", "/bin/true", &image.reference])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() -> ExitCode {
    if let Some(code) = embedded::stage(std::env::args_os()) {
        return code;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let tar = folder.path().join("image.tar");
    layout::write(&image, &mut std::fs::File::create(&tar).unwrap()).unwrap();
    let loaded = Command::new("docker").arg("load").arg("-i").arg(&tar).stdout(Stdio::null()).status();
    if !loaded.is_ok_and(|status| status.success()) {
        println!("no Docker daemon answers: nothing to compare with");
        return ExitCode::FAILURE;
    }
    let engine = Embedded::new(folder.path().join("sandbox"));
    // In turn, so that both meet the same machine.
    let pairs: Vec<([Duration; 3], Duration)> =
        (0..=ROUNDS).map(|_| (in_sandbox(&engine, &image), in_docker(&image))).skip(1).collect();
    let sandbox = median(pairs.iter().map(|pair| pair.0.iter().sum()).collect());
    let [create, run, remove] = [0, 1, 2].map(|part| median(pairs.iter().map(|pair| pair.0[part]).collect()));
    let docker = median(pairs.iter().map(|pair| pair.1).collect());
    println!("create {create:?}, run {run:?}, remove {remove:?}");
    println!("sandbox {sandbox:?}, docker run {docker:?}: one {:.0}th", docker.as_secs_f64() / sandbox.as_secs_f64());
    ExitCode::SUCCESS
}
