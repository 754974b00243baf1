//! A small server for git's smart HTTP protocol on loopback: `git http-backend` behind sockets of its own, with
//! passwords, and with the troubles that servers have. It also answers what is sent to it as to a proxy.

use crate::listener::{self, Head, Listener};
use crate::workshop::environment;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// What becomes of a pack on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// The connection ends in the middle.
    Cut,
    /// A byte is another one.
    Flip,
}

/// The running server; it stops when dropped.
pub struct GitServer {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    /// The header that is wanted, and the status for who does not have it.
    wanted: Option<(String, u16)>,
    /// What happens to the next packs of repositories by name.
    spoil: Mutex<Vec<(String, Spoil)>>,
    seen: Mutex<Vec<Seen>>,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub target: String,
    /// Whether it asked for a pack.
    pub fetch: bool,
}

struct Request {
    head: Head,
    body: Vec<u8>,
}

impl GitServer {
    /// Serves the repositories below `root`.
    pub fn start(root: &Path) -> GitServer {
        GitServer::guarded(root, None)
    }

    /// Serves only who sends `Authorization: HEADER`; others get the status.
    pub fn guarded(root: &Path, wanted: Option<(&str, u16)>) -> GitServer {
        let wanted = wanted.map(|(header, status)| (header.to_owned(), status));
        let shared =
            Arc::new(Shared { root: root.to_owned(), wanted, spoil: Mutex::default(), seen: Mutex::default() });
        let inside = Arc::clone(&shared);
        GitServer { listener: Listener::start(Arc::default(), move |stream| inside.serve(stream)), shared }
    }

    pub fn url(&self, path: &str) -> String {
        self.listener.url(path)
    }

    /// The next packs of the repository go wrong, one after the other.
    pub fn spoil(&self, name: &str, spoil: Spoil, times: usize) {
        let mut all = self.shared.spoil.lock().unwrap();
        all.extend(std::iter::repeat_n((name.to_owned(), spoil), times));
    }

    /// Packs come well from now on.
    #[allow(dead_code, reason = "each test binary uses its own part")]
    pub fn heal(&self) {
        self.shared.spoil.lock().unwrap().clear();
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How often a pack of the repository was asked for.
    pub fn fetches(&self, name: &str) -> usize {
        let part = format!("/{name}/");
        self.seen().iter().filter(|seen| seen.fetch && seen.target.contains(&part)).count()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        let Some(request) = read(&mut reader)? else { return Ok(()) };
        let fetch = request.body.windows(13).any(|window| window == b"command=fetch");
        self.seen.lock().unwrap().push(Seen { target: request.head.target.clone(), fetch });
        if let Some((header, status)) = &self.wanted
            && request.head.headers.get("authorization") != Some(header)
        {
            let realm = if *status == 401 { "WWW-Authenticate: Basic realm=\"git\"\r\n" } else { "" };
            return write!(out, "HTTP/1.1 {status} No\r\n{realm}Content-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let answer = self.backend(&request);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut body = answer[end + 4..].to_vec();
        let (status, others): (Vec<&str>, Vec<&str>) = head.lines().partition(|line| line.starts_with("Status: "));
        let status = status.first().map_or("200 OK", |line| &line[8..]);
        let others: String = others.iter().map(|line| format!("{line}\r\n")).collect();
        write!(out, "HTTP/1.1 {status}\r\n{others}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
        let spoil = if fetch { self.take_spoil(&request.head.target) } else { None };
        match spoil {
            None => out.write_all(&body),
            Some(Spoil::Cut) => out.write_all(&body[..body.len() * 2 / 3]),
            Some(Spoil::Flip) => {
                let pack = body.windows(4).position(|window| window == b"PACK").unwrap();
                body[pack + 20] ^= 1;
                out.write_all(&body)
            }
        }
    }

    fn take_spoil(&self, target: &str) -> Option<Spoil> {
        let mut all = self.spoil.lock().unwrap();
        let place = all.iter().position(|(name, _)| target.contains(&format!("/{name}/")))?;
        Some(all.remove(place).1)
    }

    fn backend(&self, request: &Request) -> Vec<u8> {
        // What is sent as to a proxy has scheme and host in front.
        let target = request.head.target.as_str();
        let path = target.split_once("://").map_or(target, |(_, rest)| &rest[rest.find('/').unwrap()..]);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let header = |name: &str| request.head.headers.get(name).map(String::as_str).unwrap_or_default();
        let mut command = Command::new("git");
        command.arg("http-backend").env_clear().env("PATH", environment().get("PATH").unwrap());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_HTTP_EXPORT_ALL", "1"),
            ("GIT_PROJECT_ROOT", self.root.to_str().unwrap()),
            ("REQUEST_METHOD", &request.head.method),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("CONTENT_TYPE", header("content-type")),
            ("CONTENT_LENGTH", &request.body.len().to_string()),
            ("HTTP_CONTENT_ENCODING", header("content-encoding")),
            ("GIT_PROTOCOL", header("git-protocol")),
        ] {
            command.env(name, value);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&request.body).unwrap();
        child.wait_with_output().unwrap().stdout
    }
}

/// Requests of tests are small: their length is announced.
fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let Some(head) = listener::head(reader)? else { return Ok(None) };
    let length = head.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { head, body }))
}
