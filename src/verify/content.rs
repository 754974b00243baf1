//! Do the files fit the sums? First those beside the outer sums file, then the release's folder: every file in it by its
//! digest, and nothing in it that is not listed. All that is wrong is told, not the first thing only.

use super::place::{self, INNER, Place, Unfit};
use super::{Hearing, Problem};
use crate::cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::report::Unit;
use crate::sums;
use crate::tree::{Found, Limits, Unlistable, Walker, list};
use rustix::fs::FileType;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// No sums file comes near this: 100 000 lines.
pub(super) const LARGEST_SUMS: u64 = 16 * 1024 * 1024;
/// A full release has a few thousand files, ten levels deep.
const LIMITS: Limits = Limits { entries: 500_000, depth: 64 };
/// Bits that make a program run as somebody else; sums do not cover modes, so no file may have them.
const SET_ID: u32 = 0o6000;
/// Bytes between two reports of progress.
const STEP: u64 = 16 * 1024 * 1024;

/// What was checked. Only what is in `checked` and `folder` is known to be what the sums say.
#[derive(Debug, Default, Serialize)]
pub struct Content {
    /// Files beside the outer sums file whose digests fit.
    pub checked: Vec<String>,
    /// Files the outer sums file lists and that are not there.
    pub absent: Vec<String>,
    /// The release's folder, if it is there.
    pub folder: Option<Folder>,
}

/// The checked folder.
#[derive(Debug, Serialize)]
pub struct Folder {
    /// How many files its sums list.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

type Sums = BTreeMap<String, Digest>;

/// Reads the outer sums file: its bytes are what is signed.
pub(super) fn outer(place: &Place) -> Result<Vec<u8>> {
    let name = place.sums();
    place::read(&place.path(&name), LARGEST_SUMS).map_err(|unfit| match unfit {
        Unfit::Absent => Problem::new(&name, "is not there: signatures are over this file").error(place),
        Unfit::Odd(why) => Problem::new(&name, why).error(place),
        Unfit::Unreadable(error) => error,
    })
}

/// Checks everything that is there against the outer sums `bytes`.
pub(super) fn check(place: &Place, bytes: &[u8], hearing: &Hearing<'_>) -> Result<(Content, Vec<Problem>)> {
    let mut work = Work { place, hearing, content: Content::default(), problems: Vec::new(), done: 0, told: 0 };
    hearing.report.begin(&place.name, None, Unit::Bytes);
    work.beside(&parse(&place.sums(), bytes)?)?;
    hearing.report.end(&place.name, format!("{} bytes checked", work.done));
    Ok((work.content, work.problems))
}

fn parse(name: &str, bytes: &[u8]) -> Result<Sums> {
    // What is no text is no sums file either, and fails at its first odd character.
    sums::parse(name, &String::from_utf8_lossy(bytes))
}

struct Work<'a> {
    place: &'a Place,
    hearing: &'a Hearing<'a>,
    content: Content,
    problems: Vec<Problem>,
    done: u64,
    told: u64,
}

impl Work<'_> {
    fn wrong(&mut self, object: &str, cause: impl Into<String>) {
        self.problems.push(Problem::new(object, cause));
    }

    fn beside(&mut self, sums: &Sums) -> Result<()> {
        let (name, inner) = (self.place.name.clone(), self.place.inner());
        for (path, digest) in sums {
            if *path == inner {
                self.folder(digest)?;
            } else if path.contains('/') {
                self.wrong(path, format!("is listed beside the release, but only {inner} may lie in a folder"));
            } else {
                match place::open(&self.place.path(path)) {
                    Ok(file) => {
                        if self.fits(path, file, digest)? {
                            self.content.checked.push(path.clone());
                        }
                    }
                    Err(Unfit::Absent) => self.content.absent.push(path.clone()),
                    Err(Unfit::Odd(why)) => self.wrong(path, why),
                    Err(Unfit::Unreadable(error)) => return Err(error),
                }
            }
        }
        if !sums.contains_key(&inner) {
            self.wrong(&self.place.sums(), format!("does not list {inner}"));
        } else if self.problems.is_empty() && self.content.folder.is_none() && self.content.checked.is_empty() {
            self.wrong(&name, "neither the folder nor any of its tarballs is there, so nothing was checked");
        }
        Ok(())
    }

    /// The release's folder, if it is there. It is opened once: what is checked is below that folder, whatever stands at
    /// its path meanwhile.
    fn folder(&mut self, digest: &Digest) -> Result<()> {
        let (name, inner) = (self.place.name.clone(), self.place.inner());
        let opened = match place::folder(&self.place.path(&name)) {
            Err(Unfit::Absent) => {
                self.content.absent.push(inner);
                return Ok(());
            }
            opened => self.fit(&name, opened)?,
        };
        let Some(folder) = opened else { return Ok(()) };
        let path = self.place.path(&inner);
        let read = place::open_in(folder.as_fd(), INNER.as_bytes(), &path);
        let read = read.and_then(|file| place::content(file, &path, LARGEST_SUMS));
        let Some(bytes) = self.fit(&inner, read)? else { return Ok(()) };
        if Digest::of(&bytes) != *digest {
            self.wrong(&inner, format!("was changed: its sha256 is not {digest}"));
            return Ok(());
        }
        self.files(folder, parse(&inner, &bytes)?)
    }

    /// What was opened or read; `None` if it is not what it must be, which is a problem then.
    fn fit<T>(&mut self, shown: &str, opened: std::result::Result<T, Unfit>) -> Result<Option<T>> {
        match opened {
            Ok(opened) => return Ok(Some(opened)),
            Err(Unfit::Absent) => self.wrong(shown, "is missing"),
            Err(Unfit::Odd(why)) => self.wrong(shown, why),
            Err(Unfit::Unreadable(error)) => return Err(error),
        }
        Ok(None)
    }

    /// Everything in the folder against `listed`.
    fn files(&mut self, folder: OwnedFd, listed: Sums) -> Result<()> {
        let root = self.place.path(&self.place.name);
        let mut walker = Walker::within(folder);
        let found = match list(&mut walker, &LIMITS) {
            Ok(found) => found,
            Err(Unlistable::TooMuch(what)) => {
                self.wrong(&self.place.name.clone(), what);
                return Ok(());
            }
            Err(unreadable) => return Err(unreadable.about(&root)),
        };
        let folders: BTreeSet<&str> = listed.keys().flat_map(|path| parents(path)).collect();
        let mut missing: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
        let (problems, before) = (self.problems.len(), self.done);
        for entry in &found {
            let bytes = entry.name();
            let shown = format!("{}/{}", self.place.name, escaped(&bytes));
            let name = std::str::from_utf8(&bytes).unwrap_or_default();
            match (entry.kind(), listed.get(name)) {
                (FileType::Directory, None) if folders.contains(name) => {}
                (FileType::Directory, None) => self.wrong(&shown, "is a folder that is not listed"),
                (FileType::RegularFile, None) if name == INNER => {}
                (FileType::RegularFile, None) => self.wrong(&shown, "is a file that is not listed"),
                (FileType::RegularFile, Some(digest)) => {
                    missing.remove(name);
                    self.listed(&mut walker, entry, &shown, digest)?;
                }
                (_, Some(_)) => {
                    missing.remove(name);
                    self.wrong(&shown, "is no regular file");
                }
                (FileType::Symlink, None) => self.wrong(&shown, "is a link"),
                (_, None) => self.wrong(&shown, "is neither file nor folder"),
            }
        }
        for path in missing {
            self.wrong(&format!("{}/{path}", self.place.name), "is missing");
        }
        if self.problems.len() == problems {
            self.content.folder = Some(Folder { files: listed.len(), bytes: self.done - before });
        }
        Ok(())
    }

    /// A listed file of the folder. What is judged is the file that was opened, not what was seen when the folder was
    /// listed.
    fn listed(&mut self, walker: &mut Walker, entry: &Found, shown: &str, digest: &Digest) -> Result<()> {
        let path = self.place.path(shown);
        let parts: Vec<&[u8]> = entry.path.iter().map(Vec::as_slice).collect();
        let Some((name, parents)) = parts.split_last() else { return Ok(()) };
        let folder = walker.folder(parents).map_err(|error| Error::io(&path, "open", error))?;
        let Some(file) = self.fit(shown, place::open_in(folder, name, &path))? else { return Ok(()) };
        let about = file.metadata().map_err(|error| Error::io(&path, "read", error))?;
        if about.mode() & SET_ID != 0 {
            self.wrong(shown, "would run as another user (setuid or setgid)");
            return Ok(());
        }
        self.fits(shown, file, digest).map(|_| ())
    }

    /// Whether the file's digest is `digest`; if not, that is a problem.
    fn fits(&mut self, shown: &str, file: File, digest: &Digest) -> Result<bool> {
        let mut counted = Counted { file, work: self };
        let hashed = Digest::of_reader(&mut counted);
        cancel::check(self.hearing.cancel, "checking the release")?;
        let (found, _) = hashed.map_err(|error| Error::io(&self.place.path(shown), "read", error))?;
        if found != *digest {
            self.wrong(shown, format!("was changed: its sha256 is {found}, listed is {digest}"));
        }
        Ok(found == *digest)
    }
}

/// Tells progress and hears the wish to stop.
struct Counted<'a, 'b> {
    file: File,
    work: &'a mut Work<'b>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.work.hearing.cancel.is_cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        let count = self.file.read(buffer)?;
        self.work.done += count as u64;
        if self.work.done - self.work.told >= STEP {
            self.work.told = self.work.done;
            self.work.hearing.report.progress(&self.work.place.name, self.work.done);
        }
        Ok(count)
    }
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// A name that may be printed, whatever it holds.
pub(super) fn escaped(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::report::Collected;
    use crate::store::files;

    #[test]
    fn what_is_checked_is_the_folder_that_was_opened_not_what_stands_at_its_path() {
        let base = tempfile::tempdir().unwrap();
        let place = Place { base: base.path().to_owned(), name: "snp-release-2026-11-23".into() };
        let at = place.path(&place.name);
        let make = |text: &str| files::write_whole(&at.join("usr/file"), text.as_bytes()).unwrap();
        make("signed");
        let opened = place::folder(&at).unwrap();
        rustix::fs::rename(&at, base.path().join("moved")).unwrap();
        make("forged");
        let (report, cancel) = (Collected::default(), Cancel::new());
        let hearing = Hearing { report: &report, cancel: &cancel };
        let problems = |folder: OwnedFd| {
            let mut work = Work {
                place: &place,
                hearing: &hearing,
                content: Content::default(),
                problems: Vec::new(),
                done: 0,
                told: 0,
            };
            work.files(folder, Sums::from([("usr/file".into(), Digest::of(b"signed"))])).unwrap();
            work.problems.into_iter().map(|problem| problem.cause).collect::<Vec<String>>().concat()
        };
        assert_eq!(problems(opened), "");
        let forged = problems(place::folder(&at).unwrap());
        assert!(forged.starts_with("was changed: "), "{forged}");
    }
}
