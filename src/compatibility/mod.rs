//! Which parts of the stack fit together, and what their users must know: the meaning of
//! `releases/known/compatibility.toml`. The facts are data of the project, not of this program, so that a bundle's own
//! recipe judges and annotates it as it was built. Knows versions and commits, not how a lock came to be.

mod version;

pub use version::{Range, Version};

use crate::component::Component;
use crate::definition::check_format;
use crate::document;
use crate::error::{Error, Kind, Result};
use crate::lock::{Pin, ReleaseLock, SourceLock};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format version of the document.
pub const FORMAT: u32 = 1;

/// Ranges of versions that parts are in.
type Ranges = BTreeMap<Component, Range>;

/// The document. Without one nothing is known, and nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compatibility {
    /// [`FORMAT`].
    pub format: u32,
    /// Lines of host kernels.
    #[serde(default)]
    pub line: Vec<Line>,
    /// What must hold.
    #[serde(default)]
    pub rule: Vec<Rule>,
    /// Commits whose time is known.
    #[serde(default)]
    pub seen: Vec<Seen>,
    /// What to tell.
    #[serde(default)]
    pub note: Vec<Note>,
}

/// A line of host kernels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line {
    /// Its name, as AMD's notes have it.
    pub name: String,
    /// Its kernels.
    #[serde(skip_serializing)]
    pub kernel_host: Range,
    /// How QEMU is told to start a guest.
    pub dialect: String,
    /// Which SEV firmware it wants.
    pub firmware: String,
}

/// What must hold of parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Where these parts are in these ranges,
    #[serde(default)]
    pub when: Ranges,
    /// those must be in these.
    pub needs: Ranges,
    /// The reason.
    pub because: String,
}

/// A commit whose time is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Seen {
    /// Full hash.
    pub commit: String,
    /// What it is.
    pub of: String,
    /// When it was a branch's head.
    pub era: String,
}

/// What to tell of parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Note {
    /// Where these parts are in these ranges.
    pub when: Ranges,
    /// One line.
    pub text: String,
}

/// What is known of a lock's parts together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The line of its host kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
    /// One line each.
    pub notes: Vec<String>,
}

impl Compatibility {
    /// Reads the document; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`], with the line, for what is not understood.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let made: Self = document::parse(name, text)?;
        check_format(name, made.format, FORMAT)?;
        Ok(made)
    }

    /// What is known of a lock's parts; `name` is the release's.
    ///
    /// # Errors
    /// [`Kind::Lock`] with the reason when they do not fit together.
    pub fn judge(&self, name: &str, lock: &ReleaseLock) -> Result<Advice> {
        let parts = main_sources(lock);
        self.check_eras(name, &parts)?;
        let versions: BTreeMap<Component, Version> = parts
            .iter()
            .filter_map(|(component, source)| Some((*component, Version::of_package(&source.version)?)))
            .collect();
        for rule in &self.rule {
            check_rule(name, rule, &versions)?;
        }
        let host = versions.get(&Component::KernelHost);
        let line = self.line.iter().find(|line| host.is_some_and(|host| line.kernel_host.holds(host)));
        let notes = self.note.iter().filter(|note| hold(&note.when, &versions)).map(|note| note.text.clone());
        Ok(Advice { line: line.cloned(), notes: notes.collect() })
    }

    /// Development branches have no versions that tell what belongs together, but some of their commits are known.
    fn check_eras(&self, name: &str, parts: &BTreeMap<Component, &SourceLock>) -> Result<()> {
        let known: Vec<(Component, &Seen)> = parts
            .iter()
            .filter_map(|(component, source)| {
                let Pin::Git { commit, .. } = &source.pin else { return None };
                Some((*component, self.seen.iter().find(|seen| seen.commit == *commit)?))
            })
            .collect();
        if known.iter().map(|(_, seen)| &seen.era).collect::<BTreeSet<_>>().len() < 2 {
            return Ok(());
        }
        let told: Vec<String> =
            known.iter().map(|(component, seen)| format!("{component} of {} ({})", seen.era, seen.of)).collect();
        Err(Error::new(Kind::Lock, lock_name(name), format!("its parts are of different eras: {}", told.join("; ")))
            .remedy(format!(
                "name commits of one time in releases/{name}.toml (`rev`), or `snpforge import-stable-commits` of a \
                 file that does; then `snpforge lock --release {name}`"
            )))
    }
}

/// Each component's main source: the first one in the lock.
fn main_sources(lock: &ReleaseLock) -> BTreeMap<Component, &SourceLock> {
    let mut parts = BTreeMap::new();
    for source in &lock.source {
        parts.entry(source.component).or_insert(source);
    }
    parts
}

/// Whether all of these parts are known and in their ranges.
fn hold(ranges: &Ranges, versions: &BTreeMap<Component, Version>) -> bool {
    ranges.iter().all(|(component, range)| versions.get(component).is_some_and(|version| range.holds(version)))
}

fn check_rule(name: &str, rule: &Rule, versions: &BTreeMap<Component, Version>) -> Result<()> {
    if !hold(&rule.when, versions) {
        return Ok(());
    }
    for (component, range) in &rule.needs {
        let Some(version) = versions.get(component).filter(|version| !range.holds(version)) else { continue };
        let with: Vec<String> = rule
            .when
            .keys()
            .filter_map(|component| Some(format!("{component} {}", versions.get(component)?)))
            .collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
        return Err(Error::new(
            Kind::Lock,
            lock_name(name),
            format!("its parts do not fit together: {component} {version}{with}: {}", rule.because),
        )
        .remedy(format!(
            "choose {component} {range}{} in releases/{name}.toml, then `snpforge lock --release {name}`",
            if with.is_empty() { "" } else { ", or other versions of what it stands beside," }
        )));
    }
    Ok(())
}

fn lock_name(name: &str) -> String {
    format!("releases/{name}.lock")
}

#[cfg(test)]
mod tests;
