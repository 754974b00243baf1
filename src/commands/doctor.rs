//! `doctor engine`.

use super::session::Session;
use crate::cli::Doctor;
use crate::terminal;
use snpforge::engine::choose::{self, Possibility};
use snpforge::error::{Error, Kind, Result};
use snpforge::store::Store;

/// Says what works here.
///
/// # Errors
/// [`Kind::Engine`] when no engine can be used.
pub fn run(command: &Doctor, session: &Session) -> Result<()> {
    let Doctor::Engine { engine, json } = command;
    let mut seen = Vec::new();
    // The folder for the moment shows that the store can be written, and stands in for one that cannot.
    let store = session.store().and_then(|store| store.scratch().map(|folder| (store, folder)));
    let (store, _folder) = match store {
        Ok(usable) => usable,
        Err(trouble) => {
            seen.push(Possibility {
                origin: "store".into(),
                engine: None,
                failure: Some(trouble.to_string()),
                remedy: trouble.remedy_text().map(str::to_owned),
            });
            let folder = tempfile::tempdir();
            let folder = folder.map_err(|error| Error::io(&std::env::temp_dir(), "make a folder in", error))?;
            (Store::at(folder.path().to_owned()), folder)
        }
    };
    seen.extend(choose::possibilities(&session.wish(engine, &store)));
    let usable = seen.iter().any(|one| one.engine.is_some());
    if *json {
        terminal::json(&seen)?;
    } else {
        for one in &seen {
            match &one.engine {
                Some(info) => {
                    let rights = if info.rootless { "without root" } else { "as root" };
                    terminal::line(format!(
                        "{}: {} {} at {} ({rights})",
                        one.origin, info.name, info.version, info.address
                    ));
                    info.limits.iter().for_each(|limit| terminal::line(format!("  cannot keep: {limit}")));
                }
                None => terminal::line(format!("{}: {}", one.origin, one.failure.as_deref().unwrap_or("not usable"))),
            }
            if let Some(remedy) = &one.remedy {
                terminal::line(format!("  help: {remedy}"));
            }
        }
    }
    if usable {
        Ok(())
    } else {
        Err(Error::new(Kind::Engine, "engine", "none can be used here").remedy("see the lines above"))
    }
}
