//! `--install PATH`: the products' usr/local tree copied to a folder, as AMD's build script does it.

use super::members::Members;
use crate::build::Borders;
use crate::error::Result;
use crate::store::files;
use std::path::Path;

/// Where products keep what is installed so.
const TREE: &str = "usr/local/";

/// Copies every file below usr/local to `folder`, whole or not at all each; a file of the same name is replaced.
///
/// # Errors
/// [`crate::error::Kind::Trust`] for a damaged blob, [`crate::error::Kind::Io`].
pub fn copy(members: &Members, borders: &Borders<'_>, folder: &Path) -> Result<()> {
    let mut count = 0;
    for (path, member) in members {
        let Some(inner) = path.strip_prefix(TREE) else { continue };
        files::copy_with_mode(&borders.store.verified(&member.sha256)?, &folder.join(inner), member.mode)?;
        count += 1;
    }
    borders.report.say(format!("{count} files installed in {}", folder.display()));
    Ok(())
}
