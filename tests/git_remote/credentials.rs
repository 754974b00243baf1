//! Servers that want to know who asks, and proxies in between.

use crate::git_http::GitServer;
use crate::repository::{Repository, source};
use crate::workshop::{Bench, program, write};
use crate::{resolve, with};
use snpforge::error::Kind;

/// `user:geheim`.
const HEADER: &str = "Basic dXNlcjpnZWhlaW0=";

/// Whatever was said or written so far has no password in it.
fn nothing_told(bench: &Bench, said: &str) {
    let events = format!("{:?}", bench.report.events());
    assert!(!events.contains("geheim") && !events.contains("dXNlcjpn"), "{events}");
    assert!(!said.contains("geheim"), "{said}");
    for entry in walkdir::WalkDir::new(bench.store.root()).into_iter().flatten().filter(|e| e.file_type().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"geheim"), "{}", entry.path().display());
    }
}

#[test]
fn without_credentials_the_ways_to_give_them_are_listed() {
    let bench = Bench::new();
    Repository::new(&bench, "r").put("a", b"1").commit();
    for status in [401, 403] {
        let server = GitServer::guarded(bench.root.path(), Some((HEADER, status)));
        let error = resolve(&bench, &with(&[]), &source(&server.url("r"), "main")).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Unavailable, server.url("r").as_str()), "{status}");
        assert!(
            error.cause().starts_with("wants credentials: none were given, or those given were refused"),
            "{error}"
        );
        for way in ["GIT_ASKPASS", "~/.netrc", "SNPFORGE_GIT_CREDENTIAL_HELPER"] {
            assert!(error.remedy_text().unwrap().contains(way), "{way}: {error:?}");
        }
    }
}

#[test]
fn three_ways_to_give_credentials() {
    let bench = Bench::new();
    Repository::new(&bench, "r").put("a", b"1").commit();
    let server = GitServer::guarded(bench.root.path(), Some((HEADER, 401)));
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let answers =
        |password: &str| format!("#!/bin/sh\ncase $1 in Username*) echo user ;; *) echo {password} ;; esac\n");
    program(&home.path().join("ask"), &answers("geheim"));
    program(&home.path().join("wrong"), &answers("geheim2"));
    write(&home.path().join("with/.netrc"), b"machine 127.0.0.1 login user password geheim\n", 0o600);
    // A helper of this machine's configuration is not used.
    write(
        &home.path().join(".gitconfig"),
        b"[credential]\n\thelper = \"!f() { echo username=user; echo password=geheim; }; f\"\n",
        0o644,
    );
    let (ask, wrong, netrc) = (at("ask"), at("wrong"), at("with"));
    let helper = "!f() { test $1 = get && echo username=user && echo password=geheim; }; f";
    let ways = [
        ("nothing", with(&[("HOME", &at(""))]), false),
        ("wrong", with(&[("GIT_ASKPASS", &wrong)]), false),
        ("askpass", with(&[("GIT_ASKPASS", &ask)]), true),
        ("netrc", with(&[("HOME", &netrc)]), true),
        ("helper", with(&[("SNPFORGE_GIT_CREDENTIAL_HELPER", helper)]), true),
    ];
    for (way, environment, works) in ways {
        crate::repository::forget(&bench);
        let made = resolve(&bench, &environment, &source(&server.url("r"), "main"));
        assert_eq!(made.is_ok(), works, "{way}: {made:?}");
        if let Err(error) = &made {
            assert!(error.cause().starts_with("wants credentials"), "{way}: {error}");
        }
        nothing_told(&bench, &format!("{made:?}"));
    }
}

#[test]
fn secrets_in_urls_are_refused() {
    let bench = Bench::new();
    for url in ["https://user:geheim@h.invalid/r", "http://geheim@h.invalid/r", "ssh://git:geheim@h.invalid/r"] {
        let error = resolve(&bench, &with(&[]), &source(url, "main")).unwrap_err();
        assert_eq!(error.kind(), Kind::Document);
        assert!(error.cause().contains("user name or password"), "{error}");
        assert!(error.remedy_text().unwrap().contains("GIT_ASKPASS"), "{error:?}");
        nothing_told(&bench, &format!("{error:?}"));
    }
}

#[test]
fn requests_go_through_the_proxy() {
    let bench = Bench::new();
    Repository::new(&bench, "r").put("a", b"1").commit();
    let proxy = GitServer::start(bench.root.path());
    let environment = with(&[("http_proxy", &proxy.url("")), ("no_proxy", "127.0.0.1")]);
    let lock = resolve(&bench, &environment, &source("http://sources.invalid/r", "main")).unwrap();
    assert!(lock.digest.is_some());
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|seen| seen.target.starts_with("http://sources.invalid/r/")), "{seen:?}");
    // A host that needs none.
    let near = GitServer::start(bench.root.path());
    resolve(&bench, &environment, &source(&near.url("r"), "main")).unwrap();
    assert_eq!(proxy.seen().len(), seen.len());
    assert!(near.seen().iter().all(|seen| seen.target.starts_with("/r/")), "{:?}", near.seen());
}
