//! Running one component's build in a container: files in, one command, its log kept. Knows the contract through the
//! engine's verbs and nothing of what the command does.

use super::cache::{ActionResult, RunRecord};
use super::image::Builder;
use super::plan::Task;
use super::{Borders, Options};
use crate::digest::Digest;
use crate::engine::{ContainerId, Engine, KILLED, Outcome, Spec};
use crate::error::{Error, Kind, Result};
use crate::oci::Image;
use crate::project::RecipeFile;
use crate::report::{Event, Report, Unit};
use crate::store::files::Appending;
use crate::tarball::{Attributes, Writer};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// A component's build that is over. Made by [`component`] only.
pub enum Finished<'plan> {
    /// An earlier run had the same key: nothing ran.
    Earlier(&'plan Task, ActionResult),
    /// It ran just now; its products wait in the container.
    Ran(Ran<'plan>),
}

/// A build that ran to its end with status 0.
pub struct Ran<'plan> {
    /// What ran.
    pub task: &'plan Task,
    /// Where.
    pub container: Container<'plan>,
    /// What to remember of it.
    pub record: RunRecord,
}

/// A container that is removed when it is dropped, unless the user keeps it.
pub struct Container<'a> {
    engine: &'a dyn Engine,
    id: ContainerId,
    report: &'a dyn Report,
    keep: bool,
    gone: bool,
}

impl<'a> Container<'a> {
    /// The engine it lives in.
    pub fn engine(&self) -> &'a dyn Engine {
        self.engine
    }

    /// Its id there.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Removes it, or says how to enter it.
    ///
    /// # Errors
    /// Whatever the engine's removal fails with.
    pub fn done(mut self, keep: bool) -> Result<()> {
        self.keep = keep;
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.gone, true) {
            return Ok(());
        }
        if self.keep {
            self.engine.keep(&self.id)?;
            self.report.say(format!("kept for autopsy: {}", self.engine.enter(&self.id)));
            return Ok(());
        }
        self.engine.remove(&self.id)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            self.report.warn(format!("{error}; the next run removes it"));
        }
    }
}

/// Runs a component's build, unless an earlier run did.
///
/// # Errors
/// [`Kind::Build`] with the log's last lines when the command fails, [`Kind::Engine`] when the engine does.
pub fn component<'plan>(
    builder: Builder<'plan>,
    borders: &'plan Borders<'plan>,
    options: &Options<'plan>,
) -> Result<Finished<'plan>> {
    match builder {
        Builder::Earlier(task, result) => {
            borders.report.say(format!("{}: unchanged, nothing to run (key {})", task.component, task.key.short()));
            Ok(Finished::Earlier(task, result))
        }
        Builder::Ready { task, image, sources } => run(task, &image, &sources, borders, options).map(Finished::Ran),
    }
}

fn run<'plan>(
    task: &'plan Task,
    image: &Image,
    sources: &[Digest],
    borders: &'plan Borders<'plan>,
    options: &Options<'plan>,
) -> Result<Ran<'plan>> {
    let engine = (options.engine)()?;
    let info = engine.info()?;
    borders.report.phase("run");
    borders.report.say(format!("{}: engine {} {} ({})", task.component, info.name, info.version, info.address));
    match engine.reap() {
        Ok(0) => {}
        Ok(count) => borders.report.say(format!("removed {count} container(s) that an earlier run left")),
        Err(error) => borders.report.warn(format!("what earlier runs left could not be removed: {error}")),
    }
    engine.load(image, borders.cancel)?;
    let id = engine.create(image, &spec(task, options))?;
    let container = Container { engine, id, report: borders.report, keep: options.keep, gone: false };
    upload(task, sources, &container, borders)?;
    let log_path = borders.store.root().join("logs").join(format!("{}-{}.log", task.component, task.key.short()));
    let begun = Instant::now();
    let mut log = Log::new(task.component.name(), &log_path, borders.report)?;
    borders.report.begin(task.component.name(), None, Unit::Steps);
    let outcome = engine.run(container.id(), &mut log, borders.cancel)?;
    let last = log.finish()?;
    if outcome.code != 0 {
        return Err(failure(task, &outcome, &log_path, &last));
    }
    let seconds = begun.elapsed().as_secs();
    borders.report.end(task.component.name(), format!("built in {seconds} s"));
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let snpforge = env!("CARGO_PKG_VERSION").to_owned();
    let record = RunRecord { engine: info, started: borders.now, milliseconds, jobs: options.jobs, snpforge };
    Ok(Ran { task, container, record })
}

fn spec(task: &Task, options: &Options<'_>) -> Spec {
    let mut environment = task.inputs.environment.clone();
    environment.insert("JOBS".into(), options.jobs.to_string());
    Spec {
        name: format!("{}-{}", task.component, task.key.short()),
        command: task.command.clone(),
        environment,
        workdir: task.workdir.clone(),
        memory: None,
    }
}

/// Fills /src: the recipe, then the sources, whose tars hold their folder names.
fn upload(task: &Task, sources: &[Digest], container: &Container<'_>, borders: &Borders<'_>) -> Result<()> {
    let recipe = recipe_tar(&task.recipe, task.epoch.0).map_err(|error| Error::new(Kind::Io, "recipe", error))?;
    container.engine.upload(&container.id, &mut recipe.as_slice(), borders.cancel)?;
    for digest in sources {
        let path = borders.store.verified(digest)?;
        let mut file = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
        container.engine.upload(&container.id, &mut file, borders.cancel)?;
    }
    Ok(())
}

/// The recipe as a normalised tar below `recipe/`.
fn recipe_tar(recipe: &[RecipeFile], mtime: u64) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    let mut folders = std::collections::BTreeSet::from([String::from("recipe")]);
    for file in recipe {
        let parents = Path::new(&file.path).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        folders.extend(parents.map(|parent| format!("recipe/{}", parent.display())));
    }
    for folder in &folders {
        writer.folder(folder.as_bytes(), Attributes { mode: 0o755, mtime, owner: 0 })?;
    }
    for file in recipe {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let path = format!("recipe/{}", file.path);
        let attributes = Attributes { mode, mtime, owner: 0 };
        writer.file(path.as_bytes(), attributes, file.content.len() as u64, &mut file.content.as_slice())?;
    }
    writer.finish()
}

/// How many last lines of a log an error shows.
const SHOWN: usize = 20;

fn failure(task: &Task, outcome: &Outcome, log: &Path, last: &[String]) -> Error {
    let memory = match outcome.out_of_memory {
        Some(true) => " (something in it was killed for lack of memory)",
        None if outcome.code == KILLED => " (it was killed, perhaps for lack of memory)",
        _ => "",
    };
    let cause = format!(
        "its build ended with status {}{memory}; the last lines of its log:\n  {}",
        outcome.code,
        last.join("\n  ")
    );
    Error::new(Kind::Build, format!("component {}", task.component), cause)
        .remedy(format!("the whole log is {}; --keep keeps the container for a look inside", log.display()))
}

/// Writes a build's output to its log file, and its lines to the report.
struct Log<'a> {
    task: String,
    path: &'a Path,
    file: Appending,
    report: &'a dyn Report,
    partial: Vec<u8>,
    last: VecDeque<String>,
}

impl<'a> Log<'a> {
    fn new(task: &str, path: &'a Path, report: &'a dyn Report) -> Result<Self> {
        let file = Appending::create(path)?;
        Ok(Log { task: task.to_owned(), path, file, report, partial: Vec::new(), last: VecDeque::new() })
    }

    fn line(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        let task = self.task.clone();
        self.report.event(match progress(&text) {
            Some(Progress::Step(text)) => Event::Progress { task, done: None, total: None, text: Some(text) },
            Some(Progress::Count(done, total)) => {
                Event::Progress { task, done: Some(done), total: Some(total), text: None }
            }
            None => Event::Line { task, text: text.clone() },
        });
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    fn finish(mut self) -> Result<Vec<String>> {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.line(&rest);
        }
        self.file.flush().map_err(|error| Error::io(self.path, "write", error))?;
        Ok(self.last.into())
    }
}

impl Write for Log<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.line(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// What a recipe tells of its progress.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// A step began, in words.
    Step(String),
    /// So many of so many parts of the step are done.
    Count(u64, u64),
}

/// Reads a recipe's progress line: `@snpforge step N/M TEXT` or `@snpforge progress N/M`.
fn progress(line: &str) -> Option<Progress> {
    let rest = line.strip_prefix("@snpforge ")?;
    if let Some(step) = rest.strip_prefix("step ") {
        return Some(Progress::Step(format!("step {step}")));
    }
    let (done, total) = rest.strip_prefix("progress ")?.split_once('/')?;
    Some(Progress::Count(done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_told_from_output() {
        assert_eq!(progress("@snpforge step 2/7 BaseTools"), Some(Progress::Step("step 2/7 BaseTools".into())));
        assert_eq!(progress("@snpforge progress 30/400"), Some(Progress::Count(30, 400)));
        assert_eq!(progress("@snpforge progress x/400"), None);
        assert_eq!(progress("step 2/7"), None);
    }
}
