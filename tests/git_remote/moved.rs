//! What a new lock says of branches and tags that moved, and that are no more.

use crate::repository::Repository;
use crate::with;
use crate::workshop::{Bench, write};
use snpforge::build::Borders;
use snpforge::build::locking::{self, Freshness, Lock as _};
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::error::{Kind, Result};
use snpforge::fetch::Offline;
use snpforge::lock::ReleaseLock;
use snpforge::project::Project;
use snpforge::source::git::Program;

/// Resolves a release with one git source anew, and says what changed.
fn update(bench: &Bench, url: &str, rev: &str, old: Option<&ReleaseLock>) -> Result<(ReleaseLock, Vec<String>)> {
    let root = bench.root.path().join("project");
    std::fs::create_dir_all(root.join("images")).unwrap();
    let git = format!("git = {{ url = \"{url}\", rev = \"{rev}\", version = \"1\" }}");
    let text = format!("format = 1\nsummary = \"s\"\nimage = \"i\"\n[ovmf]\nbuild = \"DEBUG\"\nsource = {{ {git} }}\n");
    write(&root.join("releases/r.toml"), text.as_bytes(), 0o644);
    let project = Project::find(&root).unwrap();
    let cancel = Cancel::new();
    let borders = Borders {
        project: &project,
        store: &bench.store,
        fetch: &Offline(bench.store.clone()),
        git: &Program::new(bench.store.root(), &with(&[]), false).unwrap(),
        mirrors: &|_, _| Ok(Default::default()),
        now: Epoch(1_800_000_000),
        report: bench.report.as_ref(),
        cancel: &cancel,
    };
    let new = locking::release("r", old, Freshness::Update, &borders)?;
    let changes = old.map_or_else(Vec::new, |old| old.changes(&new, &borders));
    Ok((new, changes))
}

#[test]
fn a_branch_that_moved_is_named_with_both_commits() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let url = repository.url();
    let first = repository.put("a", b"1").commit();
    let (lock, _) = update(&bench, &url, "main", None).unwrap();
    assert_eq!(update(&bench, &url, "main", Some(&lock)).unwrap().1, [""; 0]);
    let line = |old: &str, new: &str, more: &str| format!("  ovmf edk2 refs/heads/main of {url}: {old} -> {new}{more}");
    // A commit names its parents itself.
    let second = repository.put("a", b"2").commit();
    let (newer, changes) = update(&bench, &url, "main", Some(&lock)).unwrap();
    assert!(changes.contains(&line(&first, &second, " (which descends from it)")), "{changes:?}");
    // All else would need history that nobody fetched.
    repository.put("a", b"3").commit();
    let fourth = repository.put("a", b"4").commit();
    let (_, changes) = update(&bench, &url, "main", Some(&newer)).unwrap();
    assert!(changes.contains(&line(&second, &fourth, "")), "{changes:?}");
}

#[test]
fn a_rebased_branch_is_called_so_where_history_is_at_hand() {
    let bench = Bench::new();
    let repository = Repository::new(&bench, "r");
    let bundle = bench.root.path().join("r.bundle").display().to_string();
    let publish = || drop(repository.git(&["bundle", "create", "--quiet", &bundle, "--all"]));
    let first = repository.put("a", b"1").commit();
    publish();
    let (lock, _) = update(&bench, &bundle, "main", None).unwrap();
    repository.put("a", b"2").commit();
    let third = repository.put("a", b"3").commit();
    publish();
    let (newer, changes) = update(&bench, &bundle, "main", Some(&lock)).unwrap();
    let expected = format!("{first} -> {third} (which descends from it)");
    assert!(changes.iter().any(|line| line.ends_with(&expected)), "{changes:?}");
    repository.git(&["checkout", "--quiet", "--orphan", "new"]);
    let rebased = repository.put("a", b"4").commit();
    repository.git(&["branch", "-M", "new", "main"]);
    publish();
    let (_, changes) = update(&bench, &bundle, "main", Some(&newer)).unwrap();
    let expected = format!("{third} -> {rebased} (which does NOT descend from it: rebased or force-pushed)");
    assert!(changes.iter().any(|line| line.ends_with(&expected)), "{changes:?}");
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
