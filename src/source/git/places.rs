//! One repository may be asked for in several places: mirrors, then its own URL. What a place is on this machine (a folder,
//! a bundle, or elsewhere), and going through places until one has what is wanted. A mirror that fails is told of and
//! passed over; one that cannot be talked to is not asked again in this run.

use super::mirrors::Place;
use super::repository::Program;
use super::trouble::{self, Failure};
use crate::error::{Error, Kind, Result};
use crate::report::Event;
use std::io::Read;
use std::path::Path;
use std::sync::PoisonError;

/// A place as git is told of it.
pub(super) struct Opened {
    /// A URL, or a path of this machine.
    pub(super) url: String,
    /// Whether it is a bundle: one file with whole history.
    pub(super) bundle: bool,
    /// The mirror it belongs to.
    pub(super) mirror: Option<String>,
}

/// What going through places came to: what was wanted, or every place's failure.
pub(super) type Walked<T> = std::result::Result<T, Vec<Failure>>;

impl Program {
    /// Asks one place after the other until one has what is wanted.
    pub(super) fn walk<T>(&self, places: &[Place], ask: &mut dyn FnMut(&Opened) -> Result<T>) -> Result<Walked<T>> {
        let mut failures = Vec::new();
        for (count, place) in places.iter().enumerate() {
            if let Some(cause) = self.passed_over(place) {
                failures.push(Failure { place: place.url.clone(), error: cause });
                continue;
            }
            match open(place).and_then(|opened| ask(&opened)) {
                Ok(found) => return Ok(Ok(found)),
                Err(error) if !matches!(error.kind(), Kind::Gone | Kind::Unavailable) => return Err(error),
                Err(error) => {
                    if let (Some(mirror), true) = (&place.mirror, trouble::silent(&error)) {
                        self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(mirror.clone());
                    }
                    if let Some(next) = places.get(count + 1) {
                        let text = format!("git mirror {}: {}; trying {}", place.url, error.cause(), next.url);
                        // The same trouble for a name and for its commit is told once.
                        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
                            self.tell(Event::Warning { text });
                        }
                    }
                    failures.push(Failure { place: place.url.clone(), error });
                }
            }
        }
        Ok(Err(failures))
    }

    fn passed_over(&self, place: &Place) -> Option<Error> {
        let mirror = place.mirror.as_ref()?;
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.contains(mirror).then(|| Error::new(Kind::Unavailable, mirror, "did not answer earlier in this run"))
    }
}

/// Looks what a place is. A mirror's repository may have `.git` at its end or not, or be a bundle of that name.
fn open(place: &Place) -> Result<Opened> {
    let made = |url: String, bundle: bool| Opened { url, bundle, mirror: place.mirror.clone() };
    let path = place.url.strip_prefix("file://").unwrap_or(&place.url);
    if !path.starts_with('/') {
        return Ok(made(place.url.clone(), false));
    }
    if place.mirror.is_none() {
        let bundle = is_bundle(Path::new(path));
        return Ok(made(if bundle { path.to_owned() } else { place.url.clone() }, bundle));
    }
    let stem = path.strip_suffix(".git").unwrap_or(path);
    let other = if stem == path { format!("{path}.git") } else { stem.to_owned() };
    let wanted = [path.to_owned(), other, format!("{stem}.bundle")];
    match wanted.iter().find(|path| Path::new(path).exists()) {
        Some(found) => Ok(made(found.clone(), is_bundle(Path::new(found)))),
        None => Err(Error::new(Kind::Unavailable, path, format!("is not there, nor {} or {}", wanted[1], wanted[2]))
            .remedy(format!("correct {}, or put the repository there", super::mirrors::VARIABLE))),
    }
}

/// Whether the path is a file that begins as bundles do.
fn is_bundle(path: &Path) -> bool {
    let mut head = [0; 15];
    path.is_file()
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && matches!(&head, b"# v2 git bundle" | b"# v3 git bundle")
}
