//! `SHA256SUMS` files: the one writer and the one strict reader. What is signed is such a file, so two readers must never
//! understand it differently: coreutils, busybox, a shell's `read` and this one.
//!
//! Every line is `<64 lower-case digits>  <path>` and a newline; lines stand in the order of the paths' bytes, each path
//! once. Paths are relative and of plain characters ([`check`]). Text only: knows no file of this machine.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// What a path may hold beside letters and digits. No blank, quote or backslash: coreutils escapes some of them.
const MARKS: &[u8] = b"._+-~@,:=%/";
/// How much of a wrong line an error shows.
const SHOWN: usize = 120;

/// Whether `path` may stand in a sums file: relative, without empty parts, `.` or `..`, of letters, digits and
/// `._+-~@,:=%` only, and no part begins with `-` (`-` is standard input for coreutils).
///
/// # Errors
/// [`Kind::Trust`] naming the path and the rule.
pub fn check(path: &str) -> Result<()> {
    match unfit(path) {
        None => Ok(()),
        Some(why) => Err(Error::new(Kind::Trust, format!("path `{}`", shown(path)), why)
            .remedy("name files with letters, digits and ._+-~@,:=% only")),
    }
}

/// The sums file of `files`. Every path must have passed [`check`]; the reader refuses others.
pub fn render(files: &BTreeMap<String, Digest>) -> String {
    files.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
}

/// Reads a sums file; `name` is shown in errors.
///
/// # Errors
/// [`Kind::Trust`] naming the line, when it is not exactly what [`render`] writes or lists no file.
pub fn parse(name: &str, text: &str) -> Result<BTreeMap<String, Digest>> {
    let mut files = BTreeMap::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let last = files.last_key_value().map(|(path, _): (&String, _)| path.as_str());
        let (path, digest) = entry(line, last).map_err(|why| {
            wrong(format!("{name}:{}", number + 1), format!("{why}: {:?}", shown(line.trim_end_matches('\n'))))
        })?;
        files.insert(path.to_owned(), digest);
    }
    if files.is_empty() {
        return Err(wrong(name.to_owned(), "lists no file".to_owned()));
    }
    Ok(files)
}

fn wrong(object: String, cause: String) -> Error {
    Error::new(Kind::Trust, object, cause)
        .remedy("the file was damaged or not written by snpforge: get the release again, with its signatures")
}

/// The path and digest of one line; `last` is the path before it.
fn entry<'a>(line: &'a str, last: Option<&str>) -> std::result::Result<(&'a str, Digest), &'static str> {
    let line = line.strip_suffix('\n').ok_or("the line has no end")?;
    let (digits, path) = line.split_once("  ").ok_or("not `<sha256>  <path>`")?;
    let lower = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let digest = digits.parse().ok().filter(|_| lower).ok_or("does not begin with 64 lower-case digits")?;
    if let Some(why) = unfit(path) {
        return Err(why);
    }
    match last.map(|last| last.cmp(path)) {
        Some(std::cmp::Ordering::Equal) => Err("the path stands there twice"),
        Some(std::cmp::Ordering::Greater) => Err("the lines are not sorted by path"),
        _ => Ok((path, digest)),
    }
}

fn unfit(path: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || MARKS.contains(&byte);
    if path.starts_with('/') {
        Some("the path is absolute")
    } else if !path.bytes().all(plain) {
        Some("the path holds a character that is not allowed")
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("the path has an empty part, `.` or `..`")
    } else if path.split('/').any(|part| part.starts_with('-')) {
        Some("a part of the path begins with `-`")
    } else {
        None
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn refused(text: &str, cause: &str, object: &str) {
        let error = parse("X", text).unwrap_err();
        assert_eq!(error.kind(), Kind::Trust);
        assert!(error.cause().contains(cause), "{text:?}: {error}");
        assert_eq!(error.object(), object, "{text:?}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let digest = Digest::of(b"abc");
        let names = ["a", "a.b", "a/b", "a/c+~1:2@x,y=z%2f", "linux/host/linux-image-6.12_1_amd64.deb"];
        let files: BTreeMap<String, Digest> = names.iter().map(|name| ((*name).to_owned(), digest)).collect();
        let text = render(&files);
        assert!(text.starts_with(&format!("{A}  a\n{A}  a.b\n{A}  a/b\n")), "{text}");
        assert_eq!(parse("X", &text).unwrap(), files);
    }

    #[test]
    fn everything_else_is_refused() {
        refused("", "lists no file", "X");
        refused("\n", "not `<sha256>", "X:1");
        refused(&format!("{A}  a"), "no end", "X:1");
        refused(&format!("{A}  a\r\n"), "not allowed", "X:1");
        refused(&format!("{A} a\n"), "not `<sha256>", "X:1");
        refused(&format!("{A} *a\n"), "not `<sha256>", "X:1");
        refused(&format!("{A}   a\n"), "not allowed", "X:1");
        refused(&format!("\\{A}  a\n"), "64 lower-case digits", "X:1");
        refused(&format!("{}  a\n", A.to_uppercase()), "64 lower-case digits", "X:1");
        refused(&format!("{}  a\n", &A[1..]), "64 lower-case digits", "X:1");
        refused(&format!("sha256:{A}  a\n"), "64 lower-case digits", "X:1");
        refused(&format!("{A}  a\n{A}  a\n"), "twice", "X:2");
        refused(&format!("{A}  b\n{A}  a\n"), "not sorted", "X:2");
        refused(&format!("{A}  a\n\n{A}  b\n"), "not `<sha256>", "X:2");
        for path in
            ["/a", "../a", "a/../b", "a/./b", "a//b", "a/", "", ".", "a\\b", "a b", "ä", "a\tb", "-", "a/-b", "a'b"]
        {
            refused(&format!("{A}  {path}\n"), "path", "X:1");
            assert!(check(path).is_err(), "{path:?}");
        }
        assert!(check("a/b-c").is_ok());
    }
}
