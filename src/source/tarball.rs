//! Release tarballs by URL and digest.

use super::members;
use super::spool::Spool;
use super::{Made, Promised, Resolved, Workshop, settle};
use crate::digest::Digest;
use crate::error::Result;
use crate::fetch::Wanted;
use crate::lock::Pin;

impl Workshop<'_> {
    pub(super) fn resolve_tarball(
        &self,
        folder: &str,
        urls: &[String],
        sha256: &Digest,
        version: &str,
    ) -> Result<Resolved> {
        let pin = Pin::Tarball { urls: urls.to_vec(), sha256: *sha256 };
        let made = self.remembered(folder, &pin, || self.make_tarball(folder, urls, sha256, None))?;
        Ok(Resolved { version: version.to_owned(), epoch: made.epoch, digest: Some(made.digest), pin })
    }

    pub(super) fn make_tarball(
        &self,
        folder: &str,
        urls: &[String],
        sha256: &Digest,
        promised: Option<Promised>,
    ) -> Result<Made> {
        let name = urls.first().and_then(|url| url.rsplit('/').next()).unwrap_or(folder).to_owned();
        let wanted = Wanted { name: name.clone(), urls: urls.to_vec(), sha256: *sha256, size: None };
        self.fetch.all(&[wanted], self.cancel)?;
        let mut spool = Spool::new(self.store, &name)?;
        let read = members::read(&self.store.verified(sha256)?, &name, &mut spool, self.cancel)?;
        let newest = read.newest;
        spool.graft(b"", read.without_top().check_links(&name)?.nodes);
        let epoch = settle(&name, newest, promised)?;
        spool.write(folder, epoch, promised)
    }
}
