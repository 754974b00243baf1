//! Who a registry is asked as: what `docker login` left under `auths` in `$DOCKER_CONFIG/config.json` or
//! `~/.docker/config.json`. Credential helpers are programs, which are never run here.

use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A name and a password, or a token.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Basic(String, String),
    Token(String),
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    registrytoken: String,
}

/// The credentials for a registry, if there are any.
///
/// # Errors
/// [`Kind::Usage`] naming the file, for one that cannot be read or understood.
pub(super) fn of(environment: &Environment, registry: &str) -> Result<Option<Credentials>> {
    let folder = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| environment.get("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let wrong = |cause: String| {
        Error::new(Kind::Usage, path.display(), cause).remedy("correct it, or name another folder in DOCKER_CONFIG")
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    // What is in it stays unsaid.
    let config: Config = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("cannot be understood (line {}, column {})", error.line(), error.column())))?;
    let entry = config.auths.into_iter().find(|(name, _)| is_for(name, registry));
    entry.map_or(Ok(None), |(name, entry)| {
        read(entry).map_err(|cause| wrong(format!("the entry for `{name}`: {cause}")))
    })
}

/// Entries are named by host, or by a URL; Docker Hub has another name there.
fn is_for(name: &str, registry: &str) -> bool {
    let host = name.split_once("://").map_or(name, |(_, rest)| rest).split('/').next().unwrap_or_default();
    host == registry || (registry == "docker.io" && host == "index.docker.io")
}

/// Whether a token can stand in a header: the library does not look.
pub(super) fn is_token(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn read(entry: Entry) -> std::result::Result<Option<Credentials>, &'static str> {
    if !entry.registrytoken.is_empty() {
        if !is_token(&entry.registrytoken) {
            return Err("its registrytoken cannot stand in a header");
        }
        return Ok(Some(Credentials::Token(entry.registrytoken)));
    }
    if !entry.auth.is_empty() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(&entry.auth).map_err(|_| "is no base64")?;
        let text = String::from_utf8(bytes).map_err(|_| "is no text")?;
        let (name, password) = text.split_once(':').ok_or("has no password")?;
        return Ok(Some(Credentials::Basic(name.to_owned(), password.trim_end_matches('\0').to_owned())));
    }
    let named = !entry.username.is_empty();
    Ok(named.then_some(Credentials::Basic(entry.username, entry.password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str) -> Result<Option<Credentials>> {
        let folder = tempfile::tempdir().unwrap();
        crate::store::files::write_whole(&folder.path().join("config.json"), text.as_bytes()).unwrap();
        let environment = Environment::from_iter([("DOCKER_CONFIG", folder.path().display().to_string())]);
        of(&environment, registry)
    }

    #[test]
    fn entries_are_found_by_host() {
        let text = r#"{"credsStore":"x","auths":{"https://index.docker.io/v1/":{"auth":"YTpiOmM="},
            "h.example:5000":{"username":"u","password":"p"},"t.example":{"registrytoken":"t"},"e.example":{}}}"#;
        let basic = |name: &str, password: &str| Some(Credentials::Basic(name.into(), password.into()));
        assert!(found(text, "docker.io").unwrap() == basic("a", "b:c"));
        assert!(found(text, "h.example:5000").unwrap() == basic("u", "p"));
        assert!(found(text, "t.example").unwrap() == Some(Credentials::Token("t".into())));
        for registry in ["h.example", "e.example", "other.example"] {
            assert!(found(text, registry).unwrap().is_none(), "{registry}");
        }
        assert!(of(&Environment::default(), "docker.io").unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_named_without_its_secrets() {
        for text in [
            r#"{"auths":{"h.example":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths":{"h.example":{"auth":"!secret"}}}"#,
            "{secret",
        ] {
            let error = found(text, "h.example").err().unwrap();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.object().ends_with("config.json") && !error.to_string().contains("secret"), "{error}");
        }
    }
}
