use super::*;
use crate::archive::control::paragraphs;
use crate::archive::package::List;

fn list(text: &str) -> List {
    let mut list = List::default();
    // Every package needs a place and a digest to be locked.
    let rest =
        "Filename: pool/x.deb\nSize: 1\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let text: String = text
        .split(';')
        .map(|one| format!("{}\n{rest}\n\n", one.trim().replace(" | ", "\n").replace("||", "|")))
        .collect();
    paragraphs(&text).for_each(|paragraph| list.push(&paragraph));
    list
}

/// Packages as `Package: a | Version: 1; ...` (an alternative is written `||`), one text for each index.
fn chosen(indexes: &[&str], wished: &[&str]) -> Result<Vec<String>> {
    let lists: Vec<List> = indexes.iter().map(|text| list(text)).collect();
    let wished: Vec<String> = wished.iter().map(|wish| (*wish).to_owned()).collect();
    let locks = resolve(&Packages(&lists), "amd64", &wished)?;
    Ok(locks.into_iter().map(|lock| format!("{} {}", lock.name, lock.version)).collect())
}

const BASE: &str = "Package: base | Version: 1 | Architecture: amd64 | Essential: yes | Pre-Depends: libc (>= 2);
    Package: libc | Version: 2.1 | Architecture: amd64;
    Package: other | Version: 1 | Architecture: arm64;
    Package: mta-a | Version: 1 | Architecture: all | Priority: extra | Provides: mta;
    Package: mta-b | Version: 1 | Architecture: all | Priority: standard | Provides: mta, api (= 3);
    Package: tool | Version: 1 | Architecture: amd64 | Depends: mta, gone || libc";

#[test]
fn essentials_dependencies_and_providers_by_priority() {
    assert_eq!(chosen(&[BASE], &[]).unwrap(), ["base 1", "libc 2.1"]);
    assert_eq!(chosen(&[BASE], &["tool"]).unwrap(), ["base 1", "libc 2.1", "mta-b 1", "tool 1"]);
    assert_eq!(chosen(&[BASE], &["tool", "mta-a"]).unwrap(), ["base 1", "libc 2.1", "mta-a 1", "tool 1"]);
    assert_eq!(chosen(&[BASE], &["api (>= 2)"]).unwrap(), ["base 1", "libc 2.1", "mta-b 1"]);
}

#[test]
fn the_newest_version_counts_and_of_equal_ones_the_first_index() {
    let newer = "Package: libc | Version: 2.10 | Architecture: amd64; Package: base | Version: 1 | Architecture: amd64";
    assert_eq!(chosen(&[BASE, newer], &[]).unwrap(), ["base 1", "libc 2.10"]);
    assert_eq!(chosen(&[newer, BASE], &["libc"]).unwrap(), ["libc 2.10"], "the first `base` is not essential");
}

#[test]
fn what_is_missing_or_in_conflict_is_named() {
    for (more, wish, words) in [
        ("", "other", "no suite of the archive has it (it is wished)"),
        ("", "mta (>= 1)", "no suite of the archive has it"),
        ("", "libc (>= 3)", "the archive has only libc 2.1"),
        ("; Package: x | Version: 1 | Architecture: all | Depends: nothing", "x", "wanted by x -> nothing"),
        ("; Package: x | Version: 1 | Architecture: all | Conflicts: libc (<< 3)", "x", "conflicts with `libc (<< 3)`"),
        ("; Package: x | Version: 1 | Architecture: all | Breaks: mta | Depends: mta-a", "x", "breaks `mta`"),
    ] {
        let error = chosen(&[&format!("{BASE}{more}")], &[wish]).unwrap_err();
        assert_eq!(error.kind(), Kind::Resolve);
        assert!(error.cause().contains(words), "{wish}: {error}");
    }
    let alone = format!("{BASE}; Package: x | Version: 1 | Architecture: all | Provides: only | Conflicts: only");
    assert_eq!(chosen(&[&alone], &["x"]).unwrap(), ["base 1", "libc 2.1", "x 1"], "its own virtual package");
}
