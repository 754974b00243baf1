//! The control file of a package: one paragraph of fields.

use std::collections::HashSet;

/// Fields of one paragraph; real ones have some dozen.
const FIELDS_MAX: usize = 1024;

/// The fields in their order. Values keep their continuation lines, without the last line's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza(Vec<(String, String)>);

impl Stanza {
    /// Reads one paragraph.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut names = HashSet::new();
        for line in text.trim_end_matches('\n').split('\n') {
            if line.starts_with([' ', '\t']) {
                let (_, value) = fields.last_mut().ok_or("starts with a continuation line")?;
                value.push('\n');
                value.push_str(line);
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is no field"))?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("`{name}` is no field name"));
            }
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(format!("the field {name} stands twice"));
            }
            if fields.len() == FIELDS_MAX {
                return Err(format!("there are more than {FIELDS_MAX} fields"));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Stanza(fields))
    }

    /// The value of a field; names ignore case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_continuations() {
        let stanza = Stanza::parse("Package: a\nDescription: one\n two\n .\n three\nEmpty:\n").unwrap();
        assert_eq!(stanza.get("package"), Some("a"));
        assert_eq!(stanza.get("Description"), Some("one\n two\n .\n three"));
        assert_eq!(stanza.get("Empty"), Some(""));
        assert_eq!(stanza.fields().count(), 3);
    }

    #[test]
    fn what_is_no_paragraph_is_refused() {
        for (text, word) in [
            (" x", "continuation"),
            ("a: 1\n\nb: 2", "`` is no field"),
            ("a: 1\nA: 2", "twice"),
            ("a b: 1", "`a b` is no field name"),
            ("", "`` is no field"),
        ] {
            let cause = Stanza::parse(text).unwrap_err();
            assert!(cause.contains(word), "{text:?}: {cause}");
        }
        let fields = |count: usize| (0..count).map(|number| format!("a{number}:\n")).collect::<String>();
        assert_eq!(Stanza::parse(&fields(FIELDS_MAX)).unwrap().fields().count(), FIELDS_MAX);
        assert!(Stanza::parse(&fields(200_000)).unwrap_err().contains("more than 1024 fields"));
    }
}
