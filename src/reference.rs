//! The name of an image in a registry, as a person writes it: `HOST[:PORT]/REPOSITORY[:TAG]@sha256:DIGEST`. Only the digest
//! says which image is meant; a tag beside it is for people. Knows no registry.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A reference with a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    text: String,
    registry: String,
    repository: String,
    digest: Digest,
}

/// Characters of the longest repository name (OCI distribution specification).
const NAME_MAX: usize = 255;

impl Reference {
    /// The registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Digest of the manifest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The same name with another manifest's digest, to be written in its place.
    pub fn with(&self, digest: &Digest) -> String {
        let name = self.text.rsplit_once('@').map_or(self.text.as_str(), |(name, _)| name);
        format!("{name}@{}", digest.oci())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |cause: &str| {
            Error::new(Kind::Document, format!("image `{text}`"), cause)
                .remedy("write it as docker.io/library/ubuntu@sha256:DIGEST, with the digest of a platform's manifest")
        };
        let (name, digest) = text.split_once('@').ok_or_else(|| wrong("has no digest"))?;
        let digest = digest.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
        let digest = digest.and_then(|digits| digits.parse().ok()).ok_or_else(|| wrong("its digest is no SHA-256"))?;
        let (registry, rest) = name.split_once('/').ok_or_else(|| wrong("does not name its registry"))?;
        if !is_host(registry) {
            return Err(wrong("does not name its registry"));
        }
        let (repository, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
        if repository.len() > NAME_MAX || !repository.split('/').all(is_part) {
            return Err(wrong("its repository's name is none"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag is none"));
        }
        Ok(Reference {
            text: text.to_owned(),
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            digest,
        })
    }
}

/// A host is told from the first part of a name as Docker does it: by a dot, a port, or being `localhost`.
fn is_host(text: &str) -> bool {
    let known = text == "localhost" || text.contains(['.', ':']);
    let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !text.ends_with([':', '.', '-']);
    known && ends && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(outer) && text.ends_with(outer) && text.bytes().all(inner)
}

fn is_tag(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(good) && !text.starts_with(['.', '-'])
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Reference {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse().map_err(|error: Error| match error.remedy_text() {
            Some(remedy) => format!("{error}: {remedy}"),
            None => error.to_string(),
        })
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:281c5745f657873d78e5531fc5ba8575f46ab7769b94550ac99543f122679986";

    #[test]
    fn names_of_registries_repositories_and_tags() {
        for (name, registry, repository) in [
            ("docker.io/library/ubuntu", "docker.io", "library/ubuntu"),
            ("docker.io/library/ubuntu:22.04", "docker.io", "library/ubuntu"),
            ("localhost/a", "localhost", "a"),
            ("127.0.0.1:5000/a/b-c.d:x", "127.0.0.1:5000", "a/b-c.d"),
            ("[::1]:5000/a", "[::1]:5000", "a"),
        ] {
            let text = format!("{name}@{DIGEST}");
            let reference: Reference = text.parse().unwrap();
            assert_eq!((reference.registry(), reference.repository()), (registry, repository));
            assert_eq!((reference.digest().oci(), reference.to_string()), (DIGEST.into(), text));
        }
        let other = Digest::of(b"");
        let reference: Reference = format!("h.example/a:t@{DIGEST}").parse().unwrap();
        assert_eq!(reference.with(&other), format!("h.example/a:t@{}", other.oci()));
    }

    #[test]
    fn what_is_no_reference_is_told_how_to_write_one() {
        for (text, cause) in [
            ("docker.io/library/ubuntu:22.04".to_owned(), "has no digest"),
            (format!("ubuntu@{DIGEST}"), "does not name its registry"),
            (format!("library/ubuntu@{DIGEST}"), "does not name its registry"),
            (format!("h.example/UBUNTU@{DIGEST}"), "repository"),
            (format!("h.example/../x@{DIGEST}"), "repository"),
            (format!("h.example/a//b@{DIGEST}"), "repository"),
            (format!("h.example/a:@{DIGEST}"), "tag"),
            (format!("h.example/a?b@{DIGEST}"), "repository"),
            (format!("u@h.example/a@{DIGEST}"), "SHA-256"),
            ("h.example/a@sha256:281c".to_owned(), "SHA-256"),
            (format!("h.example/a@{DIGEST}0"), "SHA-256"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.cause().contains(cause) && error.remedy_text().is_some(), "{text}: {error}");
        }
    }
}
