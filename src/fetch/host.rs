//! What is known of each host in this run: how many downloads it takes at once, whether it asked for a pause, whether
//! it ever answered, and whether it was given up.

use super::Settings;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// All hosts asked in this run.
pub(super) struct Hosts {
    known: Mutex<BTreeMap<String, Arc<Host>>>,
    at_once: usize,
    gentle: Vec<String>,
}

/// Downloads at once from a host that asks to be treated gently.
const GENTLE_AT_ONCE: usize = 2;

/// One host (and port) as this run knows it.
pub(super) struct Host {
    /// Scheme, name and port.
    pub(super) name: String,
    /// Whether it is one of the slow services, whose first answer may take long.
    pub(super) gentle: bool,
    slots: Semaphore,
    useful: AtomicBool,
    pause: Mutex<Option<Instant>>,
    given_up: OnceLock<String>,
    /// Cancelled when the host is given up, so that whoever waits for it stops waiting.
    pub(super) gone: CancellationToken,
}

impl Hosts {
    pub(super) fn new(settings: &Settings) -> Self {
        Hosts { known: Mutex::default(), at_once: settings.at_once.max(1), gentle: settings.gentle.clone() }
    }

    /// The host of `url`.
    pub(super) fn of(&self, url: &reqwest::Url) -> Arc<Host> {
        let name = format!(
            "{}://{}:{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or(0)
        );
        let gentle = url.host_str().is_some_and(|host| self.gentle.iter().any(|gentle| gentle == host));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = known.entry(name.clone()).or_insert_with(|| {
            let slots = if gentle { GENTLE_AT_ONCE.min(self.at_once) } else { self.at_once };
            Arc::new(Host {
                name,
                gentle,
                slots: Semaphore::new(slots),
                useful: AtomicBool::new(url.scheme() == "file"),
                pause: Mutex::default(),
                given_up: OnceLock::new(),
                gone: CancellationToken::new(),
            })
        });
        Arc::clone(host)
    }

    /// Whether any host gave a useful answer in this run.
    pub(super) fn any_useful(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().any(|host| host.useful())
    }
}

impl Host {
    /// Waits for a free slot and the end of a pause; `None` when the host is given up.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        let permit = tokio::select! {
            biased;
            () = self.gone.cancelled() => return None,
            // The semaphore is never closed.
            permit = self.slots.acquire() => permit.ok()?,
        };
        while let Some(wait) = self.paused() {
            tokio::time::sleep(wait).await;
        }
        (!self.gone.is_cancelled()).then_some(permit)
    }

    /// Nobody asks this host again before `wait` has passed.
    pub(super) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = Some(pause.map_or(until, |old| old.max(until)));
    }

    fn paused(&self) -> Option<Duration> {
        let until = (*self.pause.lock().unwrap_or_else(PoisonError::into_inner))?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The host answered in a way that shows it works: bytes, or that it does not have them.
    pub(super) fn answered(&self) {
        self.useful.store(true, Ordering::Relaxed);
    }

    /// Whether the host ever answered usefully.
    pub(super) fn useful(&self) -> bool {
        self.useful.load(Ordering::Relaxed)
    }

    /// No further question to this host in this run, unless it has shown that it works.
    pub(super) fn give_up(&self, cause: &str) {
        if !self.useful() {
            // The first reason stays.
            let _ = self.given_up.set(cause.to_owned());
            self.gone.cancel();
        }
    }

    /// Why the host was given up.
    pub(super) fn reason(&self) -> String {
        self.given_up.get().cloned().unwrap_or_else(|| "was given up".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(hosts: &Hosts, url: &str) -> Arc<Host> {
        hosts.of(&url.parse().unwrap())
    }

    #[test]
    fn one_host_per_name_and_port_and_two_slots_for_gentle_ones() {
        let hosts = Hosts::new(&Settings::default());
        let one = host(&hosts, "http://m.example/a");
        assert!(Arc::ptr_eq(&one, &host(&hosts, "http://m.example:80/b")));
        assert!(!Arc::ptr_eq(&one, &host(&hosts, "http://m.example:81/b")));
        assert_eq!(one.slots.available_permits(), 8);
        assert_eq!(host(&hosts, "https://snapshot.debian.org/archive").slots.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_host_that_answered_is_never_given_up() {
        let hosts = Hosts::new(&Settings::default());
        let (dead, alive) = (host(&hosts, "http://dead.example/"), host(&hosts, "http://alive.example/"));
        alive.answered();
        dead.give_up("does not answer");
        alive.give_up("does not answer");
        assert!(dead.slot().await.is_none());
        assert_eq!(dead.reason(), "does not answer");
        assert!(alive.slot().await.is_some());
        assert!(hosts.any_useful());
    }

    #[tokio::test]
    async fn a_pause_holds_everyone_back() {
        let hosts = Hosts::new(&Settings::default());
        let host = host(&hosts, "http://busy.example/");
        host.pause(Duration::from_millis(150));
        let start = Instant::now();
        assert!(host.slot().await.is_some());
        assert!(start.elapsed() >= Duration::from_millis(150));
    }
}
