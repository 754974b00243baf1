//! The files of a Debian binary package, as sources: what it would install, below the source's folder. For tools that
//! are used as they are published; nothing of the package is run, and its control files are not looked at, because the
//! signed index already says what it is.

use super::name::{check_link, shown};
use super::spool::{Node, Spool};
use super::{Made, Promised, Resolved, Workshop, settle};
use crate::cancel::check;
use crate::deb::{self, Deb};
use crate::error::{Error, Result};
use crate::lock::{FileLock, PackageLock, Pin};
use crate::tarball::{Body, Member};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

impl Workshop<'_> {
    pub(super) fn resolve_binary(&self, folder: &str, archive: &str, found: &PackageLock) -> Result<Resolved> {
        let file = FileLock { path: found.path.clone(), size: found.size, sha256: found.sha256 };
        let package = &found.name;
        let pin = Pin::BinaryPackage { archive: archive.into(), package: package.clone(), file: file.clone() };
        let made = self.remembered(folder, &pin, || self.make_binary(folder, archive, package, &file, None))?;
        Ok(Resolved { version: found.version.clone(), epoch: made.epoch, digest: Some(made.digest), pin })
    }

    pub(super) fn make_binary(
        &self,
        folder: &str,
        archive: &str,
        package: &str,
        file: &FileLock,
        promised: Option<Promised>,
    ) -> Result<Made> {
        let name = format!("binary package {package}");
        self.bring(archive, &[file])?;
        let path = self.store.verified(&file.sha256)?;
        let open = File::open(&path).map_err(|error| Error::io(&path, "open", error))?;
        let mut spool = Spool::new(self.store, &name)?;
        let mut tree = Tree { name: &name, nodes: BTreeMap::new(), newest: 0 };
        Deb::open(&name, Box::new(BufReader::new(open)))?.members(&mut |member| {
            check(self.cancel, &name)?;
            tree.take(member, &mut spool)
        })?;
        spool.graft(b"", tree.nodes);
        let epoch = settle(&name, tree.newest, promised)?;
        spool.write(folder, epoch, promised)
    }
}

/// The members of a package so far. What would leave the root, is no file, folder or link, or is there twice, was
/// refused before it came here.
struct Tree<'a> {
    name: &'a str,
    nodes: BTreeMap<Vec<u8>, Node>,
    newest: u64,
}

impl Tree<'_> {
    fn take(&mut self, member: Member<'_>, spool: &mut Spool) -> Result<()> {
        let Member { path, mode, mtime, body } = member;
        self.newest = self.newest.max(mtime);
        let refuse = |cause: String| deb::refused(self.name, format!("member `{}` {cause}", shown(&path)));
        let node = match body {
            Body::Folder if path.is_empty() => return Ok(()),
            Body::Folder => Node::Folder,
            Body::File { content, .. } => {
                let content = spool.keep(content).map_err(|error| deb::failed(self.name, error))?;
                Node::File { content, executable: mode & 0o100 != 0 }
            }
            Body::Symlink(target) => {
                check_link(&path, &target).map_err(|cause| refuse(format!("{cause}: `{}`", shown(&target))))?;
                Node::Link(target)
            }
            Body::HardLink(target) => match self.nodes.get(&target) {
                Some(node) => node.clone(),
                None => return Err(refuse(format!("is a hard link to `{}`, which is not there", shown(&target)))),
            },
        };
        self.nodes.insert(path, node);
        Ok(())
    }
}
