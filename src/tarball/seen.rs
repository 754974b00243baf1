//! What the members of a tar so far leave room for: nothing comes twice where it must not, lies below what is no folder, or
//! links to nothing. Bounded, whatever the tar says.

use super::dialect::Tar;
use super::member::Body;
use super::name::{parents, show};
use crate::error::Result;
use std::collections::HashMap;

/// Members of one tar, and folders that only their paths name; the largest packages in Debian have 60 000.
const MEMBERS_MAX: usize = 1_000_000;
/// Bytes of all their paths.
const PATHS_MAX: usize = 256 << 20;

/// What is known of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Only as the parent of something.
    Parent,
    Folder,
    File,
    Symlink,
}

/// The paths so far.
pub(super) struct Seen {
    paths: HashMap<Vec<u8>, What>,
    /// How many more there may be, and bytes of them.
    left: (usize, usize),
}

impl Seen {
    pub(super) fn new() -> Self {
        Seen { paths: HashMap::new(), left: (MEMBERS_MAX, PATHS_MAX) }
    }

    /// Refuses a member that there is no room for, else remembers it. `raw` is its path as it stands in the tar.
    pub(super) fn note(&mut self, tar: Tar<'_>, raw: &[u8], path: &[u8], body: &Body<'_>) -> Result<()> {
        let what = match body {
            Body::Folder => What::Folder,
            Body::File { .. } => What::File,
            Body::Symlink(_) => What::Symlink,
            Body::HardLink(target) if self.paths.get(target) == Some(&What::File) => What::File,
            Body::HardLink(target) => {
                let cause = format!("hard link to `{}`, no earlier file of the {}", show(target), tar.dialect.whole);
                return tar.refuse(raw, cause);
            }
        };
        if path.is_empty() && what != What::Folder {
            return tar.refuse(raw, "stands in place of the root");
        }
        // What is above a folder is folders only, so the nearest one decides.
        for parent in parents(path) {
            match self.paths.get(parent) {
                Some(What::Folder | What::Parent) => break,
                Some(What::Symlink) => {
                    return tar.refuse(raw, format!("lies below the symbolic link `{}`", show(parent)));
                }
                Some(What::File) => return tar.refuse(raw, format!("lies below the file `{}`", show(parent))),
                None => drop(self.see(tar, raw, parent, What::Parent)?),
            }
        }
        let may_repeat = tar.dialect.may_repeat;
        match self.see(tar, raw, path, what)? {
            None => Ok(()),
            Some(What::Parent) if what == What::Folder => Ok(()),
            Some(What::Folder) if what == What::Folder && may_repeat => Ok(()),
            Some(What::File | What::Symlink) if what != What::Folder && may_repeat => Ok(()),
            Some(_) => tar.refuse(raw, "is there twice"),
        }
    }

    /// Remembers a path; what was known of it.
    fn see(&mut self, tar: Tar<'_>, raw: &[u8], path: &[u8], what: What) -> Result<Option<What>> {
        let earlier = self.paths.insert(path.to_vec(), what);
        if earlier.is_some() {
            return Ok(earlier);
        }
        let (members, bytes) = self.left;
        let members = members
            .checked_sub(1)
            .ok_or_else(|| tar.refused(raw, format!("there are more than {MEMBERS_MAX} members")))?;
        let bytes = bytes
            .checked_sub(path.len())
            .ok_or_else(|| tar.refused(raw, format!("all paths together have more than {PATHS_MAX} bytes")))?;
        self.left = (members, bytes);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;

    #[test]
    fn folders_that_are_only_parents_count() {
        let note = |may_repeat, left, paths: &[&str]| {
            let dialect = Dialect {
                whole: "whole",
                remedy: "leave it",
                has_pax: false,
                may_repeat,
                parts_max: usize::MAX,
                is_known: false,
            };
            let tar = Tar { name: "it", dialect: &dialect };
            let mut seen = Seen { paths: HashMap::new(), left };
            let mut noted = paths.iter().map(|path| path.as_bytes());
            let failed = noted.find_map(|path| seen.note(tar, path, path, &Body::Symlink(vec![b'x'])).err());
            failed.map(|error| error.cause().to_owned())
        };
        let paths = ["a/b/c", "a/b/d"];
        assert_eq!(note(true, (4, 1 + 3 + 5 + 5), &paths), None);
        let cause = note(true, (3, 100), &paths).unwrap();
        assert_eq!(cause, "member `a/b/d`: there are more than 1000000 members");
        let cause = note(false, (100, 13), &paths).unwrap();
        assert_eq!(cause, "member `a/b/d`: all paths together have more than 268435456 bytes");
        assert_eq!(note(true, (1, 1), &["a", "a"]), None);
        assert_eq!(note(false, (9, 9), &["a", "a"]).unwrap(), "member `a`: is there twice");
        let cause = note(true, (9, 99), &["a/b", "a/b/c/d/e"]).unwrap();
        assert_eq!(cause, "member `a/b/c/d/e`: lies below the symbolic link `a/b`");
    }
}
