//! The door to registries over HTTP: what the store has is not asked for, what comes goes there, and it is told how far it
//! has come. Knows neither the protocol nor the library that speaks it.

use super::desk::Desk;
use super::{Registry, Wanted};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::fetch::Settings;
use crate::reference::Reference;
use crate::report::{Report, Unit, number_of};
use crate::store::Store;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// The door. Works on a multi-threaded runtime; its calls block, so they must come from threads that are not the
/// runtime's own.
pub struct Client {
    runtime: tokio::runtime::Handle,
    store: Store,
    report: Arc<dyn Report>,
    settings: Settings,
    environment: Environment,
}

impl Client {
    /// A door whose proxies, trust roots and waiting times are those of `settings`, and whose credentials come from the
    /// files that `environment` names.
    pub fn new(
        runtime: tokio::runtime::Handle,
        store: Store,
        report: Arc<dyn Report>,
        settings: Settings,
        environment: Environment,
    ) -> Self {
        Client { runtime, store, report, settings, environment }
    }

    /// Runs `work` to its end or until the user stops it; what was written of a blob goes with it.
    fn until_cancelled<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "registry", "interrupted")),
                result = work => result,
            }
        })
    }
}

impl Registry for Client {
    fn manifest(&self, image: &Reference, cancel: &Cancel) -> Result<Vec<u8>> {
        if self.store.contains(&image.digest()) {
            return self.store.read(&image.digest());
        }
        let desk = Desk::new(image, &self.settings, &self.environment)?;
        let bytes = self.until_cancelled(cancel, async {
            desk.knock().await?;
            desk.manifest().await
        })?;
        self.store.put(&bytes)?;
        Ok(bytes)
    }

    fn blobs(&self, image: &Reference, wanted: &[Wanted], cancel: &Cancel) -> Result<()> {
        let mut missing: BTreeMap<Digest, &Wanted> = BTreeMap::new();
        for blob in wanted {
            if super::is_there(image, blob, &self.store)? {
                continue;
            }
            missing.insert(blob.sha256, blob);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let task = format!("fetch {} of {}/{}", number_of(missing.len(), "blob"), image.registry(), image.repository());
        self.report.begin(&task, Some(missing.values().map(|blob| blob.size).sum()), Unit::Bytes);
        let desk = Desk::new(image, &self.settings, &self.environment)?;
        let mut done = 0;
        self.until_cancelled(cancel, async {
            desk.knock().await?;
            for blob in missing.into_values() {
                let tell = |so_far| self.report.progress(&task, done + so_far);
                desk.blob(blob, &self.store, &tell).await?;
                done += blob.size;
            }
            Ok(())
        })?;
        self.report.progress(&task, done);
        self.report.end(&task, format!("{done} bytes"));
        Ok(())
    }
}
