//! Tars across the border as streams of bounded size: a writer whose bytes become the body of a request, and a reader
//! of a response's body. Both block the caller's thread and end at once when the user stops the run.

use super::link::{Answer, Link};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use std::future::Future;
use std::io::{BufWriter, Read, Write};
use std::pin::Pin;
use tokio::sync::mpsc;

/// Bytes per piece of a body.
const PIECE: usize = 256 * 1024;
/// Pieces under way: a body never takes more than about 1 MiB of memory.
const PIECES: usize = 4;

/// The body of a request.
pub(super) type Body = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Sends what `fill` writes as the body of `request`; returns the engine's answer.
pub(super) fn send<T, F, R>(
    link: &Link,
    what: &str,
    cancel: &Cancel,
    request: F,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Body) -> R,
    R: Future<Output = Answer<T>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(PIECES);
    let body: Body = Box::pin(futures_util::stream::poll_fn(move |context| receiver.poll_recv(context)));
    let task = link.runtime.spawn(request(body));
    let abort = task.abort_handle();
    let answer = async { task.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into())) };

    let outgoing = Outgoing { link, what, cancel, sender, failure: None, refused: false };
    let mut buffered = BufWriter::with_capacity(PIECE, outgoing);
    let filled = fill(&mut buffered)
        .and_then(|()| buffered.flush().map_err(|error| Error::new(Kind::Engine, "request to the engine", error)));
    let (outgoing, _) = buffered.into_parts();
    let Outgoing { sender, failure, refused, .. } = outgoing;
    let failed = failure.or(filled.err().filter(|_| !refused));
    if let Some(error) = failed {
        // Without its end the body is an error for the engine, never a shorter file.
        abort.abort();
        return Err(error);
    }
    drop(sender);
    let answered = link.runtime.block_on(link.patient(what, cancel, answer));
    abort.abort();
    answered
}

struct Outgoing<'a> {
    link: &'a Link,
    what: &'a str,
    cancel: &'a Cancel,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    failure: Option<Error>,
    /// The engine answered before it took everything.
    refused: bool,
}

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        let sent = async { Ok(self.sender.send(piece).await.is_ok()) };
        match self.link.runtime.block_on(self.link.patient(self.what, self.cancel, sent)) {
            Ok(true) => Ok(bytes.len()),
            Ok(false) => {
                self.refused = true;
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            Err(error) => {
                self.failure = Some(error);
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What bollard gives of a response's body.
type Pieces<'a> = Pin<Box<dyn Stream<Item = Answer<Bytes>> + Send + 'a>>;

/// The body of a response.
pub(super) struct Incoming<'a> {
    link: &'a Link,
    what: &'a str,
    cancel: &'a Cancel,
    pieces: Option<Pieces<'a>>,
    piece: Bytes,
    /// Why reading failed: readers in between keep no more than an `io::Error`.
    pub failure: Option<Error>,
}

impl<'a> Incoming<'a> {
    pub fn new(
        link: &'a Link,
        what: &'a str,
        cancel: &'a Cancel,
        pieces: impl Stream<Item = Answer<Bytes>> + Send + 'a,
    ) -> Self {
        Incoming { link, what, cancel, pieces: Some(Box::pin(pieces)), piece: Bytes::new(), failure: None }
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            let Some(pieces) = &mut self.pieces else { return Ok(0) };
            let next = async { pieces.next().await.transpose() };
            match self.link.runtime.block_on(self.link.patient(self.what, self.cancel, next)) {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => self.pieces = None,
                Err(error) => {
                    self.pieces = None;
                    self.failure = Some(error);
                    return Err(std::io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
