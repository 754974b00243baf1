//! `lock`, and the locks that every other command needs.

use super::session::Session;
use crate::cli::{Lock, Which};
use crate::terminal;
use snpforge::build::locking::{self, Freshness};
use snpforge::build::{Borders, plan::Documents};
use snpforge::component::Component;
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use std::collections::BTreeMap;

/// `snpforge lock`.
///
/// # Errors
/// Whatever resolving fails with; [`Kind::Lock`] when `--check` finds a lock that does not fit.
pub fn lock(arguments: &Lock, session: &Session) -> Result<()> {
    session.with(false, |borders| {
        let release = arguments.image.is_none().then_some(arguments.release.as_str());
        let image = match (&arguments.image, release) {
            (Some(image), _) => image.clone(),
            (None, _) => borders.project.release(&arguments.release)?.image,
        };
        if arguments.check {
            return check(release, &image, borders);
        }
        let freshness = if arguments.update { Freshness::Update } else { Freshness::Keep };
        lock_image(&image, freshness, arguments.dry_run, borders)?;
        release.map_or(Ok(()), |release| lock_release(release, freshness, arguments.dry_run, borders))
    })
}

fn lock_image(name: &str, freshness: Freshness, dry_run: bool, borders: &Borders<'_>) -> Result<()> {
    let old = borders.project.image_lock(name, true)?;
    let fits = match &old {
        Some(old) => locking::image_fits(old, &borders.project.image(name)?)?,
        None => false,
    };
    if fits && freshness == Freshness::Keep {
        terminal::line(format!("images/{name}.lock fits; --update resolves it anew"));
        return Ok(());
    }
    let new = locking::image(name, old.as_ref(), freshness, borders)?;
    let changes = old.as_ref().map_or_else(Vec::new, |old| locking::image_changes(old, &new));
    let text = new.render(name)?;
    let same = old.as_ref() == Some(&new);
    finish("images", name, &text, same, dry_run, &changes, borders)
}

fn lock_release(name: &str, freshness: Freshness, dry_run: bool, borders: &Borders<'_>) -> Result<()> {
    let old = borders.project.release_lock(name, true)?;
    let fits = match &old {
        Some(old) => locking::release_fits(old, &borders.project.release(name)?)?,
        None => false,
    };
    if fits && freshness == Freshness::Keep {
        terminal::line(format!("releases/{name}.lock fits; --update resolves it anew"));
        return Ok(());
    }
    let new = locking::release(name, old.as_ref(), freshness, borders)?;
    let changes = old.as_ref().map_or_else(Vec::new, |old| locking::release_changes(old, &new));
    let text = new.render(name)?;
    let same = old.as_ref() == Some(&new);
    finish("releases", name, &text, same, dry_run, &changes, borders)
}

fn finish(
    folder: &str,
    name: &str,
    text: &str,
    same: bool,
    dry_run: bool,
    changes: &[String],
    borders: &Borders<'_>,
) -> Result<()> {
    changes.iter().for_each(terminal::line);
    if same {
        terminal::line(format!("{folder}/{name}.lock is up to date"));
    } else if dry_run {
        terminal::line(format!("{folder}/{name}.lock would be written"));
    } else {
        let path = borders.project.write_lock(folder, name, true, text)?;
        terminal::line(format!("wrote {}", path.display()));
    }
    Ok(())
}

fn check(release: Option<&str>, image: &str, borders: &Borders<'_>) -> Result<()> {
    let found = tracked_image(image, borders)?;
    fit(&format!("images/{image}.lock"), image_fits(image, found.as_ref(), borders)?)?;
    if let Some(release) = release {
        let found = borders.project.release_lock(release, true)?;
        let document = borders.project.release(release)?;
        let fits = found.map(|lock| locking::release_fits(&lock, &document)).transpose()?;
        fit(&format!("releases/{release}.lock"), fits)?;
    }
    terminal::line("the locks fit their documents");
    Ok(())
}

fn tracked_image(name: &str, borders: &Borders<'_>) -> Result<Option<ImageLock>> {
    borders.project.image_lock(name, true)
}

fn image_fits(name: &str, lock: Option<&ImageLock>, borders: &Borders<'_>) -> Result<Option<bool>> {
    let definition = borders.project.image(name)?;
    lock.map(|lock| locking::image_fits(lock, &definition)).transpose()
}

fn fit(path: &str, fits: Option<bool>) -> Result<()> {
    let cause = match fits {
        Some(true) => return Ok(()),
        Some(false) => "does not fit its document, which changed",
        None => "does not exist",
    };
    Err(Error::new(Kind::Lock, path, cause).remedy("run `snpforge lock` and commit what it writes"))
}

/// An image's lock: the untracked one if an input was gone, the tracked one if it fits, else resolved and written now.
///
/// # Errors
/// [`Kind::Lock`] with `locked` when there is none that fits.
pub fn image(name: &str, locked: bool, borders: &Borders<'_>) -> Result<ImageLock> {
    let definition = borders.project.image(name)?;
    for tracked in [false, true] {
        let Some(lock) = borders.project.image_lock(name, tracked)?.filter(|_| tracked || !locked) else { continue };
        if locking::image_fits(&lock, &definition)? {
            say_untracked("images", name, tracked, borders);
            return Ok(lock);
        }
    }
    refuse_if(locked, "images", name)?;
    let old = borders.project.image_lock(name, true)?;
    let new = locking::image(name, old.as_ref(), Freshness::Keep, borders)?;
    let path = borders.project.write_lock("images", name, true, &new.render(name)?)?;
    borders.report.say(format!("wrote {}", path.display()));
    Ok(new)
}

/// A release's lock, as [`image`].
///
/// # Errors
/// [`Kind::Lock`] with `locked` when there is none that fits.
pub fn release(name: &str, locked: bool, borders: &Borders<'_>) -> Result<ReleaseLock> {
    let document = borders.project.release(name)?;
    for tracked in [false, true] {
        let Some(lock) = borders.project.release_lock(name, tracked)?.filter(|_| tracked || !locked) else { continue };
        if locking::release_fits(&lock, &document)? {
            say_untracked("releases", name, tracked, borders);
            return Ok(lock);
        }
    }
    refuse_if(locked, "releases", name)?;
    let old = borders.project.release_lock(name, true)?;
    let new = locking::release(name, old.as_ref(), Freshness::Keep, borders)?;
    let path = borders.project.write_lock("releases", name, true, &new.render(name)?)?;
    borders.report.say(format!("wrote {}", path.display()));
    Ok(new)
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

fn refuse_if(locked: bool, folder: &str, name: &str) -> Result<()> {
    if !locked {
        return Ok(());
    }
    Err(Error::new(
        Kind::Lock,
        format!("{folder}/{name}.lock"),
        "is missing or does not fit its document, and --locked forbids to write it",
    )
    .remedy("run `snpforge lock`, look at the difference, and commit it"))
}

/// Resolves everything anew into untracked locks, because an input is gone from every mirror, and shows the difference.
///
/// # Errors
/// Whatever resolving fails with.
pub fn without_the_gone(which: &Which, borders: &Borders<'_>) -> Result<()> {
    let document = borders.project.release(&which.release)?;
    let image = which.image.clone().unwrap_or(document.image);
    let new_image = locking::image(&image, None, Freshness::Update, borders)?;
    let new_release = locking::release(&which.release, None, Freshness::Update, borders)?;
    let mut changes = Vec::new();
    if let Some(old) = borders.project.image_lock(&image, true)? {
        changes.extend(locking::image_changes(&old, &new_image));
    }
    if let Some(old) = borders.project.release_lock(&which.release, true)? {
        changes.extend(locking::release_changes(&old, &new_release));
    }
    borders.project.write_lock("images", &image, false, &new_image.render(&image)?)?;
    borders.project.write_lock("releases", &which.release, false, &new_release.render(&which.release)?)?;
    borders.report.warn(format!("resolved anew; this is NOT the tracked release:\n  {}", changes.join("\n  ")));
    Ok(())
}

/// Everything a plan is made from.
///
/// # Errors
/// Whatever a document or lock fails with.
pub fn documents(which: &Which, wished: &[Component], borders: &Borders<'_>) -> Result<Documents> {
    let document = borders.project.release(&which.release)?;
    let image_name = which.image.clone().unwrap_or_else(|| document.image.clone());
    let definition = borders.project.image(&image_name)?;
    let components: Vec<Component> =
        document.components().into_iter().filter(|one| wished.is_empty() || wished.contains(one)).collect();
    let mut methods = BTreeMap::new();
    for component in components {
        methods.insert(component, borders.project.method(component, &document)?);
    }
    let image_lock = image(&image_name, which.locked, borders)?;
    let release_lock = release(&which.release, which.locked, borders)?;
    let unpinned = snpforge::build::fetch::unpinned(&release_lock, borders)?;
    Ok(Documents {
        release_name: which.release.clone(),
        release: document,
        release_lock,
        image_name,
        image: definition,
        image_lock,
        methods,
        unpinned,
    })
}
