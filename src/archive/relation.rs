//! Relations between binary packages: what stands in Depends, Provides, Conflicts and their kin. Pure text to value.

use crate::deb::version::Operator;
use crate::error::{Error, Kind, Result};
use std::fmt;

/// One relation: `name[:architecture] [(operator version)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package, real or virtual.
    pub name: &'a str,
    /// What stands after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The wanted version.
    pub version: Option<(Operator, &'a str)>,
}

impl<'a> Relation<'a> {
    /// Reads one relation.
    ///
    /// # Errors
    /// [`Kind::Document`] for anything else, restrictions of source packages (`[amd64]`, `<!nocheck>`) included.
    pub fn parse(text: &'a str) -> Result<Self> {
        let wrong = || Error::new(Kind::Document, format!("relation `{text}`"), "is not `name (operator version)`");
        let (head, version) = match text.split_once('(') {
            None => (text, None),
            Some((head, inside)) => {
                let inside = inside.trim().strip_suffix(')').ok_or_else(wrong)?.trim();
                let signs = inside.find(|sign| !matches!(sign, '<' | '=' | '>')).unwrap_or(inside.len());
                let operator = Operator::parse(&inside[..signs]).ok_or_else(wrong)?;
                let wanted = inside[signs..].trim();
                if wanted.is_empty() || wanted.contains(char::is_whitespace) {
                    return Err(wrong());
                }
                (head, Some((operator, wanted)))
            }
        };
        let (name, qualifier) = match head.trim().split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (head.trim(), None),
        };
        let plain = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_alphanumeric())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        };
        if !plain(name) || !qualifier.is_none_or(plain) {
            return Err(wrong());
        }
        Ok(Relation { name, qualifier, version })
    }

    /// Whether the version wish is met by `version`.
    pub fn accepts(&self, version: &str) -> bool {
        self.version.is_none_or(|(operator, wanted)| operator.holds(version, wanted))
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match self.version {
            Some((operator, version)) => write!(f, " ({operator} {version})"),
            None => Ok(()),
        }
    }
}

/// The groups of a field such as Depends: all groups are wanted, one alternative of each is enough. Lists without
/// alternatives (Provides, Conflicts, Breaks) have one relation in each group.
pub fn groups(field: &str) -> impl Iterator<Item = Result<Vec<Relation<'_>>>> {
    field
        .split(',')
        .filter(|group| !group.trim().is_empty())
        .map(|group| group.split('|').map(|relation| Relation::parse(relation.trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_real_archives() {
        let parsed: Vec<Vec<Relation>> =
            groups("libc6 (>= 2.34), python3:any (<< 3.12),mawk|gawk (= 1:5.2.1-2) , foo(>1),\n bar,")
                .collect::<Result<_>>()
                .unwrap();
        let shown: Vec<Vec<String>> =
            parsed.iter().map(|group| group.iter().map(Relation::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                vec!["libc6 (>= 2.34)"],
                vec!["python3:any (<< 3.12)"],
                vec!["mawk", "gawk (= 1:5.2.1-2)"],
                vec!["foo (>= 1)"],
                vec!["bar"]
            ]
        );
        assert_eq!(parsed[1][0].qualifier, Some("any"));
        assert!(parsed[0][0].accepts("2.36-9+deb12u14") && !parsed[0][0].accepts("2.31"));
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        for text in
            ["a (2)", "a (>= )", "a (>= 1", "a [amd64]", "a <!nocheck>", "", "a b", "-a", "a (>= 1 2)", "a (=> 1)"]
        {
            let error = Relation::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
