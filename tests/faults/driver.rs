//! What is true of every row: makes the fault, runs, looks, takes the fault away, runs again.

use crate::git::GitFault;
use crate::http::Request;
use crate::store;
use crate::table::{After, Command, Fault, Row};
use crate::world::World;
use libtest_mimic::Completion;
use snpforge::lock::{ImageLock, ReleaseLock};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

/// How a run ended, and what it said on both channels.
struct Ended {
    code: i32,
    said: String,
}

/// Longer than the program may take from its start to the middle of a file.
const LONG: Duration = Duration::from_secs(40);

/// Judges one row.
pub fn judge(row: &Row) -> Completion {
    let world = match World::new(row) {
        Ok(world) => world,
        Err(reason) => return Completion::ignored_with(reason),
    };
    world.prepare(row);
    world.spoil(row);
    let before = documents(&world);
    let begun = Instant::now();
    let ended = run(row, &world);
    let took = begun.elapsed();
    let said = &ended.said;
    assert_eq!(ended.code, row.code, "exit code, after {took:?}:\n{said}");
    assert!(took < Duration::from_secs(row.within), "took {took:?}:\n{said}");
    for words in row.says.iter().map(|words| world.words(words)) {
        assert!(said.contains(&words), "`{words}` is not in:\n{said}");
    }
    check_form(&ended);
    check_documents(row, &world, &before, &ended);
    let partial = store::check(&world.store());
    let wanted: Vec<_> = (row.after == After::Partial).then_some(world.large()).into_iter().collect();
    assert_eq!(partial.iter().map(|(digest, _)| *digest).collect::<Vec<_>>(), wanted, "partial files after:\n{said}");
    check_resumed(row, &world);
    check_never_asked(row, &world);
    world.mend(row);
    let asked = Asked::so_far(&world);
    let again = ended_as(&world.run(row.command));
    assert_eq!(again.code, row.command.success(), "with the fault gone:\n{}\nbefore:\n{said}", again.said);
    assert_eq!(store::check(&world.store()), [], "partial files after success");
    asked.check(row, &world, partial.first().map(|(_, length)| *length), &again);
    Completion::Completed
}

impl Command {
    /// The code of a run in which every input is had.
    fn success(self) -> i32 {
        match self {
            Command::Build | Command::BuildUnlocked => 8,
            _ => 0,
        }
    }

    fn writes_locks(self) -> bool {
        matches!(self, Command::Lock | Command::Update)
    }
}

fn ended_as(output: &Output) -> Ended {
    let said = [&output.stdout[..], &output.stderr].concat();
    let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
    Ended { code, said: String::from_utf8(said).unwrap() }
}

/// Runs the row's command as the row says.
fn run(row: &Row, world: &World) -> Ended {
    match row.fault {
        Fault::Stopped(signal) => stopped(signal, row, world),
        Fault::Twice => {
            let earlier = world.first.seen().len();
            let both = [world.start(row.command), world.start(row.command)];
            let both = both.map(|child| ended_as(&child.wait_with_output().unwrap()));
            assert_eq!(both[0].code, both[1].code, "{}\n{}", both[0].said, both[1].said);
            let mut paths: Vec<String> =
                world.first.seen().into_iter().skip(earlier).map(|request| request.path).collect();
            let all = paths.len();
            paths.sort();
            paths.dedup();
            assert_eq!(paths.len(), all, "a file was asked for twice: {paths:?}");
            let [one, other] = both;
            Ended { said: one.said + &other.said, ..other }
        }
        _ => ended_as(&world.run(row.command)),
    }
}

/// Runs until the middle of the large file has come, and sends the signal.
fn stopped(signal: i32, row: &Row, world: &World) -> Ended {
    let folder = world.store().join("partial");
    let middle = || {
        let found = std::fs::metadata(folder.join(world.large().to_string()));
        // The small file beside it is done with.
        found.is_ok_and(|found| found.len() >= crate::table::MIDDLE as u64) && store::files(&folder).len() == 1
    };
    let child = world.start(row.command);
    let begun = Instant::now();
    while !middle() {
        assert!(begun.elapsed() < LONG, "the middle of the file never comes");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::from_named_raw(signal).unwrap()).unwrap();
    ended_as(&child.wait_with_output().unwrap())
}

/// One error with a remedy, or none; and never a panic.
fn check_form(ended: &Ended) {
    let said = &ended.said;
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
    let count = |start: &str| said.lines().filter(|line| line.starts_with(start)).count();
    let killed = ended.code == 128 + libc::SIGKILL;
    let errors = usize::from(ended.code != 0 && !killed);
    assert_eq!(count("error: "), errors, "errors in:\n{said}");
    assert_eq!(count("  help: "), errors, "remedies in:\n{said}");
}

/// Every file of the project.
fn documents(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = world.project("");
    let files = store::files(&root).into_iter();
    files.map(|path| (path.clone(), std::fs::read(root.join(path)).unwrap())).collect()
}

/// Nothing of the project is changed, but for whole locks by a command that writes them: both with a success; with an error
/// at most the image's, which comes first.
fn check_documents(row: &Row, world: &World, before: &BTreeMap<PathBuf, Vec<u8>>, ended: &Ended) {
    for (path, content) in documents(world) {
        let old = before.get(&path);
        let writes = row.command.writes_locks() && (ended.code == 0 || old.is_none());
        let text = std::str::from_utf8(&content).unwrap_or_default();
        let name = path.to_str().unwrap();
        match name {
            _ if old == Some(&content) => {}
            "images/i.lock" if writes => drop(ImageLock::parse(name, text).unwrap()),
            "releases/r.lock" if writes && ended.code == 0 => drop(ReleaseLock::parse(name, text).unwrap()),
            _ => panic!("{name} is new or changed:\n{}", ended.said),
        }
    }
    assert!(before.keys().all(|path| world.project("").join(path).is_file()), "a document is gone");
}

/// The requests for the large file.
fn large(world: &World) -> Vec<Request> {
    let all = world.first.seen().into_iter().chain(world.second.seen());
    all.filter(|request| request.path.ends_with("orig.tar.xz") || request.path.ends_with("thing.tar.xz")).collect()
}

fn check_resumed(row: &Row, world: &World) {
    let ranges: Vec<usize> = large(world).iter().filter_map(Request::range_start).collect();
    match row.after {
        After::Resumed => assert!(!ranges.is_empty(), "nothing was asked for by range"),
        // Bytes of a liar are nothing to go on from.
        After::Clean if row.code == row.command.success() => assert_eq!(ranges, [0; 0]),
        After::Clean | After::Partial | After::Outer => {}
    }
}

fn check_never_asked(row: &Row, world: &World) {
    if matches!(row.fault, Fault::Git(GitFault::DeadUnneeded)) {
        let seen = world.git.as_ref().unwrap().server.seen();
        assert!(seen.iter().all(|request| !request.target.contains("/dep/")), "{seen:?}");
    }
}

/// What was asked for before a run.
struct Asked {
    large: usize,
    all: usize,
    outer: usize,
    dep: usize,
}

impl Asked {
    fn so_far(world: &World) -> Asked {
        let git = world.git.as_ref().map(|git| &git.server);
        Asked {
            large: large(world).len(),
            all: world.first.seen().len() + world.second.seen().len() + git.map_or(0, |git| git.seen().len()),
            outer: git.map_or(0, |git| git.fetches("outer")),
            dep: git.map_or(0, |git| git.fetches("dep")),
        }
    }

    /// Checks what the run since then asked for.
    fn check(&self, row: &Row, world: &World, partial: Option<u64>, again: &Ended) {
        let now = Asked::so_far(world);
        let had_all = row.code == row.command.success();
        if had_all && row.command != Command::Update {
            assert_eq!(now.all, self.all, "somebody was asked although everything was there:\n{}", again.said);
        }
        match row.after {
            After::Partial => {
                let first = large(world)[self.large].range_start();
                assert_eq!(first, partial.and_then(|length| usize::try_from(length).ok()), "the rest is asked for");
            }
            After::Outer => assert_eq!((now.outer - self.outer, now.dep - self.dep), (0, 1), "{}", again.said),
            After::Clean | After::Resumed => {}
        }
    }
}
