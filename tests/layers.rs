//! Imports go down only. Reads `crate::` paths in src/ and fails on an upward import or an unplaced module.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module may use its own floor and those below.
const FLOORS: &[&[&str]] = &[
    &["cancel", "component", "date", "digest", "environment", "error", "heap", "report", "shell"],
    &[
        "compatibility",
        "containerfile",
        "definition",
        "difference",
        "document",
        "lock",
        "manifest",
        "reference",
        "release",
        "sums",
    ],
    &["compress", "deb", "firmware", "oci", "tarball"],
    &["archive", "engine", "fetch", "mirror", "project", "registry", "sign", "source", "store", "tree"],
    &["build", "verify"],
    &["cli", "commands", "main", "terminal"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The top modules a text names after `crate::` or, in the binary, `snpforge::`.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for prefix in ["crate::", "snpforge::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            let list = rest
                .strip_prefix('{')
                .map_or(rest.split(';').next().unwrap_or(""), |inner| inner.split('}').next().unwrap_or(""));
            let words: Vec<&str> = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
            for word in words {
                let name: String = word.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                    found.push(name);
                }
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 10, "src/ was not found");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if module == "lib" {
            continue;
        }
        let Some(own) = floor(module) else {
            wrong.push(format!("{}: module `{module}` stands on no floor", inside.display()));
            continue;
        };
        // Lines of documentation may point anywhere.
        let text: String = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for used in named(&text) {
            match floor(&used) {
                Some(other) if other > own => {
                    wrong.push(format!("{}: uses `{used}` of a higher floor", inside.display()));
                }
                None => wrong.push(format!("{}: uses `{used}`, which stands on no floor", inside.display())),
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_upward_import_is_seen() {
    assert_eq!(named("use crate::build::plan;"), ["build"]);
    assert_eq!(named("use crate::{build, error::Kind};"), ["build", "error"]);
    assert!(floor("build") > floor("store"));
}
