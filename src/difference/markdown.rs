//! A difference as release notes in Markdown, for people who decide whether to take the new release.

use super::text::{counted, elsewhere, more, short};
use super::{Change, Difference, Side, SourceChange, State};
use crate::component::Component;
use crate::report::number_of;
use std::fmt::{Display, Write as _};

/// The notes: what of the new side is not the old one's.
pub fn notes(old: &Side, new: &Side, difference: &Difference) -> String {
    let mut made = format!("# {}\n\nChanges since {}.\n", escaped(&new.name), escaped(&old.name));
    if difference.is_empty() {
        made.push_str("\nNothing differs.\n");
        return made;
    }
    for component in Component::ALL {
        let sources: Vec<&SourceChange> = difference.sources.iter().filter(|one| one.component == component).collect();
        let options = difference.options.get(&component);
        if sources.is_empty() && options.is_none() {
            continue;
        }
        let _ = write!(made, "\n## {component}\n\n");
        sources.into_iter().for_each(|source| made.push_str(&self::source(source)));
        if let Some(options) = options {
            let _ = write!(made, "\n{} of the kernel's configuration:\n\n", number_of(options.len(), "option"));
            made.push_str(&table(["Option", "Old", "New"], options));
        }
    }
    if difference.diff_id.is_some() || difference.base.is_some() || !difference.packages.is_empty() {
        made.push_str("\n## Builder image\n\n");
        if let Some(change) = &difference.diff_id {
            let _ = writeln!(made, "- {}", moved(change));
        }
        if let Some(change) = &difference.base {
            let _ = writeln!(made, "- {}", moved(change));
        }
        if !difference.packages.is_empty() {
            let _ = write!(made, "\n{}:\n\n", number_of(difference.packages.len(), "package"));
            made.push_str(&table(["Package", "Old", "New"], &difference.packages));
        }
    }
    if !difference.files.is_empty() {
        let count = |wanted: fn(&Change<_>) -> bool| difference.files.iter().filter(|one| wanted(one)).count();
        let come = count(|one| one.old.is_none());
        let gone = count(|one| one.new.is_none());
        let _ = write!(
            made,
            "\n## Files\n\n{} changed, {come} added, {gone} removed.\n",
            difference.files.len() - come - gone
        );
        for file in difference.files.iter().filter(|one| one.old.is_none() || one.new.is_none()) {
            let word = if file.old.is_none() { "added" } else { "removed" };
            let _ = writeln!(made, "- {word} {}", escaped(&file.name));
        }
    }
    made
}

fn source(source: &SourceChange) -> String {
    let version = |state: &State| state.version.clone();
    let name = source.folder.clone();
    let versions = Change { name, old: source.old.as_ref().map(version), new: source.new.as_ref().map(version) };
    let mut made = format!("- {}\n", moved(&versions));
    for (word, state) in [("old", &source.old), ("new", &source.new)] {
        if let Some(state) = state {
            let _ = writeln!(made, "  - {word}: {}", escaped(&state.pin));
        }
    }
    if let Some((old, new)) = elsewhere(source) {
        let _ = writeln!(made, "  - from {} → {}", escaped(old), escaped(new));
    }
    for one in &source.submodules {
        let _ = writeln!(made, "  - submodule {}", moved(one));
    }
    if let Some(commits) = &source.commits {
        let _ = writeln!(made, "  - {}", counted(source, commits));
        for one in &commits.newest {
            let _ = writeln!(made, "    - `{}` {}", short(&one.commit), escaped(&one.subject));
        }
        if let Some(more) = more(commits) {
            let _ = writeln!(made, "    - and {more} more");
        }
    }
    made
}

fn moved<T: Display + PartialEq>(change: &Change<T>) -> String {
    let name = escaped(&change.name);
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if old == new => format!("{name}: {}", escaped(&old.to_string())),
        (Some(old), Some(new)) => format!("{name}: {} → {}", escaped(&old.to_string()), escaped(&new.to_string())),
        (Some(old), None) => format!("{name}: {} is gone", escaped(&old.to_string())),
        (None, Some(new)) => format!("{name}: {} has come", escaped(&new.to_string())),
        (None, None) => name,
    }
}

fn table<T: Display>(head: [&str; 3], changes: &[Change<T>]) -> String {
    let cell = |value: Option<&T>| value.map_or_else(String::new, |value| escaped(&value.to_string()));
    let mut made = format!("| {} |\n|---|---|---|\n", head.join(" | "));
    for change in changes {
        let _ = writeln!(
            made,
            "| {} | {} | {} |",
            escaped(&change.name),
            cell(change.old.as_ref()),
            cell(change.new.as_ref())
        );
    }
    made
}

/// The text with whatever Markdown or HTML would take for its own marked as plain, on one line.
fn escaped(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut before = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_live = is_live(before, letter, letters.peek().copied());
        if "\\`*_[]<>|#~&".contains(letter) && !is_live {
            made.push('\\');
        }
        made.push(if letter.is_control() { ' ' } else { letter });
        if is_live {
            made.push_str(NOTHING);
        }
        before = Some(letter);
    }
    made
}

/// Shows nothing, and keeps what is on both sides of it apart.
const NOTHING: &str = "<!---->";

/// Whether GitHub and its like would notify somebody (`@name`) or link to an issue of another project (`#123`). They look
/// for both in what Markdown was made into, where no backslash and no entity is left; a comment is in the way.
fn is_live(before: Option<char>, letter: char, after: Option<char>) -> bool {
    match letter {
        // Not in addresses.
        '@' if before.is_some_and(|before| before.is_ascii_alphanumeric()) => false,
        '@' => after.is_some_and(|after| after.is_ascii_alphanumeric() || after == '_'),
        '#' => after.is_some_and(|after| after.is_ascii_digit()),
        _ => false,
    }
}
