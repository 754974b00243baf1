//! One file over all its places: resume, back-off, comparison, and the next place when one fails.

use super::host::Host;
use super::partial::Partial;
use super::place::{self, Body};
use super::trouble::{Trouble, shown, sum};
use super::{Fetcher, Wanted};
use crate::error::Result;
use reqwest::Url;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// New bytes after which an attempt does not count as fruitless, however it ended.
const FRUIT: u64 = 256 * 1024;

/// Bytes a batch has by now, shared by its downloads.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A download on its way.
struct Download<'a> {
    wanted: &'a Wanted,
    partial: Partial,
    count: &'a Count,
    /// Whether all bytes of the partial file came from the place that is being asked.
    pure: bool,
}

impl Fetcher {
    /// Brings one file into the store.
    pub(super) async fn file(&self, wanted: &Wanted, count: &Count) -> Result<()> {
        let Some(partial) = Partial::open(&self.store, &wanted.sha256).await? else {
            count.add(wanted.size.unwrap_or(0));
            return Ok(());
        };
        count.add(partial.length());
        let mut download = Download { wanted, partial, count, pure: false };
        if download.is_complete() {
            return download.partial.finish().await;
        }
        if wanted.size.is_some_and(|size| download.partial.length() >= size) {
            download.restart()?;
        }
        let mut places = Vec::new();
        // Slow places are asked again when no other has the file.
        let alone = wanted.urls.len() == 1;
        let mut queue: VecDeque<(&String, bool)> = wanted.urls.iter().map(|url| (url, alone)).collect();
        while let Some((url, patient)) = queue.pop_front() {
            match self.ask_place(url, patient, &mut download).await {
                Ok(()) => return download.partial.finish().await,
                Err(Trouble::Slow(_)) if !patient => queue.push_back((url, true)),
                Err(trouble) => {
                    if let Trouble::Lied(cause) = &trouble {
                        self.report.warn(format!("{}: {cause}", shown(url)));
                    }
                    let here = matches!(trouble, Trouble::Here(_));
                    places.push((url.clone(), trouble));
                    if here {
                        break;
                    }
                }
            }
        }
        if places.iter().any(|(_, trouble)| matches!(trouble, Trouble::Lied(_))) {
            // A liar's bytes are nothing to resume from.
            download.restart()?;
        }
        Err(sum(&wanted.name, places))
    }

    /// Asks one place until it brings the file or there is no use in asking it again. A slow one is asked again only
    /// with patience: what came of it is kept, and another place may go on there.
    async fn ask_place(
        &self,
        url: &str,
        patient: bool,
        download: &mut Download<'_>,
    ) -> std::result::Result<(), Trouble> {
        let parsed = parse(url)?;
        let host = self.hosts.of(&parsed);
        download.pure = download.partial.length() == 0;
        let mut fruitless = 0;
        loop {
            let before = download.partial.length();
            let trouble = match self.attempt(&parsed, &host, download).await {
                Ok(()) => return Ok(()),
                Err(Trouble::NoResume) => {
                    download.restart()?;
                    continue;
                }
                Err(trouble) => trouble,
            };
            let (cause, after) = match trouble {
                Trouble::Again(cause, after) => (cause, after),
                Trouble::Slow(cause) if patient => (cause, None),
                other => return Err(other),
            };
            let fruitful = download.partial.length() >= before + FRUIT;
            fruitless = if fruitful { 1 } else { fruitless + 1 };
            self.wait_or_leave(&host, fruitless, cause, after, download.wanted.sha256.bytes()[0]).await?;
        }
    }

    /// Waits before the next attempt; gives the trouble back when there should be none.
    pub(super) async fn wait_or_leave(
        &self,
        host: &Host,
        fruitless: u32,
        cause: String,
        after: Option<Duration>,
        spread: u8,
    ) -> std::result::Result<(), Trouble> {
        let tries = if host.useful() { self.settings.tries } else { self.settings.tries_unknown };
        let doubled = self.settings.backoff.saturating_mul(1 << (fruitless.clamp(1, 16) - 1));
        // Up to a quarter more, so that files that failed together do not ask again together.
        let wait = (doubled + doubled.mul_f32(f32::from(spread) / 1024.0)).min(self.settings.longest_wait);
        let too_long = after.filter(|wait| *wait > self.settings.longest_wait);
        if host.gone.is_cancelled() || fruitless >= tries || too_long.is_some() {
            let cause = match too_long {
                Some(wait) => format!("{cause} and wants to be asked again in {} s only", wait.as_secs()),
                None if fruitless > 1 => format!("{cause} (asked {fruitless} times)"),
                None => cause,
            };
            host.give_up(&cause);
            return Err(Trouble::Again(cause, None));
        }
        match after {
            Some(wait) => host.pause(wait),
            None => tokio::time::sleep(wait).await,
        }
        Ok(())
    }

    /// One request and its body.
    async fn attempt(&self, url: &Url, host: &Host, download: &mut Download<'_>) -> std::result::Result<(), Trouble> {
        let Some(_slot) = host.slot().await else { return Err(Trouble::Refused(host.reason())) };
        let from = download.partial.length();
        let body = place::open(&self.client, &self.settings, host, url, from).await?;
        if body.from != from {
            download.restart()?;
        }
        download.take(body, self.settings.largest).await?;
        if download.is_complete() {
            return Ok(());
        }
        if !download.pure {
            // The beginning came from elsewhere: whose bytes are wrong shows when this place gives them all.
            return Err(Trouble::NoResume);
        }
        let found = download.partial.found();
        download.restart()?;
        Err(Trouble::Lied(format!("has other bytes than promised (sha256 {found}); they were thrown away")))
    }
}

impl Download<'_> {
    fn is_complete(&self) -> bool {
        self.wanted.size.is_none_or(|size| size == self.partial.length()) && self.partial.is_whole()
    }

    fn restart(&mut self) -> Result<()> {
        self.count.back(self.partial.length());
        self.pure = true;
        self.partial.restart()
    }

    /// Writes what comes, and stops at the first byte too many.
    async fn take(&mut self, mut body: Body, largest: u64) -> std::result::Result<(), Trouble> {
        let most = self.wanted.size.unwrap_or(largest);
        let announced = body.announced.map(|bytes| body.from + bytes);
        if let Some(announced) = announced.filter(|announced| *announced > most) {
            return Err(self.too_long(&announced.to_string(), most)?);
        }
        while let Some(bytes) = body.next().await? {
            if self.partial.length() + bytes.len() as u64 > most {
                return Err(self.too_long("more", most)?);
            }
            self.partial.append(&bytes)?;
            self.count.add(bytes.len() as u64);
        }
        let length = self.partial.length();
        match self.wanted.size {
            // Nobody said how much would come: a cut looks the same as an end.
            Some(size) if length < size && announced.is_none() => {
                Err(Trouble::Again(format!("ended after {length} of {size} bytes"), None))
            }
            Some(size) if length < size => {
                Err(Trouble::Lied(format!("has only {length} of {size} bytes; they are kept to go on from elsewhere")))
            }
            _ => Ok(()),
        }
    }

    /// The trouble with a place that gives more than the file has.
    fn too_long(&mut self, found: &str, most: u64) -> Result<Trouble> {
        self.restart()?;
        Ok(Trouble::Lied(match self.wanted.size {
            Some(size) => format!("has {found} bytes instead of {size}"),
            None => format!("has {found} bytes, beyond the limit of {most}"),
        }))
    }
}

/// A URL that the door understands.
pub(super) fn parse(url: &str) -> std::result::Result<Url, Trouble> {
    let parsed = Url::parse(url).map_err(|error| Trouble::Refused(format!("is no URL: {error}")))?;
    match parsed.scheme() {
        "http" | "https" | "file" => Ok(parsed),
        other => Err(Trouble::Refused(format!("`{other}:` is not understood: http, https and file are"))),
    }
}
