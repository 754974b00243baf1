//! Many files at once, with one line of progress, and the knocking that finds out early which hosts are dead.

use super::file::{Count, parse};
use super::host::Host;
use super::trouble;
use super::{Fetcher, Wanted};
use crate::error::{Error, Result};
use crate::report::{Unit, number_of};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Files that are being worked on at once, over all hosts; each holds a file descriptor.
const OPEN_FILES: usize = 64;
/// Between two reports of progress.
const TICK: Duration = Duration::from_millis(100);

impl Fetcher {
    /// Brings all files that are not in the store.
    pub(super) async fn batch(&self, wanted: &[Wanted]) -> Result<()> {
        let mut seen = BTreeSet::new();
        let missing: Vec<&Wanted> =
            wanted.iter().filter(|file| seen.insert(file.sha256) && !self.store.contains(&file.sha256)).collect();
        let task = match missing.as_slice() {
            [] => return Ok(()),
            [one] => format!("fetch {}", one.name),
            several => format!("fetch {} files", several.len()),
        };
        let total: Option<u64> = missing.iter().map(|file| file.size).sum();
        self.report.begin(&task, total, Unit::Bytes);
        let count = Count::default();
        let urls = missing.iter().flat_map(|file| &file.urls);
        let work = self.while_knocking(urls, self.download(&missing, &count));
        let result = tokio::select! {
            result = work => result,
            never = self.tell(&task, &count) => match never {},
        };
        result?;
        self.report.progress(&task, count.get());
        self.report.end(&task, format!("{} in {}", size(count.get()), number_of(missing.len(), "file")));
        Ok(())
    }

    async fn download(&self, missing: &[&Wanted], count: &Count) -> Result<()> {
        let downloads = missing.iter().map(|file| self.file(file, count));
        let mut running = futures_util::stream::iter(downloads).buffer_unordered(OPEN_FILES);
        let mut errors: Vec<Error> = Vec::new();
        while let Some(result) = running.next().await {
            errors.extend(result.err());
        }
        errors.sort_by(|a, b| a.object().cmp(b.object()));
        trouble::all(errors, missing.len()).map_or(Ok(()), Err)
    }

    async fn tell(&self, task: &str, count: &Count) -> std::convert::Infallible {
        let mut told = 0;
        loop {
            tokio::time::sleep(TICK).await;
            let now = count.get();
            if now != told {
                self.report.progress(task, now);
                told = now;
            }
        }
    }

    /// Does `work` and meanwhile knocks at the hosts of `urls`, so that dead ones are known before it is their turn:
    /// a run where no host answers ends after one time-out, not after one per host.
    pub(super) async fn while_knocking<'a, T>(
        &self,
        urls: impl Iterator<Item = &'a String>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut seen = BTreeSet::new();
        let mut doors = Vec::new();
        for url in urls.filter_map(|url| parse(url).ok()).filter(|url| url.scheme() != "file") {
            let host = self.hosts.of(&url);
            if seen.insert(host.name.clone()) {
                doors.push((host, url));
            }
        }
        // The first is asked by the work itself.
        let knocks = doors.into_iter().enumerate().skip(1).map(|(place, (host, url))| self.knock(place, host, url));
        let mut knocks = futures_util::stream::FuturesUnordered::from_iter(knocks);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(()) = knocks.next() => {}
            }
        }
    }

    async fn knock(&self, place: usize, host: Arc<Host>, url: reqwest::Url) {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        tokio::time::sleep(self.settings.knock.saturating_mul(place)).await;
        if self.hosts.any_useful() || host.gone.is_cancelled() {
            return;
        }
        let Ok(root) = url.join("/") else { return };
        let patience = self.settings.connect * 2;
        if let Ok(Err(error)) = tokio::time::timeout(patience, self.client.head(root).send()).await
            && error.is_connect()
        {
            host.give_up(if error.is_timeout() { "no connection in time" } else { "no connection" });
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!([size(9), size(53_652), size(161_812_345)], ["9 bytes", "53 kB", "161.8 MB"]);
    }
}
