//! One question to one place: from a URL to a stream of bytes, or to the trouble in words. Knows HTTP statuses and
//! `file:` URLs; nothing of digests, retries or other places.

use super::Settings;
use super::host::Host;
use super::trouble::{Trouble, chain};
use crate::date::Epoch;
use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, DATE, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// Bytes read at once from a file of this machine.
const FILE_CHUNK: usize = 256 * 1024;

/// A stream of bytes, from the asked offset or from the start.
pub(super) struct Body {
    source: Source,
    /// Where in the file the stream begins.
    pub(super) from: u64,
    /// Bytes that are announced to come, if they are.
    pub(super) announced: Option<u64>,
    pace: Pace,
}

/// Whether bytes come fast enough to wait for the rest.
struct Pace {
    /// Without a byte until it is a stall, and how long a slow stream is looked at.
    idle: Duration,
    /// Bytes that must come in that time.
    least: u64,
    since: Instant,
    came: u64,
}

enum Source {
    Http(Response),
    File(std::fs::File),
}

/// Asks `url` for its bytes from offset `from` on; a server may give all of them all the same.
pub(super) async fn open(
    client: &reqwest::Client,
    settings: &Settings,
    host: &Host,
    url: &Url,
    from: u64,
) -> Result<Body, Trouble> {
    if url.scheme() == "file" {
        return open_file(url, from, settings);
    }
    let mut request = client.get(url.clone());
    if from > 0 {
        request = request.header(RANGE, format!("bytes={from}-"));
    }
    let patience = if host.useful() || host.gentle { settings.idle } else { settings.first_answer };
    let answer = tokio::select! {
        biased;
        () = host.gone.cancelled() => return Err(Trouble::Refused(host.reason())),
        answer = tokio::time::timeout(patience, request.send()) => answer,
    };
    let response = match answer {
        Err(_) => return Err(silent(host, &format!("does not answer within {} s", patience.as_secs_f32()))),
        Ok(Err(error)) => return Err(unanswered(host, error)),
        Ok(Ok(response)) => response,
    };
    judge(host, &response, from)?;
    let partial = response.status() == StatusCode::PARTIAL_CONTENT;
    let announced = response.content_length();
    Ok(Body {
        from: if partial { from } else { 0 },
        announced,
        source: Source::Http(response),
        pace: Pace::new(settings),
    })
}

/// A host that never answered and does not now is given up: the next file need not wait for it again.
fn silent(host: &Host, cause: &str) -> Trouble {
    host.give_up(cause);
    Trouble::Slow(cause.to_owned())
}

fn unanswered(host: &Host, error: reqwest::Error) -> Trouble {
    let (connect, slow) = (error.is_connect(), error.is_timeout());
    if error.is_redirect() {
        return Trouble::Refused(innermost(&error));
    }
    let distrusted = is_certificate(&error);
    let cause = chain(&error.without_url());
    if distrusted {
        host.give_up("shows a certificate that this machine does not trust");
        return Trouble::Refused(format!("{cause}; trusted are the distribution's ca-certificates, or SSL_CERT_FILE"));
    }
    match (connect, slow) {
        (true, true) => silent(host, "no connection in time"),
        (true, false) => Trouble::Again(format!("no connection: {cause}"), None),
        _ => Trouble::Again(format!("the connection was lost: {cause}"), None),
    }
}

/// What a foreign error is about in the end.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

/// Whether TLS failed for the host's certificate, which asking again does not change.
pub(crate) fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
        return true;
    }
    // An I/O error does not show what it was made of as its source.
    let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    hidden.is_some_and(|inner| is_certificate(inner)) || error.source().is_some_and(is_certificate)
}

/// What the status says.
fn judge(host: &Host, response: &Response, from: u64) -> Result<(), Trouble> {
    let status = response.status();
    let words = format!("answers {}", status.as_u16());
    let busy = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if busy || status.is_server_error() {
        return Err(Trouble::Again(words, retry_after(response.headers())));
    }
    host.answered();
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::PARTIAL_CONTENT if begins_at(response.headers(), from) => Ok(()),
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Err(Trouble::NoResume),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Trouble::Gone(words)),
        _ if status.is_redirection() => Err(Trouble::Refused(unfollowed(response.headers()).unwrap_or(words))),
        _ => Err(Trouble::Refused(words)),
    }
}

/// What a redirect that the client does not even take for one leads to.
fn unfollowed(headers: &HeaderMap) -> Option<String> {
    let place = Url::parse(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    Some(super::client::elsewhere(place.scheme()))
}

/// Whether `Content-Range: bytes FIRST-LAST/ALL` begins where it was asked to (RFC 9110, 14.4).
fn begins_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = range.strip_prefix("bytes ").and_then(|rest| rest.split('-').next());
    from > 0 && first.and_then(|number| number.trim().parse().ok()) == Some(from)
}

/// `Retry-After` in either form (RFC 9110, 10.2.3). A date is compared with the server's own, not with a clock here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
    let value = text(RETRY_AFTER)?;
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = Epoch::parse_rfc2822(value).ok()?;
    let now = Epoch::parse_rfc2822(text(DATE)?).ok()?;
    Some(Duration::from_secs(then.0.saturating_sub(now.0)))
}

fn open_file(url: &Url, from: u64, settings: &Settings) -> Result<Body, Trouble> {
    let path = url.to_file_path().map_err(|()| Trouble::Refused("is no path of this machine".into()))?;
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Gone("no such file".into()),
        _ => Trouble::Refused(format!("cannot be read: {error}")),
    };
    let mut file = std::fs::File::open(&path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(Trouble::Refused("is not a file".into()));
    }
    let from = if from <= found.len() { from } else { 0 };
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    Ok(Body { source: Source::File(file), from, announced: Some(found.len() - from), pace: Pace::new(settings) })
}

impl Pace {
    fn new(settings: &Settings) -> Self {
        let least = settings.lowest_speed.saturating_mul(settings.idle.as_secs());
        Pace { idle: settings.idle, least, since: Instant::now(), came: 0 }
    }

    /// Counts bytes that came. What comes byte by byte never stalls, and never ends either.
    fn take(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.came += bytes as u64;
        let took = self.since.elapsed();
        if took < self.idle {
            return Ok(());
        }
        if self.came < self.least {
            return Err(Trouble::Slow(format!("gave {} bytes in {} s", self.came, took.as_secs())));
        }
        (self.since, self.came) = (Instant::now(), 0);
        Ok(())
    }
}

impl Body {
    /// The next bytes, `None` at the end. An end before what was announced is trouble.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        match &mut self.source {
            Source::Http(response) => match tokio::time::timeout(self.pace.idle, response.chunk()).await {
                Err(_) => Err(Trouble::Slow(format!("stalled for {} s", self.pace.idle.as_secs_f32()))),
                Ok(Err(error)) => {
                    Err(Trouble::Again(format!("the connection was cut: {}", chain(&error.without_url())), None))
                }
                Ok(Ok(bytes)) => {
                    self.pace.take(bytes.as_ref().map_or(0, Bytes::len))?;
                    Ok(bytes)
                }
            },
            Source::File(file) => {
                // A local disk does not make the others wait; the yield lets them, and a stop, come in between.
                tokio::task::yield_now().await;
                let mut buffer = vec![0; FILE_CHUNK];
                let count =
                    file.read(&mut buffer).map_err(|error| Trouble::Refused(format!("cannot be read: {error}")))?;
                buffer.truncate(count);
                Ok(if count == 0 { None } else { Some(buffer.into()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(reqwest::header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn both_forms_of_retry_after() {
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "7")])), Some(Duration::from_secs(7)));
        let dates = [(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT"), (DATE, "Sun, 06 Nov 1994 08:49:30 GMT")];
        assert_eq!(retry_after(&headers(&dates)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "soon")])), None);
    }

    #[test]
    fn a_range_must_begin_where_it_was_asked_to() {
        assert!(begins_at(&headers(&[(CONTENT_RANGE, "bytes 5-9/10")]), 5));
        assert!(!begins_at(&headers(&[(CONTENT_RANGE, "bytes 0-9/10")]), 5));
        assert!(!begins_at(&headers(&[]), 5));
    }
}
