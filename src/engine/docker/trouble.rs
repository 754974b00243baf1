//! What bollard's failures mean to a user: who is concerned, what went wrong, what to do about it.

use crate::error::{Error, Kind};
use bollard::errors::Error as Foreign;

/// `error` as it came when the engine at `address` was to do `what`.
pub(super) fn trouble(address: &str, what: &str, error: Foreign) -> Error {
    let engine = format!("engine at {address}");
    let made = match &error {
        Foreign::DockerResponseServerError { message, .. } if message.contains("HTTP request to an HTTPS server") => {
            Error::new(Kind::Engine, engine, "it wants TLS")
                .remedy("set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a Docker context with certificates")
        }
        Foreign::DockerResponseServerError { status_code, message } => {
            Error::new(Kind::Engine, engine, format!("it refused to {what}: {} (status {status_code})", message.trim()))
        }
        Foreign::JsonDataError { message, .. } => Error::new(
            Kind::Engine,
            engine,
            format!("asked to {what}, it answered what cannot be understood: {message}"),
        )
        .remedy("see whether its version is supported, or use --engine embedded"),
        Foreign::DockerStreamError { error } => {
            Error::new(Kind::Engine, engine, format!("it failed to {what}: {}", error.trim()))
        }
        Foreign::RequestTimeoutError => {
            Error::new(Kind::Engine, engine, format!("it does not answer when asked to {what}"))
                .remedy("see whether the service hangs or is overloaded, restart it, and run the command again")
        }
        _ => match io_kind(&error) {
            Some(std::io::ErrorKind::PermissionDenied) => {
                Error::new(Kind::Engine, engine, "this user may not use its socket").remedy(
                    "join the group that owns the socket (often `docker`), start a rootless engine, \
                             or use --engine embedded",
                )
            }
            Some(std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound) => absent(engine),
            _ if matches!(error, Foreign::SocketNotFoundError(_)) => absent(engine),
            _ => lost(address, what, innermost(&error)),
        },
    };
    made.because(error)
}

fn absent(engine: String) -> Error {
    Error::new(Kind::Engine, engine, "nothing answers there").remedy(
        "start the service (`systemctl start docker`, `systemctl --user start podman.socket`), \
                 name another with --host, or use --engine embedded",
    )
}

/// The line broke in the middle of something.
pub(super) fn lost(address: &str, what: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Engine, format!("engine at {address}"), format!("it went away while it was to {what}: {cause}"))
        .remedy("see whether the service still runs, then run the command again; it removes what is left of this run")
}

/// The kind of the input/output error below `error`.
fn io_kind(error: &Foreign) -> Option<std::io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind))
}

fn innermost(error: &Foreign) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

fn causes(error: &Foreign) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}
