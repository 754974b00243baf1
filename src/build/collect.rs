//! Taking products out of a container. What comes is untrusted: only expected regular files are accepted, their bytes
//! go into the store under their digest, and nothing is ever written under a name that the container chose.

use super::cache::{self, ActionResult, Artifact};
use super::kernel_release;
use super::plan::{Expected, Form, MOST_FILES, Task};
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
    /// Files and bytes that came for each expected file or folder, by its path.
    amounts: BTreeMap<&'a str, (usize, u64)>,
}

impl<'a> Taking<'a> {
    fn new(task: &'a Task, store: &'a Store) -> Self {
        Taking { task, store, taken: BTreeMap::new(), amounts: BTreeMap::new() }
    }

    fn refuse(&self, path: &str, cause: impl std::fmt::Display) -> Error {
        let names: Vec<String> = self.task.expected.iter().map(Expected::shown).collect();
        Error::new(Kind::Output, format!("/out/{} of {}", path.escape_debug(), self.task.component), cause).remedy(
            format!("the recipe in images/{} must deliver exactly: {}", self.task.component.family(), names.join(", ")),
        )
    }

    fn take(&mut self, member: &Member, content: &mut dyn Read) -> Result<()> {
        let path = member.path.strip_suffix('/').unwrap_or(&member.path);
        let leads = |one: &Expected| one.leads_through(path);
        if member.kind == MemberKind::Folder && (path.is_empty() || path == "." || self.task.expected.iter().any(leads))
        {
            return Ok(());
        }
        let Some(expected) = self.task.expected.iter().find(|one| one.takes(path)) else {
            return Err(self.refuse(path, "is not an expected file"));
        };
        if member.kind != MemberKind::File {
            return Err(self.refuse(path, "is not a regular file"));
        }
        if self.taken.contains_key(path) {
            return Err(self.refuse(path, "came twice"));
        }
        let artifact = self.store_content(path, expected, member, content)?;
        let (files, bytes) = self.amounts.entry(&expected.path).or_default();
        (*files, *bytes) = (*files + 1, *bytes + artifact.size);
        self.taken.insert(path.to_owned(), artifact);
        Ok(())
    }

    /// With the file at `path` more came for `expected` than its `limit`.
    fn too_much(&self, path: &str, expected: &Expected, limit: impl std::fmt::Display) -> Error {
        let cause = match expected.form {
            Form::File | Form::Release => format!("is larger than {limit}"),
            Form::Folder | Form::Tarball => format!("is too much: /out/{} may have {limit} in all", expected.shown()),
        };
        let family = self.task.component.family();
        self.refuse(path, cause).remedy(format!(
            "let the recipe in images/{family} deliver less, or raise the limit in src/build/plan/outputs.rs"
        ))
    }

    /// How many bytes may still come for `expected`, of which the file at `path` is the next.
    fn room(&self, path: &str, expected: &Expected) -> Result<u64> {
        let (files, bytes) = self.amounts.get(expected.path.as_str()).copied().unwrap_or_default();
        if files >= MOST_FILES {
            return Err(self.too_much(path, expected, format!("{MOST_FILES} files")));
        }
        Ok(expected.limit.saturating_sub(bytes))
    }

    fn store_content(
        &self,
        path: &str,
        expected: &Expected,
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<Artifact> {
        let room = self.room(path, expected)?;
        let too_large = || self.too_much(path, expected, format!("{} bytes", expected.limit));
        if member.size > room {
            return Err(too_large());
        }
        let mut writer = self.store.writer()?;
        let mut limited = content.take(room + 1);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count =
                limited.read(&mut buffer).map_err(|error| self.refuse(path, format!("cannot be read: {error}")))?;
            if count == 0 {
                break;
            }
            writer.write_all(&buffer[..count]).map_err(|error| Error::io(self.store.root(), "write in", error))?;
        }
        if limited.limit() == 0 {
            return Err(too_large());
        }
        if room + 1 - limited.limit() != member.size {
            return Err(self.refuse(path, "is shorter than announced"));
        }
        let (sha256, size) = writer.commit(None)?;
        let mode = if member.mode & 0o100 == 0 { 0o644 } else { 0o755 };
        Ok(Artifact { path: path.to_owned(), mode, size, sha256 })
    }

    fn finish(self) -> Result<Vec<Artifact>> {
        let lacks = |one: &&Expected| !self.amounts.contains_key(one.path.as_str());
        if let Some(missing) = self.task.expected.iter().find(lacks) {
            return Err(self.refuse(&missing.shown(), "is missing"));
        }
        for artifact in self.taken.values() {
            if self.task.expected.iter().any(|one| one.form == Form::Release && one.takes(&artifact.path)) {
                kernel_release::read(self.task, artifact, self.store, &|cause| self.refuse(&artifact.path, cause))?;
            }
        }
        Ok(self.taken.into_values().collect())
    }
}
