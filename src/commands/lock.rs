//! `lock`: the one command that is there for locks.

use super::locked::elsewhere;
use super::session::Session;
use crate::cli::Lock;
use crate::terminal;
use snpforge::build::locking::{self, Freshness};
use snpforge::build::{Borders, plan::check_wishes};
use snpforge::component::Component;
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use snpforge::project::Project;

/// The word of `--update WHAT` for the image.
const IMAGE: &str = "image";

/// `snpforge lock`.
///
/// # Errors
/// Whatever resolving fails with; [`Kind::Lock`] when `--check` finds a lock that does not fit.
pub fn lock(arguments: &Lock, session: &Session) -> Result<()> {
    if arguments.check {
        return check_all(arguments, &session.project()?);
    }
    session.with(false, |borders| {
        let (image, release) = wished(arguments, borders.project)?;
        let components = named(arguments, release, borders.project)?;
        let words = arguments.update.as_deref();
        let (of_image, of_release) = match words {
            None => (Freshness::Keep, Freshness::Keep),
            Some([]) => (Freshness::Update, Freshness::Update),
            Some(words) => (
                if words.iter().any(|word| word == IMAGE) { Freshness::Update } else { Freshness::Keep },
                if components.is_empty() { Freshness::Keep } else { Freshness::Components(&components) },
            ),
        };
        update::<ImageLock>(&image, of_image, arguments, borders)
            .and_then(|()| {
                release.map_or(Ok(()), |release| update::<ReleaseLock>(release, of_release, arguments, borders))
            })
            .map_err(|error| elsewhere(error, release, &image, borders.project))
    })
}

/// The image and, unless that alone is meant, the release.
fn wished<'a>(arguments: &'a Lock, project: &Project) -> Result<(String, Option<&'a str>)> {
    match &arguments.image {
        Some(image) => Ok((image.clone(), None)),
        None => Ok((project.release(&arguments.release)?.image, Some(&arguments.release))),
    }
}

/// The components that `--update WHAT` names.
fn named(arguments: &Lock, release: Option<&str>, project: &Project) -> Result<Vec<Component>> {
    let words = arguments.update.iter().flatten().filter(|word| *word != IMAGE);
    let chosen = words.map(|word| Component::select(word)).collect::<Result<Vec<_>>>()?.concat();
    match (release, chosen.first()) {
        (None, Some(one)) => Err(Error::new(Kind::Usage, "`lock --image`", format!("locks no source of {one}"))
            .remedy("leave --image away, and name the release with --release")),
        (Some(name), Some(_)) => check_wishes(name, &project.release(name)?, &chosen).map(|()| chosen),
        (_, None) => Ok(chosen),
    }
}

fn update<L: locking::Lock>(
    name: &str,
    freshness: Freshness<'_>,
    arguments: &Lock,
    borders: &Borders<'_>,
) -> Result<()> {
    let old = L::read(name, true, borders.project)?;
    let fits = old.as_ref().map_or(Ok(false), |old| old.fits(name, borders.project))?;
    let path = format!("{}/{name}.lock", L::FOLDER);
    if fits && freshness == Freshness::Keep {
        let more = if arguments.update.is_none() { "; --update resolves it anew" } else { "" };
        terminal::line(format!("{path} fits{more}"));
        return Ok(());
    }
    let new = L::resolve(name, old.as_ref(), freshness, borders)?;
    if let Some(old) = &old {
        locking::changes(name, old, &new, borders)?.into_iter().for_each(terminal::line);
    }
    if old.as_ref() == Some(&new) {
        terminal::line(format!("{path} is up to date"));
    } else if arguments.dry_run {
        terminal::line(format!("{path} would be written"));
    } else {
        let path = borders.project.write_lock(L::FOLDER, name, true, &new.text(name)?)?;
        terminal::line(format!("wrote {}", path.display()));
    }
    Ok(())
}

/// `--check`, which needs the project only.
fn check_all(arguments: &Lock, project: &Project) -> Result<()> {
    let (image, release) = wished(arguments, project)?;
    check::<ImageLock>(&image, project)?;
    release.map_or(Ok(()), |release| check::<ReleaseLock>(release, project))?;
    terminal::line("the locks fit their documents; digests are checked when inputs are used");
    Ok(())
}

fn check<L: locking::Lock>(name: &str, project: &Project) -> Result<()> {
    let lock = L::read(name, true, project)?;
    let cause = match lock.map(|lock| lock.fits(name, project)).transpose()? {
        Some(true) => return Ok(()),
        Some(false) => "does not fit its document, which changed",
        None => "does not exist",
    };
    Err(Error::new(Kind::Lock, format!("{}/{name}.lock", L::FOLDER), cause)
        .remedy("run `snpforge lock` and commit what it writes"))
}
