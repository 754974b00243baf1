//! One run from attach to exit status. The rules behind it, each met on a real engine:
//! - Attach before start, never `logs`: Podman sends the headers of a followed log with its first byte, so a silent
//!   build runs into time limits, and a late attach with old output has wrong frame lengths there.
//! - The end of the output is not the end of the run: a killed daemon ends it just the same. Only an exit status is.
//! - Podman answers the wait for a container that somebody removed with status 0 and an error text.

use super::Docker;
use super::link::{Answer, interrupted};
use super::service::Flavour;
use crate::cancel::Cancel;
use crate::engine::Outcome;
use crate::error::{Error, Kind, Result};
use bollard::container::AttachContainerResults;
use bollard::errors::Error as Foreign;
use bollard::models::{ContainerState, ContainerStateStatusEnum as Status, ContainerWaitResponse};
use bollard::query_parameters::{AttachContainerOptionsBuilder, InspectContainerOptions, WaitContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

const RUN: &str = "run the command";

/// Starts the container, writes its output to `log` and waits for its end.
pub(super) fn follow(docker: &Docker, id: &str, log: &mut (dyn Write + Send), cancel: &Cancel) -> Result<Outcome> {
    let mut following = docker.link.runtime.block_on(Following::start(docker, id, cancel))?;
    // The log is written outside the runtime: whatever it does may block, or call the engine itself.
    while let Some(bytes) = docker.link.runtime.block_on(following.next())? {
        log.write_all(&bytes).map_err(unwritable)?;
    }
    let code = following.code.ok_or_else(|| docker.link.lost(RUN, "it told no exit status"))?;
    let told = docker.link.runtime.block_on(memory_kill(docker, id, code))?;
    Ok(Outcome { code, out_of_memory: docker.flavour.out_of_memory(told, code) })
}

/// Whether the engine knows of a kill for lack of memory. Docker may hear of one after the end: a failed run is asked
/// about for another half second.
async fn memory_kill(docker: &Docker, id: &str, code: i64) -> Result<Option<bool>> {
    let asks = if code == 0 || docker.flavour == Flavour::Podman { 1 } else { 6 };
    let mut told = None;
    for ask in 0..asks {
        if ask > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        told = inspect(docker, id).await?.oom_killed;
        if told == Some(true) {
            break;
        }
    }
    Ok(told)
}

/// A container that runs.
struct Following<'a> {
    docker: &'a Docker,
    id: &'a str,
    cancel: &'a Cancel,
    attached: AttachContainerResults,
    ended: Pin<Box<dyn Stream<Item = Answer<ContainerWaitResponse>> + Send + 'a>>,
    /// The exit status, once it is known.
    code: Option<i64>,
    /// Whether more output may come.
    open: bool,
    /// The container was seen ended, although nothing on the line told so.
    silent_end: bool,
}

impl<'a> Following<'a> {
    async fn start(docker: &'a Docker, id: &'a str, cancel: &'a Cancel) -> Result<Self> {
        let link = &docker.link;
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attach = link.client.attach_container(id, Some(options));
        // Its writing half stays open to the end: closing it early may end the attachment.
        let attached = link.patient("attach to the container", cancel, attach).await?;
        link.patient("start the container", cancel, link.client.start_container(id, None)).await?;
        let ended = Box::pin(link.client.wait_container(id, None::<WaitContainerOptions>));
        Ok(Following { docker, id, cancel, attached, ended, code: None, open: true, silent_end: false })
    }

    /// The next piece of output; `None` when the run is over.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.code.is_none() || self.open {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(interrupted(RUN)),
                frame = self.attached.output.next(), if self.open => match frame {
                    Some(Ok(frame)) => return Ok(Some(frame.into_bytes())),
                    Some(Err(error)) => {
                        self.open = false;
                        return Ok(Some(format!("\n[the engine cut off this log: {error}]\n").into()));
                    }
                    None => self.open = false,
                },
                // Asked for only when the output is over: Podman answers by looking four times a second, which took 0.4 of
                // a processor through a whole build.
                status = self.ended.next(), if self.code.is_none() && !self.open => self.code = Some(exit_code(self.docker, status)?),
                state = beat(self.docker, self.id) => if let Some(exit) = finished(&state?) {
                    self.ended_silently(exit);
                },
            }
        }
        Ok(None)
    }

    /// The container has ended, but the line that should tell seems dead: it is believed at the second look.
    fn ended_silently(&mut self, exit: i64) {
        if self.silent_end || self.code.is_some() {
            self.code.get_or_insert(exit);
            self.open = false;
        }
        self.silent_end = true;
    }
}

fn unwritable(error: std::io::Error) -> Error {
    Error::new(Kind::Io, "log of the build", format!("cannot write: {error}")).because(error)
}

fn exit_code(docker: &Docker, status: Option<Answer<ContainerWaitResponse>>) -> Result<i64> {
    let link = &docker.link;
    match status {
        Some(Ok(response)) => match response.error.and_then(|error| error.message).filter(|text| !text.is_empty()) {
            Some(text) => Err(link.lost(RUN, text)),
            None => Ok(response.status_code),
        },
        Some(Err(Foreign::DockerContainerWaitError { error, code })) if error.is_empty() => Ok(code),
        Some(Err(error)) => Err(link.trouble(RUN, error)),
        None => Err(link.lost(RUN, "its answer ended without an exit status")),
    }
}

/// After a while of silence, what has become of the container.
async fn beat(docker: &Docker, id: &str) -> Result<ContainerState> {
    tokio::time::sleep(docker.link.timeouts.beat).await;
    inspect(docker, id).await
}

async fn inspect(docker: &Docker, id: &str) -> Result<ContainerState> {
    let call = || docker.link.client.inspect_container(id, None::<InspectContainerOptions>);
    let inspected = docker.link.settled("tell the container's state", call).await?;
    inspected.state.ok_or_else(|| docker.link.lost(RUN, "it tells no state of the container"))
}

fn finished(state: &ContainerState) -> Option<i64> {
    let over = matches!(state.status, Some(Status::EXITED | Status::DEAD));
    state.exit_code.filter(|_| over)
}
