//! The process environment as a value: read once in `main`, passed down as an argument, made by hand in tests.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Environment variables that are valid UTF-8; an empty value counts as unset.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of a process.
    ///
    /// # Errors
    /// [`Kind::Usage`] for one that is not UTF-8 and says where something of this program is: without it another place
    /// would be taken in silence. All others that are not UTF-8 are left out.
    pub fn of_process(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self> {
        let places = |name: &str| matches!(name, "HOME" | "XDG_CACHE_HOME") || name.starts_with("SNPFORGE_");
        let mut known = BTreeMap::new();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(known.insert(name, value)),
                Err(value) if places(&name) => {
                    return Err(Error::new(Kind::Usage, name, format!("is not UTF-8: {value:?}"))
                        .remedy("set it to a value in UTF-8"));
                }
                Err(_) => {}
            }
        }
        Ok(Environment(known))
    }

    /// The value of `name`, unless unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An XDG base folder (`XDG_CACHE_HOME`, `XDG_CONFIG_HOME`, ...): the variable if it is an absolute path, else
    /// `$HOME/fallback`; the specification wants relative values ignored. `None` when HOME is unset too.
    pub fn xdg(&self, name: &str, fallback: &str) -> Option<PathBuf> {
        let named = self.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| self.get("HOME").map(|home| PathBuf::from(home).join(fallback)))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Environment(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_place_that_is_not_utf_8_is_refused_by_name() {
        let made = |name: &str| {
            Environment::of_process([
                ("PATH".into(), "/bin".into()),
                (name.into(), OsString::from_vec(b"/caf\xe9".to_vec())),
                (OsString::from_vec(b"\xff".to_vec()), "x".into()),
            ])
        };
        for name in ["HOME", "XDG_CACHE_HOME", "SNPFORGE_MIRROR_GIT"] {
            let error = made(name).unwrap_err();
            assert_eq!((error.kind(), error.object()), (Kind::Usage, name));
            assert!(error.cause().contains("caf\\xE9") && error.remedy_text().is_some(), "{error:?}");
        }
        let foreign = made("OLDPWD").unwrap();
        assert_eq!((foreign.get("PATH"), foreign.get("OLDPWD")), (Some("/bin"), None));
    }

    #[test]
    fn relative_xdg_folders_are_ignored() {
        let environment = Environment::from_iter([("HOME", "/home/x"), ("XDG_CACHE_HOME", "cache")]);
        assert_eq!(environment.xdg("XDG_CACHE_HOME", ".cache"), Some(PathBuf::from("/home/x/.cache")));
    }
}
