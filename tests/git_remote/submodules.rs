//! Submodules that nobody needs, that are missing, or that never end.

use crate::repository::{Repository, pin};
use crate::workshop::Bench;
use crate::{resolve, with};
use snpforge::error::Kind;
use snpforge::release::Source;
use std::net::TcpListener;

fn without(url: &str, without: &[&str]) -> Source {
    let without_submodules = without.iter().map(|path| (*path).to_owned()).collect();
    Source::Git { url: url.into(), rev: "main".into(), version: None, without_submodules }
}

#[test]
fn a_dead_submodule_that_is_not_needed_is_never_asked_for() {
    let bench = Bench::new();
    // Somebody who would notice.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/gone.git", listener.local_addr().unwrap());
    let outer = Repository::new(&bench, "outer");
    outer.put("a", b"1").commit();
    let commit = outer.link("lib/dead", &url, &"a".repeat(40));
    let lock = resolve(&bench, &with(&[]), &without(&outer.url(), &["lib/dead"])).unwrap();
    assert_eq!(pin(&lock).2, []);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it was asked for");
    assert_eq!(bench.warnings(), [""; 0]);
    drop(listener);
    let error = resolve(&bench, &with(&[]), &without(&outer.url(), &[])).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "submodule `lib/dead`"));
    for part in [&url, &"a".repeat(40), &outer.url(), &commit] {
        assert!(error.cause().contains(part.as_str()), "{part}: {error}");
    }
    assert!(error.remedy_text().unwrap().contains("add \"lib/dead\" to `without-submodules`"), "{error:?}");
}

#[test]
fn repositories_that_have_each_other_end_with_their_chain() {
    let bench = Bench::new();
    let (a, b) = (Repository::new(&bench, "a"), Repository::new(&bench, "b"));
    let mut inner = a.put("a", b"1").commit();
    b.put("b", b"1").commit();
    for round in 0..6 {
        for (outer, url) in [(&b, "../a"), (&a, "../b")] {
            if round == 0 {
                inner = outer.link("other", url, &inner);
            } else {
                outer.git(&["update-index", "--cacheinfo", &format!("160000,{inner},other")]);
                outer.git(&["commit", "--quiet", "-m", "m"]);
                inner = outer.git(&["rev-parse", "HEAD"]);
            }
        }
    }
    let error = resolve(&bench, &with(&[]), &without(&a.url(), &[])).unwrap_err();
    assert_eq!(error.kind(), Kind::Document);
    assert!(error.object().starts_with("submodule `other/other/"), "{error}");
    let chain: Vec<&str> = error.cause().lines().skip(1).collect();
    assert_eq!(chain.len(), 10, "{error}");
    for (count, line) in chain.iter().enumerate() {
        let url = if count % 2 == 0 { a.url() } else { b.url() };
        assert!(line.contains(&format!("{url} at ")), "{line}");
    }
    assert!(error.remedy_text().unwrap().contains("add \"other/**\""), "{error:?}");
    let lock = resolve(&bench, &with(&[]), &without(&a.url(), &["other/**"])).unwrap();
    assert_eq!(pin(&lock).2.len(), 1);
}
