//! What can go wrong with a repository elsewhere, and what the failures of all places add up to. git tells its reasons to
//! people only; its words choose remedies and whether a second try is worth it, never the outcome.

use crate::error::{Error, Kind};

/// How credentials reach git. They are never part of a URL, which stands in a lock.
pub(super) const CREDENTIALS: &str = "give them to git by GIT_ASKPASS (a program that prints what it is asked for), in \
     ~/.netrc, or by the credential helper that SNPFORGE_GIT_CREDENTIAL_HELPER names; for ssh, by a key";

/// Words of this machine's own trouble with what came: no other place and no second try changes it.
const HERE: [&str; 3] = ["No space left on device", "Disk quota exceeded", "Read-only file system"];

/// Words of a connection that ended too early, or of a server that is busy.
const CUT: [&str; 10] = [
    "early EOF",
    "RPC failed",
    "unexpected disconnect",
    "hung up unexpectedly",
    "Connection reset",
    "Empty reply",
    "transfer closed",
    "unexpected eof",
    "returned error: 429",
    "returned error: 50",
];

/// Words that no second try changes, although a connection ended with them.
const FINAL: [&str; 8] = [
    "corrupt",
    "inflate",
    "bad object",
    "missing blob",
    "not send all necessary",
    "appear to be a git repository",
    "not our ref",
    "unadvertised object",
];

/// Words of a host that cannot be talked to at all.
const SILENT: [&str; 8] = [
    NO_ANSWER,
    "said nothing",
    "Could not resolve",
    "Failed to connect",
    "Couldn't connect",
    "Connection refused",
    "timed out",
    "unable to connect",
];

/// Words of a server that wants to know who asks.
const WHO: [&str; 5] = [
    "could not read Username",
    "could not read Password",
    "Authentication failed",
    "returned error: 401",
    "returned error: 403",
];

/// Instead of words, for a host that says none.
pub(super) const NO_ANSWER: &str = "no answer";

fn any(words: &str, of: &[&str]) -> bool {
    of.iter().any(|one| words.contains(one))
}

/// Whether asking again may help.
pub(super) fn cut(words: &str) -> bool {
    any(words, &CUT) && !any(words, &FINAL) && !here(words)
}

/// Whether this machine cannot keep what came.
pub(super) fn here(words: &str) -> bool {
    any(words, &HERE)
}

/// Whether a place answered that it does not have what was asked for by hash.
pub(super) fn not_there(words: &str) -> bool {
    any(words, &["not our ref", "unadvertised object", "couldn't find remote ref", "bad object"])
}

/// Whether the host cannot be talked to, so that nothing else need be asked of it.
pub(super) fn silent(error: &Error) -> bool {
    error.kind() == Kind::Unavailable && any(error.cause(), &SILENT)
}

/// The error of a repository that cannot be reached, or of this machine that cannot keep what came, with git's own words.
pub(super) fn unavailable(url: &str, words: &str) -> Error {
    if here(words) {
        return Error::new(Kind::Io, format!("copy of {url}"), format!("git cannot write it:\n  {words}"))
            .remedy("free space in the store's file system, or set XDG_CACHE_HOME to another one");
    }
    if any(words, &WHO) {
        let cause = format!("wants credentials: none were given, or those given were refused:\n  {words}");
        return Error::new(Kind::Unavailable, url, cause).remedy(CREDENTIALS);
    }
    if words.contains("dubious ownership") {
        let cause = format!("belongs to another user, whose repositories git does not read:\n  {words}");
        return Error::new(Kind::Unavailable, url, cause)
            .remedy("make a bundle of it (`git bundle create FILE --all`) and name the bundle instead");
    }
    Error::new(Kind::Unavailable, url, format!("git cannot reach the repository:\n  {words}"))
        .remedy("check the url, the network, http_proxy/https_proxy, or ssh keys; or try again")
}

/// One place that was asked in vain.
pub(super) struct Failure {
    pub(super) place: String,
    pub(super) error: Error,
}

/// The error about `object` once every place failed.
pub(super) fn sum(object: &str, mut failures: Vec<Failure>) -> Error {
    if failures.len() < 2 {
        return failures.pop().map_or_else(
            || Error::new(Kind::Unavailable, object, "has no place to be fetched from"),
            |failure| failure.error,
        );
    }
    let gone = failures.iter().all(|failure| failure.error.kind() == Kind::Gone);
    let (kind, cause) = match gone {
        true => (Kind::Gone, "is gone: every place answered, none has it:"),
        false => (Kind::Unavailable, "cannot be had from any place:"),
    };
    let lines: String =
        failures.iter().map(|Failure { place, error }| format!("\n  {place}: {}", error.cause())).collect();
    let mut made = Error::new(kind, object, format!("{cause}{lines}"));
    let mut told: Vec<&str> = Vec::new();
    for remedy in failures.iter().filter_map(|failure| failure.error.remedy_text()) {
        if !told.contains(&remedy) {
            told.push(remedy);
            made = made.also(remedy);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_the_remedy() {
        let error = unavailable("u", "fatal: could not read Username for 'http://h': terminal prompts disabled");
        assert!(error.cause().starts_with("wants credentials"), "{error}");
        for way in ["GIT_ASKPASS", "~/.netrc", "SNPFORGE_GIT_CREDENTIAL_HELPER"] {
            assert!(error.remedy_text().unwrap().contains(way), "{error:?}");
        }
        assert!(unavailable("u", "Host key verification failed.").remedy_text().unwrap().contains("ssh keys"));
        assert!(silent(&unavailable("u", "Failed to connect to h port 1")));
        assert!(!silent(&unavailable("u", "repository not found")));
        let full = unavailable("u", "fatal: write error: No space left on device\nfatal: early EOF");
        assert_eq!((full.kind(), full.object()), (Kind::Io, "copy of u"));
    }

    #[test]
    fn what_is_asked_for_again() {
        assert!(cut("error: RPC failed; curl 18 transfer closed\nfatal: early EOF"));
        assert!(cut("The requested URL returned error: 503"));
        for words in [
            "remote error: upload-pack: not our ref",
            "fatal: pack is corrupted (SHA1 mismatch)\nearly EOF",
            "No space left on device\nearly EOF",
        ] {
            assert!(!cut(words), "{words}");
        }
    }

    #[test]
    fn failures_add_up() {
        let failure =
            |kind, place: &str| Failure { place: place.into(), error: Error::new(kind, "o", "c").remedy("r") };
        let gone = sum("x", vec![failure(Kind::Gone, "a"), failure(Kind::Gone, "b")]);
        assert_eq!((gone.kind(), gone.remedy_text()), (Kind::Gone, Some("r")));
        let mixed = sum("x", vec![failure(Kind::Gone, "a"), failure(Kind::Unavailable, "b")]);
        assert_eq!(mixed.kind(), Kind::Unavailable);
        assert_eq!(mixed.cause(), "cannot be had from any place:\n  a: c\n  b: c");
        assert_eq!(sum("x", vec![failure(Kind::Gone, "a")]).object(), "o");
    }
}
