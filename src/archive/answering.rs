//! Mirrors that do not answer say nothing about a file: a mirror that is away must not keep a user from what to do about
//! a file that all others have lost.

use super::INRELEASE_LIMIT;
use crate::cancel::{self, Cancel};
use crate::definition;
use crate::error::{Error, Kind, Result};
use crate::fetch::{self, Fetch};

/// What `attempt` gives when it asks the mirrors `bases` of an archive. When a file is lost by some of them and others
/// do not answer, it is asked once more of those that answer: if all of these have lost it, it is gone.
///
/// # Errors
/// What `attempt` fails with; [`Kind::Gone`] names the mirrors that did not answer. [`Kind::Interrupted`].
pub fn from_those_that_answer<T>(
    archive: &definition::Archive,
    bases: &[String],
    fetch: &dyn Fetch,
    cancel: &Cancel,
    attempt: &dyn Fn(&[String]) -> Result<T>,
) -> Result<T> {
    let unavailable = match attempt(bases) {
        Err(error) if error.kind() == Kind::Unavailable => error,
        other => return other,
    };
    let suite = archive.suites.first().map_or("", String::as_str);
    let (answering, silent): (Vec<String>, Vec<String>) =
        bases.iter().cloned().partition(|base| answers(base, suite, fetch, cancel));
    // Who was stopped did not answer either.
    cancel::check(cancel, "download")?;
    if answering.is_empty() || silent.is_empty() {
        return Err(unavailable);
    }
    match attempt(&answering) {
        Err(again) if again.kind() == Kind::Unavailable => Err(unavailable),
        Err(gone) if gone.kind() == Kind::Gone => Err(with_silent(gone, &silent)),
        other => other,
    }
}

/// Whether a mirror answers now when it is asked for a suite, whatever it says about it.
fn answers(base: &str, suite: &str, fetch: &dyn Fetch, cancel: &Cancel) -> bool {
    let url = format!("{}/dists/{suite}/InRelease", base.trim_end_matches('/'));
    fetch.document(&[url], INRELEASE_LIMIT, cancel).map_or_else(|error| error.kind() == Kind::Gone, |_| true)
}

fn with_silent(gone: Error, silent: &[String]) -> Error {
    let silent: Vec<String> = silent.iter().map(|base| fetch::shown(base)).collect();
    gone.adding(format!("\n  not counted, since they do not answer: {}", silent.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Family;
    use crate::fetch::Wanted;
    use std::cell::RefCell;

    /// Mirrors `up...` answer, all others do not; with `stop` the user stops at the first question.
    struct Door {
        stop: bool,
    }

    impl Fetch for Door {
        fn all(&self, _: &[Wanted], _: &Cancel) -> Result<()> {
            Ok(())
        }

        fn document(&self, urls: &[String], _: u64, cancel: &Cancel) -> Result<Vec<u8>> {
            assert!(urls[0].ends_with("/dists/stable/InRelease"), "{urls:?}");
            if self.stop {
                cancel.cancel();
                return Err(Error::new(Kind::Interrupted, "download", "interrupted"));
            }
            let up = urls[0].starts_with("up");
            // That it has no such suite is an answer, too.
            Err(Error::new(if up { Kind::Gone } else { Kind::Unavailable }, &urls[0], "is not here"))
        }
    }

    /// The outcome where the mirrors fail with `all` together and with `again` those that answer; and how many were asked each
    /// time.
    fn outcome(bases: &[&str], all: Kind, again: Option<Kind>, stop: bool) -> (Result<()>, Vec<usize>) {
        let archive = definition::Archive {
            family: Family::Debian,
            suites: vec!["stable".into()],
            components: vec!["main".into()],
            architecture: "amd64".into(),
            keyring: "k".into(),
            signers: Vec::new(),
            mirrors: Vec::new(),
            snapshot: None,
            snapshot_time: None,
        };
        let bases: Vec<String> = bases.iter().map(|base| (*base).to_owned()).collect();
        let asked = RefCell::new(Vec::new());
        let attempt = |bases: &[String]| {
            asked.borrow_mut().push(bases.len());
            let kind = if asked.borrow().len() == 1 { Some(all) } else { again };
            kind.map_or(Ok(()), |kind| Err(Error::new(kind, "file", format!("{kind:?}")).remedy("r")))
        };
        let result = from_those_that_answer(&archive, &bases, &Door { stop }, &Cancel::new(), &attempt);
        (result, asked.into_inner())
    }

    #[test]
    fn lost_by_all_that_answer_is_gone_and_says_who_did_not() {
        let (result, asked) = outcome(&["up1", "down1", "up2", "down2"], Kind::Unavailable, Some(Kind::Gone), false);
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.object(), error.remedy_text()), (Kind::Gone, "file", Some("r")));
        assert_eq!(error.cause(), "Gone\n  not counted, since they do not answer: down1, down2");
        assert_eq!(asked, [4, 2]);
        assert!(outcome(&["up", "down"], Kind::Unavailable, None, false).0.is_ok());
    }

    #[test]
    fn all_else_stays_what_it_was() {
        for (bases, all, again, asked) in [
            (["up", "down"], Kind::Gone, None, &[2][..]),
            (["up", "down"], Kind::Trust, None, &[2]),
            (["up", "up2"], Kind::Unavailable, None, &[2]),
            (["down", "down2"], Kind::Unavailable, None, &[2]),
            (["up", "down"], Kind::Unavailable, Some(Kind::Unavailable), &[2, 1]),
        ] {
            let (result, seen) = outcome(&bases, all, again, false);
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.cause()), (all, format!("{all:?}").as_str()), "{bases:?}");
            assert_eq!(seen, asked, "{bases:?}");
        }
    }

    #[test]
    fn the_wish_to_stop_is_no_silence() {
        let (result, asked) = outcome(&["up", "down"], Kind::Unavailable, Some(Kind::Gone), true);
        assert_eq!((result.unwrap_err().kind(), asked), (Kind::Interrupted, vec![2]));
    }
}
