//! `build`, `plan` and `fetch`.

use super::locked;
use super::session::Session;
use crate::cli::{Build, PlanArgs, ProfileName, Which};
use crate::terminal;
use serde::Serialize;
use snpforge::build::kernel_release::KernelRelease;
use snpforge::build::plan::{self, Form, Plan, Task};
use snpforge::build::{self, Borders, Options, base, cache, fetch as fetching, pack::Packed};
use snpforge::component::{Component, Profile};
use snpforge::engine::{Engine, choose};
use snpforge::error::{Error, Kind, Result};
use snpforge::lock::{ImageLock, ReleaseLock};
use snpforge::project::Project;
use std::cell::OnceCell;

/// `snpforge build`.
///
/// # Errors
/// Whatever a step of the line fails with.
pub fn build(arguments: &Build, session: &Session) -> Result<()> {
    let wished = components(&arguments.components)?;
    let packed = with(&arguments.which, arguments.offline, session, |borders| {
        choose::check(&session.wish(&arguments.engine, borders.store))?;
        if arguments.package {
            check_package(arguments, &wished, borders.project)?;
        }
        match products(arguments, &wished, session, borders) {
            Err(error) if error.kind() == Kind::Gone && arguments.which.locked => Err(error.remedy(format!(
                "the lock names what no mirror that answers has any more: `snpforge lock --release {} --update` resolves it anew",
                arguments.which.release
            ))),
            Err(error) if error.kind() == Kind::Gone && has_locks(&arguments.which, borders.project)? => {
                borders.report.warn(format!("{error}"));
                locked::without_the_gone(&arguments.which, borders)?;
                products(arguments, &wished, session, borders)
            }
            other => other,
        }
    })?;
    if arguments.json {
        return terminal::json(&packed);
    }
    show_packed(&packed);
    Ok(())
}

/// A bundle is the whole release in the release's own image: only then its recipe builds it again. Needs no lock, so a
/// wrong wish fails before anything is resolved.
fn check_package(arguments: &Build, wished: &[Component], project: &Project) -> Result<()> {
    let name = &arguments.which.release;
    let release = project.release(name)?;
    let lacks = |component: &Component| !wished.is_empty() && !wished.contains(component);
    let missing: Vec<&str> = release.components().into_iter().filter(lacks).map(|component| component.name()).collect();
    if !missing.is_empty() {
        let cause = format!("packs the whole release `{name}`: {} would be missing", missing.join(", "));
        return Err(Error::new(Kind::Usage, "--package", cause)
            .remedy("name no component, or leave --package away to pack these by themselves"));
    }
    if let Some(image) = arguments.which.image.as_ref().filter(|image| **image != release.image) {
        let cause = format!("packs release `{name}` in its own image `{}`, not in `{image}`", release.image);
        return Err(Error::new(Kind::Usage, "--package", cause).remedy(format!(
            "leave --image away, or write a release file with `image = \"{image}\"`: the bundle's recipe builds from it"
        )));
    }
    Ok(())
}

/// The image that the release is built in.
fn image_of(which: &Which, project: &Project) -> Result<String> {
    which.image.clone().map_or_else(|| project.release(&which.release).map(|release| release.image), Ok)
}

/// Whether the release and its image have locks that fit: what cannot be had for a first one, or for one of a changed
/// document, is no input that got lost, and asking for all of it anew finds no more.
fn has_locks(which: &Which, project: &Project) -> Result<bool> {
    let image = image_of(which, project)?;
    Ok(locked::fits::<ImageLock>(&image, project)? && locked::fits::<ReleaseLock>(&which.release, project)?)
}

/// Does `work`; where an input cannot be had over the network, the error also says what can be built all the same.
fn with<T>(which: &Which, offline: bool, session: &Session, work: impl FnOnce(&Borders<'_>) -> Result<T>) -> Result<T> {
    session.with(offline, |borders| {
        work(borders).map_err(|error| match image_of(which, borders.project) {
            Ok(image) if !offline => locked::elsewhere(error, Some(&which.release), &image, borders.project),
            _ => error,
        })
    })
}

fn show_packed(packed: &Packed) {
    for product in &packed.products {
        let marks = [(product.cached, "unchanged, nothing ran"), (!product.pinned, "UNPINNED sources")];
        let marks: Vec<&str> = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
        let note = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
        terminal::line(format!("{}  {}{note}", product.sha256, product.path.display()));
        for (file, sha256) in product.files.iter().filter(|(file, _)| !file.starts_with("licenses/")) {
            terminal::line(format!("{sha256}    {file}"));
        }
    }
    if let Some(bundle) = &packed.bundle {
        terminal::line(format!("{}  {}", bundle.sha256, bundle.tarball.display()));
        terminal::line(format!("bundle of {} files: {}", bundle.files, bundle.path.display()));
        terminal::line(format!("to sign: {}", bundle.sums.display()));
    }
}

fn products(arguments: &Build, wished: &[Component], session: &Session, borders: &Borders<'_>) -> Result<Packed> {
    let plan = make(&arguments.which, wished, borders)?;
    if let Some(preview) = &plan.preview {
        borders.report.warn(format!("{}; report problems at {}", preview.warning, preview.tracker));
    }
    let chosen: OnceCell<Box<dyn Engine>> = OnceCell::new();
    let engine = || -> Result<&dyn Engine> {
        if chosen.get().is_none() {
            let engine = session.engine(&arguments.engine, borders.store)?;
            let _set_once = chosen.set(engine);
        }
        chosen.get().map(AsRef::as_ref).ok_or_else(|| Error::new(Kind::Engine, "engine", "was not chosen"))
    };
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let options = Options {
        engine: &engine,
        jobs: arguments.jobs.map_or_else(all, std::num::NonZeroUsize::get),
        out: session.folder.join(&arguments.out),
        package: arguments.package,
        install: arguments.install.as_ref().map(|folder| session.folder.join(folder)),
        keep: arguments.keep,
    };
    build::build(&plan, borders, &options)
}

fn make(which: &Which, wished: &[Component], borders: &Borders<'_>) -> Result<Plan> {
    borders.report.phase("plan");
    let profile = match which.profile {
        ProfileName::Lean => Profile::Lean,
        ProfileName::Server => Profile::Server,
    };
    plan::make(locked::documents(which, wished, borders)?, wished, profile)
}

fn components(words: &[String]) -> Result<Vec<Component>> {
    let chosen = words.iter().map(|word| Component::select(word)).collect::<Result<Vec<_>>>()?;
    Ok(chosen.into_iter().flatten().collect())
}

/// A plan with what the store knows of it.
#[derive(Serialize)]
struct Annotated<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// Components whose result is already there.
    present: Vec<Component>,
}

/// `snpforge plan`.
///
/// # Errors
/// Whatever a document or lock fails with.
pub fn plan(arguments: &PlanArgs, session: &Session) -> Result<()> {
    let wished = components(&arguments.components)?;
    with(&arguments.which, false, session, |borders| {
        let plan = make(&arguments.which, &wished, borders)?;
        let mut present = Vec::new();
        for task in &plan.tasks {
            if cache::look_up(task, borders.store)?.is_some() {
                present.push(task.component);
            }
        }
        if arguments.json {
            return terminal::json(&Annotated { plan: &plan, present });
        }
        show(&plan, &present);
        Ok(())
    })
}

fn show(plan: &Plan, present: &[Component]) {
    terminal::line(format!(
        "release {} of {}, profile {}, epoch {}",
        plan.release, plan.date, plan.profile, plan.epoch
    ));
    if let Some(preview) = &plan.preview {
        terminal::line(format!("preview {}", preview.warning));
        terminal::line(format!("tracker {}", preview.tracker));
    }
    if let Some(line) = &plan.advice.line {
        terminal::line(format!("line    {}: launch dialect {}", line.name, line.dialect));
        terminal::line(format!("        SEV firmware {}", line.firmware));
    }
    for note in &plan.advice.notes {
        terminal::line(format!("note    {note}"));
    }
    terminal::line(format!("image   {} diff_id {}", plan.image, plan.diff_id));
    if let Some(base) = &plan.image_documents.1.base {
        terminal::line(format!("        base {} ({})", base.image, base::words(base)));
    }
    for task in &plan.tasks {
        let state = if present.contains(&task.component) { "present: nothing to run" } else { "to build" };
        terminal::line(format!("{} {}  key {}  {state}", task.component, task.version, task.key));
        for source in &task.sources {
            let digest = source.digest.map_or("UNPINNED".to_owned(), |digest| digest.to_string());
            terminal::line(format!("  source {} {} {digest}", source.folder, source.version));
        }
        for (name, value) in &task.inputs.environment {
            terminal::line(format!("  env {name}={value}"));
        }
        show_made(task);
    }
}

/// The files of a task's product. A kernel's own version, which is in their names, is known only when it is built.
fn show_made(task: &Task) {
    let local = task.inputs.environment.get("KERNEL_LOCALVERSION").map_or("", String::as_str);
    let release = KernelRelease { whole: format!("VERSION{local}"), version: "VERSION".into() };
    for file in task.expected.iter().filter(|file| file.form != Form::Release) {
        terminal::line(format!("  makes {}", release.fill(&file.install)));
    }
    if task.component.role().is_some() {
        terminal::line("  where VERSION is the kernel's own version, which its build tells");
    }
}

/// `snpforge fetch`.
///
/// # Errors
/// Whatever fetching fails with.
pub fn fetch(which: &Which, session: &Session) -> Result<()> {
    with(which, false, session, |borders| {
        let plan = make(which, &[], borders)?;
        let (definition, image_lock) = &plan.image_documents;
        borders.report.phase("fetch");
        fetching::image(definition, image_lock, borders)?;
        for task in &plan.tasks {
            fetching::task_sources(task, &plan.release_documents.0, borders)?;
        }
        terminal::line("every input is in the store; `build --offline` needs no network");
        Ok(())
    })
}
