//! Locks, layers and a build from bases, and registries that do not serve.

use crate::desk::{DEAD, Desk, holds};
use crate::http::{Reply, Request, Server};
use crate::image::*;
use crate::real::Registry;
use crate::workshop::{file, link};
use snpforge::digest::Digest;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The layer of [`jammy`] with no package. A change here changes every image with a base: it belongs under "Changes the
/// product's bytes" in CHANGELOG.md.
const GOLDEN: &str = include_str!("golden.txt");
const DIFF_ID: &str = "b560f01b83a027bd0b5ee99ca65f644d0f0a00ac67e5f7da9131a3c4a48d3fb2";

pub fn a_platform_digest(registry: &Registry) {
    let desk = Desk::new();
    let image = jammy(b"no shell\n");
    define(&desk, &registry.push(&image));
    holds(&desk.said("one", &["lock", "--image", "b"], 0), &["2 layers"]);
    let text = desk.text("images/b.lock");
    let locked = lock(&desk);
    let base = locked.base.clone().unwrap();
    assert_eq!(base.manifest.sha256.oci(), image.digest());
    assert_eq!(base.config.sha256.oci(), image.blobs[0].0);
    let layers: Vec<(String, &str)> =
        base.layer.iter().map(|layer| (layer.sha256.oci(), layer.media_type.as_str())).collect();
    assert_eq!(layers, [(image.blobs[1].0.clone(), GZIP), (image.blobs[2].0.clone(), ZSTD)]);
    assert!(locked.package.is_empty() && locked.suite.is_empty());
    assert_eq!(locked.epoch.0, 1_704_067_200, "what the configuration says");
    let found = layer(&desk, "one").join("\n");
    assert_eq!(found.trim(), GOLDEN.trim(), "the layer is another one; all of it:\n{found}\n");
    assert_eq!(locked.diff_id.to_string(), DIFF_ID, "all entries are as expected, so times or the tar dialect differ");
    assert!(unfinished(&desk, "one").is_empty());

    // Resolved anew, with and without the network, and built from what the lock names: always the same.
    holds(&desk.said("one", &["lock", "--image", "b", "--update"], 0), &["images/b.lock is up to date"]);
    std::fs::remove_file(store(&desk, "one").path(&locked.diff_id)).unwrap();
    holds(&desk.said("one", &["image", "build", "b", "--locked", "--offline"], 0), &[&locked.diff_id.oci()]);
    holds(&desk.said("two", &["image", "build", "b", "--locked", "--offline"], 6), &["2 of its blobs", "--offline"]);
    holds(&desk.said("two", &["image", "build", "b", "--locked"], 0), &[&locked.diff_id.oci()]);
    assert_eq!(desk.text("images/b.lock"), text);
    holds(&desk.said("two", &["image", "list"], 0), &["base 127.0.0.1:", &image.digest()]);
}

pub fn an_index(registry: &Registry) {
    let desk = Desk::new();
    let image = jammy(b"no shell\n");
    let reference = registry.push(&image);
    let entry = |digest: &str, size: usize, architecture: &str| {
        format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
        )
    };
    let entry = entry(&image.digest(), image.manifest.len(), "amd64");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#);
    let digest = Digest::of(index.as_bytes()).oci();
    let wrong = registry.push_manifest(INDEX, &digest, index.as_bytes());
    define(&desk, &wrong.replace('@', ":22.04@"));
    let said = desk.said("one", &["lock", "--image", "b"], 3);
    holds(&said, &["index", &reference.replace('@', ":22.04@"), "linux/amd64"]);
    assert!(!desk.project("images/b.lock").exists());
    define(&desk, &reference);
    desk.said("one", &["lock", "--image", "b"], 0);
}

pub fn a_missing_digest(registry: &Registry) {
    let desk = Desk::new();
    registry.push(&jammy(b"no shell\n"));
    let missing = Digest::of(b"missing").oci();
    define(&desk, &format!("{}/{NAME}@{missing}", registry.host()));
    let said = desk.said("one", &["lock", "--image", "b"], 12);
    holds(&said, &[&missing, registry.host(), "is gone", "base.image"]);
    // A repository that is not there, and a digest that is a blob's.
    define(&desk, &format!("{}/nowhere@{missing}", registry.host()));
    holds(&desk.said("one", &["lock", "--image", "b"], 12), &["is gone", "nowhere"]);
    assert!(unfinished(&desk, "one").is_empty());
}

pub fn the_tag_is_never_asked_for() {
    let desk = Desk::new();
    let reference = jammy(b"no shell\n").served(&desk);
    define(&desk, &reference);
    desk.said("one", &["lock", "--image", "b"], 0);
    let first = lock(&desk);
    // Another release's tag, which the registry does not have.
    define(&desk, &reference.replace('@', ":24.04@"));
    desk.said("two", &["lock", "--image", "b"], 0);
    assert_eq!(lock(&desk).diff_id, first.diff_id);
    assert!(lock(&desk).base.unwrap().image.to_string().contains(":24.04@"), "as it is written");
    let paths: Vec<String> = desk.server.seen().into_iter().map(|request| request.path).collect();
    assert!(!paths.is_empty() && paths.iter().all(|path| !path.contains("24.04")), "{paths:?}");
}

pub fn a_wrong_claim() {
    let desk = Desk::new();
    let reference = jammy(b"no shell\n").served(&desk).replace('@', ":24.04@");
    for (claim, words) in [
        ("{ ID = \"ubuntu\", VERSION_ID = \"24.04\" }", ["VERSION_ID is `22.04`", "claims `24.04`"]),
        ("{ ID = \"ubuntu\", VARIANT = \"x\" }", ["does not say what VARIANT is", "claims `x`"]),
    ] {
        define_with(&desk, &reference, claim, "", "[]");
        holds(&desk.said("one", &["lock", "--image", "b"], 5), &words);
        assert!(!desk.project("images/b.lock").exists());
    }
    let nothing = Image::new(&[Layer::new(PLAIN, &[file("a", 0o644, b"")])]).served(&desk);
    define(&desk, &nothing);
    holds(&desk.said("one", &["lock", "--image", "b"], 5), &["neither /etc/os-release", "claims `ubuntu`"]);
    define_with(&desk, &nothing, "{}", "", "[]");
    holds(&desk.said("one", &["lock", "--image", "b"], 3), &["base.os-release is empty"]);
    define_with(&desk, &nothing, "{ ID = \"x\" }", "", "[\"gcc\"]");
    holds(&desk.said("one", &["lock", "--image", "b"], 3), &["there is no [archive]"]);
    define(&desk, "ubuntu:22.04");
    holds(&desk.said("one", &["lock", "--image", "b"], 3), &["has no digest", "docker.io/library/ubuntu@sha256:"]);
}

pub fn another_platform() {
    let desk = Desk::new();
    let image = Image::of_platform(&[Layer::new(GZIP, &lower(b"")), Layer::new(ZSTD, &upper())], "arm64");
    define(&desk, &image.served(&desk));
    holds(&desk.said("one", &["lock", "--image", "b"], 3), &["is for linux/arm64", "linux/amd64"]);
}

/// A registry of one image that answers as `reply` says, where it says something; it is given the file.
fn registry(image: &Image, reply: impl Fn(&Request, &[u8]) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let files = image.files();
    Server::start(move |request, _| {
        let bytes = files.iter().find(|(path, _)| *path == request.path).map(|(_, bytes)| bytes.clone());
        let found = reply(request, bytes.as_deref().unwrap_or_default());
        found.unwrap_or_else(|| bytes.map_or(Reply::Status(404, Vec::new()), Reply::File))
    })
}

/// What a client shows of itself.
fn shown(request: &Request) -> Option<&str> {
    request.headers.get("authorization").map(String::as_str)
}

fn reference(server: &Server, image: &Image) -> String {
    format!("{}/{NAME}@{}", server.url("").trim_start_matches("http://").trim_end_matches('/'), image.digest())
}

pub fn a_registry_that_stops() {
    let desk = Desk::new();
    let image = jammy(&[7; 300_000]);
    let stopping = Arc::new(AtomicBool::new(true));
    let (inside, layer) = (Arc::clone(&stopping), image.blobs[2].0.clone());
    let server = registry(&image, move |request, bytes| {
        let stops = inside.load(Ordering::SeqCst) && request.path.ends_with(&layer);
        stops.then(|| Reply::Cut(bytes.to_vec(), bytes.len() / 2))
    });
    define(&desk, &reference(&server, &image));
    let said = desk.said("one", &["lock", "--image", "b"], 6);
    holds(&said, &["the connection was cut after", "127.0.0.1", "try again"]);
    assert!(unfinished(&desk, "one").is_empty(), "{:?}", unfinished(&desk, "one"));
    let second: Digest = image.blobs[2].0.parse().unwrap();
    assert!(!store(&desk, "one").contains(&second));
    let tries = server.seen().iter().filter(|request| request.path.ends_with(&image.blobs[2].0)).count();
    assert_eq!(tries, 4, "a bounded number of attempts");
    stopping.store(false, Ordering::SeqCst);
    desk.said("one", &["lock", "--image", "b"], 0);
    let firsts = server.seen().iter().filter(|request| request.path.ends_with(&image.blobs[1].0)).count();
    assert_eq!(firsts, 1, "what was there is not asked for again");
}

pub fn credentials() {
    let mut desk = Desk::new();
    let image = jammy(b"no shell\n");
    let server = registry(&image, |request, _| {
        // "name:password"
        let known = shown(request) == Some("Basic bmFtZTpwYXNzd29yZA==");
        (!known).then(|| Reply::Status(401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())]))
    });
    define(&desk, &reference(&server, &image));
    let said = desk.said("one", &["lock", "--image", "b"], 6);
    holds(&said, &["asked anonymously", "docker login 127.0.0.1:", "`auths`"]);
    let host = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    write_auth(&desk, &host, "bmFtZTp3cm9uZw==");
    desk.environment.insert("DOCKER_CONFIG", desk.folder.path().join("docker").display().to_string());
    holds(&desk.said("one", &["lock", "--image", "b"], 6), &["with the credentials of config.json"]);
    write_auth(&desk, &host, "bmFtZTpwYXNzd29yZA==");
    desk.said("one", &["lock", "--image", "b"], 0);
}

/// As the large public registries do it: everybody is asked for a token, and anybody gets one.
pub fn a_token_for_everybody() {
    let desk = Desk::new();
    let image = jammy(b"no shell\n");
    let server = registry(&image, |request, _| {
        if request.path.starts_with("token?") {
            return Some(Reply::File(br#"{"token":"abc"}"#.to_vec()));
        }
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", request.headers["host"]);
        (shown(request) != Some("Bearer abc")).then(|| Reply::Status(401, vec![("WWW-Authenticate", realm)]))
    });
    define(&desk, &reference(&server, &image));
    desk.said("one", &["lock", "--image", "b"], 0);
    let asked: Vec<String> = server.seen().into_iter().map(|request| request.path).collect();
    let token = asked.iter().find(|path| path.starts_with("token?")).unwrap();
    assert!(token.contains("jammy") && token.contains("pull") && !token.contains("push"), "{token}");
    // One that no header can carry is refused, wherever it comes from.
    let desk = Desk::new();
    let server = registry(&image, |request, _| {
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", request.headers["host"]);
        let token = || Reply::File(br#"{"token":"a\nb"}"#.to_vec());
        let refused = || Reply::Status(401, vec![("WWW-Authenticate", realm)]);
        Some(if request.path.starts_with("token?") { token() } else { refused() })
    });
    define(&desk, &reference(&server, &image));
    let said = desk.said("one", &["lock", "--image", "b"], 5);
    holds(&said, &["a token that no header can carry", "127.0.0.1"]);
}

/// The user stops while a layer comes in.
pub fn a_wish_to_stop() {
    let desk = Desk::new();
    let image = jammy(&[7; 300_000]);
    let layer = image.blobs[1].0.clone();
    let server = registry(&image, move |request, bytes| {
        request.path.ends_with(&layer).then(|| Reply::StallAfter(bytes.to_vec(), bytes.len() / 2))
    });
    define(&desk, &reference(&server, &image));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_snpforge"));
    command.args(["lock", "--image", "b"]).current_dir(desk.project("")).env_clear();
    command.env("HOME", desk.folder.path()).env("XDG_CACHE_HOME", desk.store("one"));
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    while !server.seen().iter().any(|request| request.path.ends_with(&image.blobs[1].0)) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(unfinished(&desk, "one").is_empty(), "{:?}", unfinished(&desk, "one"));
    assert!(!desk.project("images/b.lock").exists());
}

/// A base whose /bin is a folder, in a root with merged /usr.
pub fn an_old_root() {
    let desk = Desk::new();
    let text = |path: &str, content: &str| file(path, 0o644, content.as_bytes());
    let members = [
        text("bin/a", "bin's"),
        text("etc/os-release", "ID=ubuntu\nVERSION_ID='22.04'\n"),
        link("bin/same", "/usr/bin/same"),
        text("lib32/x", "x"),
        text("usr/bin/a", "usr's"),
        text("usr/bin/same", "same"),
        text("build/leftover", "x"),
        text(".dockerenv", ""),
    ];
    define(&desk, &Image::new(&[Layer::new(PLAIN, &members)]).served(&desk));
    desk.said("one", &["lock", "--image", "b"], 0);
    let layer = layer(&desk, "one");
    for entry in
        ["bin -> usr/bin", "usr/bin/a 644 bin's", "usr/bin/same 644 same", "lib32 -> usr/lib32", "usr/lib32/x 644 x"]
    {
        assert_eq!(layer.iter().filter(|found| *found == entry).count(), 1, "`{entry}` in {layer:#?}");
    }
    for start in ["bin/", "build/l", ".dockerenv", "usr/bin/a 644 usr's"] {
        assert!(!layer.iter().any(|found| found.starts_with(start)), "`{start}` in {layer:#?}");
    }
}

fn write_auth(desk: &Desk, host: &str, auth: &str) {
    let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    crate::workshop::write(&desk.folder.path().join("docker/config.json"), text.as_bytes(), 0o600);
}

pub fn nobody_listens() {
    let desk = Desk::new();
    let digest = Digest::of(b"x").oci();
    for host in [DEAD.trim_start_matches("http://"), "registry.invalid"] {
        define(&desk, &format!("{host}/a@{digest}"));
        let begun = std::time::Instant::now();
        let said = desk.said("one", &["lock", "--image", "b"], 6);
        holds(&said, &["cannot be fetched from the registry", host, "https_proxy"]);
        assert!(begun.elapsed().as_secs() < 10, "{host}: {:?}", begun.elapsed());
    }
}

/// Says where it runs and which programs it finds.
const RECIPE: &str = "#!/bin/sh\nset -eu\n. /etc/os-release\n/bin/mkdir -p /out/licenses/edk2\n\
    for name in OVMF OVMF_CODE OVMF_VARS OVMF.amdsev; do\n\
    { cat /src/edk2/a.c; echo \"$ID $VERSION_ID\"; tool; only; only-again; } >/out/$name.fd\ndone\n\
    cp /src/edk2/License.txt /out/licenses/edk2/License.txt\n";

pub fn a_component(shell: &[u8], registry: &Registry) {
    let desk = Desk::new();
    define(&desk, &registry.push(&jammy(shell)));
    desk.component("b", RECIPE);
    holds(&desk.said("one", &["plan", "--release", "r"], 0), &["base 127.0.0.1:", "2 layers"]);
    // Everything is there after `fetch`, in a store that never locked.
    desk.said("two", &["fetch", "--release", "r"], 0);
    desk.said("two", &["build", "ovmf", "--release", "r", "--engine", "embedded", "--locked", "--offline"], 0);
    let mut files = std::fs::read_dir(desk.project("out")).unwrap().map(|entry| entry.unwrap().path());
    let product = files.find(|path| path.extension().is_some_and(|ending| ending == "gz")).unwrap();
    let bytes = std::fs::read(product).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut firmware = entries.find(|entry| entry.path().unwrap().ends_with("usr/local/share/qemu/OVMF.fd")).unwrap();
    let mut text = String::new();
    firmware.read_to_string(&mut text).unwrap();
    assert_eq!(text, "int a;\nubuntu 22.04\ntool 1\nonly 1\nonly 1\n");
}
