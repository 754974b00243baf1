//! The locks that every command but `lock` needs: those that are there, or made now because nobody forbade it.

use crate::cli::Which;
use snpforge::build::locking::{self, Freshness, Lock as _};
use snpforge::build::{
    Borders,
    plan::{Documents, check_wishes},
};
use snpforge::component::Component;
use snpforge::difference::{self, text};
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use snpforge::project::Project;
use snpforge::release::Source;
use std::collections::BTreeMap;

/// The lock of an image or a release: the untracked one if an input was gone, the tracked one if it fits, else resolved
/// and written now.
///
/// # Errors
/// [`Kind::Lock`] with `locked` when there is none that fits.
pub fn current<L: locking::Lock>(name: &str, locked: bool, borders: &Borders<'_>) -> Result<L> {
    if let Some((lock, tracked)) = fitting::<L>(name, locked, borders.project)? {
        say_untracked(L::FOLDER, name, tracked, borders);
        return Ok(lock);
    }
    let old = L::read(name, true, borders.project)?;
    if locked {
        return Err(refused::<L>(name, old.is_some()));
    }
    let new = L::resolve(name, old.as_ref(), Freshness::Keep, borders);
    let new = new.map_err(|error| if old.is_none() { first::<L>(error, name) } else { error })?;
    let path = borders.project.write_lock(L::FOLDER, name, true, &new.text(name)?)?;
    borders.report.say(format!("wrote {}", path.display()));
    Ok(new)
}

/// Whether there is a lock, tracked or not, that was resolved from the document as it is.
///
/// # Errors
/// [`Kind::Document`] for a lock or document that cannot be understood.
pub fn fits<L: locking::Lock>(name: &str, project: &Project) -> Result<bool> {
    Ok(fitting::<L>(name, false, project)?.is_some())
}

/// The lock that fits its document, the untracked one first, and whether it is the tracked one.
fn fitting<L: locking::Lock>(name: &str, only_tracked: bool, project: &Project) -> Result<Option<(L, bool)>> {
    for tracked in [false, true].into_iter().filter(|tracked| *tracked || !only_tracked) {
        let Some(lock) = L::read(name, tracked, project)? else { continue };
        if lock.fits(name, project)? {
            return Ok(Some((lock, tracked)));
        }
    }
    Ok(None)
}

fn say_untracked(folder: &str, name: &str, tracked: bool, borders: &Borders<'_>) {
    if !tracked {
        let path = borders.project.lock_path(folder, name, false);
        borders.report.warn(format!(
            "using {}, made because an input was gone; remove it to go back to the tracked lock",
            path.display()
        ));
    }
}

fn refused<L: locking::Lock>(name: &str, there: bool) -> Error {
    let (folder, option) = (L::FOLDER, L::OPTION);
    let state = if there { "does not fit its document" } else { "does not exist" };
    Error::new(Kind::Lock, format!("{folder}/{name}.lock"), format!("{state}, and --locked forbids to write it"))
        .remedy(format!("run `snpforge lock {option} {name}`, look at the difference, and commit it"))
}

/// The error of a first lock that could not be made because its inputs cannot be reached: it needs the network once.
fn first<L: locking::Lock>(error: Error, name: &str) -> Error {
    if error.kind() != Kind::Unavailable {
        return error;
    }
    let (folder, option) = (L::FOLDER, L::OPTION);
    error.also(format!(
        "{folder}/{name}.lock does not exist yet: `snpforge lock {option} {name}` writes it once, where all of its inputs \
         can be reached; commit it"
    ))
}

/// Resolves everything anew into untracked locks, because an input is gone from every mirror that answers, and shows the
/// difference.
///
/// # Errors
/// Whatever resolving fails with.
pub fn without_the_gone(which: &Which, borders: &Borders<'_>) -> Result<()> {
    let document = borders.project.release(&which.release)?;
    let image = which.image.clone().unwrap_or(document.image);
    let (image_text, mut changes) = anew::<ImageLock>(&image, borders)?;
    let (release_text, more) = anew::<ReleaseLock>(&which.release, borders)?;
    changes.extend(more);
    borders.project.write_lock(ImageLock::FOLDER, &image, false, &image_text)?;
    borders.project.write_lock(ReleaseLock::FOLDER, &which.release, false, &release_text)?;
    borders.report.warn(format!("resolved anew; this is NOT the tracked release:\n  {}", changes.join("\n  ")));
    Ok(())
}

/// A lock as it would be written today, and what it changes in the tracked one.
fn anew<L: locking::Lock>(name: &str, borders: &Borders<'_>) -> Result<(String, Vec<String>)> {
    let new = L::resolve(name, None, Freshness::Update, borders)?;
    let old = L::read(name, true, borders.project)?;
    // What lies between is for whoever updates on purpose: nobody waits for it here.
    let changes = old.map(|old| text::lines(&difference::between(&old.side(name), &new.side(name))));
    Ok((new.text(name)?, changes.unwrap_or_default()))
}

/// Everything a plan is made from.
///
/// # Errors
/// Whatever a document or lock fails with.
pub fn documents(which: &Which, wished: &[Component], borders: &Borders<'_>) -> Result<Documents> {
    let document = borders.project.release(&which.release)?;
    check_wishes(&which.release, &document, wished)?;
    let image_name = which.image.clone().unwrap_or_else(|| document.image.clone());
    let definition = borders.project.image(&image_name)?;
    let components: Vec<Component> =
        document.components().into_iter().filter(|one| wished.is_empty() || wished.contains(one)).collect();
    let mut methods = BTreeMap::new();
    for component in components {
        methods.insert(component, borders.project.method(component, &document)?);
    }
    let image_lock: ImageLock = current(&image_name, which.locked, borders)?;
    let release_lock: ReleaseLock = current(&which.release, which.locked, borders)?;
    let unpinned = snpforge::build::fetch::unpinned(&release_lock, borders)?;
    Ok(Documents {
        release_name: which.release.clone(),
        release: document,
        release_lock,
        image_name,
        image: definition,
        image_lock,
        methods,
        compatibility: borders.project.compatibility()?,
        unpinned,
    })
}

/// Adds to an error about an input that cannot be had from here which other releases can be built all the same: those that
/// are locked, and those in another image than `image` whose sources come from package archives only.
pub fn elsewhere(error: Error, release: Option<&str>, image: &str, project: &Project) -> Error {
    if error.kind() != Kind::Unavailable {
        return error;
    }
    let packaged = |source: &Source| matches!(source, Source::Debian { .. } | Source::BinaryPackage { .. });
    let can = |name: &String| {
        let Ok(other) = project.release(name) else { return false };
        let apart = other.image != image;
        let locked = matches!(project.release_lock(name, true), Ok(Some(_)));
        // The failed release itself is no way out, but in its own image, which is another, it is.
        (apart || Some(name.as_str()) != release)
            && (locked || apart && other.sources().into_iter().all(|(.., source)| packaged(source)))
    };
    let others = project.releases().unwrap_or_default().into_iter().filter(can);
    let others: Vec<String> = others.map(|name| format!("`--release {name}`")).collect();
    if others.is_empty() { error } else { error.also(format!("or build another release: {}", others.join(", "))) }
}
