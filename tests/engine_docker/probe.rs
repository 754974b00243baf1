//! A small image of busybox, made here, and what a test does with an engine again and again.

use snpforge::cancel::Cancel;
use snpforge::digest::Digest;
use snpforge::engine::{ContainerId, Engine, Member, Outcome, Spec};
use snpforge::oci::Image;
use snpforge::tarball::{Attributes, Writer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A statically linked busybox of this machine, or why there is none.
pub fn busybox() -> Result<PathBuf, String> {
    let found = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.is_file());
    let path = found.ok_or("no /bin/busybox here: install busybox-static")?;
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match bytes.windows(8).any(|window| window == b"/ld-linu") {
        true => Err(format!("{} is not static: install busybox-static", path.display())),
        false => Ok(path),
    }
}

const PLAIN: Attributes = Attributes { mode: 0o644, mtime: 1_700_000_000, owner: 0 };
const FOLDER: Attributes = Attributes { mode: 0o755, ..PLAIN };

/// An image as the contract wants it; `mark` makes it differ from others.
pub fn image(folder: &Path, name: &str, mark: &str) -> Image {
    let busybox = std::fs::read(busybox().unwrap()).unwrap();
    let mut tar = Writer::new(Vec::new());
    for name in ["bin", "build", "dev", "etc", "out", "proc", "run", "src", "sys", "tmp", "var", "var/tmp"] {
        let owner = if ["build", "out"].contains(&name) { 1000 } else { 0 };
        let mode = if name.ends_with("tmp") { 0o1777 } else { 0o755 };
        tar.folder(name.as_bytes(), Attributes { mode, owner, ..PLAIN }).unwrap();
    }
    tar.file(b"bin/busybox", FOLDER, busybox.len() as u64, &mut busybox.as_slice()).unwrap();
    for applet in
        "sh cat chmod chown chroot cp cut dd echo env grep head id ip ln ls mkdir mkfifo mount readlink rm sleep \
                   stat test touch tr truncate unshare wc"
            .split(' ')
    {
        tar.symlink(format!("bin/{applet}").as_bytes(), b"busybox", PLAIN).unwrap();
    }
    // Podman adds a user or group that is missing, and mounts the changed file.
    tar.file(b"etc/group", PLAIN, 16, &mut &b"builder:x:1000:\n"[..]).unwrap();
    let passwd = format!("root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000:{mark}:/build:/bin/sh\n");
    tar.file(b"etc/passwd", PLAIN, passwd.len() as u64, &mut passwd.as_bytes()).unwrap();
    let bytes = tar.finish().unwrap();
    let diff_id = Digest::of(&bytes);
    let layer = folder.join(format!("{diff_id}.tar"));
    snpforge::store::files::write_whole(&layer, &bytes).unwrap();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id.oci()]},
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": Digest::of(&config).oci(), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": diff_id.oci(), "size": bytes.len()}],
    });
    Image {
        reference: format!("localhost/snpforge-test/{name}:1"),
        diff_id,
        layer,
        layer_size: bytes.len() as u64,
        config,
        manifest: manifest.to_string().into_bytes(),
    }
}

/// A build that runs `script` in the image's shell.
pub fn spec(script: &str) -> Spec {
    Spec {
        name: "engine test".into(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        environment: BTreeMap::from([("PATH".into(), "/bin".into()), ("JOBS".into(), "2 and a half".into())]),
        workdir: "/build".into(),
        memory: Some(256 << 20),
    }
}

/// Sources: a folder, a file and a program.
pub fn sources() -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    tar.folder(b"recipe", FOLDER).unwrap();
    tar.file(b"recipe/data", PLAIN, 5, &mut &b"data\n"[..]).unwrap();
    let program = b"#!/bin/sh\necho ran \"$@\"\n";
    tar.file(b"recipe/run", FOLDER, program.len() as u64, &mut &program[..]).unwrap();
    tar.finish().unwrap()
}

/// Sources of one text file.
pub fn one_file(name: &str, text: &str) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    tar.file(name.as_bytes(), PLAIN, text.len() as u64, &mut text.as_bytes()).unwrap();
    tar.finish().unwrap()
}

/// What a run left.
pub struct Ran {
    pub outcome: Outcome,
    pub log: String,
    pub out: Vec<(Member, Vec<u8>)>,
}

/// Removes the container also when the test fails.
pub struct Guard<'a>(pub &'a dyn Engine, pub ContainerId);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let _ = self.0.remove(&self.1);
    }
}

/// A whole life with the usual sources.
pub fn whole(engine: &dyn Engine, image: &Image, spec: &Spec) -> Ran {
    whole_with(engine, image, spec, &sources())
}

/// A whole life: load, create, upload, run, download, remove.
pub fn whole_with(engine: &dyn Engine, image: &Image, spec: &Spec, sources: &[u8]) -> Ran {
    let cancel = Cancel::new();
    engine.load(image, &cancel).unwrap();
    let container = Guard(engine, engine.create(image, spec).unwrap());
    engine.upload(&container.1, &mut &*sources, &cancel).unwrap();
    let mut log = Vec::new();
    let outcome = engine.run(&container.1, &mut log, &cancel).unwrap();
    let mut out = Vec::new();
    let mut take = |member: &Member, content: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        content.take(1 << 20).read_to_end(&mut bytes).unwrap();
        out.push((member.clone(), bytes));
        Ok(())
    };
    use std::io::Read;
    engine.download(&container.1, &mut take, &cancel).unwrap();
    out.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    Ran { outcome, log: String::from_utf8(log).unwrap(), out }
}
