//! How a run ends: by itself, by a wish, by force.

use crate::bench::{Bench, eventually, mark, sleepers};
use libtest_mimic::Completion;
use snpforge::cancel::Cancel;
use snpforge::engine::Engine;
use snpforge::engine::embedded::Embedded;
use snpforge::error::Kind;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub fn output_and_status_arrive() -> Completion {
    let bench = Bench::new();
    assert_eq!(bench.script("echo out; echo err >&2; exit 7"), (7, "out\nerr\n".into()));
    let (code, log) = bench.script("seq 200000");
    assert_eq!((code, log.lines().count(), log.lines().last()), (0, 200_000, Some("200000")));
    assert_eq!(bench.script("sh -c 'kill -9 $$'; exit $?").0, 137);
    // Whoever closes its streams runs on.
    assert_eq!(bench.script("exec >/dev/null 2>&1; sleep 0.2; exit 3").0, 3);
    Completion::Completed
}

pub fn what_cannot_start_is_named() -> Completion {
    let bench = Bench::new();
    let failure = |spec| {
        let id = bench.engine.create(&bench.image, &spec).unwrap();
        let error = bench.engine.run(&id, &mut Vec::new(), &Cancel::new()).unwrap_err();
        bench.engine.remove(&id).unwrap();
        assert_eq!(error.kind(), Kind::Engine);
        error.to_string()
    };
    let missing = failure(Bench::spec(&["/bin/no-such-program"]));
    assert!(missing.contains("cannot start /bin/no-such-program"), "{missing}");
    let mut nowhere = Bench::spec(&["/bin/true"]);
    nowhere.workdir = "/no-such-folder".into();
    let nowhere = failure(nowhere);
    assert!(nowhere.contains("/no-such-folder"), "{nowhere}");
    Completion::Completed
}

pub fn orphans_die_with_the_run() -> Completion {
    let bench = Bench::new();
    let mark = mark(1);
    let script = format!("(setsid sleep {mark} >/dev/null 2>&1 &); sleep {mark} & echo started");
    assert_eq!(bench.script(&script), (0, "started\n".into()));
    assert_eq!(sleepers(&mark), 0, "processes outlived their run");
    Completion::Completed
}

pub fn a_wish_to_stop_is_heard() -> Completion {
    let bench = Bench::new();
    let mark = mark(2);
    let script = format!("trap '' TERM INT; (setsid sleep {mark} &); sleep {mark}; sleep {mark}");
    let id = bench.create(&["/bin/sh", "-c", &script]);
    let cancel = Cancel::new();
    let took = std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.engine.run(&id, &mut Vec::new(), &cancel));
        eventually("the command starts", || sleepers(&mark) == 2);
        let start = Instant::now();
        cancel.cancel();
        assert_eq!(run.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
        start.elapsed()
    });
    assert_eq!(sleepers(&mark), 0, "processes outlived the wish to stop");
    assert!(took < Duration::from_secs(2), "{took:?}");

    // Removing it has the same effect.
    let id = bench.create(&["/bin/sh", "-c", &script]);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.engine.run(&id, &mut Vec::new(), &Cancel::new()));
        eventually("the command starts", || sleepers(&mark) == 2);
        bench.engine.remove(&id).unwrap();
        assert_eq!(run.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
    });
    assert_eq!(sleepers(&mark), 0);
    Completion::Completed
}

/// A log on a full disk.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn a_full_log_ends_the_run() -> Completion {
    let bench = Bench::new();
    let mark = mark(3);
    let id = bench.create(&["/bin/sh", "-c", &format!("echo word; sleep {mark}")]);
    let error = bench.engine.run(&id, &mut Full, &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Io, "{error}");
    assert_eq!(sleepers(&mark), 0);
    Completion::Completed
}

pub fn a_killed_driver_takes_all_along() -> Completion {
    let mark = mark(4);
    let mut driver = Command::new(std::env::current_exe().unwrap())
        .args(["drive-sleep", &mark])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut folder = String::new();
    BufReader::new(driver.stdout.take().unwrap()).read_line(&mut folder).unwrap();
    let folder = std::path::PathBuf::from(folder.trim());
    eventually("the command starts", || sleepers(&mark) == 2);
    let later = Embedded::new(folder.join("sandbox"));
    assert_eq!(later.reap().unwrap(), 0, "a living driver's container was removed");
    driver.kill().unwrap();
    driver.wait().unwrap();
    eventually("the sandbox dies with its driver", || sleepers(&mark) == 0);
    assert_eq!(later.reap().unwrap(), 1);
    assert_eq!(later.reap().unwrap(), 0);
    assert_eq!(
        std::fs::read_dir(folder.join("sandbox/runs"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count(),
        0
    );
    snpforge::tree::remove(&folder).unwrap();
    Completion::Completed
}

pub fn a_memory_limit_is_kept() -> Completion {
    let bench = Bench::new();
    let limits = bench.engine.info().unwrap().limits;
    if let Some(why) = limits.iter().find(|limit| limit.contains("memory")) {
        return Completion::ignored_with(why);
    }
    let mut spec = Bench::spec(&["/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=300M count=1; exit $?"]);
    spec.memory = Some(64 << 20);
    let id = bench.engine.create(&bench.image, &spec).unwrap();
    let (outcome, log) = bench.run(&id);
    assert_eq!((outcome.code, outcome.out_of_memory), (137, Some(true)), "{log}");
    bench.engine.remove(&id).unwrap();
    spec.command = vec!["/bin/true".into()];
    let id = bench.engine.create(&bench.image, &spec).unwrap();
    assert_eq!(bench.run(&id).0.out_of_memory, Some(false));
    bench.engine.remove(&id).unwrap();
    Completion::Completed
}
