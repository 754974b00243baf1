//! What moved between two locks, with what only others know: the commits between, which their repositories tell, and the
//! options that a kernel's sources know. Nobody builds from it: a repository that does not tell is a warning.

use super::{Borders, Lock, kconfig};
use crate::cancel::Cancel;
use crate::difference::{self, Difference, text};
use crate::error::{Kind, Result};
use crate::report::Report;
use crate::source::git::Git;
use serde::Serialize;

/// What moved between two locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// What differs.
    pub difference: Difference,
    /// What the sources of kernels that moved know of configuration options, in lines.
    pub kconfig: Vec<String>,
}

impl Changes {
    /// All of it in lines.
    pub fn lines(&self) -> Vec<String> {
        [text::lines(&self.difference), self.kconfig.clone()].concat()
    }
}

/// What moved from the lock `old` of `name` to `new`.
///
/// # Errors
/// [`Kind::Interrupted`], [`Kind::Io`] when a kernel's source in the store cannot be read.
pub fn changes<L: Lock>(name: &str, old: &L, new: &L, borders: &Borders<'_>) -> Result<Changes> {
    let mut difference = difference::between(&old.side(name), &new.side(name));
    ask(&mut difference, borders.git, borders.report, borders.cancel)?;
    let kconfig = kconfig::moved(&difference, borders.store, borders.project)?;
    Ok(Changes { difference, kconfig })
}

/// Asks what lies between the commits of every git source that moved within its repository.
///
/// # Errors
/// [`Kind::Interrupted`].
pub fn ask(difference: &mut Difference, git: &dyn Git, report: &dyn Report, cancel: &Cancel) -> Result<()> {
    for source in &mut difference.sources {
        let Some((url, old, new)) = source.moved() else { continue };
        match git.between(url, old, new, cancel) {
            Ok(commits) => source.commits = Some(commits),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => report.warn(format!(
                "{} {}: what lies between its commits is not known: {error}",
                source.component, source.folder
            )),
        }
    }
    Ok(())
}
