//! The shells, the roots of systems with their tools, one run of the script, and the state of a root.

use crate::bundle::{Bundle, open};
use snpforge::digest::Digest;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy)]
pub struct Shell {
    pub name: &'static str,
    pub words: &'static [&'static str],
}

pub const SHELLS: [Shell; 3] = [
    Shell { name: "dash", words: &["dash"] },
    Shell { name: "bash", words: &["bash"] },
    Shell { name: "busybox", words: &["busybox", "ash"] },
];

/// Why this machine cannot run a shell, if so.
pub fn reason(shell: Shell) -> Option<String> {
    let runs = Command::new(shell.words[0]).args(&shell.words[1..]).args(["-c", ":"]).output();
    (!runs.is_ok_and(|output| output.status.success())).then(|| format!("PATH has no working {}", shell.name))
}

/// What a test needs of this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Keys,
    Root,
    Mounts,
    Alone,
}

impl Need {
    pub fn reason(self) -> Option<String> {
        let succeeds = |words: &[&str]| {
            Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success())
        };
        let root = rustix::process::geteuid().is_root();
        match self {
            Need::Nothing => None,
            Need::Keys => {
                Command::new("ssh-keygen").arg("-?").output().err().map(|error| format!("ssh-keygen: {error}"))
            }
            Need::Root | Need::Mounts | Need::Alone if !root => Some("only root may chroot and mount".into()),
            Need::Root | Need::Alone => {
                let root = System::new();
                root.busybox();
                let inside = root.path().to_str().unwrap().to_owned();
                (!succeeds(&["chroot", &inside, "/bin/sh", "-c", ":"]))
                    .then(|| "PATH has no static busybox (Debian package busybox-static), or chroot is refused".into())
            }
            Need::Mounts => (!succeeds(&["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]))
                .then(|| "mounting in a namespace of its own is refused here".into()),
        }
    }
}

/// The root of a system to install into.
pub struct System(tempfile::TempDir);

impl System {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("a root ").tempdir().unwrap();
        open(folder.path());
        System(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A place of the system, named as in the system.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub fn folder(&self, path: &str) -> &Self {
        let mut at = self.path().to_path_buf();
        for part in path.split('/') {
            at.push(part);
            if !at.exists() {
                std::fs::create_dir(&at).unwrap();
                open(&at);
            }
        }
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
        self
    }

    pub fn merged(&self) -> &Self {
        self.folder("usr/lib/modules").folder("usr/bin").folder("usr/sbin");
        self.link("lib", "usr/lib").link("bin", "usr/bin").link("sbin", "usr/sbin")
    }

    /// Everything that busybox can do, as /bin of the system.
    pub fn busybox(&self) -> &Self {
        self.folder("bin").folder("tmp").folder("dev");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let Some(found) = std::env::split_paths(&path).map(|at| at.join("busybox")).find(|at| at.is_file()) else {
            return self;
        };
        std::fs::copy(found, self.at("bin/busybox")).unwrap();
        std::fs::set_permissions(self.at("bin/busybox"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let list = Command::new("busybox").arg("--list").output().unwrap();
        for name in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox") {
            self.link(&format!("bin/{name}"), "busybox");
        }
        std::fs::write(self.at("dev/null"), "").unwrap();
        self
    }

    /// A tool that writes its arguments to /calls and then does what `more` says.
    pub fn tool(&self, path: &str, more: &str) -> &Self {
        self.folder(Path::new(path).parent().unwrap().to_str().unwrap());
        let name = path.rsplit('/').next().unwrap();
        script(&self.at(path), &format!("echo \"{name} $*\" >>/calls\n{more}\n"));
        self
    }

    pub fn calls(&self) -> String {
        std::fs::read_to_string(self.at("calls")).unwrap_or_default()
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn mode(&self, path: &str) -> u32 {
        std::fs::symlink_metadata(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}")).mode() & 0o7777
    }

    /// All that a write would change: kind and mode, inode, time of change, content.
    pub fn state(&self) -> BTreeMap<PathBuf, (u32, u64, i64, i64, String)> {
        let mut state = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.path()) {
            let entry = entry.unwrap();
            let facts = std::fs::symlink_metadata(entry.path()).unwrap();
            let content = match facts.file_type() {
                kind if kind.is_symlink() => std::fs::read_link(entry.path()).unwrap().display().to_string(),
                kind if kind.is_file() => Digest::of(&std::fs::read(entry.path()).unwrap()).to_string(),
                _ => String::new(),
            };
            let facts = (facts.mode(), facts.ino(), facts.ctime(), facts.ctime_nsec(), content);
            state.insert(entry.path().strip_prefix(self.path()).unwrap().to_path_buf(), facts);
        }
        state
    }
}

/// A file that is a program of /bin/sh.
pub fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a run of the script left.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The end of a run must be `code` and its words must hold `words`.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) -> &Self {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for word in words {
            assert!(all.contains(word), "no `{word}` in:\n{all}");
        }
        self
    }
}

/// One run of the script, to be refined.
pub struct Install<'a> {
    bundle: &'a Bundle,
    command: Command,
}

impl<'a> Install<'a> {
    /// The bundle's script under a shell, with a depmod that always answers alike.
    pub fn new(shell: Shell, bundle: &'a Bundle) -> Self {
        Self::below(shell, bundle, &[])
    }

    /// The same below a command that starts it.
    pub fn below(shell: Shell, bundle: &'a Bundle, above: &[&str]) -> Self {
        let scratch = bundle.scratch.path();
        for name in ["tools", "tmp"] {
            std::fs::create_dir_all(scratch.join(name)).unwrap();
            std::fs::set_permissions(scratch.join(name), std::fs::Permissions::from_mode(0o1777)).unwrap();
        }
        if !scratch.join("tools/depmod").exists() {
            let words = "[ \"$1\" = -b ] && echo made >\"$2/lib/modules/$3/modules.dep\"";
            script(&scratch.join("tools/depmod"), words);
        }
        let words: Vec<&str> = above.iter().chain(shell.words).copied().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(bundle.folder.join("install.sh")).env_clear().env("TMPDIR", scratch.join("tmp"));
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", scratch.join("tools").display()));
        Install { bundle, command }
    }

    pub fn root(mut self, system: &System) -> Self {
        self.command.arg("--root").arg(system.path());
        self
    }

    pub fn with<S: AsRef<std::ffi::OsStr>>(mut self, arguments: &[S]) -> Self {
        self.command.args(arguments);
        self
    }

    /// With a variable of the environment.
    pub fn env<S: AsRef<std::ffi::OsStr>>(mut self, name: &str, value: S) -> Self {
        self.command.env(name, value);
        self
    }

    /// Started in a folder.
    pub fn inside(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// As a user without rights.
    pub fn without_rights(mut self) -> Self {
        self.command.uid(65534).gid(65534);
        self
    }

    /// Runs, and looks that nothing is left of the work.
    pub fn run(mut self) -> Run {
        let output = self.command.output().unwrap();
        let left: Vec<_> = std::fs::read_dir(self.bundle.scratch.path().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "left in TMPDIR: {left:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}
