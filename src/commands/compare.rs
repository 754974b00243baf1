//! `diff` and `notes`.

use super::session::Session;
use crate::cli::{Diff, Notes};
use crate::terminal;
use serde::Serialize;
use snpforge::build::locking::{self, Lock as _, history};
use snpforge::difference::{self, Difference, Side, markdown, text};
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use snpforge::project::Project;
use snpforge::verify;
use std::path::Path;

/// What `diff --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    /// What only one side knows of.
    not_compared: Vec<&'static str>,
}

/// `snpforge diff`.
///
/// # Errors
/// [`Kind::Usage`] when a side is nothing that can be compared, and whatever reading it fails with.
pub fn diff(arguments: &Diff, session: &Session) -> Result<()> {
    let (old, new, difference) = compared(&arguments.old, &arguments.new, arguments.commits, session)?;
    if arguments.json {
        let (not_compared, _) = difference::uncompared(&old, &new);
        return terminal::json(&Shown { difference: &difference, not_compared });
    }
    let lines = text::lines(&difference);
    if lines.is_empty() {
        terminal::line("nothing differs");
    }
    lines.into_iter().for_each(terminal::line);
    Ok(())
}

/// `snpforge notes`.
///
/// # Errors
/// As [`diff`].
pub fn notes(arguments: &Notes, session: &Session) -> Result<()> {
    let (old, new, difference) = compared(&arguments.old, &arguments.new, !arguments.offline, session)?;
    terminal::print(&markdown::notes(&old, &new, &difference));
    Ok(())
}

fn compared(old: &Path, new: &Path, commits: bool, session: &Session) -> Result<(Side, Side, Difference)> {
    let (old, new) = (side(old, session)?, side(new, session)?);
    let (apart, together) = difference::uncompared(&old, &new);
    if !together {
        return Err(Error::new(
            Kind::Usage,
            format!("{} and {}", old.name, new.name),
            "have nothing that can be compared",
        )
        .remedy("compare two bundles, two releases, or two locks of one kind"));
    }
    if !apart.is_empty() {
        session.report.warn(format!("not compared, since only one side knows of them: {}", apart.join(", ")));
    }
    let mut difference = difference::between(&old, &new);
    if commits && difference.sources.iter().any(|source| source.moved().is_some()) {
        history::ask(
            &mut difference,
            &session.git(&session.store()?, false)?,
            session.report.as_ref(),
            &session.cancel,
        )?;
    }
    Ok((old, new, difference))
}

/// What the user means: a lock file, a bundle, or a release of this project.
fn side(word: &Path, session: &Session) -> Result<Side> {
    let path = session.folder.join(word);
    let name = word.display().to_string();
    if word.extension().is_some_and(|ending| ending == "lock") {
        return lock(&name, &path);
    }
    if word.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
        return Err(document(&name, &path));
    }
    if path.exists() {
        return verify::side(&path);
    }
    let project = session.project().ok().filter(|project| project.releases().is_ok_and(|all| all.contains(&name)));
    let Some(project) = project else {
        return Err(Error::new(Kind::Usage, name, "is no bundle, no lock file, and no release of this project").remedy(
            "name the folder snp-release-<DATE> of a bundle that is unpacked, releases/NAME.lock, images/NAME.lock, or NAME",
        ));
    };
    release(&name, &project)
}

/// What a person wrote is compared by what it was resolved to.
fn document(name: &str, path: &Path) -> Error {
    let lock = Path::new(name).with_extension("lock").display().to_string();
    let (what, way) = if path.parent().is_some_and(|folder| folder.ends_with("images")) {
        ("an image definition", format!("name its lock {lock}"))
    } else {
        let release = path.file_stem().unwrap_or_default().to_string_lossy();
        ("a release file", format!("name the release `{release}`, or its lock {lock}"))
    };
    Error::new(Kind::Usage, name, format!("is {what}; compared is what it was resolved to")).remedy(way)
}

fn release(name: &str, project: &Project) -> Result<Side> {
    let image = project.release(name)?.image;
    let (lock, of_image): (ReleaseLock, ImageLock) = (tracked(name, project)?, tracked(&image, project)?);
    Ok(Side { image: Some(of_image), ..lock.side(name) })
}

fn tracked<L: locking::Lock>(name: &str, project: &Project) -> Result<L> {
    L::read(name, true, project)?.ok_or_else(|| {
        Error::new(Kind::Lock, format!("{}/{name}.lock", L::FOLDER), "does not exist")
            .remedy(format!("run `snpforge lock {} {name}`", L::OPTION))
    })
}

/// A lock file of either kind. Only an image's has a diff_id.
fn lock(name: &str, path: &Path) -> Result<Side> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::io(path, "read", error).also("name releases/NAME.lock or images/NAME.lock, or NAME for a release")
    })?;
    if text.lines().any(|line| line.starts_with("diff-id")) {
        Ok(ImageLock::parse(name, &text)?.side(name))
    } else {
        Ok(ReleaseLock::parse(name, &text)?.side(name))
    }
}
