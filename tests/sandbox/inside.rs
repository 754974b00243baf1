//! What a build finds in the sandbox.

use crate::bench::Bench;
use libtest_mimic::Completion;
use std::process::Command;

/// The script every engine is held to, run by a driver in bad surroundings: ignored signals, an open descriptor, a
/// secret in the environment, odd limits, another language and folder.
pub fn the_contract_holds() -> Completion {
    let surroundings = "trap '' HUP INT QUIT TERM PIPE; exec 7</etc/passwd; umask 0; ulimit -S -n 200; ulimit -S -s 1024; \
                        cd /; exec \"$0\" drive-inside \"$@\"";
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let output = Command::new("/bin/sh")
        .args(["-c", surroundings])
        .arg(std::env::current_exe().unwrap())
        .args(["--forbid", "s3cret-of-a-person", "--forbid", "de_AT.UTF-8"])
        // A host name like `snpforge` or `a` says nothing.
        .args(if host.len() > 1 && !"snpforge".contains(&host) { vec!["--forbid", &host] } else { vec![] })
        .env("TOKEN", "s3cret-of-a-person")
        .env("LC_ALL", "de_AT.UTF-8")
        .env("HOSTNAME", &host)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(output.status.success() && failed.is_empty(), "{failed:?}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("ok complete\n"), "the script stopped early:\n{text}");
    Completion::Completed
}

/// The system call filter, tried by a program that makes the calls itself.
pub fn calls_are_refused() -> Completion {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("calls");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox/calls.c");
    let compiled = Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(&program).arg(source).output();
    if !compiled.as_ref().is_ok_and(|output| output.status.success()) {
        return Completion::ignored_with(format!("cc cannot make a static program: {compiled:?}"));
    }
    let program = std::fs::read(program).unwrap();
    let bench = Bench::with(&[("bin/calls", &program)]);
    let (code, log) = bench.script("exec /bin/calls");
    assert!(code == 0 && !log.contains("FAIL") && log.lines().count() > 14, "{log}");
    assert_eq!(bench.script("exec /bin/calls crash").0, 128 + 11, "process 1 killed by a fault");
    assert_eq!(bench.script("/bin/calls crash; exit $?").0, 128 + 11, "a child killed by a fault");
    Completion::Completed
}
