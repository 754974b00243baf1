//! Git sources against repositories that the tests make: nested submodules, moved and vanished commits, hostile urls,
//! and a git that refuses, hangs or has no network.

#![allow(clippy::disallowed_methods, reason = "a test moves repositories about")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "support/repository.rs"]
mod repository;
#[path = "support/workshop.rs"]
mod workshop;

use repository::{Repository, forget, pin};
use snpforge::cancel::Cancel;
use snpforge::component::Component;
use snpforge::environment::Environment;
use snpforge::error::{Error, Kind};
use snpforge::lock::{Pin, SourceLock, SubmoduleLock};
use snpforge::release::Source;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};
use workshop::{Bench, FOLDER, environment, write};

/// `outer` with the submodule `dep` at `lib/dep` (relative url), which has `leaf` at `x`.
fn nested(bench: &Bench) -> (Repository, [String; 3]) {
    let leaf = Repository::new(bench, "leaf");
    let leaf_commit = leaf.put("leaf.c", b"leaf\n").commit();
    let dep = Repository::new(bench, "dep");
    dep.put("dep.c", b"dep\n");
    dep.git(&["submodule", "--quiet", "add", &leaf.url(), "x"]);
    let dep_commit = dep.commit();
    let outer = Repository::new(bench, "outer");
    outer.put("main.c", b"int main;\n");
    outer.git(&["submodule", "--quiet", "add", "--name", "odd.name", &dep.url(), "lib/dep"]);
    outer.git(&["config", "-f", ".gitmodules", "submodule.odd.name.url", "../dep"]);
    let outer_commit = outer.commit();
    (outer, [outer_commit, dep_commit, leaf_commit])
}

#[test]
fn submodules_of_submodules_are_part_of_the_source() {
    let bench = Bench::new();
    let (outer, [commit, dep, leaf]) = nested(&bench);
    let lock = bench.resolve(&outer.source("main"), None).unwrap();
    let (found, reference, submodules) = pin(&lock);
    assert_eq!((found, reference), (commit.as_str(), Some("refs/heads/main")));
    let at = |name: &str| bench.root.path().join(name).display().to_string();
    let expected = [
        SubmoduleLock { path: "lib/dep".into(), url: at("dep"), commit: dep },
        SubmoduleLock { path: "lib/dep/x".into(), url: at("leaf"), commit: leaf },
    ];
    assert_eq!(submodules, expected);
    assert_eq!((lock.version.as_str(), lock.epoch.0), (&commit[..12], 1_700_000_100));
    let listing = bench.listing(&lock.digest.unwrap());
    let names: Vec<&str> = listing.iter().map(|line| line.split(' ').next().unwrap()).collect();
    let expected = [
        "thing/",
        "thing/.gitmodules",
        "thing/lib/",
        "thing/lib/dep/",
        "thing/lib/dep/.gitmodules",
        "thing/lib/dep/dep.c",
        "thing/lib/dep/x/",
        "thing/lib/dep/x/leaf.c",
        "thing/main.c",
    ];
    assert_eq!(names, expected);
    assert!(listing.iter().all(|line| line.contains(" 1700000100 0:0 ")), "{listing:?}");
    // The same from the lock, elsewhere; and from the commit itself instead of the branch.
    forget(&bench);
    assert_eq!(bench.obtain(&lock).unwrap(), lock.digest.unwrap());
    let by_commit = bench.resolve(&outer.source(&commit), None).unwrap();
    assert_eq!((by_commit.digest, pin(&by_commit).1), (lock.digest, None));
}

#[test]
fn tags_are_peeled_and_ambiguous_names_refused() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let first = repository.put("a", b"1").commit();
    repository.git(&["tag", "-a", "v1", "-m", "one"]);
    let second = repository.put("a", b"2").commit();
    let lock = bench.resolve(&repository.source("v1"), None).unwrap();
    assert_eq!(pin(&lock).0, first);
    assert_eq!(pin(&lock).1, Some("refs/tags/v1"));
    assert_eq!(pin(&bench.resolve(&repository.source("HEAD"), None).unwrap()).0, second);
    repository.git(&["branch", "v1"]);
    let error = bench.resolve(&repository.source("v1"), None).unwrap_err();
    assert_eq!(error.kind(), Kind::Document);
    assert!(error.remedy_text().unwrap().contains("refs/heads/v1"), "{error:?}");
    assert_eq!(pin(&bench.resolve(&repository.source("refs/heads/v1"), None).unwrap()).0, second);
    let error = bench.resolve(&repository.source("nowhere"), None).unwrap_err();
    assert_eq!(error.kind(), Kind::Gone);
    let tag = repository.git(&["rev-parse", "refs/tags/v1"]);
    let error = bench.resolve(&repository.source(&tag), None).unwrap_err();
    assert!(error.cause().contains("is a tag, not a commit"), "{error}");
}

#[test]
fn attributes_and_configuration_change_no_byte() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository
        .put(".gitattributes", b"ignored export-ignore\nsubst export-subst\n*.txt text eol=crlf\n*.lfs filter=evil\n")
        .put("ignored", b"here\n")
        .put("subst", b"$Format:%H$\n")
        .put("dos.txt", b"a\nb\n")
        .put("big.lfs", b"as committed\n");
    write(&repository.0.join("run"), b"x\n", 0o755);
    symlink("subst", repository.0.join("link")).unwrap();
    repository.commit();
    // A configuration that would redirect and convert, if it were read.
    let home = bench.root.path().join("home");
    write(
        &home.join(".gitconfig"),
        b"[core]\n\tautocrlf = true\n[url \"/nowhere/\"]\n\tinsteadOf = /\n[filter \"evil\"]\n\tsmudge = false\n\trequired = true\n",
        0o644,
    );
    let path = environment().get("PATH").unwrap().to_owned();
    let home = home.display().to_string();
    let environment = Environment::from_iter([("PATH", path), ("HOME", home)]);
    let lock = bench
        .within(&environment, false, &Cancel::new(), |workshop| {
            workshop.resolve(Component::Ovmf, FOLDER, &repository.source("main"), None)
        })
        .unwrap();
    let listing = bench.listing(&lock.digest.unwrap());
    for line in [
        "thing/ignored 644 1700000100 0:0 here\n",
        "thing/subst 644 1700000100 0:0 $Format:%H$\n",
        "thing/dos.txt 644 1700000100 0:0 a\nb\n",
        "thing/big.lfs 644 1700000100 0:0 as committed\n",
        "thing/run 755 1700000100 0:0 x\n",
        "thing/link 777 1700000100 0:0 -> subst",
    ] {
        assert!(listing.contains(&line.to_owned()), "{line}{listing:?}");
    }
}

#[test]
fn a_branch_that_moved_does_not_matter_until_its_commit_is_gone() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"1").commit();
    let lock = bench.resolve(&repository.source("main"), None).unwrap();
    repository.put("a", b"2").commit();
    forget(&bench);
    assert_eq!(bench.obtain(&lock).unwrap(), lock.digest.unwrap(), "an older commit of the branch");
    let newer = bench.resolve(&repository.source("main"), None).unwrap();
    assert_ne!(newer.digest, lock.digest);
    // Rebased and force-pushed, as some trees are: the server forgets.
    repository.git(&["checkout", "--quiet", "--orphan", "new"]);
    repository.put("a", b"3").commit();
    repository.git(&["branch", "-M", "new", "main"]);
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(bench.obtain(&lock).unwrap(), lock.digest.unwrap(), "the store still has it");
    forget(&bench);
    let error = bench.obtain(&lock).unwrap_err();
    assert_eq!(error.kind(), Kind::Gone);
    assert!(error.object().contains(pin(&lock).0) && error.object().contains(&repository.url()), "{error}");
    assert!(error.remedy_text().unwrap().contains("snpforge lock --update"));
}

/// A `git` in front of the real one that behaves as `script` says; `$REAL` is the real one.
fn wrapped(bench: &Bench, script: &str) -> Environment {
    let path = environment().get("PATH").unwrap().to_owned();
    let real = path.split(':').map(|folder| Path::new(folder).join("git")).find(|git| git.is_file()).unwrap();
    let folder = bench.root.path().join("bin");
    write(&folder.join("git"), format!("#!/bin/sh\nREAL={}\n{script}\n", real.display()).as_bytes(), 0o755);
    Environment::from_iter([("PATH", format!("{}:{path}", folder.display()))])
}

/// Refuses `fetch` of single commits, as servers did before protocol version 2 and some still do.
const NO_HASHES: &str = r#"
for word in "$@"; do
    case $word in fetch) fetching=yes ;; esac
    hash=$(printf %s "$word" | tr -d 0-9a-f)
    if [ "$fetching" ] && [ ${#word} = 40 ] && [ -z "$hash" ]; then echo "not our ref $word" >&2; exit 128; fi
done
exec "$REAL" "$@""#;

#[test]
fn a_server_that_gives_no_single_commits() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"1").commit();
    let environment = wrapped(&bench, NO_HASHES);
    let obtain = |lock: &SourceLock| -> Result<_, Error> {
        bench.within(&environment, false, &Cancel::new(), |workshop| workshop.obtain(lock))
    };
    let lock = bench.resolve(&repository.source("main"), None).unwrap();
    forget(&bench);
    assert_eq!(obtain(&lock).unwrap(), lock.digest.unwrap(), "through the recorded branch");
    // The branch moved on, twice: only its history still has the commit.
    repository.put("a", b"2").commit();
    let newer = bench.resolve(&repository.source("main"), None).unwrap();
    repository.put("a", b"3").commit();
    forget(&bench);
    assert_eq!(obtain(&lock).unwrap(), lock.digest.unwrap(), "through all there is");
    assert_eq!(obtain(&newer).unwrap(), newer.digest.unwrap(), "out of what is there by now");
}

#[test]
fn urls_and_revisions_cannot_be_options() {
    let bench = Bench::new();
    let proof = bench.root.path().join("proof");
    let touch = format!("touch {}", proof.display());
    for url in [
        format!("--upload-pack={touch}"),
        format!("ext::sh -c {touch}"),
        format!("-c{touch}"),
        "ssh://-oProxyCommand=x/y".into(),
    ] {
        let source = Source::Git { url, rev: "main".into(), version: None, without_submodules: Vec::new() };
        assert_eq!(bench.resolve(&source, None).unwrap_err().kind(), Kind::Document);
    }
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"1").commit();
    for rev in [format!("--upload-pack={touch}"), "--all".into(), "main:refs/heads/evil".into()] {
        assert_eq!(bench.resolve(&repository.source(&rev), None).unwrap_err().kind(), Kind::Document);
    }
    // A hostile repository says such things in .gitmodules.
    repository.put(".gitmodules", format!("[submodule \"s\"]\n\tpath = s\n\turl = ext::sh -c {touch}\n").as_bytes());
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},s", "a".repeat(40))]);
    repository.git(&["add", ".gitmodules"]);
    repository.git(&["commit", "--quiet", "-m", "evil"]);
    let error = bench.resolve(&repository.source("main"), None).unwrap_err();
    assert_eq!(error.kind(), Kind::Document);
    assert!(error.object().contains("submodule `s`") && error.cause().contains("helper program"), "{error}");
    assert!(!proof.exists());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a repository moves away")]
fn a_submodule_that_cannot_be_had_is_named_and_can_be_left_out() {
    let bench = Bench::new();
    let (outer, [_, dep, _]) = nested(&bench);
    std::fs::rename(bench.root.path().join("dep"), bench.root.path().join("moved")).unwrap();
    let error = bench.resolve(&outer.source("main"), None).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "submodule `lib/dep`"));
    let url = bench.root.path().join("dep").display().to_string();
    assert!(error.cause().contains(&dep) && error.cause().contains(&url), "{error}");
    assert!(error.remedy_text().unwrap().contains("add \"lib/dep\" to `without-submodules`"), "{error:?}");
    let lock = bench.resolve(&outer.without("main", &["lib/dep", "lib/typo"]), None).unwrap();
    assert_eq!(pin(&lock).2, []);
    let listing = bench.listing(&lock.digest.unwrap());
    assert!(listing.contains(&"thing/lib/dep/ 755 1700000100 0:0 ".to_owned()), "{listing:?}");
    assert_eq!(bench.warnings().len(), 1);
    assert!(bench.warnings()[0].contains("no submodule `lib/typo`"), "{:?}", bench.warnings());
    forget(&bench);
    assert_eq!(bench.obtain(&lock).unwrap(), lock.digest.unwrap());
    // The repository is back, but without the commit.
    let other = Repository::new(&bench, "dep");
    other.put("a", b"1").commit();
    let error = bench.resolve(&outer.source("main"), None).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, "submodule `lib/dep`"));
    // A gitlink that .gitmodules forgot.
    outer.git(&["rm", "--quiet", "--cached", ".gitmodules"]);
    outer.git(&["commit", "--quiet", "-m", "m"]);
    let error = bench.resolve(&outer.source("main"), None).unwrap_err();
    assert!(error.object().contains("submodule `lib/dep`") && error.cause().contains("no url"), "{error}");
}

#[test]
fn what_a_submodule_brings_can_be_left_out_without_it() {
    let bench = Bench::new();
    let (outer, [_, dep, _]) = nested(&bench);
    let paths = |without: &[&str]| -> Vec<String> {
        let lock = bench.resolve(&outer.without("main", without), None).unwrap();
        pin(&lock).2.iter().map(|submodule| submodule.path.clone()).collect()
    };
    assert_eq!(paths(&["lib/dep/**"]), ["lib/dep"]);
    assert_eq!(paths(&["lib/**"]), [""; 0], "an outer folder");
    assert_eq!(paths(&["lib/de/**", "li/**", "lib/dep/x/**"]), ["lib/dep", "lib/dep/x"]);
    assert_eq!(bench.warnings(), [""; 0], "what is not inside today may be tomorrow");
    let lock = bench.resolve(&outer.without("main", &["lib/dep/**"]), None).unwrap();
    assert_eq!(pin(&lock).2[0].commit, dep);
    forget(&bench);
    assert_eq!(bench.obtain(&lock).unwrap(), lock.digest.unwrap());
}

#[test]
fn a_branch_is_named_by_its_trees_own_version() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let version = |version: Option<&str>| {
        let (url, rev) = (repository.url(), "main".to_owned());
        let source = Source::Git { url, rev, version: version.map(str::to_owned), without_submodules: Vec::new() };
        bench.resolve(&source, None).unwrap().version
    };
    let commit = repository.put("a", b"1").commit();
    assert_eq!(version(None), commit[..12]);
    assert_eq!(version(Some("202511")), "202511");
    let commit = repository.put("VERSION", b"8.2.0\n").commit();
    assert_eq!(version(None), format!("8.2.0-g{}", &commit[..12]));
    let commit = repository
        .put("Makefile", b"VERSION = 6\nPATCHLEVEL = 6\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n\nall:\n\tx\n")
        .commit();
    assert_eq!(version(None), format!("6.6.0-rc1-g{}", &commit[..12]));
    repository.git(&["rm", "--quiet", "Makefile", "VERSION"]);
    std::os::unix::fs::symlink("a", repository.0.join("VERSION")).unwrap();
    let commit = repository.commit();
    assert_eq!(version(None), commit[..12], "a link says nothing");
}

#[test]
fn damaged_locks_are_refused() {
    let bench = Bench::new();
    let (outer, [_, _, leaf]) = nested(&bench);
    let lock = bench.resolve(&outer.source("main"), None).unwrap();
    let refused = |change: &dyn Fn(&mut SourceLock)| {
        let mut wrong = lock.clone();
        change(&mut wrong);
        wrong.digest = Some(snpforge::digest::Digest::of(b"elsewhere"));
        bench.obtain(&wrong).unwrap_err()
    };
    let error = refused(&|lock| {
        if let Pin::Git { tree, .. } = &mut lock.pin {
            *tree = "b".repeat(40);
        }
    });
    assert_eq!(error.kind(), Kind::Trust);
    assert!(error.cause().contains("has tree"), "{error}");
    let error = refused(&|lock| {
        if let Pin::Git { submodules, .. } = &mut lock.pin {
            submodules[0].commit = leaf.clone();
        }
    });
    assert_eq!((error.kind(), error.object()), (Kind::Trust, "submodule `lib/dep`"));
    let error = refused(&|_| {});
    assert!(error.cause().contains("normal form"), "{error}");
}

#[test]
fn without_network_only_what_was_brought_is_there() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"1").commit();
    let lock = bench.resolve(&repository.source("main"), None).unwrap();
    std::fs::remove_file(bench.store.path(&lock.digest.unwrap())).unwrap();
    let offline =
        |lock: &SourceLock| bench.within(&environment(), true, &Cancel::new(), |workshop| workshop.obtain(lock));
    assert_eq!(offline(&lock).unwrap(), lock.digest.unwrap());
    forget(&bench);
    let error = offline(&lock).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, repository.url().as_str()));
    assert!(error.remedy_text().unwrap().contains("--offline"));
}

#[test]
fn a_host_that_does_not_answer_and_a_machine_without_git() {
    let bench = Bench::new();
    let url = "http://127.0.0.1:1/nobody".into();
    let source = Source::Git { url, rev: "main".into(), version: None, without_submodules: Vec::new() };
    let error = bench.resolve(&source, None).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, "http://127.0.0.1:1/nobody"));
    let nothing = Environment::from_iter([("PATH", "/nowhere")]);
    let error = bench
        .within(&nothing, false, &Cancel::new(), |workshop| workshop.resolve(Component::Ovmf, FOLDER, &source, None))
        .unwrap_err();
    assert_eq!((error.kind(), error.object(), error.cause()), (Kind::Unavailable, "git", "is not installed"));
}

#[test]
fn a_stop_ends_git_and_its_children() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    repository.put("a", b"1").commit();
    let mark = bench.root.path().join("child");
    // A transfer that hangs in a helper of git's, which does not listen to TERM.
    let script = format!(
        "case \"$*\" in *' fetch '*) (trap '' TERM; echo $$ >{0}; exec sleep 600) & wait ;; *) exec \"$REAL\" \"$@\" ;; esac",
        mark.display()
    );
    let environment = wrapped(&bench, &script);
    let cancel = Cancel::new();
    let canceller = cancel.clone();
    let seen = mark.clone();
    let stopping = std::thread::spawn(move || {
        let start = Instant::now();
        while !seen.exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "git is never asked to fetch");
            std::thread::sleep(Duration::from_millis(10));
        }
        canceller.cancel();
        Instant::now()
    });
    let error = bench
        .within(&environment, false, &cancel, |workshop| {
            workshop.resolve(Component::Ovmf, FOLDER, &repository.source("main"), None)
        })
        .unwrap_err();
    let took = stopping.join().unwrap().elapsed();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let group = std::fs::read_to_string(&mark).unwrap();
    let group = rustix::process::Pid::from_raw(group.trim().parse().unwrap()).unwrap();
    let start = Instant::now();
    while rustix::process::test_kill_process_group(group).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5), "a child of git lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
    // And the next run finds a repository that works.
    let lock = bench.resolve(&repository.source("main"), None).unwrap();
    assert!(lock.digest.is_some());
}
