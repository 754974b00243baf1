//! Whom a user believes: OpenSSH's `allowed_signers` format (ssh-keygen(1), ALLOWED SIGNERS), read as ssh-keygen reads
//! it. The list reaches a host by another way than the release, so nothing in a release can change it.
//!
//! Two differences, both on the safe side: certificate authorities are refused, and any line that cannot be understood
//! is an error and not only the lines before it count. Times without `Z` are UTC here and local time for ssh-keygen.

use super::{Key, NAMESPACE};
use crate::date::Epoch;
use crate::error::{Error, Kind, Result};
use ssh_key::PublicKey;

/// The words an option may be.
const AUTHORITY: &str = "cert-authority";

/// An allowed_signers file.
#[derive(Debug)]
pub struct Allowed(Vec<Line>);

/// One line. Keys that cannot be judged here (RSA, ECDSA, hardware keys) are read over.
#[derive(Debug, Default)]
struct Line {
    number: usize,
    principals: String,
    namespaces: Option<String>,
    after: Option<Epoch>,
    before: Option<Epoch>,
    key: Option<Key>,
}

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
            let line = line(text).map_err(|cause| {
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

/// `principals [options] type key [comment]`.
fn line(text: &str) -> std::result::Result<Line, String> {
    let (principals, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
        None => text.split_once([' ', '\t']).ok_or("has only one field")?,
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    if principals.is_empty() {
        return Err("names nobody".into());
    }
    let mut line = Line { principals: principals.to_owned(), ..Line::default() };
    let first = rest.split([' ', '\t']).next().unwrap_or_default();
    let keyed = if is_key_type(first) {
        rest
    } else {
        let end = options_end(rest)?;
        options(&rest[..end], &mut line)?;
        rest[end..].trim_start_matches([' ', '\t'])
    };
    line.key = key(keyed)?;
    Ok(line)
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-"].iter().any(|start| word.starts_with(start))
}

/// Where the options end: at the first blank outside of quotes.
fn options_end(text: &str) -> std::result::Result<usize, String> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text[at + 1..].starts_with('"') => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'\t' if !quoted => return Ok(at),
            _ => {}
        }
    }
    Err(if quoted { "a quote is not closed" } else { "has no key" }.into())
}

fn options(mut text: &str, line: &mut Line) -> std::result::Result<(), String> {
    loop {
        let end = text.find([',', '=']).unwrap_or(text.len());
        let (name, mut rest) = (text[..end].to_ascii_lowercase(), &text[end..]);
        if name == AUTHORITY {
            return Err(
                "has the option cert-authority: certificates are not judged here, list the keys themselves".into()
            );
        }
        let value = rest.strip_prefix("=\"").ok_or_else(|| format!("has the unknown option `{name}`"))?;
        let (value, after) = unquoted(value)?;
        rest = after;
        let known = match name.as_str() {
            "namespaces" => line.namespaces.replace(value).is_some(),
            "valid-after" => line.after.replace(time(&value)?).is_some(),
            "valid-before" => line.before.replace(time(&value)?).is_some(),
            _ => return Err(format!("has the unknown option `{name}`")),
        };
        if known {
            return Err(format!("has the option {name} twice"));
        }
        match rest.strip_prefix(',') {
            Some(next) => text = next,
            None if rest.is_empty() => break,
            None => return Err("options are not separated by commas".into()),
        }
    }
    match (line.after, line.before) {
        (Some(after), Some(before)) if before <= after => Err("valid-before is not later than valid-after".into()),
        _ => Ok(()),
    }
}

/// The text up to the closing quote, where `\"` stands for a quote, and what follows it.
fn unquoted(text: &str) -> std::result::Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with('"') => value.extend(characters.next().map(|(_, quote)| quote)),
            other => value.push(other),
        }
    }
    Err("a quote is not closed".into())
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without `Z`.
fn time(text: &str) -> std::result::Result<Epoch, String> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let plain = matches!(digits.len(), 8 | 12 | 14) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let full = format!("{digits:0<14}");
    let parsed = if plain { Epoch::parse_compact(&format!("{}T{}Z", &full[..8], &full[8..])).ok() } else { None };
    parsed.ok_or_else(|| format!("`{text}` is no time: write YYYYMMDD or YYYYMMDDHHMMSS, best with Z for UTC"))
}

fn key(text: &str) -> std::result::Result<Option<Key>, String> {
    let mut fields = text.split([' ', '\t']).filter(|field| !field.is_empty());
    let (Some(kind), Some(base64)) = (fields.next(), fields.next()) else { return Err("has no key".into()) };
    if kind != "ssh-ed25519" {
        return if is_key_type(kind) { Ok(None) } else { Err(format!("`{kind}` is no kind of key")) };
    }
    let key = PublicKey::from_openssh(&format!("{kind} {base64}"));
    let key = key.map_err(|error| format!("has a damaged key: {error}"))?;
    Key::of(key).map(Some)
}

/// Whether `name` is in a comma-separated list of patterns with `*` and `?`; a match of `!pattern` excludes it.
fn listed(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// Glob matching without recursion: on a mismatch the last `*` takes one byte more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches(b"a*b*c", b"aXbYbZc") && !matches(b"a*b*c", b"aXbYbZ"));
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
