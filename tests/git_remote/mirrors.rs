//! Other places for the same commits.

use crate::git_http::GitServer;
use crate::repository::{Repository, forget, pin, source};
use crate::workshop::Bench;
use crate::{obtain, resolve, with};
use snpforge::digest::Digest;
use snpforge::error::Kind;
use snpforge::lock::Pin;
use snpforge::source::git::Program;

const VARIABLE: &str = "SNPFORGE_MIRROR_GIT";

#[test]
fn a_mirror_serves_submodules_and_leaves_no_trace() {
    let bench = Bench::new();
    let dep = Repository::new(&bench, "mirror/dep.git");
    let dep_commit = dep.put("dep.c", b"dep\n").commit();
    let outer = Repository::new(&bench, "mirror/outer");
    outer.put("main.c", b"int main;\n").commit();
    // Relative to the original, which nobody can reach.
    outer.link("lib/dep", "../dep", &dep_commit);
    let url = "https://sources.invalid/team/outer.git";
    let entries = format!(
        "https://sources.invalid/=/nowhere, https://sources.invalid/team/={}/",
        bench.root.path().join("mirror").display()
    );
    let environment = with(&[(VARIABLE, &entries)]);
    let lock = resolve(&bench, &environment, &source(url, "main")).unwrap();
    assert_eq!(pin(&lock).2[0].url, "https://sources.invalid/team/dep");
    let text = format!("{lock:?}");
    assert!(text.contains(url) && !text.contains("mirror"), "{text}");
    let Pin::Git { url: locked, .. } = &lock.pin else { panic!("{lock:?}") };
    assert_eq!(locked, url);
    assert_eq!(bench.warnings(), [""; 0]);
    assert!(bench.store.root().join(format!("git/{}.git", Digest::of(url.as_bytes()))).is_dir());
    assert!(bench.listing(&lock.digest.unwrap()).iter().any(|line| line.starts_with("thing/lib/dep/dep.c ")));
    forget(&bench);
    // The same from another kind of mirror: a server, for all of the host.
    let server = GitServer::start(bench.root.path());
    std::fs::create_dir(bench.root.path().join("all")).unwrap();
    std::fs::rename(bench.root.path().join("mirror"), bench.root.path().join("all/team")).unwrap();
    std::fs::rename(bench.root.path().join("all/team/outer"), bench.root.path().join("all/team/outer.git")).unwrap();
    std::fs::rename(bench.root.path().join("all/team/dep.git"), bench.root.path().join("all/team/dep")).unwrap();
    let entry = format!("https://sources.invalid={}", server.url("all"));
    assert_eq!(obtain(&bench, &with(&[(VARIABLE, &entry)]), &lock).unwrap(), lock.digest.unwrap());
    assert_eq!(bench.warnings(), [""; 0]);
}

#[test]
fn a_mirror_that_fails_or_lies_is_told_of_and_passed_over() {
    let bench = Bench::new();
    let original = Repository::new(&bench, "original/r");
    let commit = original.put("a", b"1").commit();
    let lock = resolve(&bench, &with(&[]), &source(&original.url(), "main")).unwrap();
    let lying = Repository::new(&bench, "lying/r");
    lying.put("a", b"not that").commit();
    lying.git(&["branch", "-M", "elsewhere"]);
    let root = bench.root.path().display().to_string();
    let from = format!("{root}/original");
    let tos = ["http://127.0.0.1:1/x".to_owned(), format!("{root}/empty"), format!("{root}/lying")];
    let entries: Vec<String> = tos.iter().map(|to| format!("{from}={to}")).collect();
    let environment = with(&[(VARIABLE, &entries.join(","))]);
    for by_name in [false, true] {
        forget(&bench);
        let before = bench.warnings().len();
        let made = match by_name {
            false => obtain(&bench, &environment, &lock).unwrap(),
            true => resolve(&bench, &environment, &source(&original.url(), "main")).unwrap().digest.unwrap(),
        };
        assert_eq!(made, lock.digest.unwrap());
        let warnings = bench.warnings().split_off(before);
        let lack = if by_name { "is neither a branch nor a tag" } else { "does not give commit" };
        for (to, cause) in tos.iter().zip(["cannot reach", "is not there", lack]) {
            let told = warnings.iter().filter(|text| text.contains(&format!("{to}/r: ")) && text.contains(cause));
            assert_eq!(told.count(), 1, "{to} {cause}: {warnings:#?}");
        }
        assert!(warnings[2].contains(&format!("trying {}", original.url())), "{warnings:?}");
        let dead = warnings.iter().filter(|text| text.contains(&tos[0])).count();
        assert_eq!(dead, 1, "a dead mirror is asked once in a run: {warnings:#?}");
    }
    forget(&bench);
    std::fs::remove_dir_all(&original.0).unwrap();
    let error = obtain(&bench, &environment, &lock).unwrap_err();
    assert_eq!(
        (error.kind(), error.object()),
        (Kind::Unavailable, format!("commit {commit} of {}", original.url()).as_str())
    );
    for place in tos.iter().map(|to| format!("{to}/r: ")).chain([format!("{}: ", original.url())]) {
        assert!(error.cause().contains(&place), "{place}: {error}");
    }
    assert!(error.cause().contains("is in no branch or tag"), "{error}");
}

#[test]
fn a_variable_that_cannot_be_understood_is_named() {
    let bench = Bench::new();
    let environment = with(&[(VARIABLE, "https://github.com/")]);
    let error = Program::new(bench.store.root(), &environment, false).err().unwrap();
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.object(), "SNPFORGE_MIRROR_GIT: `https://github.com/`");
    assert!(error.remedy_text().unwrap().contains("FROM=TO"), "{error:?}");
}
