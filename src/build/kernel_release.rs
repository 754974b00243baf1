//! The release of a kernel, as its own build said it: untrusted text until it was looked at here, for names of files and
//! folders are made of it.

use super::cache::Artifact;
use super::plan::{Form, Task};
use crate::error::{Error, Result};
use crate::store::Store;

/// The variable that holds the local version which the plan gave to the kernel.
const LOCALVERSION: &str = "KERNEL_LOCALVERSION";

/// What `uname -r` will print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRelease {
    /// All of it.
    pub whole: String,
    /// The part before the local version: the kernel's own version.
    pub version: String,
}

impl KernelRelease {
    /// As rpm has it in a version: hyphens are not allowed there.
    pub fn rpm(&self) -> String {
        self.whole.replace('-', "_")
    }

    /// Puts the release's forms into a name.
    pub fn fill(&self, name: &str) -> String {
        name.replace("{release}", &self.whole).replace("{version}", &self.version).replace("{rpm}", &self.rpm())
    }

    fn parse(text: &str, localversion: &str) -> std::result::Result<Self, String> {
        let whole = text.strip_suffix('\n').unwrap_or(text);
        let version = whole
            .strip_suffix(localversion)
            .ok_or_else(|| format!("says `{}`, which does not end with `{localversion}`", whole.escape_debug()))?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if !version.starts_with(|c: char| c.is_ascii_digit()) || !version.bytes().all(good) {
            return Err(format!("says `{}`, which is no version of a kernel", whole.escape_debug()));
        }
        Ok(KernelRelease { whole: whole.to_owned(), version: version.to_owned() })
    }
}

/// The release among a task's artifacts; none for a component that is no kernel. `unfit` makes the error for text that is
/// not what the plan asked for: only the caller knows who wrote it.
///
/// # Errors
/// As [`read`].
pub fn of(
    task: &Task,
    artifacts: &[Artifact],
    store: &Store,
    unfit: &dyn Fn(String) -> Error,
) -> Result<Option<KernelRelease>> {
    let Some(path) = task.expected.iter().find(|one| one.form == Form::Release).map(|one| &one.path) else {
        return Ok(None);
    };
    let artifact = artifacts.iter().find(|artifact| &artifact.path == path);
    let artifact = artifact.ok_or_else(|| unfit(format!("`{path}` is missing")))?;
    read(task, artifact, store, unfit).map(Some)
}

/// Reads the file that holds the release.
///
/// # Errors
/// [`crate::error::Kind::Trust`] when the blob was damaged, [`crate::error::Kind::Io`], and what `unfit` makes of text that
/// is not what the plan asked for.
pub fn read(task: &Task, artifact: &Artifact, store: &Store, unfit: &dyn Fn(String) -> Error) -> Result<KernelRelease> {
    let text = String::from_utf8(store.read(&artifact.sha256)?).map_err(|_| unfit("is no text".to_owned()))?;
    KernelRelease::parse(&text, task.inputs.environment.get(LOCALVERSION).map_or("", String::as_str)).map_err(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_files_only_if_it_is_one() {
        let local = "-snp-host-0123456789ab-01234567";
        let good = KernelRelease::parse("6.12.107-snp-host-0123456789ab-01234567\n", local).unwrap();
        assert_eq!(good.version, "6.12.107");
        assert_eq!(good.fill("kernel-{rpm}-1.rpm"), "kernel-6.12.107_snp_host_0123456789ab_01234567-1.rpm");
        for bad in ["", "6.12", "../6.12", "6.12/x", "x6.12", "6 12", "6.12\n"] {
            assert!(KernelRelease::parse(&format!("{bad}{local}"), local).is_err() || bad == "6.12", "{bad}");
            assert!(KernelRelease::parse(bad, local).is_err(), "{bad}");
        }
    }
}
