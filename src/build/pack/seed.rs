//! What users of AMD's build scripts (AMDSEV) look for in a release: `source-commit.*`, one line each, and
//! `source-config`, which a shell can source, with the names of their `stable-commits` file.

use super::members::Part;
use crate::build::plan::Plan;
use crate::build::plan::parameters::source_id;
use crate::error::Result;
use crate::lock::{Pin, SourceLock};
use crate::release::stable_commits;
use crate::shell::quoted;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The files by name.
///
/// # Errors
/// [`crate::error::Kind::Lock`] for a pin that holds no whole commit.
pub fn files(plan: &Plan, parts: &[Part<'_>]) -> Result<BTreeMap<String, String>> {
    let mut made = BTreeMap::new();
    let mut config = String::from("# What this release was built from, in the words of AMDSEV's stable-commits.\n");
    let mut kernels = Vec::new();
    for line in comments(plan) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(config, "# {line}");
    }
    for part in parts {
        let task = part.artifacts.task;
        let Some(source) = task.sources.first() else { continue };
        let (url, branch) = stable_commits::variables(task.component);
        if let Some(digest) = task.inputs.sources.get(&source.folder) {
            let name = task.component.name().replace('-', ".");
            made.insert(format!("source-commit.{name}"), format!("{}\n", source_id(source, digest)?));
        }
        let (from, what) = origin(source);
        if task.component.role().is_some() {
            kernels.push(from.clone());
        }
        let _infallible = write!(config, "\n{url}={}\n{branch}={}\n", quoted(&from), quoted(&what));
    }
    if let Some(url) = shared(&kernels) {
        let _infallible = write!(config, "\nKERNEL_GIT_URL={}\n", quoted(url));
    }
    made.insert("source-config".into(), config);
    Ok(made)
}

/// What the user must know, one line each.
fn comments(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(preview) = &plan.preview {
        lines.extend([format!("PREVIEW: {}", preview.warning), format!("Tracker: {}", preview.tracker)]);
    }
    if let Some(line) = &plan.advice.line {
        lines.push(format!("Line {}: launch dialect {}", line.name, line.dialect));
        lines.push(format!("SEV firmware {}", line.firmware));
    }
    lines.extend(plan.advice.notes.iter().map(|note| format!("Note: {note}")));
    lines
}

/// The one place that both kernels come from: AMDSEV has one variable for it.
fn shared(kernels: &[String]) -> Option<&str> {
    match kernels {
        [host, guest] if host == guest => Some(host),
        _ => None,
    }
}

/// Where a source comes from and which state of it was taken.
fn origin(source: &SourceLock) -> (String, String) {
    match &source.pin {
        Pin::Git { url, commit, .. } => (url.clone(), commit.clone()),
        Pin::Tarball { urls, sha256 } => (urls.first().cloned().unwrap_or_default(), format!("sha256:{sha256}")),
        Pin::Debian { archive, package, .. } | Pin::BinaryPackage { archive, package, .. } => {
            (format!("{archive}:{package}"), source.version.clone())
        }
        Pin::Path { path } => (path.clone(), "UNPINNED".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_of_both_kernels_has_the_seeds_name() {
        let urls = |urls: &[&str]| -> Vec<String> { urls.iter().map(|url| (*url).to_owned()).collect() };
        assert_eq!(shared(&urls(&["https://h/linux", "https://h/linux"])), Some("https://h/linux"));
        assert_eq!(shared(&urls(&["https://h/linux", "https://h/other"])), None);
        assert_eq!(shared(&urls(&["https://h/linux"])), None, "one kernel is not both");
    }
}
