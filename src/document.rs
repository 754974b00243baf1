//! Text to value and back for every document a person or the tool writes: TOML in, TOML out, canonical JSON for digests.
//! Knows formats, not files: the caller says which name to show in errors.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a TOML document; `name` is the file's name for the error, which shows the line and a caret.
///
/// # Errors
/// [`Kind::Document`] for a syntax error, an unknown key or a wrong type.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    read(name, text, "correct the marked line; the keys are described in the README under `Files you write`")
}

/// As [`parse`], of a document that the tool writes: nobody corrects it by hand.
///
/// # Errors
/// As [`parse`].
pub fn parse_made<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    read(name, text, "restore it from version control, or remove it and run `snpforge lock`")
}

fn read<T: DeserializeOwned>(name: &str, text: &str, remedy: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| Error::new(Kind::Document, name, error.to_string().trim_end()).remedy(remedy))
}

/// Writes a TOML document with `head` (comment lines) above it.
///
/// # Errors
/// [`Kind::Document`] when the value has no TOML form.
pub fn render<T: Serialize>(name: &str, head: &str, value: &T) -> Result<String> {
    let body = toml::to_string(value).map_err(|error| Error::new(Kind::Document, name, error))?;
    Ok(format!("{head}\n{body}"))
}

/// Canonical JSON: keys sorted, no white space, one newline at the end. The form whose digest is an identity.
///
/// # Errors
/// [`Kind::Document`] when the value has no JSON form (a map with keys that are not text).
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    // Through a `Value`, whose maps are sorted as long as nobody enables serde_json's `preserve_order` (tested below).
    let failed = |error: serde_json::Error| Error::new(Kind::Document, "JSON", error);
    let sorted = serde_json::to_value(value).map_err(failed)?;
    let mut bytes = serde_json::to_vec(&sorted).map_err(failed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The digest of the canonical JSON of `value`.
///
/// # Errors
/// As [`canonical`].
pub fn identity<T: Serialize>(value: &T) -> Result<Digest> {
    Ok(Digest::of(&canonical(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::HashMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only parsed")]
    struct Small {
        format: u32,
    }

    #[test]
    fn an_unknown_key_shows_its_line() {
        let error = parse::<Small>("x.toml", "format = 1\nfromat = 2\n").unwrap_err();
        assert_eq!(error.kind(), Kind::Document);
        assert!(error.cause().contains("line 2") && error.cause().contains("fromat = 2"), "{}", error.cause());
    }

    #[test]
    fn canonical_json_does_not_follow_a_hash_map() {
        let map: HashMap<String, u32> = (0..50).map(|n| (format!("key{n:02}"), n)).collect();
        let text = String::from_utf8(canonical(&map).unwrap()).unwrap();
        let mut keys: Vec<usize> = (0..50).map(|n| text.find(&format!("key{n:02}")).unwrap()).collect();
        let found = keys.clone();
        keys.sort_unstable();
        assert_eq!(keys, found);
        assert!(text.ends_with("}\n"));
    }
}
