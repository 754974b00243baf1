//! The line to a Docker or Podman service: the runtime that bollard needs and how long a call may take. Callers above
//! are blocking and see plain results.
//!
//! Two sorts of calls: a control call has a limit of its own ([`Timeouts::control`]). A long one (a build, an upload)
//! may stay silent as long as it likes; meanwhile the engine is asked for a sign of life at every
//! [`Timeouts::beat`], so that an engine that is gone, frozen or cut off is noticed all the same. bollard's own
//! limit, which counts silence before the first byte as a failure, is set out of reach.

use super::trouble;
use crate::cancel::Cancel;
use crate::engine::discover::{self, Endpoint};
use crate::error::{Error, Kind, Result};
use bollard::Docker as Client;
use bollard::errors::Error as Foreign;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The first answer of an engine that may not be there.
    pub probe: Duration,
    /// A call whose work does not depend on the build.
    pub control: Duration,
    /// Between two signs of life during a long call.
    pub beat: Duration,
}

impl Default for Timeouts {
    /// 10 s, 120 s (Podman's vfs driver copies the whole image when it creates a container) and 15 s.
    fn default() -> Self {
        let [probe, control, beat] = [10, 120, 15].map(Duration::from_secs);
        Timeouts { probe, control, beat }
    }
}

/// bollard's limit, in seconds: a year.
const OUT_OF_REACH: u64 = 365 * 24 * 3600;

/// How often, and after which pause, a state that is passing is asked for: 5 s in all.
const SETTLING_TRIES: usize = 50;
const SETTLING: Duration = Duration::from_millis(100);

/// What a call to bollard gives.
pub(super) type Answer<T> = std::result::Result<T, Foreign>;

/// An open line. Dropping it ends all calls.
pub(super) struct Link {
    pub client: Client,
    pub address: String,
    pub runtime: Runtime,
    pub timeouts: Timeouts,
}

impl Link {
    /// A line to `endpoint`, with the API version both sides know.
    pub fn open(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Self> {
        let address = endpoint.address.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name("engine")
            .build()
            .map_err(|error| Error::new(Kind::Engine, "thread for the engine", &error).because(error))?;
        let client = client(endpoint)?;
        let negotiated = runtime.block_on(async {
            let call = tokio::time::timeout(timeouts.probe, client.negotiate_version()).await;
            call.unwrap_or(Err(Foreign::RequestTimeoutError))
        });
        let client = negotiated.map_err(|error| trouble::trouble(&address, "tell its version", error))?;
        Ok(Link { client, address, runtime, timeouts })
    }

    /// Makes a control call: `what` is what the engine is to do, in words.
    pub fn ask<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Result<T> {
        self.runtime.block_on(self.asked(what, call))
    }

    pub async fn asked<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Result<T> {
        let answer = tokio::time::timeout(self.timeouts.control, call).await;
        answer.unwrap_or(Err(Foreign::RequestTimeoutError)).map_err(|error| self.trouble(what, error))
    }

    /// Asks for containers' states. Podman calls one `stopped` between its end and the tidying up after it, a word that
    /// the API and bollard do not know (seen for some 60 ms with Podman 4.3): then it is asked again.
    pub async fn settled<T, C>(&self, what: &str, mut call: impl FnMut() -> C) -> Result<T>
    where
        C: Future<Output = Answer<T>>,
    {
        let settled = async {
            for _ in 0..SETTLING_TRIES {
                match call().await {
                    Err(Foreign::JsonDataError { .. }) => tokio::time::sleep(SETTLING).await,
                    other => return other,
                }
            }
            call().await
        };
        self.asked(what, settled).await
    }

    /// Makes a long call, which ends with its answer, the engine's or the user's wish.
    pub async fn patient<T>(&self, what: &str, cancel: &Cancel, call: impl Future<Output = Answer<T>>) -> Result<T> {
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(interrupted(what)),
                answer = &mut call => return answer.map_err(|error| self.trouble(what, error)),
                alive = self.beat() => alive?,
            }
        }
    }

    async fn beat(&self) -> Result<()> {
        tokio::time::sleep(self.timeouts.beat).await;
        self.asked("show that it still lives", self.client.ping()).await.map(drop)
    }

    /// bollard's error in the project's words.
    pub fn trouble(&self, what: &str, error: Foreign) -> Error {
        trouble::trouble(&self.address, what, error)
    }

    /// The line broke in the middle of something.
    pub fn lost(&self, what: &str, cause: impl std::fmt::Display) -> Error {
        trouble::lost(&self.address, what, cause)
    }
}

pub(super) fn interrupted(what: &str) -> Error {
    Error::new(Kind::Interrupted, "engine", format!("interrupted while it was to {what}"))
}

fn client(endpoint: &Endpoint) -> Result<Client> {
    let address = endpoint.address.as_str();
    let version = bollard::API_DEFAULT_VERSION;
    let made = match address.split_once("://").map(|(scheme, _)| scheme) {
        Some("unix") => Client::connect_with_unix(address, OUT_OF_REACH, version),
        Some("tcp" | "http" | "https") if endpoint.tls.is_some() => secured(endpoint)?,
        Some("tcp" | "http") => Client::connect_with_http(address, OUT_OF_REACH, version),
        Some("ssh") => {
            return Err(Error::new(Kind::Engine, format!("engine at {address}"), "ssh addresses are not supported")
                .remedy(
                    "forward the socket: `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`, \
                         then --host unix:///tmp/engine.sock",
                ));
        }
        _ => return Err(discover::unknown(address)),
    };
    made.map_err(|error| trouble::trouble(address, "connect", error))
}

#[cfg(feature = "engine-tls")]
fn secured(endpoint: &Endpoint) -> Result<Answer<Client>> {
    let Some(tls) = &endpoint.tls else {
        return Err(Error::new(Kind::Engine, format!("engine at {}", endpoint.address), "no certificates are named"));
    };
    let version = bollard::API_DEFAULT_VERSION;
    Ok(Client::connect_with_ssl(&endpoint.address, &tls.key, &tls.certificate, &tls.authority, OUT_OF_REACH, version))
}

#[cfg(not(feature = "engine-tls"))]
fn secured(endpoint: &Endpoint) -> Result<Answer<Client>> {
    let object = format!("engine at {}", endpoint.address);
    Err(Error::new(Kind::Engine, object, "it wants TLS, which this program was built without")
        .remedy("build with `--features engine-tls`, or forward its socket with `ssh -L` and use --host unix://..."))
}
