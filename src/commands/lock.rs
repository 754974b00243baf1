//! `lock`: the one command that is there for locks.

use super::locked::elsewhere;
use super::session::Session;
use crate::cli::Lock;
use crate::terminal;
use serde::Serialize;
use snpforge::build::locking::{self, Changes, Freshness};
use snpforge::build::{Borders, plan::check_wishes};
use snpforge::component::Component;
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use snpforge::project::Project;
use snpforge::report::Report;

/// The word of `--update WHAT` for the image.
const IMAGE: &str = "image";

/// `snpforge lock`.
///
/// # Errors
/// Whatever resolving fails with; [`Kind::Lock`] when `--check` finds a lock that does not fit.
pub fn lock(arguments: &Lock, session: &Session) -> Result<()> {
    if arguments.check {
        return check_all(arguments, &session.project()?, session.report.as_ref());
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
        let all = || -> Result<Vec<Outcome>> {
            let mut outcomes = vec![update::<ImageLock>(&image, of_image, arguments, borders)?];
            if let Some(release) = release {
                outcomes.push(update::<ReleaseLock>(release, of_release, arguments, borders)?);
            }
            Ok(outcomes)
        };
        let outcomes = all().map_err(|error| elsewhere(error, release, &image, borders.project))?;
        if arguments.json { terminal::json(&outcomes) } else { Ok(()) }
    })
}

/// The image, which must be one, and, unless that alone is meant, the release.
fn wished<'a>(arguments: &'a Lock, project: &Project) -> Result<(String, Option<&'a str>)> {
    let (image, release) = match &arguments.image {
        Some(image) => (image.clone(), None),
        None => (project.release(&arguments.release)?.image, Some(arguments.release.as_str())),
    };
    project.image(&image)?;
    Ok((image, release))
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

/// What became of one lock.
#[derive(Serialize)]
struct Outcome {
    /// Its path in the project.
    lock: String,
    state: State,
    /// What it changes in the one before, if there was one and it was resolved anew.
    changes: Option<Changes>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Fits,
    UpToDate,
    WouldBeWritten,
    Written,
}

fn update<L: locking::Lock>(
    name: &str,
    freshness: Freshness<'_>,
    arguments: &Lock,
    borders: &Borders<'_>,
) -> Result<Outcome> {
    let say = |line: String| {
        if !arguments.json {
            terminal::line(line)
        }
    };
    let old = L::read(name, true, borders.project)?;
    let fits = old.as_ref().map_or(Ok(false), |old| old.fits(name, borders.project))?;
    let lock = format!("{}/{name}.lock", L::FOLDER);
    if let Some(old) = old.as_ref().filter(|_| fits && freshness == Freshness::Keep) {
        tell_unpinned(old, borders.report);
        let more = if arguments.update.is_none() { "; --update resolves it anew" } else { "" };
        say(format!("{lock} fits{more}"));
        return Ok(Outcome { lock, state: State::Fits, changes: None });
    }
    let new = L::resolve(name, old.as_ref(), freshness, borders)?;
    tell_unpinned(&new, borders.report);
    let changes = old.as_ref().map(|old| locking::changes(name, old, &new, borders)).transpose()?;
    changes.iter().flat_map(Changes::lines).for_each(say);
    let state = if old.as_ref() == Some(&new) {
        say(format!("{lock} is up to date"));
        State::UpToDate
    } else if arguments.dry_run {
        say(format!("{lock} would be written"));
        State::WouldBeWritten
    } else {
        let path = borders.project.write_lock(L::FOLDER, name, true, &new.text(name)?)?;
        say(format!("wrote {}", path.display()));
        State::Written
    };
    Ok(Outcome { lock, state, changes })
}

/// Says of every source that nothing pins that it is so. `build` and `plan` say it when they pack the folder.
fn tell_unpinned(lock: &impl locking::Lock, report: &dyn Report) {
    for source in lock.sources().iter().filter(|source| source.digest.is_none()) {
        report.warn(format!("source `{}` of {} is a folder: NOT PINNED", source.folder, source.component));
    }
}

/// `--check`, which needs the project only.
fn check_all(arguments: &Lock, project: &Project, report: &dyn Report) -> Result<()> {
    let (image, release) = wished(arguments, project)?;
    check::<ImageLock>(&image, project, report)?;
    release.map_or(Ok(()), |release| check::<ReleaseLock>(release, project, report))?;
    terminal::line("the locks fit their documents; digests are checked when inputs are used");
    Ok(())
}

fn check<L: locking::Lock>(name: &str, project: &Project, report: &dyn Report) -> Result<()> {
    let lock = L::read(name, true, project)?;
    lock.iter().for_each(|lock| tell_unpinned(lock, report));
    let cause = match lock.map(|lock| lock.fits(name, project)).transpose()? {
        Some(true) => return Ok(()),
        Some(false) => "does not fit its document, which changed",
        None => "does not exist",
    };
    Err(Error::new(Kind::Lock, format!("{}/{name}.lock", L::FOLDER), cause)
        .remedy(format!("run `snpforge lock {} {name}` and commit what it writes", L::OPTION)))
}
