//! How much the door may ask of others and how long it waits. Proxies and trust roots come from the environment that
//! is handed in; the process environment is never looked at here.

use crate::environment::Environment;
use std::path::PathBuf;
use std::time::Duration;

/// Limits and waiting times of a [`super::Fetcher`], its proxies and its trust roots.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Downloads at once from one host.
    pub at_once: usize,
    /// Host names that allow only two at once: snapshot services refuse more.
    pub gentle: Vec<String>,
    /// For a connection to stand, name look-up and TLS included.
    pub connect: Duration,
    /// For the first answer of a host that never answered in this run; later [`Settings::idle`] counts.
    pub first_answer: Duration,
    /// Without a byte until a connection is cut and made anew.
    pub idle: Duration,
    /// Bytes a second that must come over the time of [`Settings::idle`]; a slower connection counts as stalled.
    pub lowest_speed: u64,
    /// Fruitless attempts at one file from a host that has answered before.
    pub tries: u32,
    /// Fruitless attempts at a host that never gave a useful answer, before it is given up for this run.
    pub tries_unknown: u32,
    /// Before the second attempt; doubled before each further one.
    pub backoff: Duration,
    /// The longest wait between two attempts; a host that asks for more (Retry-After) counts as failed.
    pub longest_wait: Duration,
    /// Between the starts of two knocks at the next hosts while the first does not answer.
    pub knock: Duration,
    /// Bytes of a file whose size is not known beforehand.
    pub largest: u64,
    /// Proxy for http URLs.
    pub http_proxy: Option<String>,
    /// Proxy for https URLs.
    pub https_proxy: Option<String>,
    /// Comma-separated hosts that no proxy is used for.
    pub no_proxy: Option<String>,
    /// Certificates in one PEM file, instead of the distribution's.
    pub cert_file: Option<PathBuf>,
    /// Folder of certificates in PEM files, instead of the distribution's.
    pub cert_dir: Option<PathBuf>,
}

impl Default for Settings {
    /// What suits public mirrors: all hosts dead is known within 10 seconds (five for a connection and one more per
    /// further host), and nothing is asked more than eight times at once.
    fn default() -> Self {
        Settings {
            at_once: 8,
            gentle: vec!["snapshot.debian.org".into(), "snapshot.ubuntu.com".into()],
            connect: Duration::from_secs(5),
            first_answer: Duration::from_secs(8),
            idle: Duration::from_secs(30),
            lowest_speed: 1000,
            tries: 6,
            tries_unknown: 3,
            backoff: Duration::from_millis(400),
            longest_wait: Duration::from_secs(60),
            knock: Duration::from_secs(1),
            largest: 16 << 30,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
            cert_file: None,
            cert_dir: None,
        }
    }
}

impl Settings {
    /// The defaults with the proxies (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`; upper case too, except
    /// HTTP_PROXY, which a CGI request can set) and trust roots (`SSL_CERT_FILE`, `SSL_CERT_DIR`) of `environment`.
    pub fn from_environment(environment: &Environment) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| environment.get(name)).map(str::to_owned);
        Settings {
            http_proxy: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https_proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"]),
            cert_file: first(&["SSL_CERT_FILE"]).map(PathBuf::from),
            cert_dir: first(&["SSL_CERT_DIR"]).map(PathBuf::from),
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_roots_come_from_the_argument() {
        let environment = Environment::from_iter([
            ("HTTP_PROXY", "http://ignored:1"),
            ("HTTPS_PROXY", "http://a:1"),
            ("all_proxy", "http://b:2"),
            ("NO_PROXY", "localhost"),
            ("SSL_CERT_FILE", "/x.pem"),
        ]);
        let settings = Settings::from_environment(&environment);
        assert_eq!(settings.http_proxy.as_deref(), Some("http://b:2"));
        assert_eq!(settings.https_proxy.as_deref(), Some("http://a:1"));
        assert_eq!(settings.no_proxy.as_deref(), Some("localhost"));
        assert_eq!(settings.cert_file, Some(PathBuf::from("/x.pem")));
        assert_eq!(settings.cert_dir, None);
    }
}
