//! One line of an allowed_signers file, from text to its fields. Knows no time and judges no key.

use super::super::Key;
use crate::date::Epoch;
use ssh_key::PublicKey;

/// The option of a line whose key signs other keys' certificates.
const AUTHORITY: &str = "cert-authority";

/// One line. Keys that cannot be judged here (RSA, ECDSA, hardware keys) are read over.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) principals: String,
    pub(super) namespaces: Option<String>,
    pub(super) after: Option<Epoch>,
    pub(super) before: Option<Epoch>,
    pub(super) key: Option<Key>,
}

/// `principals [options] type key [comment]`.
pub(super) fn read(text: &str) -> std::result::Result<Line, String> {
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
