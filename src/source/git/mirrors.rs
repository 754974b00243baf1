//! Mirrors of repositories, named by the user: other places where the same commits may be asked for. A mirror is no
//! input, since hashes decide; locks, the store and every product know the original URL only.

use super::{address, secret};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};

/// The environment variable: entries `FROM=TO`, separated by commas or white space.
pub(super) const VARIABLE: &str = "SNPFORGE_MIRROR_GIT";

/// Where a repository may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// A URL or an absolute path.
    pub(super) url: String,
    /// The entry's TO, for a mirror.
    pub(super) mirror: Option<String>,
}

/// Prefixes of URLs and what may stand in their place, in the user's order, without slashes at their ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirrors(Vec<(String, String)>);

impl Mirrors {
    /// Reads the variable.
    ///
    /// # Errors
    /// [`Kind::Usage`] naming the variable and the entry.
    pub(super) fn configured(environment: &Environment) -> Result<Self> {
        let value = environment.get(VARIABLE).unwrap_or_default();
        let entries = value.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        entries.map(pair).collect::<Result<_>>().map(Mirrors)
    }

    /// The places of `url`: mirrors by its longest prefix that there are any for, then the URL itself.
    pub(super) fn places(&self, url: &str) -> Vec<Place> {
        let matching = self.0.iter().filter_map(|(from, to)| Some((from, to, rest(url, from)?)));
        let longest = matching.clone().map(|(from, ..)| from.len()).max();
        let mirrors = matching.filter(|(from, ..)| Some(from.len()) == longest).map(|(_, to, rest)| Place {
            url: match (rest, to.ends_with(':')) {
                ("", _) => to.clone(),
                (rest, true) => format!("{to}{rest}"),
                (rest, false) => format!("{to}/{rest}"),
            },
            mirror: Some(to.clone()),
        });
        mirrors.chain([Place { url: url.to_owned(), mirror: None }]).collect()
    }
}

/// What follows the prefix, which ends at a border of the URL's parts. None for a path that could leave the mirror.
fn rest<'u>(url: &'u str, from: &str) -> Option<&'u str> {
    let rest = url.strip_prefix(from)?;
    let border = rest.is_empty() || rest.starts_with('/') || from.ends_with(':');
    let inside = rest.split('/').all(|part| part != ".." && part != ".");
    (border && inside).then(|| rest.trim_matches('/'))
}

fn pair(entry: &str) -> Result<(String, String)> {
    let shown = entry.split('=').map(secret::url).collect::<Vec<_>>().join("=");
    let refuse = |cause: String| {
        Error::new(Kind::Usage, format!("{VARIABLE}: `{shown}`"), cause).remedy(
            "write FROM=TO, separated by commas: FROM the beginning of a URL (https://github.com/), TO a URL or an absolute \
             path that takes its place",
        )
    };
    let (from, to) = entry.split_once('=').ok_or_else(|| refuse("is not of the form FROM=TO".into()))?;
    for (name, part) in [("FROM", from), ("TO", to)] {
        address::check(part).map_err(|error| refuse(format!("{name} {}", error.cause())))?;
    }
    let plain = |part: &str| part.strip_prefix("file://").unwrap_or(part).trim_end_matches('/').to_owned();
    Ok((from.trim_end_matches('/').to_owned(), plain(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(value: &str) -> Result<Mirrors> {
        Mirrors::configured(&Environment::from_iter([(VARIABLE, value)]))
    }

    fn places(value: &str, url: &str) -> Vec<String> {
        mirrors(value).unwrap().places(url).into_iter().map(|place| place.url).collect()
    }

    #[test]
    fn the_longest_prefix_wins_and_the_url_comes_last() {
        let value =
            "https://h/=http://a/m/, https://h/team/=/srv/git\n https://h/team=file:///media/x/,git@h:=ssh://b/";
        let url = "https://h/team/x.git";
        assert_eq!(places(value, url), ["/srv/git/x.git", "/media/x/x.git", url]);
        assert_eq!(places(value, "https://h/other/y"), ["http://a/m/other/y", "https://h/other/y"]);
        assert_eq!(places(value, "git@h:p/q.git"), ["ssh://b/p/q.git", "git@h:p/q.git"]);
        for url in ["https://h.evil/x", "https://h2/x", "https://h/../x", "https://h/team/../../x", "/https://h/x"] {
            assert!(!places(value, url)[0].starts_with("/srv"), "{url}");
        }
        assert_eq!(places(value, "https://h.evil/x"), ["https://h.evil/x"]);
        assert_eq!(places("https://h/a.git=/m/a.bundle", "https://h/a.git"), ["/m/a.bundle", "https://h/a.git"]);
        assert_eq!(places("https://h/=git@b:", "https://h/a.git"), ["git@b:a.git", "https://h/a.git"]);
        assert_eq!(places("", "https://h/a.git"), ["https://h/a.git"]);
    }

    #[test]
    fn the_variable_and_the_entry_are_named() {
        for (value, cause) in [
            ("https://h/", "is not of the form"),
            ("=x", "FROM could be taken"),
            ("https://h/=", "TO could be taken"),
            ("https://h/=relative", "TO is a relative path"),
            ("https://h/=ext::sh", "TO names a helper"),
            ("https://h/=ftp://x/y", "TO has a protocol"),
            ("https://h/=https://u:geheim@x/y", "TO has a user name or password"),
        ] {
            let error = mirrors(&format!("https://fine/=/srv {value}")).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{value}");
            assert!(error.object().starts_with("SNPFORGE_MIRROR_GIT: `"), "{error}");
            assert!(error.cause().starts_with(cause), "{value}: {error}");
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
        }
    }
}
