//! What must hold on every engine.

use crate::probe::{Guard, image, one_file, sources, spec, whole, whole_with};
use crate::proxy::Proxy;
use crate::trouble;
use snpforge::cancel::Cancel;
use snpforge::digest::Digest;
use snpforge::engine::discover::{Candidate, Endpoint, candidates, search};
use snpforge::engine::docker::{Docker, Flavour, Timeouts};
use snpforge::engine::{Engine, MemberKind, Spec};
use snpforge::environment::Environment;
use snpforge::error::Kind;
use snpforge::oci::Image;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An engine, an image it holds and a scratch folder.
pub struct Bench {
    pub flavour: Flavour,
    pub address: String,
    pub docker: Docker,
    pub folder: tempfile::TempDir,
    pub image: Image,
}

pub type Case = fn(&Bench);

pub const ALL: &[(&str, Case)] = &[
    ("a_whole_life", a_whole_life),
    ("the_contract_from_inside", the_contract_from_inside),
    ("owners_and_modes", owners_and_modes),
    ("other_layers_are_refused", other_layers_are_refused),
    ("interrupted_runs_leave_nothing", trouble::interrupted_runs_leave_nothing),
    ("interrupted_uploads_leave_nothing", trouble::interrupted_uploads_leave_nothing),
    ("silence_is_no_timeout", trouble::silence_is_no_timeout),
    ("hostile_products", hostile_products),
    ("lack_of_memory", trouble::lack_of_memory),
    ("states_in_passing", states_in_passing),
    ("removed_by_somebody_else", trouble::removed_by_somebody_else),
    ("a_missing_program", trouble::a_missing_program),
    ("unreadable_sources", trouble::unreadable_sources),
    ("large_streams_in_little_memory", large_streams_in_little_memory),
    ("what_a_killed_run_left", what_a_killed_run_left),
    ("flavours_are_told_apart", flavours_are_told_apart),
];

/// These put a socket of their own between client and engine.
pub const PROXIED: &[(&str, Case)] = &[
    ("an_engine_that_goes_away", trouble::an_engine_that_goes_away),
    ("an_engine_that_goes_away_while_loading", trouble::an_engine_that_goes_away_while_loading),
    ("an_engine_that_hangs", trouble::an_engine_that_hangs),
    ("a_dead_line_to_a_finished_run", trouble::a_dead_line_to_a_finished_run),
];

impl Bench {
    pub fn new(flavour: Flavour, address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "probe", "");
        let docker = connect(address, Timeouts::default());
        docker.load(&image, &Cancel::new()).unwrap();
        Bench { flavour, address: address.to_owned(), docker, folder, image }
    }

    /// The engine behind a proxy, and with limits that a test can wait for.
    pub fn behind_proxy(&self) -> (Proxy, Docker) {
        let socket = Path::new(self.address.strip_prefix("unix://").unwrap());
        let proxy = Proxy::new(self.folder.path(), socket);
        let [probe, control, beat] = [20_000, 3000, 500].map(Duration::from_millis);
        let docker = connect(&format!("unix://{}", proxy.socket.display()), Timeouts { probe, control, beat });
        (proxy, docker)
    }
}

/// The service at `address`, with TLS when the environment asks for it.
fn endpoint(address: &str) -> Endpoint {
    let environment = Environment::from_iter(std::env::vars());
    candidates(&environment, Some(address)).remove(0).endpoint.unwrap()
}

pub fn connect(address: &str, timeouts: Timeouts) -> Docker {
    Docker::connect(&endpoint(address), timeouts).unwrap()
}

fn a_whole_life(bench: &Bench) {
    let script = "echo first; echo second >&2; /src/recipe/run \"$JOBS\"; mkdir -p /out/usr/bin; \
                  cat /src/recipe/data > /out/usr/bin/tool; chmod 755 /out/usr/bin/tool; ls -A /build; exit 7";
    let ran = whole(&bench.docker, &bench.image, &spec(script));
    assert_eq!(ran.outcome.code, 7);
    let mut lines: Vec<_> = ran.log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["first", "ran 2 and a half", "second"]);
    let told: Vec<_> = ran.out.iter().map(|(member, _)| (member.path.as_str(), member.kind, member.mode)).collect();
    let folder = MemberKind::Folder;
    assert_eq!(told, [("usr", folder, 0o755), ("usr/bin", folder, 0o755), ("usr/bin/tool", MemberKind::File, 0o755),]);
    assert_eq!((ran.out[2].0.size, ran.out[2].1.as_slice()), (5, &b"data\n"[..]));
    assert_eq!(bench.docker.layers(&bench.image).unwrap(), [bench.image.diff_id]);
    let info = bench.docker.info().unwrap();
    assert_eq!((info.name.as_str(), info.address.as_str()), (bench.flavour.name(), bench.address.as_str()));
    assert!(!info.version.is_empty());
}

/// The script every engine is held to; the sandbox's tests run it too.
fn the_contract_from_inside(bench: &Bench) {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut command: Vec<String> = ["/bin/sh", "/src/inside.sh", "--env", "JOBS"].map(str::to_owned).into();
    // A host name like `snpforge` or `a` says nothing.
    if host.len() > 1 && !"snpforge".contains(&host) {
        command.extend(["--forbid".to_owned(), host]);
    }
    let environment = [("JOBS".to_owned(), "2 and a half".to_owned())].into();
    let spec = Spec { command, environment, ..spec("") };
    let script = include_str!("../inside.sh");
    let ran = whole_with(&bench.docker, &bench.image, &spec, &one_file("inside.sh", script));
    let failed: Vec<&str> =
        ran.log.lines().filter(|line| !line.starts_with("ok ") && !line.starts_with("note ")).collect();
    assert!(ran.outcome.code == 0 && failed.is_empty(), "{failed:?}\n{}", ran.log);
    assert!(ran.log.ends_with("ok complete\n"), "the script stopped early:\n{}", ran.log);
}

/// What only engines with uploads have: root's files in /src, with the modes of the tar.
fn owners_and_modes(bench: &Bench) {
    let script = "stat -c '%a %u:%g %n' /src /src/recipe /src/recipe/data /src/recipe/run /build /out /tmp /var/tmp";
    let ran = whole(&bench.docker, &bench.image, &spec(script));
    assert_eq!(
        ran.log,
        "755 0:0 /src\n755 0:0 /src/recipe\n644 0:0 /src/recipe/data\n755 0:0 /src/recipe/run\n\
         755 1000:1000 /build\n755 1000:1000 /out\n1777 0:0 /tmp\n1777 0:0 /var/tmp\n"
    );
}

fn other_layers_are_refused(bench: &Bench) {
    let (cancel, engine) = (Cancel::new(), &bench.docker);
    let name = format!("swapped-{}", bench.flavour.name());
    let [mine, theirs] = ["mine", "theirs"].map(|mark| image(bench.folder.path(), &name, mark));
    engine.load(&mine, &cancel).unwrap();
    engine.load(&theirs, &cancel).unwrap();
    let error = engine.create(&mine, &spec("true")).unwrap_err();
    assert_eq!(error.kind(), Kind::Trust);
    let shown = error.to_string();
    assert!(shown.contains(&mine.diff_id.oci()) && shown.contains(&theirs.diff_id.oci()), "{shown}");
    assert!(error.remedy_text().unwrap().contains("snpforge image load"));
    engine.load(&mine, &cancel).unwrap();
    engine.remove(&engine.create(&mine, &spec("true")).unwrap()).unwrap();
    let lying = Image { diff_id: Digest::of(b"other"), reference: format!("{}9", mine.reference), ..mine };
    let error = engine.load(&lying, &cancel).unwrap_err();
    assert!(matches!(error.kind(), Kind::Trust | Kind::Engine), "{error:?}");
    assert!(engine.create(&lying, &spec("true")).is_err());
}

fn hostile_products(bench: &Bench) {
    let script = r#"cd /out; echo a > ..w; echo b > "$(printf 'bad\377')"; echo c > 'new
line'; ln -s /etc/passwd escape; ln -s ../../../etc up; mkfifo fifo; ln ..w hard; truncate -s 1G sparse; mkdir -m 0 shut
        mkdir out; echo d > out/out; chmod 4755 out/out; d=$(printf '%0150d' 1); mkdir $d; echo e > $d/$d"#;
    let ran = whole(&bench.docker, &bench.image, &spec(script));
    assert_eq!(ran.outcome.code, 0, "{}", ran.log);
    let long = format!("{:0150}", 1);
    let found: Vec<_> = ran.out.iter().map(|(member, _)| (member.path.as_str(), member.kind)).collect();
    let (file, folder, link, other) = (MemberKind::File, MemberKind::Folder, MemberKind::Symlink, MemberKind::Other);
    assert_eq!(
        found,
        [
            ("..w", file),
            (&long, folder),
            (&format!("{long}/{long}"), file),
            ("bad\u{fffd}", file),
            ("escape", link),
            ("fifo", other),
            ("hard", other),
            ("new\nline", file),
            ("out", folder),
            ("out/out", file),
            ("shut", folder),
            ("sparse", file),
            ("up", link),
        ]
    );
    let at = |path: &str| &ran.out.iter().find(|(member, _)| member.path == path).unwrap().0;
    assert_eq!((at("sparse").size, at("out/out").mode, at("shut").mode), (1 << 30, 0o4755, 0));
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn large_streams_in_little_memory(bench: &Bench) {
    const SIZE: u64 = 512 << 20;
    let cancel = Cancel::new();
    let script = "cat /src/big > /out/big; stat -c %s /out/big";
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &spec(script)).unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    let maker = std::thread::spawn(move || {
        let plain = snpforge::tarball::Attributes { mode: 0o644, mtime: 0, owner: 0 };
        let mut tar = snpforge::tarball::Writer::new(writer);
        tar.file(b"big", plain, SIZE, &mut std::io::repeat(7)).unwrap();
        tar.finish().unwrap();
    });
    let before = resident();
    bench.docker.upload(&container.1, &mut BufReader::new(reader), &cancel).unwrap();
    maker.join().unwrap();
    let mut log = Vec::new();
    bench.docker.run(&container.1, &mut log, &cancel).unwrap();
    assert_eq!(log, format!("{SIZE}\n").into_bytes());
    let mut seen = 0;
    let mut most = resident();
    let mut take = |_: &_, content: &mut dyn Read| {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = content.read(&mut buffer) {
            assert!(buffer[..count].iter().all(|byte| *byte == 7));
            seen += count as u64;
            most = most.max(resident());
        }
        Ok(())
    };
    bench.docker.download(&container.1, &mut take, &cancel).unwrap();
    assert_eq!(seen, SIZE);
    assert!(most.saturating_sub(before) < 64 << 10, "from {before} to {most} KiB");
}

/// What the child process of the next test does.
pub fn leave_a_container(docker: &Docker) -> ! {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path(), "left", "left");
    docker.load(&image, &Cancel::new()).unwrap();
    let [left, kept] = ["left", "kept"].map(|_| docker.create(&image, &spec("sleep 60")).unwrap());
    docker.keep(&kept).unwrap();
    println!("{} {}", left.0, kept.0);
    std::thread::sleep(Duration::from_secs(60));
    std::process::exit(1)
}

fn what_a_killed_run_left(bench: &Bench) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--leave-a-container", &bench.address])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let [left, kept] = [0, 1].map(|at| {
        let id = line.split_whitespace().nth(at).unwrap().to_owned();
        Guard(&bench.docker, snpforge::engine::ContainerId(id))
    });
    let there = |id: &Guard<'_>| bench.docker.upload(&id.1, &mut sources().as_slice(), &Cancel::new()).is_ok();
    bench.docker.reap().unwrap();
    assert!(there(&left) && there(&kept), "their owner still lives");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(bench.docker.reap().unwrap() >= 1);
    assert!(!there(&left), "removed");
    assert!(there(&kept), "kept for its user");
    assert!(bench.docker.enter(&kept.1).contains(&kept.1.0));
}

fn flavours_are_told_apart(bench: &Bench) {
    let other = if bench.flavour == Flavour::Docker { Flavour::Podman } else { Flavour::Docker };
    let places = || vec![Candidate { origin: "test".to_owned(), endpoint: Ok(endpoint(&bench.address)) }];
    let found = search(places(), Some(other), Timeouts::default());
    let told = found.tried[0].failure.to_string();
    assert!(found.found.is_none() && told.contains(&format!("not {}", other.name())), "{told}");
    let found = search(places(), Some(bench.flavour), Timeouts::default());
    assert!(found.tried.is_empty() && found.found.unwrap().0 == "test");
}

/// Podman shows a state that the API does not know for some 60 ms after each end.
fn states_in_passing(bench: &Bench) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                bench.docker.reap().unwrap();
            }
        });
        for _ in 0..5 {
            assert_eq!(whole(&bench.docker, &bench.image, &spec("exit 4")).outcome.code, 4);
        }
        over.store(true, Ordering::SeqCst);
        looking.join().unwrap();
    });
}
