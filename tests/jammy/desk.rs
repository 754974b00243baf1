//! A project with this repository's documents, a home, and the program run in it.

use crate::http::{Reply, Server};
use crate::workshop::{file, tar_of, xz};
use snpforge::digest::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A port of loopback at which nobody listens.
pub const DEAD: &str = "http://127.0.0.1:1";

pub struct Desk {
    pub folder: tempfile::TempDir,
    pub server: Server,
    served: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// The program's environment, besides home and search path.
    pub environment: BTreeMap<&'static str, String>,
}

impl Desk {
    /// With all proxies dead, and loopback reached without them.
    pub fn new() -> Desk {
        let served: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let inside = Arc::clone(&served);
        let server = Server::start(move |request, _| {
            let file = inside.lock().unwrap().get(&request.path).cloned();
            file.map_or(Reply::Status(404, Vec::new()), Reply::File)
        });
        let environment = [("http_proxy", DEAD), ("https_proxy", DEAD), ("no_proxy", "127.0.0.1")];
        let environment = environment.map(|(name, value)| (name, value.to_owned())).into();
        let desk = Desk { folder: tempfile::tempdir().unwrap(), server, served, environment };
        for part in ["releases", "images", "Containerfile.kernel", "Containerfile.qemu", "Containerfile.ovmf"] {
            desk.copy(part);
        }
        desk
    }

    fn copy(&self, part: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in walkdir::WalkDir::new(root.join(part)).into_iter().map(Result::unwrap) {
            let to = self.project(entry.path().strip_prefix(root).unwrap().to_str().unwrap());
            if entry.file_type().is_file() {
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    /// The server has these files below `base`, too.
    pub fn serve(&self, base: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let files = files.into_iter().map(|(path, bytes)| (format!("{base}/{path}"), bytes));
        self.served.lock().unwrap().extend(files);
    }

    pub fn project(&self, path: &str) -> PathBuf {
        self.folder.path().join("project").join(path)
    }

    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.project(path)).unwrap()
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        crate::workshop::write(&self.project(path), content, 0o755);
    }

    /// The folder that is the program's cache.
    pub fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release `r` in this image, whose one component is made by the recipe from two small files.
    pub fn component(&self, image: &str, recipe: &str) {
        let files = [file("edk2-1/a.c", 0o644, b"int a;\n"), file("edk2-1/License.txt", 0o644, b"free\n")];
        let source = xz(&tar_of(&files, 1_700_000_000));
        let release = format!(
            "format = 1\nsummary = \"s\"\nimage = \"{image}\"\n[ovmf]\nbuild = \"DEBUG\"\n\
             source = {{ tarball = {{ urls = [\"{}\"], sha256 = \"{}\", version = \"1\" }} }}\n",
            self.server.url("src/edk2.tar.xz"),
            Digest::of(&source)
        );
        self.serve("src", [("edk2.tar.xz".to_owned(), source)]);
        self.write("releases/r.toml", release.as_bytes());
        self.write("images/ovmf/build", recipe.as_bytes());
    }

    /// What the program says on both channels, with a store of that name; it must end with this code.
    pub fn said(&self, store: &str, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snpforge"));
        command.args(arguments).current_dir(self.project("")).env_clear().envs(&self.environment);
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", self.store(store));
        let output = command.env("PATH", "/usr/bin:/bin").output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }
}

pub fn holds(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
}
