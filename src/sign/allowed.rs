//! Whom a user believes: a list in OpenSSH's `allowed_signers` format (ssh-keygen(1), ALLOWED SIGNERS). The list reaches a
//! host by another way than the release, so nothing in a release can change it.
//!
//! What differs from `ssh-keygen -Y verify`: nobody need be named, and then every line of the key may count; a line that
//! cannot be understood or lists a certificate authority is an error wherever it stands, where ssh-keygen reads only as
//! far as it must; keys other than Ed25519 are read over; times without `Z` are UTC, and the system's zone for
//! ssh-keygen.
//!
//! Within: `line` reads a line, `pattern` matches names.

mod line;
mod pattern;

use super::{Key, NAMESPACE};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use line::Line;
use pattern::listed;

/// An allowed_signers file.
#[derive(Debug)]
pub struct Allowed(Vec<Line>);

impl Allowed {
    /// Reads the file's text; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`] naming the line, or when no line has an Ed25519 key.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        for (at, text) in text.lines().enumerate() {
            let text = text.trim_matches([' ', '\t', '\r']);
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let line = line::read(text).map_err(|cause| {
                Error::new(Kind::Document, format!("{name}:{}", at + 1), cause).remedy(format!(
                    "write `NAME namespaces=\"{NAMESPACE}\" ssh-ed25519 AAAA...`; ssh-keygen(1), ALLOWED SIGNERS, has the format"
                ))
            })?;
            lines.push(Line { number: at + 1, ..line });
        }
        if lines.iter().all(|line| line.key.is_none()) {
            return Err(Error::new(Kind::Document, name, "lists no ssh-ed25519 key, so no signature could be good")
                .remedy(format!("add `NAME namespaces=\"{NAMESPACE}\" ssh-ed25519 AAAA...` with a key you believe")));
        }
        Ok(Allowed(lines))
    }

    /// The principals under which `key` may sign releases at the time `now`; with `identity` only as that name.
    ///
    /// # Errors
    /// Why it may not, as the end of a sentence that begins with the signature.
    pub fn judge(&self, key: &Key, identity: Option<&str>, now: Epoch) -> std::result::Result<&str, String> {
        let mut reason = format!("is by key {key}, which is not listed");
        for line in self.0.iter().filter(|line| line.key.as_ref() == Some(key)) {
            match line.refuses(identity, now) {
                None => return Ok(&line.principals),
                Some(why) => reason = format!("is by key {key}, which line {} {why}", line.number),
            }
        }
        Err(reason)
    }
}

impl Line {
    fn refuses(&self, identity: Option<&str>, now: Epoch) -> Option<String> {
        if let Some(name) = identity.filter(|name| !listed(&self.principals, name)) {
            return Some(format!("lists as {}, not {name}", self.principals));
        }
        if let Some(spaces) = self.namespaces.as_ref().filter(|spaces| !listed(spaces, NAMESPACE)) {
            return Some(format!("allows for the namespaces {spaces}, not {NAMESPACE}"));
        }
        let shown = |time: Epoch| time.rfc3339().unwrap_or_else(|_| time.to_string());
        if let Some(after) = self.after.filter(|after| now < *after) {
            return Some(format!("makes valid only after {}", shown(after)));
        }
        self.before.filter(|before| now > *before).map(|before| format!("makes valid only before {}", shown(before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::PublicKey;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2E=";

    fn judged(text: &str, identity: Option<&str>, now: u64) -> std::result::Result<String, String> {
        let key = Key::of(PublicKey::from_openssh(KEY).unwrap()).unwrap();
        Allowed::parse("F", text).unwrap().judge(&key, identity, Epoch(now)).map(str::to_owned)
    }

    #[test]
    fn a_key_counts_within_its_line_only() {
        let ok = |text: &str| assert!(judged(text, None, 1_000_000_000).is_ok(), "{text}");
        let no = |text: &str, why: &str| {
            let reason = judged(text, None, 1_000_000_000).unwrap_err();
            assert!(reason.contains(why), "{text}: {reason}");
        };
        ok(&format!("# who\n\n  a@b {KEY} comment\r\n"));
        ok(&format!("\"a b\"\tnamespaces=\"git,snp-*\"  {KEY}"));
        ok(&format!("a NAMESPACES=\"snp-release\",valid-after=\"20010909\",valid-before=\"20010910Z\" {KEY}"));
        ok(&format!("a namespaces=\"x\" {KEY}\nb {KEY}"));
        no(&format!("a namespaces=\"git\" {KEY}"), "line 1 allows for the namespaces git");
        no(&format!("a namespaces=\"*,!snp-release\" {KEY}"), "namespaces");
        // 1000000000 is 2001-09-09T01:46:40Z; both ends are included.
        ok(&format!("a valid-after=\"20010909014640Z\" {KEY}"));
        ok(&format!("a valid-before=\"20010909014640Z\" {KEY}"));
        no(&format!("a valid-after=\"20010909014641Z\" {KEY}"), "only after 2001-09-09T01:46:41Z");
        no(&format!("a valid-before=\"200109090146Z\" {KEY}"), "only before 2001-09-09T01:46:00Z");
    }

    #[test]
    fn an_identity_is_matched_as_ssh_does() {
        let text = format!("*@example.org,!eve@*,bo? {KEY}");
        for name in ["a@example.org", "@example.org", "bob"] {
            assert!(judged(&text, Some(name), 0).is_ok(), "{name}");
        }
        for name in ["eve@example.org", "a@example.org.evil", "bobb", "", "BOB"] {
            assert!(judged(&text, Some(name), 0).is_err(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_line() {
        for (text, cause) in [
            ("a".to_owned(), "only one field"),
            (format!("\"a {KEY}"), "quote"),
            (format!("a cert-authority {KEY}"), "cert-authority"),
            (format!("a Cert-Authority,namespaces=\"x\" {KEY}"), "cert-authority"),
            (format!("a no-touch {KEY}"), "unknown option `no-touch`"),
            (format!("a namespaces=x {KEY}"), "unknown option"),
            (format!("a namespaces=\"x\",namespaces=\"y\" {KEY}"), "twice"),
            (format!("a namespaces=\"x\"valid-after=\"20010909\" {KEY}"), "commas"),
            (format!("a namespaces=\"x {KEY}"), "quote"),
            (format!("a valid-after=\"2001-09-09\" {KEY}"), "no time"),
            (format!("a valid-after=\"20011399\" {KEY}"), "no time"),
            (format!("a valid-after=\"20010909\",valid-before=\"20010909\" {KEY}"), "not later"),
            ("a namespaces=\"x\" ".to_owned(), "has no key"),
            ("a ssh-ed25519".to_owned(), "has no key"),
            ("a ssh-ed25519 AAAA".to_owned(), "damaged key"),
            (format!("a namespaces=\"x\" frob {KEY}"), "no kind of key"),
        ] {
            let error = Allowed::parse("F", &format!("# head\n{text}\n")).unwrap_err();
            assert_eq!((error.kind(), error.object()), (Kind::Document, "F:2"), "{text}: {error}");
            assert!(error.cause().contains(cause), "{text}: {error}");
        }
        let error = Allowed::parse("F", &format!("a {RSA}\n")).unwrap_err();
        assert!(error.cause().contains("lists no ssh-ed25519 key"), "{error}");
    }
}
