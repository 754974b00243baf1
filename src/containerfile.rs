//! Containerfiles, in the subset that changes no byte of the root file system: ARG BASE, FROM, ENV, LABEL, WORKDIR,
//! USER, ENTRYPOINT. One parser serves all engines, so that they cannot diverge; everything else is refused by name and
//! line.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// What a Containerfile says about how a container is created.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Containerfile {
    /// Default of ARG BASE.
    pub base: String,
    /// ENV.
    pub environment: BTreeMap<String, String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
    /// WORKDIR.
    pub workdir: String,
    /// USER.
    pub user: String,
    /// ENTRYPOINT in JSON form.
    pub entrypoint: Vec<String>,
}

/// The instructions that are understood.
const KNOWN: &str = "ARG BASE, FROM, ENV, LABEL, WORKDIR, USER and ENTRYPOINT";

impl Containerfile {
    /// Reads a Containerfile; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`] naming the line and the instruction.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut parser = Parser { name, made: Containerfile::default(), from: false, line: 0 };
        for (line, instruction) in logical_lines(text) {
            parser.line = line;
            parser.instruction(&instruction)?;
        }
        parser.finish()
    }
}

struct Parser<'a> {
    name: &'a str,
    made: Containerfile,
    from: bool,
    line: usize,
}

impl Parser<'_> {
    fn refuse(&self, cause: impl std::fmt::Display) -> Error {
        Error::new(Kind::Document, format!("{}:{}", self.name, self.line), cause)
            .remedy(format!("only {KNOWN} are allowed: what a build needs in its root belongs into images/*.toml"))
    }

    fn instruction(&mut self, text: &str) -> Result<()> {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "ARG" => match rest.split_once('=') {
                Some(("BASE", base)) if !self.from => self.made.base = base.into(),
                _ => return Err(self.refuse("ARG is only known as `ARG BASE=...` before FROM")),
            },
            "FROM" if rest == "${BASE}" || rest == "$BASE" => self.from = true,
            "FROM" => return Err(self.refuse(format!("FROM `{rest}` is not `${{BASE}}`"))),
            _ if !self.from => return Err(self.refuse(format!("{word} stands before FROM"))),
            "ENV" => self.pairs(rest, |made| &mut made.environment)?,
            "LABEL" => self.pairs(rest, |made| &mut made.labels)?,
            "WORKDIR" if rest.starts_with('/') && !rest.contains('$') => self.made.workdir = rest.into(),
            "WORKDIR" => return Err(self.refuse(format!("WORKDIR `{rest}` is not an absolute path"))),
            "USER" => self.made.user = rest.into(),
            "ENTRYPOINT" => {
                self.made.entrypoint = serde_json::from_str(rest)
                    .map_err(|error| self.refuse(format!("ENTRYPOINT is not a JSON list of texts: {error}")))?;
            }
            other => return Err(self.refuse(format!("instruction {other} is not allowed"))),
        }
        Ok(())
    }

    fn pairs(&mut self, rest: &str, map: fn(&mut Containerfile) -> &mut BTreeMap<String, String>) -> Result<()> {
        for word in words(rest).ok_or_else(|| self.refuse("a quote is not closed"))? {
            let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(self.refuse(format!("`{word}` is not NAME=VALUE")));
            };
            if value.contains('$') {
                return Err(self.refuse(format!("`{word}` refers to a variable, which is not supported")));
            }
            map(&mut self.made).insert(key.into(), value.into());
        }
        Ok(())
    }

    fn finish(self) -> Result<Containerfile> {
        let made = &self.made;
        let lacking = [
            ("ARG BASE", made.base.is_empty()),
            ("FROM", !self.from),
            ("WORKDIR", made.workdir.is_empty()),
            ("ENTRYPOINT", made.entrypoint.is_empty()),
        ];
        for (what, missing) in lacking {
            if missing {
                return Err(self.refuse(format!("{what} is missing")));
            }
        }
        if made.user != "1000:1000" {
            return Err(self.refuse(format!("USER is `{}`, every build runs as 1000:1000", made.user)));
        }
        Ok(self.made)
    }
}

/// Instructions with the number of their first line: comments dropped, continued lines joined.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut made: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && !open) {
            continue;
        }
        let (body, continues) = line.strip_suffix('\\').map_or((line, false), |body| (body.trim_end(), true));
        match made.last_mut().filter(|_| open) {
            Some((_, joined)) => {
                joined.push(' ');
                joined.push_str(body);
            }
            None => made.push((index + 1, body.to_owned())),
        }
        open = continues;
    }
    made
}

/// Splits at white space outside double quotes, which are removed. `None`: a quote is left open.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut made, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any {
                    made.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        made.push(word);
    }
    (!quoted).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# 1. Base\nARG BASE=localhost/x:latest\nFROM ${BASE}\nENV A=1 \\\n  B=\"two words\"\n\
                        LABEL l=v\nWORKDIR /build\nUSER 1000:1000\nENTRYPOINT [\"/src/recipe/build\"]\n";

    #[test]
    fn all_that_is_allowed() {
        let made = Containerfile::parse("Containerfile.x", GOOD).unwrap();
        assert_eq!(made.base, "localhost/x:latest");
        assert_eq!(made.environment["B"], "two words");
        assert_eq!(made.entrypoint, ["/src/recipe/build"]);
    }

    #[test]
    fn anything_else_is_named_with_its_line() {
        for (bad, line, word) in [
            ("RUN true", ":10", "RUN"),
            ("COPY a b", ":10", "COPY"),
            ("ENV A", ":10", "NAME=VALUE"),
            ("ENV A=$B", ":10", "variable"),
            ("ENV A=\"b", ":10", "quote"),
            ("WORKDIR x", ":10", "WORKDIR"),
            ("FROM debian", ":10", "FROM"),
            ("ENTRYPOINT /bin/sh", ":10", "ENTRYPOINT"),
            ("USER root", ":10", "1000:1000"),
        ] {
            let error = Containerfile::parse("Containerfile.x", &format!("{GOOD}{bad}\n")).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            let shown = error.to_string();
            assert!(shown.contains(word) && (shown.contains(line) || word == "1000:1000"), "{bad}: {shown}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Containerfile::parse("c", "ARG BASE=x\nFROM ${BASE}\n").unwrap_err();
        assert!(error.to_string().contains("WORKDIR is missing"), "{error}");
    }
}
