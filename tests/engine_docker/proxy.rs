//! A socket between client and engine, which can be cut or frozen in the middle.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Shared {
    cut: AtomicBool,
    frozen: AtomicBool,
    /// Connections so far, and how many of the first ones are muted.
    number: AtomicUsize,
    muted: AtomicUsize,
    open: Mutex<Vec<UnixStream>>,
    /// First lines of all requests.
    asked: Mutex<Vec<String>>,
}

/// The proxy; it ends with the process.
pub struct Proxy {
    pub socket: PathBuf,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn new(folder: &Path, engine: &Path) -> Self {
        let (socket, shared) = (folder.join("proxy.sock"), Arc::<Shared>::default());
        let (listener, engine, state) = (UnixListener::bind(&socket).unwrap(), engine.to_owned(), shared.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if state.cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = UnixStream::connect(&engine).unwrap();
                state.number.fetch_add(1, Ordering::SeqCst);
                let mut open = state.open.lock().unwrap();
                open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), state.clone(), true);
                pump(server, client, state.clone(), false);
            }
        });
        Proxy { socket, shared }
    }

    /// The engine is gone: every connection breaks, none is taken any more.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The engine hangs: connections stay, nothing passes.
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::SeqCst);
    }

    /// What is open now stays open, but nothing passes any more; new connections work.
    pub fn mute_open(&self) {
        self.shared.muted.store(self.shared.number.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// First lines of all requests.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

fn pump(mut from: UnixStream, mut to: UnixStream, shared: Arc<Shared>, requests: bool) {
    let mine = shared.number.load(Ordering::SeqCst);
    std::thread::spawn(move || {
        let (mut buffer, mut first) = (vec![0; 64 * 1024], requests);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if first {
                let line = String::from_utf8_lossy(&buffer[..count]).lines().next().unwrap_or_default().to_owned();
                shared.asked.lock().unwrap().push(line);
                first = false;
            }
            while shared.frozen.load(Ordering::SeqCst) || mine <= shared.muted.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
