//! The folder that holds `releases/`, `images/` and the Containerfiles: finds and reads what a person wrote and what
//! `lock` wrote. Knows file names, not what the documents mean.

use crate::compatibility::Compatibility;
use crate::component::Component;
use crate::containerfile::Containerfile;
use crate::definition::ImageDefinition;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::lock::{ImageLock, ReleaseLock};
use crate::release::{Base, Kernel, Release};
use crate::store::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A project folder.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
}

/// One file of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeFile {
    /// Path below the recipe's folder.
    pub path: String,
    /// May be run.
    pub executable: bool,
    /// The content.
    #[serde(skip)]
    pub content: Vec<u8>,
    /// Digest of the content.
    pub sha256: Digest,
}

impl RecipeFile {
    /// A file that may not be run.
    pub fn new(path: String, content: Vec<u8>) -> Self {
        RecipeFile { path, executable: false, sha256: Digest::of(&content), content }
    }
}

/// How a component is built: its Containerfile and its recipe's files, as they stand in the project.
#[derive(Clone, Debug)]
pub struct Method {
    /// The parsed Containerfile.
    pub containerfile: Containerfile,
    /// Digest of the Containerfile's text.
    pub containerfile_sha256: Digest,
    /// The recipe's files, sorted by path.
    pub recipe: Vec<RecipeFile>,
    /// Every file of the project that was read for it, by its path there, as the documents name it.
    pub files: BTreeMap<String, RecipeFile>,
}

/// What is known of which parts fit together.
pub const COMPATIBILITY: &str = "releases/known/compatibility.toml";

/// What a release is called when the tool looks for its files.
const LOCAL: &str = "untracked";

impl Project {
    /// The project in `start` or the nearest folder above it.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none.
    pub fn find(start: &Path) -> Result<Self> {
        let holds = |folder: &&Path| folder.join("releases").is_dir() && folder.join("images").is_dir();
        match start.ancestors().find(holds) {
            Some(root) => Ok(Project { root: root.to_owned() }),
            None => Err(Error::new(
                Kind::Usage,
                start.display(),
                "neither this folder nor one above it holds releases/ and images/",
            )
            .remedy("run snpforge in a clone of its repository, or name one with --project")),
        }
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of the files `folder/NAME.toml`, sorted.
    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.root.join(folder);
        let entries = std::fs::read_dir(&path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| Error::io(&path, "read", error))?.into_iter();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// The releases this project has.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn releases(&self) -> Result<Vec<String>> {
        self.names("releases")
    }

    /// The images this project has.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn images(&self) -> Result<Vec<String>> {
        self.names("images")
    }

    fn read_text(&self, path: &str) -> Result<String> {
        text(&self.root.join(path))
    }

    /// The text of `folder/NAME.toml`, with a helpful error for a name that does not exist.
    fn definition_text(&self, folder: &str, what: &str, name: &str) -> Result<String> {
        let known = self.names(folder)?;
        if !known.iter().any(|one| one == name) {
            let cause = format!("there is no {folder}/{name}.toml");
            let short = name.strip_prefix(&format!("{folder}/")).unwrap_or(name);
            let meant = short.strip_suffix(".toml").or_else(|| short.strip_suffix(".lock")).unwrap_or(short);
            let remedy = match known.iter().find(|one| *one == meant) {
                Some(meant) => format!("write `{meant}`: a name, without folder and ending"),
                None => format!("choose one of: {}", known.join(", ")),
            };
            return Err(Error::new(Kind::Usage, format!("{what} `{name}`"), cause).remedy(remedy));
        }
        self.read_text(&format!("{folder}/{name}.toml"))
    }

    /// Reads `releases/NAME.toml`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it does not exist, [`Kind::Document`] when it cannot be understood.
    pub fn release(&self, name: &str) -> Result<Release> {
        let text = self.definition_text("releases", "release", name)?;
        Release::parse(&format!("releases/{name}.toml"), &text)
    }

    /// What is known of which parts fit together: nothing in a project without this document.
    ///
    /// # Errors
    /// [`Kind::Document`] when it cannot be understood, [`Kind::Io`] when it cannot be read.
    pub fn compatibility(&self) -> Result<Compatibility> {
        let path = self.root.join(COMPATIBILITY);
        match std::fs::read_to_string(&path) {
            Ok(text) => Compatibility::parse(COMPATIBILITY, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Compatibility::default()),
            Err(error) => Err(Error::io(&path, "read", error)),
        }
    }

    /// Reads `images/NAME.toml`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it does not exist, [`Kind::Document`] when it cannot be understood.
    pub fn image(&self, name: &str) -> Result<ImageDefinition> {
        let text = self.definition_text("images", "image", name)?;
        ImageDefinition::parse(&format!("images/{name}.toml"), &text)
    }

    /// Where the lock of `folder/NAME` is: the tracked one, or the one that `build` wrote because an input was gone.
    pub fn lock_path(&self, folder: &str, name: &str, tracked: bool) -> PathBuf {
        let middle = if tracked { String::new() } else { format!(".{LOCAL}") };
        self.root.join(folder).join(format!("{name}{middle}.lock"))
    }

    /// Reads `images/NAME.lock`, or with `tracked` false its untracked stand-in; `None` when there is none.
    ///
    /// # Errors
    /// [`Kind::Document`] when it cannot be understood.
    pub fn image_lock(&self, name: &str, tracked: bool) -> Result<Option<ImageLock>> {
        read_lock(&self.lock_path("images", name, tracked), ImageLock::parse)
    }

    /// Reads `releases/NAME.lock`, or with `tracked` false its untracked stand-in; `None` when there is none.
    ///
    /// # Errors
    /// [`Kind::Document`] when it cannot be understood.
    pub fn release_lock(&self, name: &str, tracked: bool) -> Result<Option<ReleaseLock>> {
        read_lock(&self.lock_path("releases", name, tracked), ReleaseLock::parse)
    }

    /// Writes a lock, whole or not at all.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn write_lock(&self, folder: &str, name: &str, tracked: bool, text: &str) -> Result<PathBuf> {
        let path = self.lock_path(folder, name, tracked);
        files::write_whole(&path, text.as_bytes())?;
        Ok(path)
    }

    /// The keyring an archive definition names, relative to the folder of the defining file.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn keyring(&self, folder: &str, relative: &str) -> Result<Vec<u8>> {
        let path = self.root.join(folder).join(relative);
        std::fs::read(&path).map_err(|error| Error::io(&path, "read the keyring", error))
    }

    /// A component's Containerfile and recipe; a kernel's recipe holds the configuration files that `release` names.
    ///
    /// # Errors
    /// [`Kind::Document`] for a Containerfile with more than is allowed, [`Kind::Trust`] for a configuration file that is
    /// not the declared one, [`Kind::Io`] when a file cannot be read.
    pub fn method(&self, component: Component, release: &Release) -> Result<Method> {
        let name = format!("Containerfile.{}", component.family());
        let text = self.read_text(&name)?;
        let folder = format!("images/{}", component.family());
        let mut recipe = self.folder(&folder)?;
        let mut files: BTreeMap<String, RecipeFile> =
            recipe.iter().map(|file| (format!("{folder}/{}", file.path), file.clone())).collect();
        files.insert(name.clone(), RecipeFile::new(name.clone(), text.clone().into_bytes()));
        if let Some(kernel) = release.kernel(component) {
            for (path, file) in self.configuration(kernel)? {
                files.insert(path, file.clone());
                if recipe.iter().any(|one| one.path == file.path) {
                    return Err(Error::new(Kind::Document, &file.path, "is a name of the recipe's own files")
                        .remedy("give the release's fragment another file name"));
                }
                recipe.push(file);
            }
        }
        recipe.sort_by(|a, b| a.path.cmp(&b.path));
        let containerfile = Containerfile::parse(&name, &text)?;
        Ok(Method { containerfile, containerfile_sha256: Digest::of(text.as_bytes()), recipe, files })
    }

    /// Every regular file of a folder, sorted by path.
    ///
    /// # Errors
    /// [`Kind::Io`] when one cannot be read.
    pub fn folder(&self, relative: &str) -> Result<Vec<RecipeFile>> {
        let folder = self.root.join(relative);
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
            let entry = entry.map_err(|error| files::walked(&folder, error))?;
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(&folder).unwrap_or(entry.path()).to_string_lossy().into_owned();
                let file = self.file(&format!("{relative}/{path}"))?;
                files.push(RecipeFile { path, ..file });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// One file of the project.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn file(&self, relative: &str) -> Result<RecipeFile> {
        let path = self.root.join(relative);
        let failed = |error| Error::io(&path, "read", error);
        let content = std::fs::read(&path).map_err(failed)?;
        let executable = std::fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o100 != 0;
        Ok(RecipeFile { path: relative.to_owned(), executable, sha256: Digest::of(&content), content })
    }

    /// The configuration files that a release names for a kernel: path in the project, and the file as the kernel's recipe
    /// finds it.
    fn configuration(&self, kernel: &Kernel) -> Result<Vec<(String, RecipeFile)>> {
        let mut files = Vec::new();
        if let Some(Base::File { path, sha256 }) = &kernel.base {
            let file = self.file(&format!("releases/{path}"))?;
            if file.sha256 != *sha256 {
                return Err(Error::new(
                    Kind::Trust,
                    &file.path,
                    format!("has sha256 {}, the release file says {sha256}", file.sha256),
                )
                .remedy("restore the file, or correct the digest in the release file"));
            }
            files.push((file.path, RecipeFile { path: "base.config".into(), ..file }));
        }
        for (path, name) in kernel.own_fragments() {
            let file = self.file(&format!("releases/{path}"))?;
            files.push((file.path, RecipeFile { path: format!("config/{name}.config"), executable: false, ..file }));
        }
        Ok(files)
    }
}

fn read_lock<T>(path: &Path, parse: fn(&str, &str) -> Result<T>) -> Result<Option<T>> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    parse(&path.to_string_lossy(), &text(path)?).map(Some)
}

/// The text of a document.
fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, "read", error))?;
    String::from_utf8(bytes).map_err(|error| {
        let cause = format!("is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to());
        Error::new(Kind::Document, path.display(), cause).remedy("save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["releases/one.toml", "releases/two.toml", "images/x.toml"] {
            files::write_whole(&folder.path().join(path), b"").unwrap();
        }
        let project = Project::find(&folder.path().join("images")).unwrap();
        let error = project.release("three").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.remedy_text(), Some("choose one of: one, two"));
        assert_eq!(Project::find(Path::new("/")).unwrap_err().kind(), Kind::Usage);
    }
}
