//! What a new lock says of branches and tags that moved, and that are no more.

use crate::git_http::{GitServer, Spoil};
use crate::repository::Repository;
use crate::with;
use crate::workshop::{Bench, write};
use snpforge::build::Borders;
use snpforge::build::locking::{self, Freshness};
use snpforge::cancel::Cancel;
use snpforge::component::Component;
use snpforge::date::Epoch;
use snpforge::error::{Kind, Result};
use snpforge::fetch::Offline;
use snpforge::lock::ReleaseLock;
use snpforge::project::Project;
use snpforge::source::git::{Git as _, Program};

/// Resolves a release with one git source anew, and says what changed.
fn update(bench: &Bench, url: &str, rev: &str, old: Option<&ReleaseLock>) -> Result<(ReleaseLock, Vec<String>)> {
    let table = format!("[ovmf]\nbuild = \"DEBUG\"\nsource = {}\n", source(url, rev));
    resolve(bench, &table, old, Freshness::Update)
}

fn source(url: &str, rev: &str) -> String {
    format!("{{ git = {{ url = \"{url}\", rev = \"{rev}\", version = \"1\" }} }}")
}

/// Resolves a release with these tables, and says what changed.
fn resolve(
    bench: &Bench,
    tables: &str,
    old: Option<&ReleaseLock>,
    freshness: Freshness<'_>,
) -> Result<(ReleaseLock, Vec<String>)> {
    let root = bench.root.path().join("project");
    std::fs::create_dir_all(root.join("images")).unwrap();
    let text = format!("format = 1\nsummary = \"s\"\nimage = \"i\"\n{tables}");
    write(&root.join("releases/r.toml"), text.as_bytes(), 0o644);
    let project = Project::find(&root).unwrap();
    let cancel = Cancel::new();
    let borders = Borders {
        project: &project,
        store: &bench.store,
        fetch: &Offline(bench.store.clone()),
        registry: &snpforge::registry::Offline(bench.store.clone()),
        git: &Program::new(bench.store.root(), &with(&[]), false).unwrap(),
        mirrors: &|_, _| Ok(Default::default()),
        now: Epoch(1_800_000_000),
        report: bench.report.as_ref(),
        cancel: &cancel,
    };
    let new = locking::release("r", old, freshness, &borders)?;
    let changes = old.map(|old| locking::changes("r", old, &new, &borders)).transpose()?;
    Ok((new, changes.map(|changes| changes.lines()).unwrap_or_default()))
}

fn newer_commit(lock: &ReleaseLock) -> String {
    crate::repository::pin(&lock.source[0]).0.to_owned()
}

/// The lines of a move, but for the digest's.
fn moved(first: &str, second: &str, more: &[&str]) -> Vec<String> {
    let state = |word: &str, commit: &str| format!("      {word}: commit {commit} (refs/heads/main)");
    let mut lines = vec!["  ovmf edk2 1".to_owned(), state("old", first), state("new", second)];
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    lines
}

#[test]
fn a_branch_that_moved_is_named_with_both_commits_and_those_between() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let url = repository.url();
    let first = repository.put("a", b"1").commit();
    let (lock, _) = update(&bench, &url, "main", None).unwrap();
    assert_eq!(update(&bench, &url, "main", Some(&lock)).unwrap().1, [""; 0]);
    let second = repository.put("a", b"2").commit();
    let third = repository.put("a", b"3").commit();
    let (newer, changes) = update(&bench, &url, "main", Some(&lock)).unwrap();
    let between = ["      2 commits", &format!("        {} m", &third[..12]), &format!("        {} m", &second[..12])];
    assert_eq!(changes, moved(&first, &third, &between));
    // A repository elsewhere: commits only, and if it does not leave files out, nothing.
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let fourth = repository.put("a", b"4").commit();
    let server = GitServer::start(bench.root.path());
    let git = Program::new(bench.store.root(), &with(&[]), false).unwrap();
    let between = || git.between(&server.url("r"), &newer_commit(&newer), &fourth, &Cancel::new());
    let error = between().unwrap_err();
    assert!(error.cause().contains("does not give commits without all of their files"), "{error}");
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    let commits = between().unwrap();
    assert_eq!((commits.come, commits.gone, commits.newest[0].commit.as_str()), (1, 0, fourth.as_str()));
    server.spoil("r", Spoil::Cut, 1);
    assert_eq!(between().unwrap(), commits, "a cut connection is made anew");
    let nowhere = git.between("http://127.0.0.1:1/r", &first, &fourth, &Cancel::new()).unwrap_err();
    assert_eq!(nowhere.kind(), Kind::Unavailable, "{nowhere}");
    let lost = git.between(&server.url("r"), &"a".repeat(40), &fourth, &Cancel::new()).unwrap_err();
    assert_eq!(lost.kind(), Kind::Gone, "{lost}");
    assert!(lost.cause().contains("not our ref"), "git's own words: {lost}");
    assert_eq!(crate::leftovers(&bench), [""; 0]);
}

#[test]
fn a_rebased_branch_is_called_so_and_its_lost_commit_is_no_failure() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let bundle = bench.root.path().join("r.bundle").display().to_string();
    let publish = || drop(repository.git(&["bundle", "create", "--quiet", &bundle, "--all"]));
    repository.put("a", b"1").commit();
    repository.git(&["branch", "old"]);
    let second = repository.put("a", b"2").commit();
    repository.git(&["tag", "kept"]);
    publish();
    let (lock, _) = update(&bench, &bundle, "main", None).unwrap();
    repository.git(&["reset", "--quiet", "--hard", "old"]);
    let rebased = repository.put("a", b"4").commit();
    publish();
    let (_, changes) = update(&bench, &bundle, "main", Some(&lock)).unwrap();
    let rebased_line = "      commits: 1 have come, 1 gone; the branch was rebased or pushed anew";
    assert_eq!(changes, moved(&second, &rebased, &[rebased_line, &format!("        {} m", &rebased[..12])]));
    // Nothing has the old commit any more: the move is told all the same.
    repository.git(&["tag", "-d", "kept"]);
    publish();
    std::fs::remove_dir_all(bench.store.root().join("git")).unwrap();
    let (_, changes) = update(&bench, &bundle, "main", Some(&lock)).unwrap();
    assert_eq!(changes, moved(&second, &rebased, &[]));
}

#[test]
fn a_branch_that_is_no_more_leaves_the_old_lock() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let url = repository.url();
    let commit = repository.put("a", b"1").commit();
    repository.git(&["branch", "snp-latest"]);
    let (lock, _) = update(&bench, &url, "snp-latest", None).unwrap();
    repository.git(&["branch", "--quiet", "-m", "snp-latest", "snp-newest"]);
    let error = update(&bench, &url, "snp-latest", Some(&lock)).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, format!("`snp-latest` of {url}").as_str()));
    let expected = format!(
        "is neither a branch nor a tag there any more; releases/r.lock has commit {commit} of it and still builds as long as \
         that commit can be had"
    );
    assert_eq!(error.cause(), expected);
    let remedy = error.remedy_text().unwrap();
    assert!(remedy.contains("--locked") && remedy.contains(&format!("rev = \"{commit}\"")), "{remedy}");
    // What it says is true.
    crate::repository::forget(&bench);
    let built = crate::obtain(&bench, &with(&[]), &lock.source[0]).unwrap();
    assert_eq!(Some(built), lock.source[0].digest);
    // A source without a lock is just not there.
    let error = update(&bench, &url, "snp-latest", None).unwrap_err();
    assert!(!error.cause().contains("releases/r.lock"), "{error}");
}

#[test]
fn a_branch_stays_while_the_release_file_says_the_same_of_it() {
    let bench = Bench::new();
    let repositories = ["q", "o"].map(|name| Repository::new(&bench, name));
    let put = |content: &[u8]| repositories.each_ref().map(|repository| repository.put("a", content).commit());
    let first = put(b"1");
    let urls = repositories.each_ref().map(Repository::url);
    let tables = |build: &str, rev: &str| {
        let (qemu, ovmf) = (source(&urls[0], "main"), source(&urls[1], rev));
        format!("[qemu]\nsource = {qemu}\n[ovmf]\nbuild = \"{build}\"\nsource = {ovmf}\n")
    };
    let commits = |lock: &ReleaseLock| -> Vec<String> {
        lock.source.iter().map(|source| crate::repository::pin(source).0.to_owned()).collect()
    };
    let debug = tables("DEBUG", "main");
    let (lock, _) = resolve(&bench, &debug, None, Freshness::Keep).unwrap();
    let second = put(b"2");
    // Nothing of a source, then one source, then one component.
    let (kept, _) = resolve(&bench, &tables("RELEASE", "main"), Some(&lock), Freshness::Keep).unwrap();
    assert_eq!(commits(&kept), first);
    assert_ne!(kept.definition, lock.definition);
    let (other, _) = resolve(&bench, &tables("DEBUG", "refs/heads/main"), Some(&lock), Freshness::Keep).unwrap();
    assert_eq!(commits(&other), [&first[0], &second[1]].map(String::clone));
    let qemu = [Component::Qemu];
    let (named, _) = resolve(&bench, &debug, Some(&lock), Freshness::Components(&qemu)).unwrap();
    assert_eq!(commits(&named), [&second[0], &first[1]].map(String::clone));
    // A lock that knows no wishes, made from the very same file: it gets them, and stays of its day.
    let mut older = lock.clone();
    older.source.iter_mut().for_each(|source| source.wish = None);
    older.date = "2026-01-01".parse().unwrap();
    let (completed, changes) = resolve(&bench, &debug, Some(&older), Freshness::Keep).unwrap();
    assert_eq!((&completed.source, completed.date, changes), (&lock.source, older.date, vec![]));
    // From another file: nothing says what is still wished.
    let (anew, _) = resolve(&bench, &tables("RELEASE", "main"), Some(&older), Freshness::Keep).unwrap();
    assert_eq!(commits(&anew), second);
}
