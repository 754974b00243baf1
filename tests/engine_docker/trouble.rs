//! What goes wrong in the middle: the user's wish, the engine, the line to it, the build itself.

use crate::cases::{Bench, connect};
use crate::probe::{Guard, image, sources, spec, whole};
use snpforge::cancel::Cancel;
use snpforge::engine::docker::Timeouts;
use snpforge::engine::{Engine, Spec};
use snpforge::error::Kind;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// A log that calls when its first bytes come.
struct Watched<F: FnMut()>(Vec<u8>, F);

impl<F: FnMut()> Write for Watched<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            self.1();
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Gives a tar's folder, then cancels and goes on giving.
struct Endless(Vec<u8>, Cancel);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            self.1.cancel();
            buffer.fill(0);
            return Ok(buffer.len());
        }
        let count = self.0.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.0.drain(..count).collect::<Vec<_>>());
        Ok(count)
    }
}

pub fn interrupted_runs_leave_nothing(bench: &Bench) {
    let (cancel, began) = (Cancel::new(), std::cell::Cell::new(None));
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &spec("echo go; sleep 60")).unwrap());
    std::thread::scope(|scope| {
        let (told, heard) = std::sync::mpsc::channel();
        let stop = cancel.clone();
        let stopper = scope.spawn(move || {
            heard.recv().unwrap();
            stop.cancel();
            Instant::now()
        });
        let mut log = Watched(Vec::new(), move || told.send(()).unwrap());
        let error = bench.docker.run(&container.1, &mut log, &cancel).unwrap_err();
        began.set(Some(stopper.join().unwrap()));
        assert_eq!(error.kind(), Kind::Interrupted);
    });
    let took = began.get().unwrap().elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let error = bench.docker.download(&container.1, &mut |_, _| Ok(()), &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("404"), "the container is gone: {error}");
}

pub fn interrupted_uploads_leave_nothing(bench: &Bench) {
    let cancel = Cancel::new();
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &spec("true")).unwrap());
    let start = Instant::now();
    let mut tar = Endless(sources(), cancel.clone());
    let error = bench.docker.upload(&container.1, &mut tar, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(bench.docker.run(&container.1, &mut Vec::new(), &Cancel::new()).is_err());
}

pub fn silence_is_no_timeout(bench: &Bench) {
    // bollard's own limit, and a followed log on Podman, end here after the control time.
    let [probe, control, beat] = [20, 4, 30].map(Duration::from_secs);
    let docker = connect(&bench.address, Timeouts { probe, control, beat });
    let ran = whole(&docker, &bench.image, &spec("sleep 6; echo late"));
    assert_eq!((ran.outcome.code, ran.log.as_str()), (0, "late\n"));
}

pub fn an_engine_that_goes_away(bench: &Bench) {
    let (proxy, docker) = bench.behind_proxy();
    let container = Guard(&bench.docker, docker.create(&bench.image, &spec("echo go; sleep 60")).unwrap());
    let mut log = Watched(Vec::new(), || proxy.cut());
    let start = Instant::now();
    let error = docker.run(&container.1, &mut log, &Cancel::new()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(error.kind(), Kind::Engine);
    assert!(error.object().contains(proxy.socket.to_str().unwrap()), "{error}");
    assert!(error.cause().contains("went away") && error.remedy_text().is_some(), "{error:?}");
    // Versions differ in what they know; requests carry none, so that the engine takes its newest.
    assert!(proxy.asked().iter().all(|line| !line.contains("/v1.")), "{:?}", proxy.asked());
}

pub fn an_engine_that_goes_away_while_loading(bench: &Bench) {
    let (proxy, docker) = bench.behind_proxy();
    let (socket, cancel) = (proxy.socket.clone(), Cancel::new());
    let mut image = image(bench.folder.path(), "never", "never");
    // 64 MiB of layer, of which the engine will see the beginning.
    let mut layer = std::fs::OpenOptions::new().append(true).open(&image.layer).unwrap();
    layer.write_all(&vec![0; 64 << 20]).unwrap();
    image.layer_size += 64 << 20;
    let cutter = std::thread::spawn(move || {
        while !proxy.asked().iter().any(|line| line.contains("/images/load")) {
            std::thread::sleep(Duration::from_millis(1));
        }
        proxy.cut();
    });
    let error = docker.load(&image, &cancel).unwrap_err();
    cutter.join().unwrap();
    assert_eq!(error.kind(), Kind::Engine);
    assert!(error.object().contains(socket.to_str().unwrap()), "{error}");
    assert!(bench.docker.layers(&image).unwrap().is_empty());
}

pub fn an_engine_that_hangs(bench: &Bench) {
    let (proxy, docker) = bench.behind_proxy();
    let container = Guard(&bench.docker, docker.create(&bench.image, &spec("echo go; sleep 60")).unwrap());
    let mut log = Watched(Vec::new(), || proxy.freeze());
    let start = Instant::now();
    let error = docker.run(&container.1, &mut log, &Cancel::new()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(error.kind() == Kind::Engine && error.cause().contains("does not answer"), "{error}");
}

pub fn a_dead_line_to_a_finished_run(bench: &Bench) {
    // The lines of attach and wait die without a sign, as they do behind a router that forgets silent connections;
    // new ones work.
    let (proxy, docker) = bench.behind_proxy();
    let container = Guard(&bench.docker, docker.create(&bench.image, &spec("echo go; sleep 2; exit 5")).unwrap());
    let mut log = Watched(Vec::new(), || proxy.mute_open());
    let outcome = docker.run(&container.1, &mut log, &Cancel::new()).unwrap();
    assert_eq!(outcome.code, 5);
}

pub fn lack_of_memory(bench: &Bench) {
    let info = bench.docker.info().unwrap();
    if !info.limits.is_empty() {
        // Such an engine must at least say so.
        assert!(info.limits.iter().any(|limit| limit.contains("memory")), "{:?}", info.limits);
        return;
    }
    let spec = Spec { memory: Some(64 << 20), ..spec("x=a; while true; do x=$x$x; done") };
    let ran = whole(&bench.docker, &bench.image, &spec);
    assert_eq!(ran.outcome.code, 137);
    assert_ne!(ran.outcome.out_of_memory, Some(false));
    let sound = whole(&bench.docker, &bench.image, &crate::probe::spec("exit 137"));
    assert_eq!(sound.outcome.code, 137);
    assert_ne!(sound.outcome.out_of_memory, Some(true));
}

pub fn removed_by_somebody_else(bench: &Bench) {
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &spec("echo go; sleep 60")).unwrap());
    let other = connect(&bench.address, Timeouts::default());
    let mut log = Watched(Vec::new(), || other.remove(&container.1).unwrap());
    let error = bench.docker.run(&container.1, &mut log, &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Engine, "{error}");
    bench.docker.remove(&container.1).unwrap();
}

pub fn a_missing_program(bench: &Bench) {
    let missing = Spec { command: vec!["/src/recipe/nothing".into()], ..spec("") };
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &missing).unwrap());
    let error = bench.docker.run(&container.1, &mut Vec::new(), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::Engine && error.cause().contains("/src/recipe/nothing"), "{error}");
}

pub fn unreadable_sources(bench: &Bench) {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let start = sources();
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("the disk is on fire"));
            }
            buffer[..1024].copy_from_slice(&start[..1024]);
            Ok(1024)
        }
    }
    let container = Guard(&bench.docker, bench.docker.create(&bench.image, &spec("true")).unwrap());
    let error = bench.docker.upload(&container.1, &mut Failing(false), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::Io && error.cause().contains("on fire"), "{error}");
    let error = bench.docker.upload(&container.1, &mut &b"this is no tar"[..], &Cancel::new());
    assert!(error.is_err(), "what is no tar is refused");
}
