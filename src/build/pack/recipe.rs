//! What a bundle carries so that it can be built again: the release and image files with their locks, the keyrings they
//! name, Containerfiles, recipes and the files of the bundle itself, laid out as a project folder.

use crate::build::Borders;
use crate::build::plan::Plan;
use crate::definition::Archive;
use crate::error::{Error, Kind, Result};
use crate::project::{COMPATIBILITY, RecipeFile};
use crate::release::Base;
use std::collections::{BTreeMap, BTreeSet};

/// The folder of the project whose files go into every bundle as they are.
const BUNDLE: &str = "images/bundle";

/// Every file by its path in the project.
///
/// # Errors
/// [`Kind::Io`] when one cannot be read, [`Kind::Document`] for a path that leaves the project.
pub fn files(plan: &Plan, borders: &Borders<'_>) -> Result<BTreeMap<String, RecipeFile>> {
    let project = borders.project;
    let (release, lock) = &plan.release_documents;
    let (image, image_lock) = &plan.image_documents;
    let mut paths = BTreeSet::from([
        format!("releases/{}.toml", plan.release),
        format!("images/{}.toml", plan.image),
        "kvm.conf".to_owned(),
    ]);
    if project.root().join(COMPATIBILITY).is_file() {
        paths.insert(COMPATIBILITY.to_owned());
    }
    for archive in release.archives.values() {
        paths.insert(inside("releases", &archive.keyring)?);
    }
    let Archive { keyring, .. } = &image.archive;
    paths.insert(inside("images", keyring)?);
    let mut folders = BTreeSet::from([BUNDLE.to_owned()]);
    for component in release.components() {
        paths.insert(format!("Containerfile.{}", component.family()));
        folders.insert(format!("images/{}", component.family()));
        if let Some(kernel) = release.kernel(component) {
            for (path, _) in kernel.own_fragments() {
                paths.insert(inside("releases", path)?);
            }
            if let Some(Base::File { path, .. }) = &kernel.base {
                paths.insert(inside("releases", path)?);
            }
        }
    }
    let mut files = BTreeMap::new();
    for path in paths {
        files.insert(path.clone(), project.file(&path)?);
    }
    for folder in folders {
        for file in project.folder(&folder)? {
            files.insert(format!("{folder}/{}", file.path), file);
        }
    }
    // The locks that were used, whether they are the tracked ones or not.
    let locks = [
        (format!("releases/{}.lock", plan.release), lock.render(&plan.release)?),
        (format!("images/{}.lock", plan.image), image_lock.render(&plan.image)?),
    ];
    for (path, text) in locks {
        files.insert(path.clone(), RecipeFile::new(path, text.into_bytes()));
    }
    Ok(files)
}

/// The path in the project of what a file in `folder` names relative to itself.
fn inside(folder: &str, relative: &str) -> Result<String> {
    let mut parts: Vec<&str> = vec![folder];
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => {
                return Err(Error::new(Kind::Document, relative, "leads out of the project")
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
        assert_eq!(inside("releases", "../images/keys/a.gpg").unwrap(), "images/keys/a.gpg");
        assert_eq!(inside("images", "keys/a.gpg").unwrap(), "images/keys/a.gpg");
        assert_eq!(inside("images", "../../x").unwrap_err().kind(), Kind::Document);
    }
}
