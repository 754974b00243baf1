//! ssh, with a script in the place of the program and its server.

use crate::repository::{Repository, forget, source};
use crate::workshop::{Bench, program};
use crate::{obtain, resolve, with};
use snpforge::error::Kind;

/// An `ssh` that does as `script` says.
fn ssh(bench: &Bench, script: &str) -> String {
    let path = bench.root.path().join("bin/ssh");
    program(&path, &format!("#!/bin/sh\n{script}\n"));
    path.display().to_string()
}

#[test]
fn both_forms_of_urls_reach_the_server() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r.git");
    repository.put("a", b"1").commit();
    let log = bench.root.path().join("log");
    // Runs the command here, in the folder that the server's user would come to.
    let script = format!(
        "echo \"$@\" >>{}; cd {}; for last; do :; done; exec sh -c \"$last\"",
        log.display(),
        bench.root.path().display()
    );
    let environment = with(&[("GIT_SSH_COMMAND", &ssh(&bench, &script))]);
    let long = format!("ssh://git@sources.invalid:2222{}", repository.url());
    let mut digests = Vec::new();
    for url in [long.as_str(), "git@sources.invalid:r.git"] {
        let lock = resolve(&bench, &environment, &source(url, "main")).unwrap();
        forget(&bench);
        assert_eq!(obtain(&bench, &environment, &lock).unwrap(), lock.digest.unwrap());
        digests.push(lock.digest);
    }
    assert_eq!(digests[0], digests[1]);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("-p 2222 git@sources.invalid git-upload-pack"), "{log}");
    assert!(log.contains("git@sources.invalid git-upload-pack 'r.git'"), "{log}");
}

#[test]
fn what_ssh_says_is_repeated() {
    let bench = Bench::new();
    for words in ["Host key verification failed.", "git@sources.invalid: Permission denied (publickey)."] {
        let environment = with(&[("GIT_SSH_COMMAND", &ssh(&bench, &format!("echo '{words}' >&2; exit 255")))]);
        let error = resolve(&bench, &environment, &source("git@sources.invalid:r.git", "main")).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "git@sources.invalid:r.git"));
        assert!(error.cause().contains(words), "{error}");
        assert!(error.remedy_text().unwrap().contains("ssh keys"), "{error:?}");
    }
}
