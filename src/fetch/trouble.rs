//! What can go wrong at one place, and what the failures of all places add up to.

use crate::error::{Error, Kind};
use std::time::Duration;

/// Why one attempt at one place brought nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The place answers that it does not have it: 404 or 410, or no such file.
    Gone(String),
    /// The place has something else: wrong bytes, too few or too many.
    Lied(String),
    /// Asking again will not help: another status, a redirect loop, a URL that cannot be read.
    Refused(String),
    /// Asking again may help, after the time the place asked for, if it did.
    Again(String, Option<Duration>),
    /// Bytes do not come, or too slowly: another place is likely to be faster, and asking again may help.
    Slow(String),
    /// The place cannot go on where the partial file ends: from the start, then.
    NoResume,
    /// The machine that asks cannot keep the bytes: no other place will change that.
    Here(Error),
}

impl Trouble {
    /// The trouble in words.
    pub(super) fn cause(&self) -> String {
        match self {
            Trouble::Gone(cause)
            | Trouble::Lied(cause)
            | Trouble::Refused(cause)
            | Trouble::Slow(cause)
            | Trouble::Again(cause, _) => cause.clone(),
            Trouble::NoResume => "cannot resume".into(),
            Trouble::Here(error) => error.to_string(),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Here(error)
    }
}

/// The error about `object` once every place failed.
pub(super) fn sum(object: &str, places: Vec<(String, Trouble)>) -> Error {
    let mut lines = String::new();
    let mut kind = if places.is_empty() { Kind::Unavailable } else { Kind::Gone };
    for (url, trouble) in places {
        if let Trouble::Here(error) = trouble {
            return error;
        }
        kind = match (&trouble, kind) {
            (Trouble::Lied(_), _) | (_, Kind::Trust) => Kind::Trust,
            (Trouble::Gone(_), kind) => kind,
            _ => Kind::Unavailable,
        };
        lines.push_str(&format!("\n  {}: {}", shown(&url), trouble.cause()));
    }
    let (cause, remedy) = match kind {
        Kind::Gone => (
            "is gone: every place answered, none has it",
            "name a mirror that still has it, or let `snpforge lock --update` choose what there is now",
        ),
        Kind::Trust => (
            "has other bytes than promised wherever it is served",
            "a damaged or hostile mirror does that: name another mirror, in `mirrors` or `urls` of the document, or in \
             SNPFORGE_MIRROR_DEBIAN or SNPFORGE_MIRROR_UBUNTU",
        ),
        _ if lines.is_empty() => ("has no place to be fetched from", "name a mirror for it"),
        _ => (
            "cannot be fetched",
            "check the network and http_proxy/https_proxy, name another mirror, or try again; mirrors stand in `mirrors` or \
             `urls` of the document, and in SNPFORGE_MIRROR_DEBIAN and SNPFORGE_MIRROR_UBUNTU",
        ),
    };
    Error::new(kind, object, format!("{cause}{}{lines}", if lines.is_empty() { "" } else { ":" })).remedy(remedy)
}

/// One error for a batch: the only one as it is, several under the gravest kind.
pub(super) fn all(mut errors: Vec<Error>, wanted: usize) -> Option<Error> {
    /// Enough to see a pattern; the rest is counted.
    const SHOWN: usize = 5;
    if errors.len() < 2 {
        return errors.pop();
    }
    let rank = |kind: Kind| match kind {
        Kind::Io => 4,
        Kind::Trust => 3,
        Kind::Unavailable => 2,
        Kind::Gone => 1,
        _ => 0,
    };
    errors.sort_by_key(|error| std::cmp::Reverse(rank(error.kind())));
    let mut cause = format!("{} of them failed:", errors.len());
    for error in errors.iter().take(SHOWN) {
        cause.push_str(&format!("\n{error}"));
    }
    if errors.len() > SHOWN {
        cause.push_str(&format!("\n(and {} more)", errors.len() - SHOWN));
    }
    let gravest = errors.swap_remove(0);
    let made = Error::new(gravest.kind(), format!("{wanted} files"), cause);
    Some(match gravest.remedy_text() {
        Some(remedy) => made.remedy(remedy),
        None => made,
    })
}

/// A URL without the user name and password it may carry.
pub(crate) fn shown(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            // Both fail only for URLs that cannot have a user, which then have none.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// A foreign error with all its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> Trouble {
        Trouble::Gone("answers 404".into())
    }

    fn again() -> Trouble {
        Trouble::Again("answers 503".into(), None)
    }

    fn lied() -> Trouble {
        Trouble::Lied("wrong".into())
    }

    fn kind_of(troubles: Vec<Trouble>) -> Kind {
        sum("x", troubles.into_iter().map(|trouble| ("http://h/x".into(), trouble)).collect()).kind()
    }

    #[test]
    fn what_failures_add_up_to() {
        assert_eq!(kind_of(vec![]), Kind::Unavailable);
        assert_eq!(kind_of(vec![gone(), gone()]), Kind::Gone);
        assert_eq!(kind_of(vec![gone(), again()]), Kind::Unavailable);
        assert_eq!(kind_of(vec![lied(), again(), gone()]), Kind::Trust);
        assert_eq!(kind_of(vec![gone(), lied()]), Kind::Trust);
        let here = Error::new(Kind::Io, "/store", "is full");
        assert_eq!(kind_of(vec![gone(), Trouble::Here(here)]), Kind::Io);
        let error = sum("x", vec![("http://u:p@h/x".into(), gone()), ("http://i/x".into(), again())]);
        assert_eq!(error.cause(), "cannot be fetched:\n  http://h/x: answers 404\n  http://i/x: answers 503");
    }

    #[test]
    fn a_batch_has_the_gravest_kind_and_counts_the_rest() {
        let gone = || Error::new(Kind::Gone, "a", "is gone").remedy("r");
        let errors = (0..6).map(|_| gone()).chain([Error::new(Kind::Trust, "b", "lies").remedy("s")]).collect();
        let error = all(errors, 9).unwrap();
        assert_eq!((error.kind(), error.object(), error.remedy_text()), (Kind::Trust, "9 files", Some("s")));
        assert!(error.cause().starts_with("7 of them failed:\nb: lies\na: is gone\n"), "{error}");
        assert!(error.cause().ends_with("(and 2 more)"), "{error}");
        assert_eq!(all(vec![gone()], 9).unwrap().object(), "a");
    }
}
