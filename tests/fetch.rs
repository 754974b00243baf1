//! The door to the network against a server on loopback that does what mirrors do, good and bad.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "support/http.rs"]
mod http;
#[path = "support/listener.rs"]
mod listener;

use http::{Reply, Server};
use rustix::net::{AddressFamily, SocketType};
use snpforge::cancel::Cancel;
use snpforge::digest::Digest;
use snpforge::error::Kind;
use snpforge::fetch::{Fetch, Fetcher, Offline, Settings, Wanted};
use snpforge::report::{Collected, Event};
use snpforge::store::Store;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A store and a door with short waits between attempts. Time-outs are long, so that a busy machine does not meet them:
/// a test that is about one shortens it. Upper bounds of time stand only where the fault would take several times longer.
struct Bench {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    report: Arc<Collected>,
    store: Store,
}

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Bench { folder, runtime, report: Arc::default(), store }
    }

    fn door(&self) -> Fetcher {
        self.door_with(|_| {})
    }

    fn door_with(&self, change: impl FnOnce(&mut Settings)) -> Fetcher {
        let mut settings =
            Settings { backoff: Duration::from_millis(20), idle: LONG, first_answer: LONG, ..Settings::default() };
        change(&mut settings);
        Fetcher::new(self.runtime.handle().clone(), self.store.clone(), self.report.clone(), settings).unwrap()
    }

    fn partials(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("partial")).unwrap().count()
    }

    /// Blobs by whatever name, and files that have none yet.
    fn leftovers(&self) -> (usize, usize) {
        let blobs = std::fs::read_dir(self.folder.path().join("blobs")).unwrap();
        let blobs: usize = blobs.map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap().count()).sum();
        (blobs, self.partials() + std::fs::read_dir(self.folder.path().join("tmp")).unwrap().count())
    }

    fn warnings(&self) -> Vec<String> {
        let text = |event| match event {
            Event::Warning { text } => Some(text),
            _ => None,
        };
        self.report.events().into_iter().filter_map(text).collect()
    }
}

fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn wanted(bytes: &[u8], urls: &[String]) -> Wanted {
    Wanted { name: "file".into(), urls: urls.to_vec(), sha256: Digest::of(bytes), size: Some(bytes.len() as u64) }
}

fn fixed(reply: Reply) -> Server {
    Server::start(move |_, _| reply.clone())
}

fn status(code: u16) -> Reply {
    Reply::Status(code, Vec::new())
}

#[test]
fn eight_at_once_and_no_more_and_each_file_once() {
    let server = Server::start(|request, _| {
        Reply::Slow(content(5000, request.path.parse().unwrap()), Duration::from_millis(100))
    });
    let bench = Bench::new();
    let mut files: Vec<Wanted> = (0..40u64).map(|i| wanted(&content(5000, i), &[server.url(&i.to_string())])).collect();
    files.push(files[0].clone());
    bench.door().all(&files, &Cancel::new()).unwrap();
    assert_eq!(server.peak(), 8);
    assert_eq!(server.seen().len(), 40);
    for (i, file) in (0..40).zip(&files) {
        assert_eq!(bench.store.read(&file.sha256).unwrap(), content(5000, i));
    }
    assert_eq!(bench.leftovers(), (40, 0));
    let events = bench.report.events();
    assert!(matches!(&events[0], Event::Begin { total: Some(200_000), task, .. } if task == "fetch 40 files"));
    assert!(matches!(events.last(), Some(Event::End { outcome, .. }) if outcome == "200 kB in 40 files"), "{events:?}");
    // What is there is not asked for again.
    bench.door().all(&files, &Cancel::new()).unwrap();
    assert_eq!(server.seen().len(), 40);
}

#[test]
fn a_gentle_host_gets_two() {
    let server =
        Server::start(|request, _| Reply::Slow(content(500, request.path.parse().unwrap()), Duration::from_millis(50)));
    let bench = Bench::new();
    let files: Vec<Wanted> = (0..8u64).map(|i| wanted(&content(500, i), &[server.url(&i.to_string())])).collect();
    bench.door_with(|settings| settings.gentle = vec!["127.0.0.1".into()]).all(&files, &Cancel::new()).unwrap();
    assert_eq!(server.peak(), 2);
}

#[test]
fn a_cut_connection_is_resumed() {
    let bytes = content(300_000, 1);
    let served = bytes.clone();
    let server = Server::start(move |_, times| match times {
        0 => Reply::Cut(served.clone(), 100_000),
        _ => Reply::File(served.clone()),
    });
    let bench = Bench::new();
    bench.door().all(&[wanted(&bytes, &[server.url("f")])], &Cancel::new()).unwrap();
    let starts: Vec<_> = server.seen().iter().map(http::Request::range_start).collect();
    assert_eq!(starts, [None, Some(100_000)]);
    assert_eq!(bench.store.read(&Digest::of(&bytes)).unwrap(), bytes);
    assert_eq!(bench.leftovers(), (1, 0));
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let bytes = content(300_000, 1);
    let served = bytes.clone();
    let server = Server::start(move |_, times| match times {
        0 => Reply::Cut(served.clone(), 100_000),
        _ => Reply::WholeFile(served.clone()),
    });
    let bench = Bench::new();
    bench.door().all(&[wanted(&bytes, &[server.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(server.seen().len(), 2);
    assert_eq!(bench.store.read(&Digest::of(&bytes)).unwrap(), bytes);
}

#[test]
fn a_stall_is_cut_and_resumed() {
    let bytes = content(50_000, 1);
    let served = bytes.clone();
    let server = Server::start(move |_, times| match times {
        0 => Reply::StallAfter(served.clone(), 20_000),
        _ => Reply::File(served.clone()),
    });
    let bench = Bench::new();
    let start = Instant::now();
    let door = bench.door_with(|settings| settings.idle = Duration::from_secs(1));
    door.all(&[wanted(&bytes, &[server.url("f")])], &Cancel::new()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.seen()[1].range_start(), Some(20_000));
}

#[test]
fn a_liar_is_named_and_the_next_is_asked() {
    let bytes = content(1000, 1);
    let (liar, honest) = (fixed(Reply::File(content(1000, 2))), fixed(Reply::File(bytes.clone())));
    let bench = Bench::new();
    bench.door().all(&[wanted(&bytes, &[liar.url("f"), honest.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(bench.leftovers(), (1, 0));
    let warnings = bench.warnings();
    assert_eq!(warnings.len(), 1);
    let found = Digest::of(&content(1000, 2)).to_string();
    assert!(warnings[0].starts_with(&liar.url("f")) && warnings[0].contains(&found), "{warnings:?}");
}

#[test]
fn all_lie() {
    let bytes = content(1000, 1);
    let replies = [
        (Reply::File(content(1000, 2)), "other bytes than promised"),
        (Reply::File(content(999, 2)), "has only 999 of 1000 bytes"),
        (Reply::File(content(1001, 1)), "has 1001 bytes instead of 1000"),
        (Reply::Chunked(content(5000, 1)), "has more bytes instead of 1000"),
    ];
    for (reply, words) in replies {
        let (liar, gone) = (fixed(reply), fixed(status(404)));
        let bench = Bench::new();
        let file = wanted(&bytes, &[liar.url("f"), gone.url("f")]);
        let error = bench.door().all(&[file], &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust, "{error}");
        let text = error.to_string();
        assert!(text.contains(&liar.url("f")) && text.contains(words), "{text}");
        assert!(text.contains(&format!("{}: answers 404", gone.url("f"))), "{text}");
        assert_eq!(bench.leftovers(), (0, 0), "{text}");
    }
}

#[test]
fn a_truncated_file_is_completed_elsewhere_and_its_bytes_are_not_trusted() {
    let bytes = content(300_000, 1);
    let honest = fixed(Reply::File(bytes.clone()));
    let short = fixed(Reply::File(bytes[..200_000].to_vec()));
    let bench = Bench::new();
    bench.door().all(&[wanted(&bytes, &[short.url("f"), honest.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(honest.seen()[0].range_start(), Some(200_000));
    // The beginning is wrong: the honest place is asked for all of it and not blamed.
    let short = fixed(Reply::File(content(200_000, 2)));
    let bench = Bench::new();
    bench.door().all(&[wanted(&bytes, &[short.url("f"), honest.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(honest.seen()[2].range_start(), None);
    assert!(bench.warnings().iter().all(|warning| warning.starts_with(&short.url("f"))), "{:?}", bench.warnings());
    assert_eq!(bench.leftovers(), (1, 0));
}

#[test]
fn gone_everywhere() {
    let (one, other) = (fixed(status(404)), fixed(status(410)));
    let bench = Bench::new();
    let nowhere = format!("file://{}/nothing", bench.folder.path().display());
    let file = wanted(b"x", &[one.url("a"), other.url("b"), nowhere.clone()]);
    let error = bench.door().all(&[file], &Cancel::new()).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, "file"));
    let lines = [format!("{}: answers 404", one.url("a")), format!("{}: answers 410", other.url("b"))];
    assert!(lines.iter().all(|line| error.cause().contains(line.as_str())), "{error}");
    assert!(error.cause().contains(&format!("{nowhere}: no such file")), "{error}");
    assert!(error.remedy_text().unwrap().contains("snpforge lock --update"));
    assert_eq!((one.seen().len(), other.seen().len()), (1, 1), "what is gone is not asked for again");
    assert_eq!(bench.leftovers(), (0, 0));
}

#[test]
fn busy_twice_then_well() {
    let start = Instant::now();
    let server = Server::start(|_, times| if times < 2 { status(503) } else { Reply::File(b"x".to_vec()) });
    let bench = Bench::new();
    bench.door().all(&[wanted(b"x", &[server.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(server.seen().len(), 3);
    // The first wait is 20 ms, the second twice that.
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn always_busy_is_unavailable_and_asked_no_more() {
    let server = fixed(status(503));
    let bench = Bench::new();
    let door = bench.door();
    let error = door.all(&[wanted(b"x", &[server.url("f")])], &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.cause().contains("answers 503 (asked 3 times)"), "{error}");
    door.all(&[wanted(b"y", &[server.url("g")])], &Cancel::new()).unwrap_err();
    assert_eq!(server.seen().len(), 3, "a host that only fails is given up for the run");
    assert_eq!(bench.leftovers(), (0, 0));
}

#[test]
fn retry_after_is_kept_and_a_long_one_is_not_waited_for() {
    let after = |seconds: &str| Reply::Status(429, vec![("Retry-After", seconds.to_owned())]);
    let first = after("1");
    let server = Server::start(move |_, times| if times == 0 { first.clone() } else { Reply::File(b"x".to_vec()) });
    let bench = Bench::new();
    let start = Instant::now();
    bench.door().all(&[wanted(b"x", &[server.url("f")])], &Cancel::new()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let (tomorrow, other) = (fixed(after("86400")), fixed(Reply::File(b"y".to_vec())));
    bench.door().all(&[wanted(b"y", &[tomorrow.url("f"), other.url("f")])], &Cancel::new()).unwrap();
    assert_eq!(
        (tomorrow.seen().len(), other.seen().len()),
        (1, 1),
        "who wants to be asked tomorrow is not asked again"
    );
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "a" => Reply::Status(302, vec![("Location", "/b".into())]),
        "b" => Reply::File(b"x".to_vec()),
        _ => Reply::Status(302, vec![("Location", "/circle".into())]),
    });
    let bench = Bench::new();
    bench.door().all(&[wanted(b"x", &[server.url("a")])], &Cancel::new()).unwrap();
    let error = bench.door().all(&[wanted(b"y", &[server.url("circle")])], &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.cause().contains("redirects without end"), "{error}");
    assert_eq!(server.seen().iter().filter(|request| request.path == "circle").count(), 11);
}

/// An address that takes no connection: its queue of waiting ones is full.
fn black_hole() -> (TcpListener, Vec<std::net::TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut kept = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        kept.push(stream);
        assert!(kept.len() < 100, "the queue never fills");
    }
    (listener, kept, format!("http://{address}/f"))
}

#[test]
fn where_no_host_answers_it_ends_after_one_time_out() {
    let holes = [black_hole(), black_hole(), black_hole(), black_hole()];
    let bench = Bench::new();
    let door = bench.door_with(|settings| *settings = Settings::default());
    let urls: Vec<String> = holes.iter().map(|(_, _, url)| url.clone()).collect();
    let start = Instant::now();
    let error = door.document(&urls, 100, &Cancel::new()).unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), Kind::Unavailable);
    // Five seconds for a connection and one more per further host are eight; one after the other would be twenty.
    let patience = Settings::default().connect;
    assert!(took >= patience && took < patience * 3, "{took:?}: {error}");
    assert_eq!(error.cause().matches("no connection in time").count(), 4, "{error}");
    // Remembered: a second question, and many files, cost nothing more.
    let start = Instant::now();
    let files: Vec<Wanted> = (0..20).map(|i| wanted(&[i], &urls)).collect();
    let error = door.all(&files, &Cancel::new()).unwrap_err();
    assert!(start.elapsed() < patience, "nobody is asked again");
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "20 files"));
    assert!(error.cause().ends_with("(and 15 more)"), "{error}");
    assert_eq!(bench.leftovers(), (0, 0));
}

#[test]
fn a_refused_connection_and_a_silent_host_are_given_up() {
    // Bound but not listening: nobody else gets the port, and every connection is refused.
    let taken = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&taken, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = SocketAddrV4::try_from(rustix::net::getsockname(&taken).unwrap()).unwrap();
    let silent = fixed(Reply::Silence);
    let good = fixed(Reply::File(b"x".to_vec()));
    let bench = Bench::new();
    let door = bench.door_with(|settings| settings.first_answer = Duration::from_secs(2));
    let urls = [format!("http://{port}/f"), silent.url("f"), good.url("f")];
    door.all(&[wanted(b"x", &urls)], &Cancel::new()).unwrap();
    let error = door.all(&[wanted(b"y", &urls[..2])], &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.cause().contains("no connection"), "{error}");
    assert!(error.cause().contains("does not answer within 2 s"), "{error}");
    // Beside the knock of the first batch.
    assert_eq!(silent.seen().iter().filter(|request| request.method == "GET").count(), 1);
}

#[test]
fn a_stop_comes_at_once_and_the_next_run_goes_on() {
    let bytes = content(200_000, 1);
    let served = bytes.clone();
    let server = Server::start(move |_, times| match times {
        0 => Reply::StallAfter(served.clone(), 150_000),
        _ => Reply::File(served.clone()),
    });
    let bench = Bench::new();
    let door = bench.door();
    let (cancel, file) = (Cancel::new(), wanted(&bytes, &[server.url("f")]));
    let canceller = cancel.clone();
    let partial = bench.store.partial(&file.sha256);
    let stopping = std::thread::spawn(move || {
        let start = Instant::now();
        while std::fs::metadata(&partial).map_or(0, |found| found.len()) < 150_000 {
            assert!(start.elapsed() < LONG / 2, "the bytes do not reach the disk as they come");
            std::thread::sleep(Duration::from_millis(10));
        }
        canceller.cancel();
        Instant::now()
    });
    let error = door.all(std::slice::from_ref(&file), &cancel).unwrap_err();
    assert!(stopping.join().unwrap().elapsed() < LONG / 4, "the stop does not wait for the stalled answer");
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(bench.leftovers(), (0, 1));
    bench.door().all(&[file], &Cancel::new()).unwrap();
    assert_eq!(server.seen()[1].range_start(), Some(150_000));
    assert_eq!(bench.leftovers(), (1, 0));
}

/// The folder and URL for the process that is to be killed.
const VICTIM: &str = "SNPFORGE_TEST_VICTIM";

#[test]
#[expect(clippy::disallowed_methods, reason = "the only way to tell a second run of this very test what to do")]
fn a_killed_process_leaves_what_the_next_one_goes_on_with() {
    let bytes = content(200_000, 1);
    if let Ok(orders) = std::env::var(VICTIM) {
        let (folder, url) = orders.split_once(' ').unwrap();
        let victim = Bench { store: Store::open(std::path::Path::new(folder)).unwrap(), ..Bench::new() };
        victim.door().all(&[wanted(&bytes, &[url.to_owned()])], &Cancel::new()).unwrap();
        return;
    }
    let served = bytes.clone();
    let server = Server::start(move |_, times| match times {
        0 => Reply::StallAfter(served.clone(), 150_000),
        _ => Reply::File(served.clone()),
    });
    let bench = Bench::new();
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_what_the_next_one_goes_on_with"])
        .env(VICTIM, format!("{} {}", bench.folder.path().display(), server.url("f")))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = wanted(&bytes, &[server.url("f")]);
    let start = Instant::now();
    while std::fs::metadata(bench.store.partial(&file.sha256)).map_or(0, |found| found.len()) < 150_000 {
        assert!(start.elapsed() < LONG / 2, "the victim does not get on");
        std::thread::sleep(Duration::from_millis(10));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    bench.door().all(&[file], &Cancel::new()).unwrap();
    assert_eq!(server.seen()[1].range_start(), Some(150_000));
    assert_eq!(bench.leftovers(), (1, 0));
}

#[test]
fn a_partial_file_that_is_whole_wrong_or_too_long_is_dealt_with() {
    let bytes = content(10_000, 1);
    let server = fixed(Reply::File(bytes.clone()));
    let file = wanted(&bytes, &[server.url("f")]);
    let put = |bench: &Bench, bytes: &[u8]| {
        snpforge::store::files::write_whole(&bench.store.partial(&file.sha256), bytes).unwrap();
    };
    let bench = Bench::new();
    put(&bench, &bytes);
    bench.door().all(std::slice::from_ref(&file), &Cancel::new()).unwrap();
    assert_eq!(server.seen().len(), 0, "a kill before the rename costs no second download");
    for partial in [content(5000, 2), content(10_000, 2), content(20_000, 2)] {
        let bench = Bench::new();
        put(&bench, &partial);
        bench.door().all(std::slice::from_ref(&file), &Cancel::new()).unwrap();
        assert_eq!(bench.leftovers(), (1, 0));
    }
    // Without a known size the server says that there is nothing behind the end.
    let unknown = Wanted { size: None, ..file.clone() };
    let bench = Bench::new();
    put(&bench, &content(20_000, 2));
    bench.door().all(&[unknown], &Cancel::new()).unwrap();
    assert_eq!(bench.store.read(&file.sha256).unwrap(), bytes);
}

#[test]
fn a_file_of_unknown_size_has_a_limit() {
    let server = fixed(Reply::Chunked(content(50_000, 1)));
    let bench = Bench::new();
    let file = Wanted { size: None, ..wanted(&content(50_000, 1), &[server.url("f")]) };
    let error = bench
        .door_with(|settings| settings.largest = 20_000)
        .all(std::slice::from_ref(&file), &Cancel::new())
        .unwrap_err();
    assert!(error.cause().contains("beyond the limit of 20000"), "{error}");
    assert_eq!(bench.leftovers(), (0, 0));
    bench.door().all(&[file], &Cancel::new()).unwrap();
}

#[test]
fn files_of_this_machine_are_a_place_too() {
    let bench = Bench::new();
    let bytes = content(600_000, 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b+c%.bin");
    snpforge::store::files::write_whole(&path, &bytes).unwrap();
    let url = format!("file://{}/a%20b+c%25.bin", folder.path().display());
    let door = bench.door();
    door.all(&[wanted(&bytes, std::slice::from_ref(&url))], &Cancel::new()).unwrap();
    assert_eq!(bench.store.read(&Digest::of(&bytes)).unwrap(), bytes);
    assert_eq!(door.document(std::slice::from_ref(&url), 600_000, &Cancel::new()).unwrap(), bytes);
    let error = door.all(&[wanted(b"other", &[url])], &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Trust);
    let error = door.all(&[wanted(b"z", &["ftp://h/f".into()])], &Cancel::new()).unwrap_err();
    assert!(error.cause().contains("`ftp:` is not understood"), "{error}");
}

#[test]
fn documents() {
    let text = content(3000, 9);
    let (gone, good) = (fixed(status(404)), fixed(Reply::Chunked(text.clone())));
    let bench = Bench::new();
    let door = bench.door();
    let cancel = Cancel::new();
    assert_eq!(door.document(&[gone.url("InRelease"), good.url("InRelease")], 3000, &cancel).unwrap(), text);
    let error = door.document(&[good.url("InRelease")], 2999, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.cause().contains("is longer than 2999 bytes"), "{error}");
    let error = door.document(&[gone.url("dists/x/InRelease")], 10, &cancel).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, "InRelease"));
    assert_eq!(bench.leftovers(), (0, 0));
}

#[test]
fn two_processes_want_the_same_file() {
    // Two doors with their own runtimes share nothing but the folder, as two processes do.
    let bytes = content(400_000, 4);
    let served = bytes.clone();
    let server = Server::start(move |_, _| Reply::Slow(served.clone(), Duration::from_millis(200)));
    let (one, mut other) = (Bench::new(), Bench::new());
    other.store = one.store.clone();
    let file = wanted(&bytes, &[server.url("f")]);
    std::thread::scope(|scope| {
        for bench in [&one, &other] {
            scope.spawn(|| bench.door().all(std::slice::from_ref(&file), &Cancel::new()).unwrap());
        }
    });
    assert_eq!(server.seen().len(), 1, "the second waits and then has nothing to do");
    assert_eq!(one.leftovers(), (1, 0));
}

#[test]
fn a_proxy_is_used_for_all_hosts_but_the_excepted() {
    let proxy = Server::start(|request, _| match request.path.as_str() {
        "http://far.invalid/f" => Reply::File(b"x".to_vec()),
        _ => status(403),
    });
    let direct = fixed(Reply::File(b"y".to_vec()));
    let environment = snpforge::environment::Environment::from_iter([
        ("http_proxy", proxy.url("").trim_end_matches('/').to_owned()),
        ("no_proxy", "localhost,127.0.0.1".to_owned()),
    ]);
    let bench = Bench::new();
    let door = bench.door_with(|settings| *settings = Settings::from_environment(&environment));
    let files = [wanted(b"x", &["http://far.invalid/f".into()]), wanted(b"y", &[direct.url("f")])];
    door.all(&files, &Cancel::new()).unwrap();
    assert_eq!((proxy.seen().len(), direct.seen().len()), (1, 1));
}

/// One HTTPS answer per connection, under the certificate of the fixtures, and how many connections there were.
fn https(body: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read, Write};
    let certificate = CertificateDer::from_pem_file(fixture("certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream =
                rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut request = [0; 4096];
            // A client that distrusts the certificate is gone by now.
            if stream.read(&mut request).is_ok_and(|count| count > 0) {
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), body].concat());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (format!("https://{address}/f"), count)
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

#[test]
fn certificates_are_those_of_the_environment() {
    let (url, connections) = https(b"secret");
    let empty = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let ask = |name: &str, value: &std::path::Path| {
        let environment = snpforge::environment::Environment::from_iter([(name, value.display().to_string())]);
        let door = bench.door_with(|settings| *settings = Settings::from_environment(&environment));
        door.document(std::slice::from_ref(&url), 100, &Cancel::new())
    };
    assert_eq!(ask("SSL_CERT_FILE", &fixture("certificate.pem")).unwrap(), b"secret");
    // The folder holds a key and a text too, which are no certificates.
    assert_eq!(ask("SSL_CERT_DIR", &fixture("")).unwrap(), b"secret");
    for error in [ask("SSL_CERT_DIR", empty.path()).unwrap_err(), ask("HOME", empty.path()).unwrap_err()] {
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.cause().contains("certificate") && error.cause().contains("SSL_CERT_FILE"), "{error}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 4, "distrust is not retried");
}

#[test]
fn the_closed_door_has_what_the_store_has() {
    let bench = Bench::new();
    let here = wanted(b"x", &[]);
    bench.store.put(b"x").unwrap();
    let door = Offline(bench.store.clone());
    door.all(std::slice::from_ref(&here), &Cancel::new()).unwrap();
    let error = door.all(&[here, wanted(b"y", &[])], &Cancel::new()).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "file"));
    assert!(error.remedy_text().unwrap().contains("--offline"));
}
