//! The archive reader against Debian's real archive, as this machine's apt is set up to reach it, and against apt's own
//! choice where apt is there. Ignored, with the reason, on machines that have no such archive.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test says what went wrong by panicking")]
#![allow(clippy::print_stdout, reason = "measurements are for people who run the test by hand")]

use libtest_mimic::{Arguments, Trial};
use snpforge::archive::{Keep, Need, Site, resolve};
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::definition::{Archive, Family};
use snpforge::error::{Error, Kind, Result};
use snpforge::fetch::{Fetch, Wanted};
use snpforge::lock::{PackageLock, SuiteLock};
use snpforge::store::Store;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// What the builder images are made of, as one list.
const WISHED: &str = "gcc g++ libc6-dev make nasm acpica-tools uuid-dev python3 python3-distutils python3-venv patch \
    quilt bc bison flex libssl-dev libelf-dev libdw-dev perl rsync cpio kmod xz-utils zstd git ca-certificates dwarves \
    debhelper fakeroot rpm ninja-build pkg-config libglib2.0-dev libpixman-1-dev libslirp-dev zlib1g-dev \
    libseccomp-dev libaio-dev liburing-dev libnuma-dev libzstd-dev libcap-ng-dev libattr1-dev libfdt-dev meson";

/// Other wishes, each resolved alone: virtual packages, choices between providers, large graphs.
const OTHERS: &[&str] = &[
    "default-mta",
    "libgl1-mesa-dev wget",
    "build-essential devscripts",
    "default-jdk-headless maven",
    "gnome-terminal",
    "texlive-latex-base pandoc",
    "libreoffice-writer-nogui",
    "postfix logrotate cron",
    "apache2 php mariadb-server",
    "qemu-system-x86 ovmf grub-efi-amd64 libvirt-daemon-system",
    "rustc cargo golang-go nodejs npm",
    "task-xfce-desktop",
];

fn definition() -> Archive {
    let words = |word: &str| vec![word.to_owned()];
    Archive {
        family: Family::Debian,
        suites: words("bookworm"),
        components: words("main"),
        architecture: "amd64".into(),
        keyring: "images/keys/debian-archive-bookworm.gpg".into(),
        signers: Vec::new(),
        mirrors: Vec::new(),
        snapshot: None,
        snapshot_time: None,
    }
}

/// The base URLs of plain HTTP that this machine's apt uses for Debian.
fn bases() -> Vec<String> {
    let mut texts = Vec::new();
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    for path in parts.chain(["/etc/apt/sources.list".into()]) {
        texts.extend(std::fs::read_to_string(path));
    }
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    let debian = words.filter(|word| word.starts_with("http://") && word.trim_end_matches('/').ends_with("/debian"));
    debian.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One plain request per file: enough for an archive near by.
struct Plain(Store);

impl Plain {
    fn get(url: &str) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| Error::new(Kind::Unavailable, url, error);
        let (host, path) = url["http://".len()..].split_once('/').unwrap();
        let named = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = named.to_socket_addrs().map_err(failed)?.next().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(failed)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len() - 4) + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        match head.split_whitespace().nth(1) {
            Some("200") => Ok(answer.split_off(end)),
            _ => Err(Error::new(Kind::Gone, url, head.lines().next().unwrap_or_default())),
        }
    }
}

impl Fetch for Plain {
    fn all(&self, wanted: &[Wanted], _: &Cancel) -> Result<()> {
        for file in wanted.iter().filter(|file| !self.0.contains(&file.sha256)) {
            let bytes = file.urls.iter().find_map(|url| Self::get(url).ok());
            let mut writer = self.0.writer()?;
            writer.write_all(&bytes.ok_or_else(|| Error::new(Kind::Gone, &file.name, "no place has it"))?).unwrap();
            writer.commit(Some(&file.sha256))?;
        }
        Ok(())
    }

    fn document(&self, urls: &[String], _: u64, _: &Cancel) -> Result<Vec<u8>> {
        urls.iter().map(|url| Self::get(url)).next().unwrap()
    }
}

fn set(locks: &[PackageLock]) -> BTreeSet<String> {
    locks.iter().map(|lock| format!("{} {}", lock.name, lock.version)).collect()
}

/// An empty system for apt whose only archive is a folder.
fn prepare_apt(folder: &Path, mirror: &Path, keyring: &Path) {
    for name in ["lists/partial", "cache/archives/partial", "etc", "state", "parts"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("status"), "").unwrap();
    let source = format!("deb [signed-by={} arch=amd64] file:{} bookworm main\n", keyring.display(), mirror.display());
    std::fs::write(folder.join("sources.list"), source).unwrap();
    let at = folder.display();
    let settings = format!(
        "Dir::State \"{at}/state\"; Dir::State::lists \"{at}/lists\"; Dir::State::status \"{at}/status\";\n\
         Dir::Cache \"{at}/cache\"; Dir::Etc \"{at}/etc\"; Dir::Etc::sourcelist \"{at}/sources.list\";\n\
         Dir::Etc::sourceparts \"{at}/parts\"; Dir::Etc::parts \"{at}/parts\"; Dir::Etc::preferencesparts \"{at}/parts\";\n\
         Dir::Etc::trustedparts \"{at}/parts\"; APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"root\"; Acquire::Languages \"none\"; APT::Install-Recommends \"false\";\n"
    );
    std::fs::write(folder.join("apt.conf"), settings).unwrap();
    apt(folder, &["update"]);
}

fn apt(folder: &Path, arguments: &[&str]) -> String {
    let made = Command::new("apt-get").args(arguments).env("APT_CONFIG", folder.join("apt.conf")).output().unwrap();
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success(), "apt-get {arguments:?}: {text}{}", String::from_utf8_lossy(&made.stderr));
    text
}

/// What apt would install: lines such as `Inst gcc (4:12.2.0-3 Debian:12.15/oldstable [amd64])`. The essential packages
/// are given by name, because apt's own pattern `?essential` counts apt as one of them.
fn choice_of_apt(folder: &Path, essential: &[&str], wished: &[String]) -> BTreeSet<String> {
    let mut arguments = vec!["install", "--simulate"];
    arguments.extend(essential);
    arguments.extend(wished.iter().map(String::as_str));
    let lines = apt(folder, &arguments);
    let installed = lines.lines().filter_map(|line| line.strip_prefix("Inst "));
    installed
        .map(|line| {
            let (name, rest) = line.split_once(" (").unwrap();
            format!("{name} {}", rest.split(' ').next().unwrap())
        })
        .collect()
}

/// What can be reached from the wishes is resolved to the same.
fn few_are_enough(site: &Site<'_>, locks: &[SuiteLock], wished: &[String], resolved: &[PackageLock], all: usize) {
    let few = site.indexes(locks, Keep::Reachable(wished)).unwrap();
    println!("{:>28}: {} of {all}", "reachable", few.packages().len());
    assert_eq!(resolve::resolve(&few.packages(), "amd64", wished).unwrap(), resolved);
    assert!(few.packages().len() < all / 2, "{} packages", few.packages().len());
}

fn bookworm(bases: &[String]) {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(&scratch.path().join("store")).unwrap();
    let definition = definition();
    let keyring_path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&definition.keyring);
    let keyring = std::fs::read(&keyring_path).unwrap();
    let fetch = Plain(store.clone());
    let site = Site { definition: &definition, name: "image", keyring: &keyring, bases, fetch: &fetch, store: &store };
    let now = Epoch(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let cancel = Cancel::new();
    let step = |name: &str, start: Instant| println!("{name:>28}: {:7.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let start = Instant::now();
    let locks = site.refresh(Need::Packages, now, &cancel).unwrap();
    step("refresh with download", start);
    println!("{:>28}: {} of {}", "signed by", locks[0].signer, locks[0].date.rfc3339().unwrap());
    let start = Instant::now();
    assert_eq!(site.replay(Need::Packages, &locks, &cancel).unwrap(), locks);
    step("replay from the store", start);
    let start = Instant::now();
    let indexes = site.indexes(&locks, Keep::Packages).unwrap();
    step("unpack indexes", start);
    let start = Instant::now();
    let packages = indexes.packages();
    step("parse packages", start);
    let wished: Vec<String> = WISHED.split_whitespace().map(str::to_owned).collect();
    let start = Instant::now();
    let resolved = resolve::resolve(&packages, "amd64", &wished).unwrap();
    step("resolve", start);
    let bytes: u64 = resolved.iter().map(|lock| lock.size).sum();
    println!("{:>28}: {} of {}, {bytes} bytes", "packages", resolved.len(), packages.len());
    assert!(resolved.len() > 200);
    few_are_enough(&site, &locks, &wished, &resolved, packages.len());

    if Command::new("apt-get").arg("--version").output().is_err() {
        println!("apt-get is not here: not compared with its choice");
        return;
    }
    let mirror = scratch.path().join("mirror/dists/bookworm");
    for file in &locks[0].index {
        let path = mirror.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(store.path(&file.sha256), path).unwrap();
    }
    std::fs::copy(store.path(&locks[0].inrelease), mirror.join("InRelease")).unwrap();
    let folder = scratch.path().join("apt");
    prepare_apt(&folder, &scratch.path().join("mirror"), &keyring_path);
    let essential: Vec<&str> =
        packages.iter().filter(|package| package.essential).map(|package| package.name).collect();
    let mut differences = Vec::new();
    for wishes in [WISHED].iter().chain(OTHERS) {
        let wished: Vec<String> = wishes.split_whitespace().map(str::to_owned).collect();
        let start = Instant::now();
        let ours = set(&resolve::resolve(&packages, "amd64", &wished).unwrap());
        step(&format!("{} packages", ours.len()), start);
        let theirs = choice_of_apt(&folder, &essential, &wished);
        let more: Vec<&String> = ours.difference(&theirs).collect();
        let less: Vec<&String> = theirs.difference(&ours).collect();
        if ours != theirs {
            differences.push(format!("for `{wishes}` apt does not take {more:?}, we do not take {less:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn main() {
    let arguments = Arguments::from_args();
    let bases = bases();
    let reachable = bases.iter().any(|base| Plain::get(&format!("{base}/dists/bookworm/InRelease")).is_ok());
    let name = if reachable {
        "bookworm_is_resolved_as_apt_does".to_owned()
    } else {
        "bookworm_is_resolved_as_apt_does (ignored: this machine's apt names no HTTP mirror of bookworm that answers)"
            .into()
    };
    let trial = Trial::test(name, move || {
        bookworm(&bases);
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(!reachable)]).exit();
}
