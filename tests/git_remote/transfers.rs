//! Connections that break and packs that are not what they should be.

use crate::git_http::{GitServer, Spoil};
use crate::repository::{Repository, forget, source};
use crate::workshop::Bench;
use crate::{leftovers, obtain, resolve, with};
use snpforge::error::Kind;
use snpforge::report::Event;

/// `outer` with the submodule `dep`, both with something in them that takes a while.
fn nested(bench: &Bench) {
    let noise: Vec<u8> =
        (0_u64..300_000).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let dep = Repository::new(bench, "dep");
    let commit = dep.put("noise", &noise).commit();
    let outer = Repository::new(bench, "outer");
    outer.put("noise", &noise).commit();
    outer.link("lib", "../dep", &commit);
}

#[test]
fn a_cut_connection_is_made_anew() {
    let bench = Bench::new();
    nested(&bench);
    let server = GitServer::start(bench.root.path());
    server.spoil("outer", Spoil::Cut, 1);
    let lock = resolve(&bench, &with(&[]), &source(&server.url("outer"), "main")).unwrap();
    assert_eq!((server.fetches("outer"), server.fetches("dep")), (2, 1));
    assert_eq!(leftovers(&bench), [""; 0]);
    let told = |event: &Event| matches!(event, Event::Note { text } if text.contains("was cut; try 2 of 4"));
    assert_eq!(bench.report.events().iter().filter(|event| told(event)).count(), 1);
    forget(&bench);
    assert_eq!(obtain(&bench, &with(&[]), &lock).unwrap(), lock.digest.unwrap());
}

#[test]
fn what_came_is_not_fetched_again() {
    let bench = Bench::new();
    nested(&bench);
    let server = GitServer::start(bench.root.path());
    server.spoil("dep", Spoil::Cut, 4);
    let error = resolve(&bench, &with(&[]), &source(&server.url("outer"), "main")).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "submodule `lib`"));
    assert_eq!((server.fetches("outer"), server.fetches("dep")), (1, 4), "bounded, and all of it never asked for");
    assert_eq!(leftovers(&bench), [""; 0]);
    resolve(&bench, &with(&[]), &source(&server.url("outer"), "main")).unwrap();
    assert_eq!((server.fetches("outer"), server.fetches("dep")), (1, 5));
}

#[test]
fn rubbish_in_a_pack_is_refused() {
    let bench = Bench::new();
    nested(&bench);
    let server = GitServer::start(bench.root.path());
    server.spoil("outer", Spoil::Flip, 100);
    let error = resolve(&bench, &with(&[]), &source(&server.url("outer"), "main")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.cause().contains("pack"), "git's own words: {error}");
    assert_eq!(leftovers(&bench), [""; 0]);
    let honest = GitServer::start(bench.root.path());
    resolve(&bench, &with(&[]), &source(&honest.url("outer"), "main")).unwrap();
}

#[test]
fn what_a_killed_git_left_is_removed() {
    let bench = Bench::new();
    nested(&bench);
    let dep = bench.root.path().join("dep").display().to_string();
    resolve(&bench, &with(&[]), &source(&dep, "main")).unwrap();
    let copy = bench.store.root().join(format!("git/{}.git", snpforge::digest::Digest::of(dep.as_bytes())));
    for name in ["objects/pack/tmp_pack_x1", "objects/pack/tmp_idx_x2", "shallow.lock", "refs/brought/x.lock"] {
        std::fs::write(copy.join(name), b"half").unwrap();
    }
    let newer = Repository(dep.clone().into()).put("a", b"newer").commit();
    resolve(&bench, &with(&[]), &source(&dep, &newer)).unwrap();
    assert_eq!(leftovers(&bench), [""; 0]);
    assert!(copy.join("objects/pack").read_dir().unwrap().count() > 0);
}

#[test]
fn an_object_that_is_not_what_its_name_says() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"promised\n").commit();
    let (blob, other) = (repository.git(&["rev-parse", "HEAD:a"]), bench.root.path().join("other"));
    std::fs::write(&other, b"another\n").unwrap();
    let other = repository.git(&["hash-object", "-w", other.to_str().unwrap()]);
    let object = |hash: &str| repository.0.join(".git/objects").join(&hash[..2]).join(&hash[2..]);
    std::fs::remove_file(object(&blob)).unwrap();
    std::fs::copy(object(&other), object(&blob)).unwrap();
    let error = resolve(&bench, &with(&[]), &source(&repository.url(), "main")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(leftovers(&bench), [""; 0]);
}
