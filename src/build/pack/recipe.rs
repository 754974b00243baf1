//! What a bundle carries so that it can be built again: the release and image files with their locks, the keyrings they
//! name, Containerfiles, recipes and the files of the bundle itself, laid out as a project folder. All of it is read before
//! the first component is built: whatever is edited meanwhile, the bundle holds what it was made of.

use crate::build::plan::Plan;
use crate::definition::ImageDefinition;
use crate::error::{Error, Kind, Result};
use crate::project::{COMPATIBILITY, Project, RecipeFile};
use crate::release::Release;
use crate::sums;
use std::collections::{BTreeMap, BTreeSet};

/// The folder of the project whose files go into every bundle as they are.
const BUNDLE: &str = "images/bundle";

/// The project's files that stand at the top of a bundle, too: path there and path in the project.
const TOP: [(&str, &str); 3] = [
    ("install.sh", "images/bundle/install.sh"),
    ("launch-qemu.sh", "images/bundle/launch-qemu.sh"),
    ("kvm.conf", "kvm.conf"),
];

/// The project's files as they go into a bundle. Made by [`Recipe::read`] only.
pub struct Recipe {
    /// Every file of the recipe by its path in the project.
    pub(super) files: BTreeMap<String, RecipeFile>,
    /// The files at the bundle's top, by their path there.
    pub(super) top: BTreeMap<&'static str, RecipeFile>,
}

impl Recipe {
    /// The project that `plan` was made from: what the plan read it keeps, the rest is read here.
    ///
    /// # Errors
    /// [`Kind::Io`] when a file cannot be read, [`Kind::Document`] for a path that leaves the project or cannot stand in a sums
    /// file, [`Kind::Output`] for a document that is not the plan's any more.
    pub fn read(plan: &Plan, project: &Project) -> Result<Self> {
        let mut files = BTreeMap::new();
        for (path, file) in plan.methods.values().flat_map(|method| &method.files) {
            files.insert(inside(path)?, file.clone());
        }
        for path in named(plan)? {
            files.insert(path.clone(), project.file(&path)?);
        }
        if project.root().join(COMPATIBILITY).is_file() {
            files.insert(COMPATIBILITY.to_owned(), project.file(COMPATIBILITY)?);
        }
        for file in project.folder(BUNDLE)? {
            files.insert(format!("{BUNDLE}/{}", file.path), file);
        }
        let mut top = BTreeMap::new();
        for (path, from) in TOP {
            let file = project.file(from)?;
            top.insert(path, RecipeFile { executable: path.ends_with(".sh"), ..file.clone() });
            files.insert(from.to_owned(), file);
        }
        files.extend(documents(plan, project)?.map(|file| (file.path.clone(), file)));
        files.keys().try_for_each(|path| check_name(path))?;
        Ok(Recipe { files, top })
    }
}

/// The keyrings that the plan's documents name.
fn named(plan: &Plan) -> Result<BTreeSet<String>> {
    let keyrings = plan.release_documents.0.archives.values().map(|archive| format!("releases/{}", archive.keyring));
    let own = plan.image_documents.0.archive.iter().map(|archive| format!("images/{}", archive.keyring));
    keyrings.chain(own).map(|path| inside(&path)).collect()
}

/// The release and image files, which must still say what the plan was made from, and the locks that were used, whether
/// they are the tracked ones or not.
fn documents(plan: &Plan, project: &Project) -> Result<impl Iterator<Item = RecipeFile>> {
    let (release, release_lock) = &plan.release_documents;
    let (image, image_lock) = &plan.image_documents;
    let of_release = project.file(&format!("releases/{}.toml", plan.release))?;
    let of_image = project.file(&format!("images/{}.toml", plan.image))?;
    if Release::parse(&of_release.path, &text(&of_release)).ok().as_ref() != Some(release) {
        return Err(changed(&of_release.path));
    }
    if ImageDefinition::parse(&of_image.path, &text(&of_image)).ok().as_ref() != Some(image) {
        return Err(changed(&of_image.path));
    }
    let lock = |path: String, text: String| RecipeFile::new(path, text.into_bytes());
    let of_release_lock = lock(format!("releases/{}.lock", plan.release), release_lock.render(&plan.release)?);
    let of_image_lock = lock(format!("images/{}.lock", plan.image), image_lock.render(&plan.image)?);
    Ok([of_release, of_image, of_release_lock, of_image_lock].into_iter())
}

fn text(file: &RecipeFile) -> String {
    String::from_utf8_lossy(&file.content).into_owned()
}

fn changed(path: &str) -> Error {
    Error::new(Kind::Output, path, "changed while it was built: the bundle's recipe would not build the bundle")
        .remedy("run the command again, which plans anew; what did not change is not built again")
}

/// Refuses a name that the bundle's sums could not hold, now and not after the builds.
fn check_name(path: &str) -> Result<()> {
    sums::check(&format!("recipe/{path}")).map_err(|error| {
        let remedy = "every file of this folder goes into the bundle: move it away, or name it with letters, digits and ._+-~@,:=% only";
        Error::new(Kind::Document, format!("file `{}` of the project", path.escape_debug()), error.cause()).remedy(remedy)
    })
}

/// A path in the project as a document names it, without `.` and `..`.
fn inside(path: &str) -> Result<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => {
                return Err(Error::new(Kind::Document, path, "leads out of the project")
                    .remedy("name files inside the project only"));
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_the_project() {
        assert_eq!(inside("releases/../images/keys/a.gpg").unwrap(), "images/keys/a.gpg");
        assert_eq!(inside("images/./keys/a.gpg").unwrap(), "images/keys/a.gpg");
        assert_eq!(inside("images/../../x").unwrap_err().kind(), Kind::Document);
    }
}
