//! Which engine runs a build: the one the user named, or the first that works. Every choice that failed is kept with its
//! reason, so that one message can say all.

use super::discover::{self, Tried};
use super::docker::{Flavour, Timeouts};
use super::embedded::Embedded;
use super::{Engine, Info};
use crate::environment::Environment;
use crate::error::{Error, Kind as ErrorKind, Result};
use serde::Serialize;
use std::path::PathBuf;

/// What the user named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Docker or Podman if one answers, else the sandbox if a real program runs in it.
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// The sandbox.
    Embedded,
}

/// A wish for an engine.
pub struct Wish<'a> {
    /// What was named.
    pub kind: Kind,
    /// `--host`.
    pub host: Option<&'a str>,
    /// The process environment.
    pub environment: &'a Environment,
    /// Where the sandbox keeps roots and work folders.
    pub folder: PathBuf,
}

/// One possibility, as `doctor engine` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Possibility {
    /// Who named it: a variable, a context, a usual socket, or `this program`.
    pub origin: String,
    /// The engine, when it answers.
    pub engine: Option<Info>,
    /// Why it cannot be used.
    pub failure: Option<String>,
    /// What can be done about it.
    pub remedy: Option<String>,
}

/// Whether the wish can be meant at all. Asks nobody.
///
/// # Errors
/// [`ErrorKind::Usage`] for a `--host` of an unknown kind, or with an engine that has no address.
pub fn check(wish: &Wish<'_>) -> Result<()> {
    match wish.host {
        Some(host) if wish.kind == Kind::Embedded => Err(Error::new(
            ErrorKind::Usage,
            format!("engine address `{host}`"),
            "--host is for Docker and Podman: the embedded sandbox has no address",
        )
        .remedy("leave --host away, or choose --engine docker or --engine podman")),
        Some(host) => discover::check(host),
        None => Ok(()),
    }
}

/// The engine of the wish.
///
/// # Errors
/// As [`check`]; [`ErrorKind::Engine`] with everything that was tried and the cures.
pub fn engine(wish: &Wish<'_>) -> Result<Box<dyn Engine>> {
    check(wish)?;
    match look(wish) {
        (Some(engine), _) => Ok(engine),
        (None, tried) => Err(none(&tried)),
    }
}

/// Everything that was looked at for the wish, the chosen one last.
pub fn possibilities(wish: &Wish<'_>) -> Vec<Possibility> {
    let (engine, mut seen) = look(wish);
    if let Some(engine) = engine {
        let (info, failure) = match engine.info() {
            Ok(info) => (Some(info), None),
            Err(error) => (None, Some(error.to_string())),
        };
        seen.push(Possibility { origin: "chosen".into(), engine: info, failure, remedy: None });
    }
    seen
}

fn look(wish: &Wish<'_>) -> (Option<Box<dyn Engine>>, Vec<Possibility>) {
    if let Err(failure) = check(wish) {
        return (None, vec![failed(Tried { origin: "--host".into(), failure })]);
    }
    let mut seen = Vec::new();
    let wanted = match wish.kind {
        Kind::Docker => Some(Flavour::Docker),
        Kind::Podman => Some(Flavour::Podman),
        Kind::Auto | Kind::Embedded => None,
    };
    if wish.kind != Kind::Embedded {
        let search = discover::search(discover::candidates(wish.environment, wish.host), wanted, Timeouts::default());
        seen.extend(search.tried.into_iter().map(failed));
        if let Some((_, docker)) = search.found {
            return (Some(Box::new(docker)), seen);
        }
    }
    if matches!(wish.kind, Kind::Auto | Kind::Embedded) && wish.host.is_none() {
        let sandbox = Embedded::new(wish.folder.clone());
        match sandbox.probe() {
            Ok(()) => return (Some(Box::new(sandbox)), seen),
            Err(failure) => seen.push(failed(Tried { origin: "this program".into(), failure })),
        }
    }
    (None, seen)
}

fn failed(tried: Tried) -> Possibility {
    Possibility {
        origin: tried.origin,
        engine: None,
        failure: Some(tried.failure.to_string()),
        remedy: tried.failure.remedy_text().map(str::to_owned),
    }
}

fn none(tried: &[Possibility]) -> Error {
    let lines: Vec<String> =
        tried.iter().map(|one| format!("{}: {}", one.origin, one.failure.as_deref().unwrap_or("not usable"))).collect();
    let mut cures: Vec<&str> = tried.iter().filter_map(|one| one.remedy.as_deref()).collect();
    cures.dedup();
    let error = Error::new(ErrorKind::Engine, "engine", format!("none can be used here\n  {}", lines.join("\n  ")));
    if cures.is_empty() {
        error.remedy("start Docker or Podman, or run `snpforge doctor engine`")
    } else {
        error.remedy(cures.join("; or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_does_not_answer_is_named_and_nothing_else_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("unix://{}/no.sock", folder.path().display());
        let environment = Environment::default();
        let wish =
            Wish { kind: Kind::Auto, host: Some(&host), environment: &environment, folder: folder.path().into() };
        let Err(error) = engine(&wish) else { panic!("an engine was found") };
        assert_eq!(error.kind(), ErrorKind::Engine);
        assert!(error.to_string().contains("no.sock"), "{error}");
    }

    #[test]
    fn a_host_that_cannot_be_meant_is_a_wrong_use_and_doctor_says_why() {
        let (folder, environment) = (tempfile::tempdir().unwrap(), Environment::default());
        for (kind, host, cause) in [
            (Kind::Auto, "foo", "is of an unknown kind"),
            (Kind::Podman, "gopher://x", "is of an unknown kind"),
            (Kind::Embedded, "unix:///x", "--host is for Docker and Podman"),
        ] {
            let wish = Wish { kind, host: Some(host), environment: &environment, folder: folder.path().into() };
            let Err(error) = engine(&wish) else { panic!("an engine was found") };
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(error.to_string().contains(host) && error.cause().contains(cause), "{error}");
            let seen = possibilities(&wish);
            assert_eq!((seen.len(), seen[0].origin.as_str()), (1, "--host"));
            assert!(seen[0].failure.as_ref().unwrap().contains(cause) && seen[0].remedy.is_some(), "{seen:?}");
        }
    }
}
