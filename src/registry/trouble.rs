//! What can go wrong at a registry: what the library's errors mean, whether asking again may help, and the words for users.
//! Knows nothing of what was asked.

use super::object;
use crate::error::{Error, Kind};
use crate::fetch::{chain, is_certificate};
use crate::reference::Reference;
use oci_client::errors::{OciDistributionError, OciErrorCode};

/// What went wrong, and whether asking again may help.
pub(super) struct Trouble {
    pub(super) error: Error,
    pub(super) again: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble { error, again: false }
    }
}

/// What the trouble is with.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) image: &'a Reference,
    /// Whether nobody in particular asks.
    pub(super) is_anonymous: bool,
}

impl About<'_> {
    /// What the library's error means.
    pub(super) fn trouble(&self, error: OciDistributionError) -> Trouble {
        let registry = self.image.registry();
        let settled = |error| Trouble { error, again: false };
        match error {
            OciDistributionError::RegistryError { envelope, .. } => {
                let codes = || envelope.errors.iter().map(|error| &error.code);
                let gone = |code: &OciErrorCode| {
                    matches!(
                        code,
                        OciErrorCode::ManifestUnknown
                            | OciErrorCode::BlobUnknown
                            | OciErrorCode::NameUnknown
                            | OciErrorCode::NotFound
                    )
                };
                let denied = |code: &OciErrorCode| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied);
                let words: Vec<&str> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
                let again = codes().any(|code| matches!(code, OciErrorCode::Toomanyrequests));
                let words = words.join(", ");
                if codes().any(gone) {
                    return settled(self.gone(&words));
                }
                if codes().any(denied) {
                    return settled(self.denied(&words));
                }
                Trouble { error: self.unavailable(&format!("answers: {words}")), again }
            }
            OciDistributionError::ServerError { code: 404 | 410, .. } => settled(self.gone("answers 404")),
            OciDistributionError::ServerError { code: 401 | 403, .. }
            | OciDistributionError::UnauthorizedError { .. } => settled(self.denied("answers 401")),
            OciDistributionError::AuthenticationFailure(_) => settled(self.denied("gives no token")),
            OciDistributionError::ServerError { code, .. } => {
                let again = code >= 500 || code == 429 || code == 408;
                Trouble { error: self.unavailable(&format!("answers {code}")), again }
            }
            OciDistributionError::DigestError(error) => settled(self.lied(error.to_string())),
            OciDistributionError::RequestError(error) => self.unanswered(error),
            other => settled(self.unavailable(&format!("{registry} cannot be understood: {}", chain(&other)))),
        }
    }

    /// A question without an answer. What no patience changes is not asked again.
    fn unanswered(&self, error: reqwest::Error) -> Trouble {
        let distrusted = is_certificate(&error);
        let silent = error.is_connect() && error.is_timeout();
        let again = !(distrusted || silent || error.is_builder() || error.is_redirect());
        let mut error = self.unavailable(&chain(&error.without_url()));
        if distrusted {
            error = error.adding("; trusted are the distribution's ca-certificates, or SSL_CERT_FILE");
        }
        Trouble { error, again }
    }

    fn gone(&self, words: &str) -> Error {
        let cause = format!("is gone: the registry {} does not have it ({words})", self.image.registry());
        Error::new(Kind::Gone, object(self.image), cause)
            .remedy("write the digest of an image that the registry has in base.image, or push this one there again")
    }

    fn denied(&self, words: &str) -> Error {
        let who = if self.is_anonymous { "anonymously, which" } else { "with the credentials of config.json, which" };
        let cause = format!("the registry {} was asked {who} it refuses ({words})", self.image.registry());
        Error::new(Kind::Unavailable, object(self.image), cause).remedy(format!(
            "check the name; `docker login {}` without a credential helper writes what is read under `auths` of \
             ~/.docker/config.json or $DOCKER_CONFIG/config.json",
            self.image.registry()
        ))
    }

    pub(super) fn unavailable(&self, cause: &str) -> Error {
        let cause = format!("cannot be fetched from the registry {}: {cause}", self.image.registry());
        Error::new(Kind::Unavailable, object(self.image), cause)
            .remedy("check the network and http_proxy/https_proxy, or try again")
    }

    pub(super) fn lied(&self, what: String) -> Error {
        let cause = format!("the registry {} gives something else than was asked for: {what}", self.image.registry());
        Error::new(Kind::Trust, object(self.image), cause)
            .remedy("a damaged or hostile registry or proxy does that: name another registry")
    }
}
