use super::*;
use crate::archive::control::paragraphs;
use crate::archive::package::List;

/// Packages of one suite: `NAME VERSION` and further lines of an index.
fn suite(entries: &[(&str, &str)]) -> List {
    let mut list = List::default();
    for (head, fields) in entries {
        let (name, version) = head.split_once(' ').unwrap();
        let text = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {}\n{fields}",
            crate::digest::Digest::of(head.as_bytes())
        );
        list.push(&paragraphs(&text).next().unwrap());
    }
    list
}

fn names(suites: &[List], wished: &[&str]) -> Result<Vec<String>> {
    let wished: Vec<String> = wished.iter().map(|wish| (*wish).to_owned()).collect();
    let locks = resolve(&Packages(suites), "amd64", &wished)?;
    Ok(locks.into_iter().map(|lock| format!("{} {}", lock.name, lock.version)).collect())
}

#[test]
fn essential_packages_and_dependencies_come_by_themselves() {
    let suites = [suite(&[
        ("base 1", "Essential: yes\nPre-Depends: libc (>= 2)\n"),
        ("gcc 12", "Depends: cpp (= 12), libc\n"),
        ("cpp 12", ""),
        ("libc 2.36", ""),
        ("unwanted 1", "Depends: gcc\n"),
    ])];
    assert_eq!(names(&suites, &["gcc"]).unwrap(), ["base 1", "cpp 12", "gcc 12", "libc 2.36"]);
}

#[test]
fn the_newest_version_counts_and_of_equal_ones_the_earlier_suite() {
    let earlier = suite(&[("a 1", "Depends: from-earlier\n"), ("from-earlier 1", ""), ("b 1", "")]);
    let later = suite(&[("a 1", "Depends: from-later\n"), ("from-later 1", ""), ("b 2~rc1", ""), ("b 2", "")]);
    assert_eq!(names(&[earlier, later], &["a", "b"]).unwrap(), ["a 1", "b 2", "from-earlier 1"]);
}

#[test]
fn an_alternative_is_the_first_that_exists_unless_one_is_there() {
    let suites = [suite(&[("tool 1", "Depends: gone | first | second\n"), ("first 1", ""), ("second 1", "")])];
    assert_eq!(names(&suites, &["tool"]).unwrap(), ["first 1", "tool 1"]);
    assert_eq!(names(&suites, &["tool", "second"]).unwrap(), ["second 1", "tool 1"]);
}

#[test]
fn a_virtual_package_is_met_by_priority_then_by_name() {
    let suites = [suite(&[
        ("user 1", "Depends: awk\n"),
        ("aawk 1", "Provides: awk\nPriority: optional\n"),
        ("mawk 1", "Provides: awk\nPriority: required\n"),
        ("versioned 1", "Depends: abi (>= 3)\n"),
        ("old 1", "Provides: abi (= 2)\n"),
        ("bare 1", "Provides: abi\n"),
        ("young 1", "Provides: abi (= 3)\n"),
    ])];
    assert_eq!(names(&suites, &["user"]).unwrap(), ["mawk 1", "user 1"]);
    assert_eq!(
        names(&suites, &["versioned"]).unwrap(),
        ["versioned 1", "young 1"],
        "no bare Provides, no other version"
    );
}

#[test]
fn what_is_missing_is_named_with_the_chain_that_wants_it() {
    let suites =
        [suite(&[("top 1", "Depends: middle\n"), ("middle 1", "Depends: libssl (>= 3)\n"), ("libssl 1.1", "")])];
    let error = names(&suites, &["top"]).unwrap_err();
    assert_eq!(error.kind(), Kind::Resolve);
    let text = error.to_string();
    assert!(text.contains("`libssl (>= 3)`") && text.contains("only libssl 1.1"), "{text}");
    assert!(text.contains("top -> middle -> libssl (>= 3)"), "{text}");
    assert!(names(&suites, &["absent"]).unwrap_err().to_string().contains("it is wished"));
}

#[test]
fn packages_that_cannot_be_together_are_refused() {
    let suites = [suite(&[
        ("one 1", "Conflicts: mta\nProvides: mta\n"),
        ("two 1", "Provides: mta\n"),
        ("old 1", "Breaks: two (<< 1)\n"),
    ])];
    assert_eq!(names(&suites, &["one"]).unwrap(), ["one 1"], "its own name is no conflict");
    let error = names(&suites, &["one", "two"]).unwrap_err();
    assert!(error.object() == "packages one and two" && error.cause().contains("conflicts with `mta`"), "{error}");
    assert!(names(&suites, &["old", "two"]).is_ok(), "the broken version is another");
}
