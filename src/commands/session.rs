//! What every command works with: environment, clock, store, doors to the network and the listener, made once.

use crate::cli::{Choice, EngineArgs};
use snpforge::build::Borders;
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::definition::Archive;
use snpforge::engine::{Engine, choose};
use snpforge::environment::Environment;
use snpforge::error::{Error, Kind, Result};
use snpforge::fetch::{Fetch, Fetcher, Offline, Settings};
use snpforge::mirror::{self, Bases};
use snpforge::project::Project;
use snpforge::registry::{self, Registry};
use snpforge::report::Report;
use snpforge::source::git::Program;
use snpforge::store::Store;
use snpforge::verify::Hearing;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Made once in `main`.
pub struct Session {
    /// The process environment.
    pub environment: Environment,
    /// The wall clock at the start.
    pub now: Epoch,
    /// The working folder.
    pub folder: PathBuf,
    /// `--project`.
    pub project: Option<PathBuf>,
    /// Who listens.
    pub report: Arc<dyn Report>,
    /// The wish to stop.
    pub cancel: Cancel,
    /// Where downloads run.
    pub runtime: tokio::runtime::Handle,
}

impl Session {
    /// The project folder.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none.
    pub fn project(&self) -> Result<Project> {
        Project::find(&self.project.as_ref().map_or_else(|| self.folder.clone(), |named| self.folder.join(named)))
    }

    /// The store, made where it is not there.
    ///
    /// # Errors
    /// [`Kind::Usage`] without a home folder, [`Kind::Io`] when it cannot be made.
    pub fn store(&self) -> Result<Store> {
        let place = self.place().ok_or_else(|| {
            Error::new(Kind::Usage, "environment", "neither XDG_CACHE_HOME nor HOME says where the store is")
                .remedy("set one of them to an absolute path")
        })?;
        Store::open(&place)
    }

    /// Where the store is, if anything says so: `$XDG_CACHE_HOME/snpforge`.
    pub fn place(&self) -> Option<PathBuf> {
        self.environment.xdg("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("snpforge"))
    }

    /// Calls `work` with all borders; `offline` closes the doors to the network.
    ///
    /// # Errors
    /// Whatever `work` fails with, or a border that cannot be made.
    pub fn with<T>(&self, offline: bool, work: impl FnOnce(&Borders<'_>) -> Result<T>) -> Result<T> {
        let project = self.project()?;
        let store = self.store()?;
        let git = self.git(&store, offline)?;
        let (fetch, registry): (Box<dyn Fetch>, Box<dyn Registry>) = if offline {
            (Box::new(Offline(store.clone())), Box::new(registry::Offline(store.clone())))
        } else {
            let settings = Settings::from_environment(&self.environment);
            let (runtime, report) = (&self.runtime, &self.report);
            let (settings_too, environment) = (settings.clone(), self.environment.clone());
            let fetch = Fetcher::new(runtime.clone(), store.clone(), report.clone(), settings)?;
            let registry =
                registry::Client::new(runtime.clone(), store.clone(), report.clone(), settings_too, environment);
            (Box::new(fetch), Box::new(registry))
        };
        work(&Borders {
            project: &project,
            store: &store,
            fetch: fetch.as_ref(),
            git: &git,
            registry: registry.as_ref(),
            mirrors: &|archive, date| self.mirrors(archive, date),
            now: self.now,
            report: self.report.as_ref(),
            cancel: &self.cancel,
        })
    }

    /// The door to git repositories; `offline` closes it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for mirrors that cannot be understood.
    pub fn git(&self, store: &Store, offline: bool) -> Result<Program> {
        Ok(Program::new(store.root(), &self.environment, offline)?.telling(self.report.clone()))
    }

    fn mirrors(&self, archive: &Archive, date: Option<Epoch>) -> Result<Bases> {
        let configured = mirror::configured(&self.environment, archive.family)?;
        let machine = mirror::machine(Path::new("/"), archive.family);
        mirror::bases(archive, &configured, &machine, date)
    }

    /// Who listens to a command that needs neither project nor store.
    pub fn hearing(&self) -> Hearing<'_> {
        Hearing { report: self.report.as_ref(), cancel: &self.cancel }
    }

    /// The engine the user asked for.
    ///
    /// # Errors
    /// [`Kind::Engine`] saying what failed and the cures.
    pub fn engine(&self, arguments: &EngineArgs, store: &Store) -> Result<Box<dyn Engine>> {
        choose::engine(&self.wish(arguments, store))
    }

    /// The user's wish, as the library understands it.
    pub fn wish<'a>(&'a self, arguments: &'a EngineArgs, store: &Store) -> choose::Wish<'a> {
        let kind = match arguments.engine {
            Choice::Auto => choose::Kind::Auto,
            Choice::Docker => choose::Kind::Docker,
            Choice::Podman => choose::Kind::Podman,
            Choice::Embedded => choose::Kind::Embedded,
        };
        choose::Wish {
            kind,
            host: arguments.host.as_deref(),
            environment: &self.environment,
            folder: store.root().join("sandbox"),
        }
    }
}
