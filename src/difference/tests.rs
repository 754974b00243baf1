use super::*;
use crate::date::Epoch;
use crate::lock::{FORMAT, PackageLock, SubmoduleLock};

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

fn source(component: Component, version: &str, pin: Pin) -> SourceLock {
    SourceLock {
        component,
        folder: "src".into(),
        version: version.into(),
        epoch: Epoch(1),
        digest: Some(digest(version)),
        wish: None,
        pin,
    }
}

fn git(commit: &str, submodule: &str) -> Pin {
    Pin::Git {
        url: "https://h/ovmf.git".into(),
        reference: Some("refs/heads/snp-latest".into()),
        commit: commit.repeat(40),
        tree: "t".repeat(40),
        submodules: vec![SubmoduleLock { path: "sub".into(), url: "https://h/s".into(), commit: submodule.repeat(40) }],
    }
}

fn release(date: &str, source: Vec<SourceLock>) -> ReleaseLock {
    let date = date.parse().unwrap();
    ReleaseLock { format: FORMAT, definition: digest("d"), date, epoch: Epoch(1), suite: Vec::new(), source }
}

fn image(packages: &[(&str, &str)]) -> ImageLock {
    let package = packages.iter().map(|(name, version)| PackageLock {
        name: (*name).into(),
        version: (*version).into(),
        architecture: "amd64".into(),
        path: String::new(),
        size: 1,
        sha256: digest(version),
    });
    let package: Vec<PackageLock> = package.collect();
    let diff_id = digest(&format!("{packages:?}"));
    ImageLock {
        format: FORMAT,
        definition: digest("d"),
        epoch: Epoch(1),
        diff_id,
        suite: Vec::new(),
        package,
        base: None,
    }
}

fn sides() -> (Side, Side) {
    let tarball = |of: &str| Pin::Tarball { urls: vec!["https://h/q.tar.xz".into()], sha256: digest(of) };
    let config = |text: &str| BTreeMap::from([(Component::KernelHost, text.to_owned())]);
    let files = |list: &[(&str, &str)]| list.iter().map(|(path, of)| ((*path).to_owned(), digest(of))).collect();
    let old = Side {
        name: "snp-release-2026-11-01".into(),
        release: Some(release(
            "2026-11-01",
            vec![source(Component::Qemu, "10.1", tarball("a")), source(Component::Ovmf, "1", git("a", "c"))],
        )),
        image: Some(image(&[("gcc", "12.1"), ("gone", "1"), ("same", "2")])),
        configs: config("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n# a comment\n"),
        files: files(&[("a", "1"), ("b", "1"), ("gone", "1")]),
    };
    let new = Side {
        name: "snp-release-2026-11-02".into(),
        release: Some(release(
            "2026-11-02",
            vec![source(Component::Qemu, "10.2", tarball("b")), source(Component::Ovmf, "1", git("b", "e"))],
        )),
        image: Some(image(&[("come", "3"), ("gcc", "12.2"), ("same", "2")])),
        configs: config("CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=\"*x|y\"\n"),
        files: files(&[("a", "1"), ("b", "2"), ("come", "1")]),
    };
    (old, new)
}

#[test]
fn a_side_does_not_differ_from_itself() {
    let (old, _) = sides();
    assert!(between(&old, &old).is_empty());
    assert_eq!(text::lines(&between(&old, &old)), Vec::<String>::new());
    assert!(markdown::notes(&old, &old, &between(&old, &old)).contains("Nothing differs."));
}

#[test]
fn what_moved_stands_in_lines() {
    let (old, new) = sides();
    let mut difference = between(&old, &new);
    let ovmf = &mut difference.sources[1];
    assert_eq!(ovmf.moved(), Some(("https://h/ovmf.git", "a".repeat(40).as_str(), "b".repeat(40).as_str())));
    let newest = vec![Subject { commit: "b".repeat(40), subject: "OvmfPkg: fix *it*".into() }];
    ovmf.commits = Some(Commits { come: 3, gone: 1, newest });
    assert_eq!(difference.sources[0].moved(), None, "a tarball has no commits");
    let lines = text::lines(&difference).join("\n");
    for line in [
        "  date 2026-11-01 -> 2026-11-02".to_owned(),
        "  qemu src 10.1 -> 10.2".to_owned(),
        format!("      old: sha256 {}", digest("a")),
        format!("      old: commit {} (refs/heads/snp-latest)", "a".repeat(40)),
        format!("      new: commit {} (refs/heads/snp-latest)", "b".repeat(40)),
        format!("      submodule sub {} -> {}", "c".repeat(40), "e".repeat(40)),
        "      commits: 3 have come, 1 gone; the branch was rebased or pushed anew".to_owned(),
        "        bbbbbbbbbbbb OvmfPkg: fix *it*".to_owned(),
        "        ... and 2 more".to_owned(),
        "+ come 3".to_owned(),
        "  gcc 12.1 -> 12.2".to_owned(),
        "- gone 1".to_owned(),
        "kernel-host: 3 options of its configuration".to_owned(),
        "    CONFIG_B n -> y".to_owned(),
        "  - CONFIG_C m".to_owned(),
        format!("    b {} -> {}", digest("1"), digest("2")),
    ] {
        assert!(lines.lines().any(|one| one == line), "{line}\nis not in\n{lines}");
    }
    assert!(!lines.contains("same") && !lines.contains("CONFIG_A"), "{lines}");
}

#[test]
fn a_branch_was_pushed_anew_only_if_it_is_the_same_one() {
    let (old, new) = sides();
    let mut difference = between(&old, &new);
    let rebased = "; the branch was rebased or pushed anew";
    for (reference, come, gone, words) in [
        (Some("refs/heads/snp-latest"), 3, 1, format!("commits: 3 have come, 1 gone{rebased}")),
        (Some("refs/heads/snp-latest"), 0, 2, format!("goes back by 2 commits{rebased}")),
        (Some("refs/tags/v1"), 0, 2, "goes back by 2 commits".to_owned()),
        (Some("refs/tags/v1"), 3, 1, "commits: 3 have come, 1 gone".to_owned()),
        (None, 0, 1, "goes back by 1 commit".to_owned()),
        (None, 2, 0, "2 commits".to_owned()),
    ] {
        let ovmf = &mut difference.sources[1];
        ovmf.new.as_mut().unwrap().reference = reference.map(str::to_owned);
        ovmf.commits = Some(Commits { come, gone, newest: Vec::new() });
        let lines = text::lines(&difference);
        assert!(lines.contains(&format!("      {words}")), "{words}\nis not in\n{lines:?}");
        let notes = markdown::notes(&old, &new, &difference);
        assert!(notes.contains(&format!("  - {words}\n")), "{words}\nis not in\n{notes}");
    }
    // Two commits that nobody gave a name are no branch.
    difference.sources[1].old.as_mut().unwrap().reference = None;
    difference.sources[1].commits = Some(Commits { come: 1, gone: 1, newest: Vec::new() });
    assert!(text::lines(&difference).contains(&"      commits: 1 have come, 1 gone".to_owned()));
}

#[test]
fn notes_are_markdown_whatever_a_commit_says() {
    let (old, new) = sides();
    let mut difference = between(&old, &new);
    let newest = vec![Subject { commit: "b".repeat(40), subject: "<b>fix</b> *it*".into() }];
    difference.sources[1].commits = Some(Commits { come: 1, gone: 0, newest });
    let notes = markdown::notes(&old, &new, &difference);
    for part in [
        "# snp-release-2026-11-02\n\nChanges since snp-release-2026-11-01.\n",
        "## qemu\n\n- src: 10.1 → 10.2\n",
        "  - 1 commit\n    - `bbbbbbbbbbbb` \\<b\\>fix\\</b\\> \\*it\\*\n",
        "| CONFIG\\_B | n | y |\n",
        "| CONFIG\\_D |  | \"\\*x\\|y\" |\n",
        "| come |  | 3 |\n",
        "1 changed, 1 added, 1 removed.\n- added come\n- removed gone\n",
    ] {
        assert!(notes.contains(part), "{part}\nis not in\n{notes}");
    }
}

#[test]
fn notes_call_nobody_and_no_number_is_a_link() {
    let (old, new) = sides();
    let mut difference = between(&old, &new);
    for (subject, shown) in [
        ("@torvalds: thanks", "@<!---->torvalds: thanks"),
        ("(@a, @org/team) @@b", "(@<!---->a, @<!---->org/team) @@<!---->b"),
        ("fixes #12, qemu/qemu#3", "fixes #<!---->12, qemu/qemu#<!---->3"),
        ("*@a*#1", "\\*@<!---->a\\*#<!---->1"),
        // Nothing of the kind: nothing is in the way of whoever reads the text.
        ("me@example.org: x86 @ 1 GHz, C# and #define", "me@example.org: x86 @ 1 GHz, C\\# and \\#define"),
        ("<!-- @a -->", "\\<!-- @<!---->a --\\>"),
    ] {
        let newest = vec![Subject { commit: "b".repeat(40), subject: subject.into() }];
        difference.sources[1].commits = Some(Commits { come: 1, gone: 0, newest });
        let notes = markdown::notes(&old, &new, &difference);
        assert!(notes.contains(&format!("    - `bbbbbbbbbbbb` {shown}\n")), "{shown}\nis not in\n{notes}");
        assert!(text::lines(&difference).join("\n").contains(subject), "lines are as they were");
    }
}

#[test]
fn a_source_that_comes_from_elsewhere_is_told() {
    let (old, mut new) = sides();
    new.release.clone_from(&old.release);
    let Some(Pin::Git { url, submodules, .. }) = new.release.as_mut().map(|lock| &mut lock.source[1].pin) else {
        panic!("another pin");
    };
    *url = "https://evil/<b>ovmf".into();
    submodules[0].url = "https://evil/s".into();
    submodules[0].path = "<img src=x>".into();
    let difference = between(&old, &new);
    assert_eq!(difference.sources[0].moved(), None, "there is no common history to ask for");
    let lines = text::lines(&difference).join("\n");
    assert!(lines.contains("      from https://h/ovmf.git -> https://evil/<b>ovmf"), "{lines}");
    let notes = markdown::notes(&old, &new, &difference);
    assert!(notes.contains("https://evil/\\<b\\>ovmf") && notes.contains("\\<img src=x\\>"), "{notes}");
    submodules_of(&mut new)[0].path = "sub".into();
    let lines = text::lines(&between(&old, &new)).join("\n");
    let commit = "c".repeat(40);
    assert!(lines.contains(&format!("submodule sub {commit} of https://h/s -> {commit} of https://evil/s")), "{lines}");
}

fn submodules_of(side: &mut Side) -> &mut Vec<SubmoduleLock> {
    match side.release.as_mut().map(|lock| &mut lock.source[1].pin) {
        Some(Pin::Git { submodules, .. }) => submodules,
        _ => panic!("another pin"),
    }
}

#[test]
fn what_only_one_side_knows_of_is_not_compared() {
    let (old, new) = sides();
    let lock = Side { files: BTreeMap::new(), configs: BTreeMap::new(), image: None, ..new };
    let difference = between(&old, &lock);
    assert!(difference.files.is_empty() && difference.options.is_empty() && difference.packages.is_empty());
    assert_eq!(difference.sources.len(), 2);
    assert_eq!(uncompared(&old, &lock), (vec!["packages", "kernel options", "files"], true));
    assert_eq!(uncompared(&old, &old), (vec![], true));
    let image = Side { image: old.image.clone(), ..Side::default() };
    assert_eq!(uncompared(&lock, &image), (vec!["sources", "packages"], false));
}
