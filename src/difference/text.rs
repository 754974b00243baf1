//! A difference in plain lines: `-` is gone, `+` has come, two values with an arrow moved.

use super::{Change, Commits, Difference, SourceChange, State};
use crate::report::number_of;
use std::fmt::Display;

/// The lines, without any for what is the same on both sides.
pub fn lines(difference: &Difference) -> Vec<String> {
    let mut made = Vec::new();
    made.extend(difference.date.iter().map(change));
    for source in &difference.sources {
        made.extend(self::source(source));
    }
    made.extend(difference.base.iter().map(change));
    made.extend(difference.packages.iter().map(change));
    made.extend(difference.diff_id.iter().map(change));
    for (component, options) in &difference.options {
        made.push(format!("{component}: {} of its configuration", number_of(options.len(), "option")));
        made.extend(options.iter().map(|option| indented(&change(option))));
    }
    if !difference.files.is_empty() {
        made.push(number_of(difference.files.len(), "file"));
        made.extend(difference.files.iter().map(|file| indented(&change(file))));
    }
    made
}

fn indented(line: &str) -> String {
    format!("  {line}")
}

fn change<T: Display + PartialEq>(change: &Change<T>) -> String {
    let name = &change.name;
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if old == new => format!("  {name} {old}"),
        (Some(old), Some(new)) => format!("  {name} {old} -> {new}"),
        (Some(old), None) => format!("- {name} {old}"),
        (None, Some(new)) => format!("+ {name} {new}"),
        (None, None) => format!("  {name}"),
    }
}

fn source(source: &SourceChange) -> Vec<String> {
    let name = format!("{} {}", source.component, source.folder);
    let version = |state: &Option<State>| state.as_ref().map(|state| state.version.clone());
    let pin = |state: &Option<State>| state.as_ref().map(|state| state.pin.clone());
    let mut made = vec![change(&Change { name, old: version(&source.old), new: version(&source.new) })];
    if pin(&source.old) != pin(&source.new) {
        let state = |word: &str, state: &State| {
            let reference = state.reference.as_ref().map_or(String::new(), |name| format!(" ({name})"));
            format!("      {word} {}{reference}", state.pin)
        };
        made.extend(source.old.iter().map(|old| state("old:", old)));
        made.extend(source.new.iter().map(|new| state("new:", new)));
    } else if let (Some(old), Some(new)) = (&source.old, &source.new)
        && old.digest != new.digest
    {
        let digest = |state: &State| state.digest.map_or_else(|| "unpinned".to_owned(), |digest| digest.to_string());
        made.push(format!("      content {} -> {}", digest(old), digest(new)));
    }
    made.extend(elsewhere(source).map(|(old, new)| format!("      from {old} -> {new}")));
    made.extend(source.submodules.iter().map(|one| format!("      submodule {}", change(one).trim_start())));
    if let Some(commits) = &source.commits {
        made.push(format!("      {}", counted(source, commits)));
        made.extend(commits.newest.iter().map(|one| format!("        {} {}", short(&one.commit), one.subject)));
        made.extend(more(commits).map(|more| format!("        ... and {more} more")));
    }
    made
}

/// The repositories of a source that comes from another one now.
pub(super) fn elsewhere(source: &SourceChange) -> Option<(&str, &str)> {
    let (old, new) = (source.old.as_ref()?.url.as_deref()?, source.new.as_ref()?.url.as_deref()?);
    (old != new).then_some((old, new))
}

/// How many commits came and went. What is gone from another ref than before says nothing about either.
pub(super) fn counted(source: &SourceChange, commits: &Commits) -> String {
    let reference = |state: &Option<State>| state.as_ref().and_then(|state| state.reference.clone());
    let old = reference(&source.old);
    let is_same = old.is_some() && old == reference(&source.new);
    let why = if is_same { "; the branch was rebased or pushed anew" } else { "" };
    match (commits.come, commits.gone) {
        (come, 0) => number_of(come, "commit"),
        (0, gone) => format!("goes back by {}{why}", number_of(gone, "commit")),
        (come, gone) => format!("commits: {come} have come, {gone} gone{why}"),
    }
}

/// How many of the commits that came are not named.
pub(super) fn more(commits: &Commits) -> Option<u64> {
    commits.come.checked_sub(commits.newest.len() as u64).filter(|more| *more > 0)
}

/// A hash as people write it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
