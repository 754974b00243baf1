//! What runs a build: Docker, Podman or the embedded sandbox, behind one small trait in plain words.
//! The engine knows nothing of components, sources or products: it loads a root file system, takes files in,
//! runs one command and hands files out.

pub mod choose;
pub mod discover;
pub mod docker;
pub mod embedded;
pub mod inside;
pub mod owner;
pub mod recorder;

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::Result;
use crate::oci::Image;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// The rules of a build that are equal on every engine. See the crate documentation, "The build contract".
pub mod contract {
    /// Where the sources are: root-owned and unwritable for the build.
    pub const SRC: &str = "/src";
    /// The build's own folder, empty at the start, writable.
    pub const BUILD: &str = "/build";
    /// Where the build puts its products, flat or in folders.
    pub const OUT: &str = "/out";
    /// The user and group the build runs as.
    pub const UID: u32 = 1000;
    /// The host name a build sees.
    pub const HOSTNAME: &str = "snpforge";
    /// The folders of the layer that belong to [`UID`], without their leading slash.
    pub const OWNED: [&str; 2] = ["build", "out"];
    /// Bytes of the tmpfs on /tmp.
    pub const TMP_BYTES: u64 = 2 << 30;
    /// Bytes of the tmpfs on /var/tmp.
    pub const VAR_TMP_BYTES: u64 = 16 << 20;
    /// Bytes of /dev/shm.
    pub const SHM_BYTES: u64 = 64 << 20;
    /// Soft and hard limit of open files.
    pub const NOFILE: (u64, u64) = (1024, 4096);
    /// Soft and hard limit of processes of the user.
    pub const NPROC: (u64, u64) = (4096, 4096);
    /// Limit of processes in the container.
    pub const PIDS: u64 = 4096;
    /// Where programs are looked for.
    pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    /// Variables every build sees; a Containerfile's ENV and the component's parameters come on top.
    pub const ENVIRONMENT: [(&str, &str); 5] =
        [("PATH", PATH), ("HOME", BUILD), ("HOSTNAME", HOSTNAME), ("TERM", "dumb"), ("container", "oci")];
}

/// Who an engine is, for people and for the run record; never part of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// `docker`, `podman` or `embedded`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it answers: a socket or URL; `this process` for the embedded one.
    pub address: String,
    /// Runs without root's rights on the host.
    pub rootless: bool,
    /// Rules of the contract this engine cannot keep here, in words; a build refuses or says them.
    pub limits: Vec<String>,
}

/// What to run. User, host name, volumes and limits are the contract's and not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// What this container is for, as its label and name say: for example `ovmf-1a2b3c`.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// All variables beyond [`contract::ENVIRONMENT`]; the same name here wins.
    pub environment: BTreeMap<String, String>,
    /// Working folder: an existing absolute path.
    pub workdir: String,
    /// Memory limit in bytes, where the engine can keep one.
    pub memory: Option<u64>,
}

/// Label that every container carries: what it is for.
pub const LABEL_BUILD: &str = "io.snpforge.build";
/// Label that every container carries: the process that made it, see [`owner`].
pub const LABEL_OWNER: &str = "io.snpforge.owner";

/// A created container, by the engine's own id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerId(pub String);

/// The status of a run whose first process ended by SIGKILL.
pub const KILLED: i64 = 128 + 9;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Exit status; 128 + signal for a killed command.
    pub code: i64,
    /// Whether something in it was killed for lack of memory; `None`: this engine cannot tell. A hint for a
    /// non-zero code, never a failure by itself.
    pub out_of_memory: Option<bool>,
}

/// What a file in /out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, whose target is not followed.
    Symlink,
    /// Anything else: hard link to elsewhere, device, FIFO, socket.
    Other,
}

/// A file in /out as the engine hands it out: untrusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Path relative to /out as the engine tells it, bytes outside UTF-8 replaced; may be hostile.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits (12 bits).
    pub mode: u32,
    /// Length in bytes as announced; the reader may give less, never more.
    pub size: u64,
}

/// Takes one member of /out and, for a file, its content.
pub type Take<'a> = dyn FnMut(&Member, &mut dyn Read) -> Result<()> + 'a;

/// The verbs. All block; long ones look at a [`Cancel`].
pub trait Engine: Send + Sync {
    /// Who it is. Fails when it does not answer.
    fn info(&self) -> Result<Info>;
    /// Makes the image usable, if an image with its layer is not there yet, and checks that the engine's root
    /// layers equal the image's `diff_id`.
    fn load(&self, image: &Image, cancel: &Cancel) -> Result<()>;
    /// The root layers the engine will use for this image.
    fn layers(&self, image: &Image) -> Result<Vec<Digest>>;
    /// Creates a container with empty /src, /build and /out. It checks the root layers again.
    fn create(&self, image: &Image, spec: &Spec) -> Result<ContainerId>;
    /// Puts the members of a normalised tar under /src. Only before `run`.
    fn upload(&self, id: &ContainerId, tar: &mut (dyn Read + Send), cancel: &Cancel) -> Result<()>;
    /// Runs the command to its end; its stdout and stderr go to `log` as they come.
    fn run(&self, id: &ContainerId, log: &mut (dyn Write + Send), cancel: &Cancel) -> Result<Outcome>;
    /// Hands out every member of /out, folders before what they hold. Only after `run`.
    fn download(&self, id: &ContainerId, take: &mut Take<'_>, cancel: &Cancel) -> Result<()>;
    /// Removes the container and everything it wrote. Removing what is gone already is no error.
    fn remove(&self, id: &ContainerId) -> Result<()>;
    /// Marks the container as kept by the user's wish: a later `reap` leaves it alone. Only after `run`.
    fn keep(&self, id: &ContainerId) -> Result<()>;
    /// Removes what runs that no longer live have left; how many containers that were.
    fn reap(&self) -> Result<usize>;
    /// How a person enters a kept container: a command line.
    fn enter(&self, id: &ContainerId) -> String;
}
