//! Repositories as one file.

use crate::repository::{Repository, forget, pin, source};
use crate::workshop::Bench;
use crate::{leftovers, obtain, resolve, with};
use snpforge::error::Kind;
use std::path::PathBuf;

/// A repository with an older tag and a newer branch, and a bundle of it.
fn bundled(bench: &Bench) -> (Repository, PathBuf, [String; 2]) {
    let repository = Repository::new(bench, "r");
    let first = repository.put("a", b"1").commit();
    repository.git(&["tag", "-a", "v1", "-m", "one"]);
    // Large enough to be cut in its middle.
    let noise: Vec<u8> =
        (0_u64..200_000).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let second = repository.put("noise", &noise).commit();
    let bundle = bench.root.path().join("media/team/r.bundle");
    std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    repository.git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "--all"]);
    (repository, bundle, [first, second])
}

#[test]
fn a_bundle_is_a_repository() {
    let bench = Bench::new();
    let (repository, bundle, [first, second]) = bundled(&bench);
    let expected = resolve(&bench, &with(&[]), &source(&repository.url(), "v1")).unwrap();
    forget(&bench);
    let path = bundle.display().to_string();
    for url in [path.clone(), format!("file://{path}")] {
        let lock = resolve(&bench, &with(&[]), &source(&url, "v1")).unwrap();
        assert_eq!((pin(&lock).0, pin(&lock).1), (first.as_str(), Some("refs/tags/v1")));
        assert_eq!(lock.digest, expected.digest);
        let newer = resolve(&bench, &with(&[]), &source(&url, "main")).unwrap();
        assert_eq!(pin(&newer).0, second);
        forget(&bench);
        assert_eq!(obtain(&bench, &with(&[]), &lock).unwrap(), lock.digest.unwrap());
        assert_eq!(obtain(&bench, &with(&[]), &newer).unwrap(), newer.digest.unwrap());
    }
    assert_eq!(leftovers(&bench), [""; 0]);
}

#[test]
fn a_mirror_may_be_a_bundle_or_a_folder_of_them() {
    let bench = Bench::new();
    let (_, bundle, [first, _]) = bundled(&bench);
    let url = "https://sources.invalid/team/r.git";
    let media = bench.root.path().join("media");
    for entry in [format!("{url}={}", bundle.display()), format!("https://sources.invalid/={}", media.display())] {
        forget(&bench);
        let environment = with(&[("SNPFORGE_MIRROR_GIT", &entry)]);
        let lock = resolve(&bench, &environment, &source(url, "v1")).unwrap();
        assert_eq!(pin(&lock).0, first);
        forget(&bench);
        assert_eq!(obtain(&bench, &environment, &lock).unwrap(), lock.digest.unwrap());
        assert!(!format!("{lock:?}").contains("media"), "{lock:?}");
    }
    assert_eq!(bench.warnings(), [""; 0]);
}

#[test]
fn a_bundle_that_is_no_help_says_why() {
    let bench = Bench::new();
    let (repository, bundle, _) = bundled(&bench);
    let url = bundle.display().to_string();
    // The branch went on after the bundle was made.
    let later = repository.put("a", b"later").commit();
    let error = resolve(&bench, &with(&[]), &source(&url, &later)).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Gone, format!("commit {later} of {url}").as_str()));
    assert!(error.cause().contains(&format!("is not in the bundle {url}")), "{error}");
    // Cut in its middle, after its names.
    let whole = std::fs::read(&bundle).unwrap();
    std::fs::write(&bundle, &whole[..whole.len() / 2]).unwrap();
    forget(&bench);
    let error = resolve(&bench, &with(&[]), &source(&url, "main")).unwrap_err();
    assert_eq!((error.kind(), error.object()), (Kind::Unavailable, url.as_str()));
    assert!(error.cause().starts_with("cannot be read as a git bundle"), "{error}");
    assert!(error.remedy_text().unwrap().contains("git bundle create"), "{error:?}");
    assert_eq!(leftovers(&bench), [""; 0]);
    // Another byte.
    let mut wrong = whole.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    std::fs::write(&bundle, &wrong).unwrap();
    assert_eq!(resolve(&bench, &with(&[]), &source(&url, "main")).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(leftovers(&bench), [""; 0]);
    std::fs::write(&bundle, &whole).unwrap();
    resolve(&bench, &with(&[]), &source(&url, "main")).unwrap();
}

#[test]
fn a_bundle_of_a_shallow_clone_is_refused() {
    let bench = Bench::new();
    let (repository, bundle, _) = bundled(&bench);
    let (from, to) = (format!("file://{}", repository.url()), bench.root.path().join("shallow"));
    repository.git(&["clone", "--quiet", "--depth=1", &from, to.to_str().unwrap()]);
    Repository(to).git(&["bundle", "create", "--quiet", bundle.to_str().unwrap(), "--all"]);
    let error = resolve(&bench, &with(&[]), &source(bundle.to_str().unwrap(), "main")).unwrap_err();
    assert!(error.cause().contains("made from a shallow clone"), "{error}");
    assert!(error.remedy_text().unwrap().contains("full clone"), "{error:?}");
}
