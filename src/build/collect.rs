//! Taking products out of a container. What comes is untrusted: only expected regular files are accepted, their bytes
//! go into the store under their digest, and nothing is ever written under a name that the container chose.

use super::cache::{self, ActionResult, Artifact};
use super::plan::{Expected, Task};
use super::run::{Finished, Ran};
use super::{Borders, Options};
use crate::engine::{Member, MemberKind};
use crate::error::{Error, Kind, Result};
use crate::store::Store;
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// A component's artifacts, all in the store. Made by [`artifacts`] only.
#[expect(clippy::manual_non_exhaustive, reason = "only this module may make one, not only this crate")]
pub struct Artifacts<'plan> {
    /// What was built.
    pub task: &'plan Task,
    /// The result, from this run or an earlier one.
    pub result: ActionResult,
    /// Whether an earlier run's result was used.
    pub cached: bool,
    _sealed: (),
}

/// Collects what a finished build delivered, stores the result under the action's key and removes the container.
///
/// # Errors
/// [`Kind::Output`] for anything but the expected files; nothing outside the store's temporary folder is touched.
pub fn artifacts<'plan>(
    finished: Finished<'plan>,
    borders: &Borders<'_>,
    options: &Options<'_>,
) -> Result<Artifacts<'plan>> {
    match finished {
        Finished::Earlier(task, result) => Ok(Artifacts { task, result, cached: true, _sealed: () }),
        Finished::Ran(ran) => collect(ran, borders, options),
    }
}

fn collect<'plan>(ran: Ran<'plan>, borders: &Borders<'_>, options: &Options<'_>) -> Result<Artifacts<'plan>> {
    borders.report.phase("collect");
    let Ran { task, container, record } = ran;
    let mut taking = Taking::new(task, borders.store);
    let engine = container.engine();
    engine.download(container.id(), &mut |member, content| taking.take(member, content), borders.cancel)?;
    let result = ActionResult { component: task.component, key: task.key, artifacts: taking.finish()?, record };
    cache::save(&result, borders.store)?;
    container.done(options.keep)?;
    Ok(Artifacts { task, result, cached: false, _sealed: () })
}

/// Judges members one by one.
struct Taking<'a> {
    task: &'a Task,
    store: &'a Store,
    taken: BTreeMap<String, Artifact>,
}

impl<'a> Taking<'a> {
    fn new(task: &'a Task, store: &'a Store) -> Self {
        Taking { task, store, taken: BTreeMap::new() }
    }

    fn refuse(&self, path: &str, cause: impl std::fmt::Display) -> Error {
        let names: Vec<&str> = self.task.expected.iter().map(|file| file.path.as_str()).collect();
        Error::new(Kind::Output, format!("/out/{} of {}", path.escape_debug(), self.task.component), cause).remedy(
            format!("the recipe in images/{} must deliver exactly: {}", self.task.component.family(), names.join(", ")),
        )
    }

    fn take(&mut self, member: &Member, content: &mut dyn Read) -> Result<()> {
        let path = member.path.strip_suffix('/').unwrap_or(&member.path);
        if member.kind == MemberKind::Folder && (path.is_empty() || path == ".") {
            return Ok(());
        }
        let Some(expected) = self.task.expected.iter().find(|file| file.path == path) else {
            return Err(self.refuse(path, "is not an expected file"));
        };
        if member.kind != MemberKind::File {
            return Err(self.refuse(path, "is not a regular file"));
        }
        if self.taken.contains_key(path) {
            return Err(self.refuse(path, "came twice"));
        }
        let artifact = self.store_content(expected, member, content)?;
        self.taken.insert(path.to_owned(), artifact);
        Ok(())
    }

    fn store_content(&self, expected: &Expected, member: &Member, content: &mut dyn Read) -> Result<Artifact> {
        let too_large = || self.refuse(&expected.path, format!("is larger than {} bytes", expected.limit));
        if member.size > expected.limit {
            return Err(too_large());
        }
        let mut writer = self.store.writer()?;
        let mut limited = content.take(expected.limit + 1);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count = limited
                .read(&mut buffer)
                .map_err(|error| self.refuse(&expected.path, format!("cannot be read: {error}")))?;
            if count == 0 {
                break;
            }
            writer.write_all(&buffer[..count]).map_err(|error| Error::io(self.store.root(), "write in", error))?;
        }
        if limited.limit() == 0 {
            return Err(too_large());
        }
        if expected.limit + 1 - limited.limit() != member.size {
            return Err(self.refuse(&expected.path, "is shorter than announced"));
        }
        let (sha256, size) = writer.commit(None)?;
        let mode = if member.mode & 0o100 == 0 { 0o644 } else { 0o755 };
        Ok(Artifact { path: expected.path.clone(), mode, size, sha256 })
    }

    fn finish(self) -> Result<Vec<Artifact>> {
        if let Some(missing) = self.task.expected.iter().find(|file| !self.taken.contains_key(&file.path)) {
            return Err(self.refuse(&missing.path, "is missing"));
        }
        Ok(self.taken.into_values().collect())
    }
}
