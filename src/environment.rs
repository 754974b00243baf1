//! The process environment as a value: read once in `main`, passed down as an argument, made by hand in tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables that are valid UTF-8; an empty value counts as unset.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
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

    #[test]
    fn relative_xdg_folders_are_ignored() {
        let environment = Environment::from_iter([("HOME", "/home/x"), ("XDG_CACHE_HOME", "cache")]);
        assert_eq!(environment.xdg("XDG_CACHE_HOME", ".cache"), Some(PathBuf::from("/home/x/.cache")));
    }
}
