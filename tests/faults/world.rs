//! One row's world: two mirrors of a small signed archive, a server of a tarball with and without TLS, git repositories, a
//! project that names them, a home; and the program run in it.

use crate::archive::Signer;
use crate::engine::Engine;
use crate::git::Git;
use crate::http::{Reply, Request, Server};
use crate::https::Https;
use crate::lies::{UPSTREAM, UPSTREAM_DIGEST, archive};
use crate::room::Room;
use crate::table::{Bad, Command as Wish, Fault, Lie, Row, Source};
use crate::workshop::{environment, write};
use snpforge::definition::Family;
use snpforge::digest::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// A port of loopback at which nobody listens.
pub const DEAD: &str = "http://127.0.0.1:1";

/// What a server has, and how it misbehaves with files whose path holds a text.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    bad: Option<(&'static str, Bad)>,
    /// How often a file was asked for since then.
    times: BTreeMap<String, usize>,
    /// What a proxy says to everybody.
    refuses: Option<u16>,
    /// A file of this machine with the right bytes.
    right: String,
}

type Shared = Arc<Mutex<Shelf>>;

impl Shelf {
    fn reply(&mut self, request: &Request) -> Reply {
        if let Some(status) = self.refuses {
            return Reply::Status(status, Vec::new());
        }
        // What is sent as to a proxy has scheme and host in front.
        let path =
            request.path.split_once("://").map_or(request.path.as_str(), |(_, rest)| match rest.split_once('/') {
                Some((_, path)) => path,
                None => "",
            });
        let hop = path.strip_prefix("hop/").and_then(|rest| rest.split_once('/'));
        let hop = hop.map(|(left, path)| (left.parse::<usize>().unwrap(), path));
        let (path, bad) = match hop {
            Some((0, path)) => (path, None),
            Some((left, path)) => (path, Some(Bad::Hops(left))),
            None => (path, self.bad.filter(|(part, _)| path.contains(part)).map(|(_, bad)| bad)),
        };
        match (self.files.get(path), bad) {
            (None, _) => Reply::Status(404, Vec::new()),
            (Some(bytes), None) => Reply::File(bytes.clone()),
            (Some(bytes), Some(bad)) => {
                let times = self.times.entry(path.to_owned()).or_default();
                *times += 1;
                bad.reply(bytes, path, request.range_start().unwrap_or(0), *times - 1, &self.right)
            }
        }
    }
}

fn serve() -> (Server, Shared) {
    let shelf = Shared::default();
    let inside = Arc::clone(&shelf);
    (Server::start(move |request, _| inside.lock().unwrap().reply(request)), shelf)
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub first: Server,
    pub second: Server,
    shelves: [Shared; 2],
    https: Https,
    pub git: Option<Git>,
    engine: Engine,
    room: Option<Room>,
    environment: Mutex<BTreeMap<&'static str, String>>,
    /// The commit that a lock of the git source has.
    commit: String,
}

impl World {
    /// A world in which all is well, or why this machine cannot have it.
    pub fn new(row: &Row) -> Result<World, String> {
        let folder = tempfile::tempdir().unwrap();
        let ((first, one), (second, other)) = (serve(), serve());
        let git = (source(row.fault) == Source::Git).then(|| Git::new(&folder.path().join("git")));
        let commit = git.as_ref().map(Git::commit).unwrap_or_default();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let room = match row.fault {
            Fault::Disk(..) => Some(Room::new(&store)?),
            _ => None,
        };
        let https = Https::start(UPSTREAM.clone());
        let shelves = [one, other];
        let (engine, environment) = (Engine::start(), Mutex::default());
        let world = World { folder, first, second, shelves, https, git, engine, room, environment, commit };
        let right = world.folder.path().join("right");
        write(&right, &UPSTREAM, 0o644);
        for shelf in &world.shelves {
            shelf.lock().unwrap().right = right.display().to_string();
        }
        world.publish(None, None);
        world.set("SSL_CERT_FILE", world.https.trusted(world.folder.path()));
        if let Fault::Unreachable(_) | Fault::Proxy(_) = row.fault {
            world.set("http_proxy", world.first.url(""));
        }
        world.write_project(row.fault);
        Ok(world)
    }

    /// What the mirrors have from now on.
    fn publish(&self, first: Option<Lie>, second: Option<Lie>) {
        for (shelf, lie) in self.shelves.iter().zip([first, second]) {
            let mut shelf = shelf.lock().unwrap();
            shelf.files = archive(lie).files;
            shelf.files.insert("thing.tar.xz".into(), UPSTREAM.clone());
        }
    }

    fn misbehave(&self, mirrors: &[usize], part: &'static str, bad: Bad) {
        for at in mirrors {
            self.shelves[*at].lock().unwrap().bad = Some((part, bad));
        }
    }

    pub fn set(&self, name: &'static str, value: String) {
        self.environment.lock().unwrap().insert(name, value);
    }

    pub fn unset(&self, name: &'static str) {
        self.environment.lock().unwrap().remove(name);
    }

    pub fn project(&self, path: &str) -> PathBuf {
        self.folder.path().join("project").join(path)
    }

    fn write_project(&self, fault: Fault) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["Containerfile.ovmf", "images/ovmf/build"] {
            write(&self.project(path), &std::fs::read(root.join(path)).unwrap(), 0o755);
        }
        write(&self.project("keys/test.gpg"), &Signer::new(1).keyring(), 0o644);
        let mirror = |server: &Server| server.url("").trim_end_matches('/').to_owned();
        let mirrors = match fault {
            Fault::Refusing => vec![DEAD.to_owned(), mirror(&self.second)],
            Fault::First(..)
            | Fault::StallAndGone(_)
            | Fault::Both(..)
            | Fault::Archive(_)
            | Fault::ArchiveOfFirst(_) => {
                vec![mirror(&self.first), mirror(&self.second)]
            }
            _ => vec![mirror(&self.first)],
        };
        // Of the family that this machine's apt does not have, so that nobody else is asked.
        let ubuntu = snpforge::mirror::machine(Path::new("/"), Family::Ubuntu).is_empty();
        let family = if ubuntu { "ubuntu" } else { "debian" };
        let archive = format!(
            "family = \"{family}\"\nsuites = [\"stable\"]\ncomponents = [\"main\"]\nkeyring = \"../keys/test.gpg\"\n\
             mirrors = {mirrors:?}\n"
        );
        let image = format!(
            "format = 1\nsummary = \"s\"\n[archive]\n{archive}[root]\nmerged-usr = true\npackages = [\"tool\"]\n"
        );
        write(&self.project("images/i.toml"), image.as_bytes(), 0o644);
        let source = match source(fault) {
            Source::Debian => "debian = { archive = \"a\", package = \"edk2\" }".to_owned(),
            Source::Tarball => self.tarball(fault, &UPSTREAM),
            Source::Git => {
                let fault = if let Fault::Git(fault) = fault { Some(fault) } else { None };
                self.git.as_ref().unwrap().source(fault)
            }
        };
        let release = format!(
            "format = 1\nsummary = \"s\"\nimage = \"i\"\n[archives.a]\n{archive}[ovmf]\nbuild = \"DEBUG\"\nsource = {{ {source} }}\n"
        );
        write(&self.project("releases/r.toml"), release.as_bytes(), 0o644);
    }

    /// The tarball as a source of the release file.
    fn tarball(&self, fault: Fault, bytes: &[u8]) -> String {
        let url = match fault {
            Fault::Unreachable(url) => url.to_owned(),
            Fault::Certificate(_) => format!("{}/thing.tar.xz", self.https.url()),
            _ => self.first.url("thing.tar.xz"),
        };
        format!("tarball = {{ urls = [{url:?}], sha256 = \"{}\", version = \"1\" }}", Digest::of(bytes))
    }

    /// Makes the fault.
    pub fn spoil(&self, row: &Row) {
        match row.fault {
            Fault::First(part, bad) | Fault::Alone(part, bad) => self.misbehave(&[0], part, bad),
            Fault::StallAndGone(part) => {
                self.misbehave(&[0], part, Bad::Stall(crate::table::MIDDLE));
                self.misbehave(&[1], part, Bad::Status(404));
            }
            Fault::Both(part, bad) => self.misbehave(&[0, 1], part, bad),
            Fault::Tarball(bad) => self.misbehave(&[0], "thing", bad),
            Fault::Archive(lie) => self.publish(Some(lie), Some(lie)),
            Fault::ArchiveOfFirst(lie) => self.publish(Some(lie), None),
            Fault::TarballIs(bytes) => {
                self.shelves[0].lock().unwrap().files.insert("thing.tar.xz".into(), bytes.to_vec());
                self.replace("releases/r.toml", &UPSTREAM_DIGEST, &Digest::of(bytes));
            }
            Fault::Unreachable(_) => self.unset("http_proxy"),
            Fault::Proxy(None) => self.set("http_proxy", DEAD.to_owned()),
            Fault::Proxy(Some(status)) => self.shelves[0].lock().unwrap().refuses = Some(status),
            Fault::Certificate(fault) => self.https.spoil(fault),
            Fault::Git(fault) => self.git.as_ref().unwrap().spoil(fault, self),
            Fault::Disk(size, _) => self.room.as_ref().unwrap().limit(size),
            Fault::Stopped(_) => self.misbehave(&[0], "orig.tar", Bad::Stall(crate::table::MIDDLE)),
            Fault::Twice => self.misbehave(&[0], "orig.tar", Bad::Late),
            Fault::Refusing => {}
        }
    }

    /// Takes the fault away.
    pub fn mend(&self, row: &Row) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock().unwrap();
            (shelf.bad, shelf.refuses) = (None, None);
        }
        match row.fault {
            Fault::Archive(_) | Fault::ArchiveOfFirst(_) => self.publish(None, None),
            Fault::TarballIs(bytes) => {
                self.publish(None, None);
                self.replace("releases/r.toml", &Digest::of(bytes), &UPSTREAM_DIGEST);
            }
            Fault::Unreachable(_) | Fault::Proxy(_) => self.set("http_proxy", self.first.url("")),
            Fault::Certificate(_) => self.https.mend(),
            Fault::Git(fault) => self.git.as_ref().unwrap().mend(fault, self),
            Fault::Disk(..) => self.room.as_ref().unwrap().limit(64 << 10),
            _ => {}
        }
    }

    fn replace(&self, path: &str, old: &Digest, new: &Digest) {
        let text = std::fs::read_to_string(self.project(path)).unwrap();
        write(&self.project(path), text.replace(&old.to_string(), &new.to_string()).as_bytes(), 0o644);
    }

    /// The program's store, as this process sees it.
    pub fn store(&self) -> PathBuf {
        let store = self.folder.path().join("store/snpforge");
        self.room.as_ref().map_or(store.clone(), |room| room.seen(&store))
    }

    /// The file that most faults are about.
    pub fn large(&self) -> Digest {
        *UPSTREAM_DIGEST
    }

    /// The program with arguments, in a store of that name, ready to run.
    fn program(&self, store: &str, arguments: &[&str]) -> Command {
        let snpforge = env!("CARGO_BIN_EXE_snpforge");
        let mut command = match &self.room {
            Some(room) => room.program(&self.project(""), snpforge),
            None => Command::new(snpforge),
        };
        let host = self.engine.host();
        command.args(arguments.iter().map(|word| if *word == ENGINE { &host } else { *word }));
        command.current_dir(self.project("")).env_clear().envs(&*self.environment.lock().unwrap());
        command.env("PATH", environment().get("PATH").unwrap()).env("HOME", self.folder.path());
        command.env("XDG_CACHE_HOME", self.folder.path().join(store)).stdin(Stdio::null());
        command
    }

    pub fn start(&self, wish: Wish) -> std::process::Child {
        self.program("store", arguments(wish)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(&self, wish: Wish) -> Output {
        self.program("store", arguments(wish)).output().unwrap()
    }

    /// Writes the locks that the row's command needs, with another store.
    pub fn prepare(&self, row: &Row) {
        let lock: &[&str] = match (row.command, source(row.fault)) {
            (Wish::Lock, Source::Debian) => return,
            (Wish::Lock, _) => &["lock", "--image", "i"],
            _ => &["lock", "--release", "r"],
        };
        let output = self.program("maker", lock).output().unwrap();
        assert!(output.status.success(), "preparing: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Words of a row with what they stand for.
    pub fn words(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let git = self.git.as_ref().map(|git| git.server.url("")).unwrap_or_default();
        let (first, second, store) =
            (self.first.url(""), self.second.url(""), self.folder.path().join("store/snpforge"));
        for (name, value) in [
            ("{first}", first.trim_end_matches('/')),
            ("{second}", second.trim_end_matches('/')),
            ("{git}", git.trim_end_matches('/')),
            ("{tls}", &self.https.url()),
            ("{commit}", &self.commit),
            ("{store}", &store.display().to_string()),
        ] {
            text = text.replace(name, value);
        }
        text
    }
}

/// Stands for the engine's address in a command.
const ENGINE: &str = "{engine}";

fn arguments(wish: Wish) -> &'static [&'static str] {
    match wish {
        Wish::Lock => &["lock", "--release", "r"],
        Wish::Update => &["lock", "--release", "r", "--update"],
        Wish::Fetch => &["fetch", "--release", "r"],
        Wish::Image => &["image", "build", "i"],
        Wish::BuildUnlocked => &["build", "ovmf", "--release", "r", "--engine", "docker", "--host", ENGINE],
        Wish::Build => &["build", "ovmf", "--release", "r", "--locked", "--engine", "docker", "--host", ENGINE],
    }
}

/// What the release's only source is in a row.
pub fn source(fault: Fault) -> Source {
    match fault {
        Fault::Tarball(_) | Fault::TarballIs(_) | Fault::Unreachable(_) | Fault::Proxy(_) | Fault::Certificate(_) => {
            Source::Tarball
        }
        Fault::Git(_) => Source::Git,
        Fault::Disk(_, source) => source,
        _ => Source::Debian,
    }
}
