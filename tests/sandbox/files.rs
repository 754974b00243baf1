//! What goes in, what comes out, and what stays behind.

use crate::bench::{Bench, plain, sources};
use libtest_mimic::Completion;
use snpforge::cancel::Cancel;
use snpforge::engine::embedded::Embedded;
use snpforge::engine::{ContainerId, Engine, Member, MemberKind};
use snpforge::error::Kind;
use snpforge::tarball::Writer;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// What `download` hands out: a member and the first bytes of its content.
fn members(bench: &Bench, id: &ContainerId) -> Vec<(Member, String)> {
    let mut all = Vec::new();
    let mut take = |member: &Member, content: &mut dyn Read| {
        let mut text = String::new();
        content.take(16).read_to_string(&mut text).unwrap();
        all.push((member.clone(), text));
        Ok(())
    };
    bench.engine.download(id, &mut take, &Cancel::new()).unwrap();
    all
}

pub fn hostile_output() -> Completion {
    let bench = Bench::new();
    let script = "cd /out; mkdir -p usr/bin closed; echo hello >usr/bin/hello; chmod 755 usr/bin/hello; \
                  ln usr/bin/hello usr/bin/twin; ln -s /etc/passwd abs; ln -s ../../../etc up; mkfifo fifo; \
                  truncate -s 10G sparse; echo secret >closed/file; chmod 0 closed/file closed; touch usr.txt; \
                  chmod 4755 usr.txt; touch \"$(printf 'a\\377b')\"";
    let id = bench.create(&["/bin/sh", "-c", script]);
    let (outcome, log) = bench.run(&id);
    assert_eq!(outcome.code, 0, "{log}");
    let found = members(&bench, &id);
    let brief: Vec<(&str, MemberKind, u32, u64, &str)> = found
        .iter()
        .map(|(member, text)| (member.path.as_str(), member.kind, member.mode, member.size, text.as_str()))
        .collect();
    let zeros = "\0".repeat(16);
    assert_eq!(
        brief,
        [
            ("abs", MemberKind::Symlink, 0o777, 0, ""),
            ("a\u{fffd}b", MemberKind::File, 0o644, 0, ""),
            ("closed", MemberKind::Folder, 0, 0, ""),
            ("closed/file", MemberKind::File, 0, 7, "secret\n"),
            ("fifo", MemberKind::Other, 0o644, 0, ""),
            ("sparse", MemberKind::File, 0o644, 10 << 30, zeros.as_str()),
            ("up", MemberKind::Symlink, 0o777, 0, ""),
            ("usr", MemberKind::Folder, 0o755, 0, ""),
            ("usr/bin", MemberKind::Folder, 0o755, 0, ""),
            ("usr/bin/hello", MemberKind::File, 0o755, 6, "hello\n"),
            ("usr/bin/twin", MemberKind::Other, 0o755, 0, ""),
            ("usr.txt", MemberKind::File, 0o4755, 0, ""),
        ]
    );
    bench.engine.remove(&id).unwrap();
    let refused = |script: &str| {
        let id = bench.create(&["/bin/sh", "-c", script]);
        assert_eq!(bench.run(&id).0.code, 0);
        let error = bench.engine.download(&id, &mut |_, _| Ok(()), &Cancel::new()).unwrap_err();
        bench.engine.remove(&id).unwrap();
        assert_eq!(error.kind(), Kind::Output, "{error}");
        error.to_string()
    };
    let deep = refused("cd /out; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done");
    assert!(deep.contains("deeper than 64"), "{deep}");
    Completion::Completed
}

pub fn uploads() -> Completion {
    let bench = Bench::new();
    let id = bench.create(&["/bin/sh", "-c", "cat /src/a/b /src/a/c; ls -l /src/a | tail -n +2 | cut -c 1-10"]);
    let up = |tar: &[u8]| bench.engine.upload(&id, &mut &*tar, &Cancel::new());
    up(&sources(&[("a/b", "one\n")])).unwrap();
    up(&sources(&[("a/c", "two\n")])).unwrap();
    let twice = up(&sources(&[("a/c", "three\n")])).unwrap_err();
    assert!(twice.kind() == Kind::Trust && twice.object().contains("a/c"), "{twice}");
    let outside = format!("{}/escaped", bench.folder.path().display());
    for name in ["../../../escaped", &outside, "a/../../x"] {
        assert_eq!(up(&sources(&[(name, "")])).unwrap_err().kind(), Kind::Trust, "{name}");
    }
    let mut writer = Writer::new(Vec::new());
    writer.symlink(b"way", bench.folder.path().as_os_str().as_encoded_bytes(), plain(0o777)).unwrap();
    writer.file(b"way/escaped", plain(0o644), 0, &mut std::io::empty()).unwrap();
    let error = up(&writer.finish().unwrap()).unwrap_err();
    assert!(error.kind() == Kind::Trust && error.object().contains("way/escaped"), "{error}");
    let whole = sources(&[("big", &"x".repeat(100_000))]);
    assert_eq!(up(&whole[..50_000]).unwrap_err().kind(), Kind::Trust, "cut off");
    assert_eq!(bench.run(&id).1, "one\ntwo\n-rw-r--r--\n-rw-r--r--\n");
    bench.engine.remove(&id).unwrap();
    assert!(!bench.folder.path().join("escaped").exists());
    Completion::Completed
}

pub fn everything_is_removed() -> Completion {
    let bench = Bench::new();
    let script = "cd /build; mkdir -p a/b/c; touch a/b/c/d; chmod 0 a/b/c a/b a; mkdir e; cd e; \
                  i=0; while [ $i -lt 3000 ]; do mkdir d; cd d; i=$((i+1)); done; touch deep; mkdir removed-1; \
                  mkfifo /out/f; ln -s / /out/root";
    let id = bench.create(&["/bin/sh", "-c", script]);
    let (outcome, log) = bench.run(&id);
    assert_eq!(outcome.code, 0, "{log}");
    assert_eq!(bench.runs().len(), 1);
    bench.engine.remove(&id).unwrap();
    assert_eq!(bench.runs().len(), 0);
    bench.engine.remove(&id).unwrap();
    Completion::Completed
}

pub fn a_kept_container_can_be_entered() -> Completion {
    let bench = Bench::new();
    let id = bench.create(&["/bin/sh", "-c", "echo left >/build/file; exit 1"]);
    assert_eq!(bench.run(&id).0.code, 1);
    bench.engine.keep(&id).unwrap();
    let enter = bench.engine.enter(&id);
    let folder = bench.folder.path().join("sandbox");
    let Bench { folder: _stays, engine, .. } = bench;
    // Its driver is gone.
    drop(engine);
    let runs = folder.join("runs");
    let later = Embedded::new(folder);
    assert_eq!(later.reap().unwrap(), 0, "a kept container was removed");
    // script(1) gives it a terminal, as a person has.
    let script =
        Command::new("script").args(["-qec", &enter, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut script) = script else { return Completion::ignored_with("script(1) is missing (package bsdutils)") };
    let typed = "cat /build/file; id -u; cat /proc/self/status | grep CapEff; exit 5\n";
    script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{enter}: {text}");
    for word in ["left", "1000", "0000000000000000"] {
        assert!(text.contains(word), "{text}");
    }
    later.remove(&id).unwrap();
    assert_eq!(std::fs::read_dir(runs).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 0);
    Completion::Completed
}
