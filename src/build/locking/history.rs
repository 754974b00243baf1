//! What lies between the commits of sources that moved, as their repositories tell. Nobody builds from it: a repository that
//! does not tell is a warning.

use crate::cancel::Cancel;
use crate::difference::Difference;
use crate::error::{Kind, Result};
use crate::report::Report;
use crate::source::git::Git;

/// Asks for every git source that moved within its repository.
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
