//! The embedded engine: a sandbox of Linux namespaces, without a daemon or helper programs, as root and as an
//! unprivileged user. It keeps the build contract as Docker and Podman do, so that a build cannot tell where it runs;
//! the tests run one script inside each engine.
//!
//! Ways in which it differs, all stricter or invisible to an honest build: no /sys; /dev and /run are read-only; in an
//! unprivileged run the image's files belong to the build's user (there is only one id), which the read-only mounts make
//! harmless. The command is process 1, as on the other engines.
//!
//! As root the build runs as the real user 1000, as Docker's does: the work folder is closed to this machine's other
//! users, but its user 1000 could send signals to a build, and both share one limit of processes.
//!
//! Needs Linux 5.3.
//!
//! A process with threads cannot enter namespaces and must not `fork`: [`Embedded`] starts this program anew
//! with [`STAGE`] as first argument, and `main` hands that over to [`stage()`] before it does anything else.

mod collect;
mod failure;
mod filter;
mod group;
mod launch;
mod loopback;
mod mounts;
mod privileges;
mod raw;
mod roots;
mod stage;
mod visit;
mod wire;
mod work;

pub use stage::stage;

use super::{ContainerId, Engine, Info, Outcome, Spec, Take, contract};
use crate::cancel::{self, Cancel};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::Image;
use crate::shell;
use crate::store::files;
use crate::tree::{self, Owners};
use failure::{Machine, explain};
use group::Group;
use launch::{End, Output};
use privileges::Rights;
use roots::Roots;
use rustix::fs::{Mode, chmod};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::Job;

/// First argument of a process that is a stage of a sandbox.
pub const STAGE: &str = "snpforge-sandbox-stage";

/// The sandbox engine, with its unpacked images and work folders in one folder.
pub struct Embedded {
    folder: PathBuf,
    program: PathBuf,
    rights: Rights,
    containers: Mutex<BTreeMap<ContainerId, Arc<Container>>>,
    /// Unpacked images that [`Engine::load`] compared and holds: each is good for one container.
    loaded: Mutex<BTreeMap<Digest, File>>,
}

/// A container of this process.
struct Container {
    work: PathBuf,
    spec: Spec,
    root: PathBuf,
    /// Says "alive" for as long as it is open.
    _lock: File,
    /// Holds the unpacked image.
    _root: File,
    /// Set when the container is removed.
    stop: Cancel,
    /// Held while the command runs.
    running: Mutex<()>,
}

impl Embedded {
    /// An engine that keeps its things in `folder`, on a file system that allows programs to run.
    pub fn new(folder: PathBuf) -> Self {
        let program = "/proc/self/exe".into();
        Embedded { folder, program, rights: Rights::here(), containers: Mutex::default(), loaded: Mutex::default() }
    }

    /// The same with another program for the stages; its `main` must call [`stage()`].
    #[must_use]
    pub fn with_program(self, program: PathBuf) -> Self {
        Embedded { program, ..self }
    }

    /// Whether a sandbox really works here: builds a complete one around an empty root and ends in it. Needs no image.
    ///
    /// # Errors
    /// [`Kind::Engine`] naming the step that failed, with the cures for this machine.
    pub fn probe(&self) -> Result<()> {
        self.make_folder()?;
        let job = Job {
            root: None,
            work: self.folder.clone(),
            command: Vec::new(),
            environment: Vec::new(),
            workdir: "/".into(),
            interactive: false,
        };
        let mut said = Vec::new();
        match launch::run(&self.program, &job, &[], Output::Log(&mut said), &|| false)? {
            End::Code(0) => Ok(()),
            End::Failed(failure) => Err(self.explain(&failure)),
            End::Code(_) | End::Stopped => Err(Error::new(
                Kind::Engine,
                "sandbox",
                format!("a trial run in it failed: {}", String::from_utf8_lossy(&said).trim()),
            )),
        }
    }

    fn explain(&self, failure: &wire::Failure) -> Error {
        explain(failure, self.rights, rustix::process::geteuid().is_root(), Machine::here())
    }

    /// The engine's folder, closed to other users: the root's files must not be theirs to change or run.
    fn make_folder(&self) -> Result<()> {
        files::make_folder(&self.folder)?;
        let mode = chmod(&self.folder, Mode::RWXU);
        mode.map_err(|error| Error::io(&self.folder, "set the mode of", error.into()))
    }

    fn roots_folder(&self) -> PathBuf {
        self.folder.join("roots")
    }

    fn runs_folder(&self) -> PathBuf {
        self.folder.join("runs")
    }

    fn with_roots<T>(&self, work: impl FnOnce(&Roots<'_>) -> Result<T>) -> Result<T> {
        self.make_folder()?;
        work(&Roots::new(&self.roots_folder(), self.rights))
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<Digest, File>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn container(&self, id: &ContainerId) -> Result<Arc<Container>> {
        let containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.get(id).cloned().ok_or_else(|| {
            Error::new(Kind::Engine, format!("sandbox {}", id.0), "does not exist").remedy("run the command again")
        })
    }

    fn job(container: &Container) -> Job {
        let spec = &container.spec;
        let mut environment: BTreeMap<String, String> =
            contract::ENVIRONMENT.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        environment.extend(spec.environment.clone());
        Job {
            root: Some(container.root.clone()),
            work: container.work.clone(),
            command: spec.command.clone(),
            environment: environment.into_iter().collect(),
            workdir: spec.workdir.clone(),
            interactive: false,
        }
    }
}

impl Engine for Embedded {
    fn info(&self) -> Result<Info> {
        let mut limits = privileges::limits(self.rights);
        if !group::possible() {
            limits.push("no memory limit: this user may not make control groups".into());
        }
        if !filter::THERE {
            limits.push("no system call filter for this kind of machine".into());
        }
        Ok(Info {
            name: "embedded".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            address: "this process".into(),
            rootless: self.rights == Rights::OneId,
            limits,
        })
    }

    fn load(&self, image: &Image, cancel: &Cancel) -> Result<()> {
        // Its own hold must not keep it from putting a damaged one right.
        drop(self.loaded().remove(&image.diff_id));
        let held = self.with_roots(|roots| roots.load(image, cancel))?;
        self.loaded().insert(image.diff_id, held);
        Ok(())
    }

    fn layers(&self, image: &Image) -> Result<Vec<Digest>> {
        self.with_roots(|roots| roots.compare(image, &Cancel::new()))?;
        Ok(vec![image.diff_id])
    }

    fn create(&self, image: &Image, spec: &Spec) -> Result<ContainerId> {
        let loaded = self.loaded().remove(&image.diff_id);
        let (root, held) = self.with_roots(|roots| {
            Ok((roots.path(image), loaded.map_or_else(|| roots.hold(image, &Cancel::new()), Ok)?))
        })?;
        let (work, lock) = work::create(&self.runs_folder(), spec, self.rights)?;
        let id = ContainerId(work.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        let container = Container {
            work,
            spec: spec.clone(),
            root,
            _lock: lock,
            _root: held,
            stop: Cancel::new(),
            running: Mutex::default(),
        };
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.insert(id.clone(), Arc::new(container));
        Ok(id)
    }

    fn upload(&self, id: &ContainerId, tar: &mut (dyn Read + Send), cancel: &Cancel) -> Result<()> {
        let container = self.container(id)?;
        let owners = if self.rights == Rights::Root { Owners::FromTar } else { Owners::Mine };
        tree::unpack(tar, &container.work.join(contract::SRC.trim_start_matches('/')), owners, cancel)
    }

    fn run(&self, id: &ContainerId, log: &mut (dyn Write + Send), cancel: &Cancel) -> Result<Outcome> {
        let container = self.container(id)?;
        let _running = container.running.lock().unwrap_or_else(PoisonError::into_inner);
        let job = Self::job(&container);
        let group = container.spec.memory.and_then(|memory| Group::make(&id.0, memory));
        if let Some(group) = &group {
            work::note_group(&container.work, group)?;
        }
        let doors = group.as_ref().map(Group::doors).unwrap_or_default();
        let stop = || cancel.is_cancelled() || container.stop.is_cancelled();
        match launch::run(&self.program, &job, &doors, Output::Log(log), &stop)? {
            End::Code(code) => {
                Ok(Outcome { code: code.into(), out_of_memory: group.as_ref().and_then(Group::out_of_memory) })
            }
            End::Failed(failure) => Err(self.explain(&failure)),
            End::Stopped => {
                cancel::check(cancel, &container.spec.name)?;
                Err(Error::new(Kind::Interrupted, &container.spec.name, "was removed while it ran"))
            }
        }
    }

    fn download(&self, id: &ContainerId, take: &mut Take<'_>, cancel: &Cancel) -> Result<()> {
        let container = self.container(id)?;
        collect::hand_out(&container.work.join(contract::OUT.trim_start_matches('/')), take, cancel)
    }

    fn remove(&self, id: &ContainerId) -> Result<()> {
        let known = self.containers.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let Some(container) = known else {
            // Kept by an earlier process, or gone.
            let work = self.runs_folder().join(Path::new(&id.0).file_name().unwrap_or_default());
            return if work != self.runs_folder() && work.is_dir() {
                work::remove_dead(&work).map(drop)
            } else {
                Ok(())
            };
        };
        container.stop.cancel();
        let _ended = container.running.lock().unwrap_or_else(PoisonError::into_inner);
        work::remove(&container.work)
    }

    fn keep(&self, id: &ContainerId) -> Result<()> {
        let container = self.container(id)?;
        let text = serde_json::to_vec(&Self::job(&container))
            .map_err(|error| Error::new(Kind::Engine, "sandbox", format!("cannot describe the job: {error}")))?;
        work::keep(&container.work, &text)
    }

    fn reap(&self) -> Result<usize> {
        work::reap(&self.runs_folder())
    }

    fn enter(&self, id: &ContainerId) -> String {
        let program = std::fs::read_link(&self.program).unwrap_or_else(|_| self.program.clone());
        let work = self.runs_folder().join(&id.0);
        let word = |path: &Path| shell::word(&path.display().to_string());
        [word(&program), STAGE.into(), "enter".into(), word(&work)].join(" ")
    }
}
