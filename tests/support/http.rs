//! A small HTTP/1.1 server on loopback that can do what mirrors do, good and bad. Each test starts its own.

use crate::listener::{self, Listener};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the server saw it. Header names are in lower case.
#[allow(dead_code, reason = "each test binary uses its own part")]
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// The first byte of a `Range` header.
    pub fn range_start(&self) -> Option<usize> {
        self.headers.get("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What the server does with a request.
#[allow(dead_code, reason = "each test binary uses its own part")]
#[derive(Clone, Debug)]
pub enum Reply {
    /// The file, or the asked range of it.
    File(Vec<u8>),
    /// The file, whatever range was asked.
    WholeFile(Vec<u8>),
    /// The file or range, announced in full, but the connection is cut after so many bytes of this answer.
    Cut(Vec<u8>, usize),
    /// A status without a body, with more headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The file after a time in which others may come in.
    Slow(Vec<u8>, Duration),
    /// Announces the file or range, sends so many bytes and then nothing.
    StallAfter(Vec<u8>, usize),
    /// Announces the file or range and sends one byte after each such pause.
    Drip(Vec<u8>, Duration),
    /// Announces so many bytes and ends.
    Announce(u64),
    /// Takes the request and never answers.
    Silence,
    /// The file in chunks, so that its length is not announced.
    Chunked(Vec<u8>),
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// The running server; it stops when dropped.
pub struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<Handler>,
    seen: Mutex<Vec<Request>>,
    now: AtomicUsize,
    peak: AtomicUsize,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server. `handler` gets each request and how often its path was asked before.
    pub fn start(handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            seen: Mutex::default(),
            now: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            stop: Arc::clone(&stop),
        });
        let inside = Arc::clone(&shared);
        Server { listener: Listener::start(stop, move |stream| inside.serve(stream)), shared }
    }

    pub fn url(&self, path: &str) -> String {
        self.listener.url(path)
    }

    /// All requests so far.
    #[allow(dead_code, reason = "each test binary uses its own part")]
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many answers were on their way at the same time, at most.
    #[allow(dead_code, reason = "each test binary uses its own part")]
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(request) = read_request(&mut reader)? {
            let times = {
                let mut seen = self.seen.lock().unwrap();
                let times = seen.iter().filter(|old| old.path == request.path).count();
                seen.push(request.clone());
                times
            };
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.peak.fetch_max(now, Ordering::SeqCst);
            let going_on = self.answer(&mut writer, &request, (self.handler)(&request, times));
            self.now.fetch_sub(1, Ordering::SeqCst);
            if !going_on? {
                break;
            }
        }
        Ok(())
    }

    /// Answers; whether the connection stays open.
    fn answer(&self, out: &mut TcpStream, request: &Request, reply: Reply) -> std::io::Result<bool> {
        match reply {
            Reply::File(bytes) => send(out, request.range_start(), &bytes, None),
            Reply::WholeFile(bytes) => send(out, None, &bytes, None),
            Reply::Cut(bytes, after) => send(out, request.range_start(), &bytes, Some(after)),
            Reply::Slow(bytes, wait) => {
                std::thread::sleep(wait);
                send(out, request.range_start(), &bytes, None)
            }
            Reply::Status(status, headers) => {
                write!(out, "HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n")?;
                for (name, value) in headers {
                    write!(out, "{name}: {value}\r\n")?;
                }
                write!(out, "\r\n")?;
                Ok(true)
            }
            Reply::StallAfter(bytes, after) => {
                send(out, request.range_start(), &bytes, Some(after))?;
                self.sleep_until_stop();
                Ok(false)
            }
            Reply::Drip(bytes, pause) => {
                send(out, request.range_start(), &bytes, Some(0))?;
                for byte in &bytes[request.range_start().unwrap_or(0).min(bytes.len())..] {
                    if self.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    out.write_all(&[*byte])?;
                    std::thread::sleep(pause);
                }
                Ok(false)
            }
            Reply::Announce(bytes) => {
                write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
                Ok(false)
            }
            Reply::Silence => {
                self.sleep_until_stop();
                Ok(false)
            }
            Reply::Chunked(bytes) => {
                write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for chunk in bytes.chunks(1000) {
                    write!(out, "{:x}\r\n", chunk.len())?;
                    out.write_all(chunk)?;
                    write!(out, "\r\n")?;
                }
                write!(out, "0\r\n\r\n")?;
                Ok(true)
            }
        }
    }

    fn sleep_until_stop(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends the file from `start` on; announces all of it and stops after `cut` bytes.
fn send(out: &mut TcpStream, start: Option<usize>, bytes: &[u8], cut: Option<usize>) -> std::io::Result<bool> {
    let body = match start {
        Some(start) if start >= bytes.len() => {
            write!(out, "HTTP/1.1 416 Any\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        Some(start) => {
            write!(out, "HTTP/1.1 206 Any\r\nContent-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len())?;
            &bytes[start..]
        }
        None => {
            write!(out, "HTTP/1.1 200 OK\r\n")?;
            bytes
        }
    };
    write!(out, "Content-Length: {}\r\n\r\n", body.len())?;
    out.write_all(&body[..cut.unwrap_or(body.len()).min(body.len())])?;
    out.flush()?;
    Ok(cut.is_none())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    Ok(listener::head(reader)?.map(|listener::Head { method, target, headers }| Request {
        method,
        path: target.trim_start_matches('/').to_owned(),
        headers,
    }))
}
