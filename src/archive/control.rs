//! Paragraphs of `Field: value` lines (deb822): the form of Release files, package indexes and .dsc files.
//! Borrows everything from the text, because an index is 50 MB and few of its fields are wanted. Knows no field's meaning.

use std::io::{self, BufRead};

/// The paragraphs of a text, in order. Empty lines and lines of white space part them; `#` starts a comment line.
pub fn paragraphs(text: &str) -> Paragraphs<'_> {
    Paragraphs { rest: text }
}

/// The iterator of [`paragraphs`].
#[derive(Clone, Debug)]
pub struct Paragraphs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Paragraph<'a>;

    fn next(&mut self) -> Option<Paragraph<'a>> {
        let mut start = self.rest;
        // Skip what parts this paragraph from the one before.
        while let Some((line, after)) = cut_line(start) {
            if !is_blank(line) {
                break;
            }
            start = after;
        }
        if start.is_empty() {
            self.rest = start;
            return None;
        }
        let mut end = start;
        while let Some((line, after)) = cut_line(end) {
            if is_blank(line) {
                break;
            }
            end = after;
        }
        self.rest = end;
        Some(Paragraph { text: &start[..start.len() - end.len()] })
    }
}

/// Reads the next paragraph of a stream into `paragraph`, whatever was in it: an index is 50 MB and need never be in
/// memory as a whole. `false` at the end. Bytes that are no UTF-8 are the caller's to judge.
///
/// # Errors
/// Whatever `input` fails with.
pub fn read_paragraph(input: &mut dyn BufRead, paragraph: &mut Vec<u8>) -> io::Result<bool> {
    paragraph.clear();
    loop {
        let start = paragraph.len();
        let end = input.read_until(b'\n', paragraph)? == 0;
        if paragraph[start..].iter().all(u8::is_ascii_whitespace) {
            paragraph.truncate(start);
            if end || start > 0 {
                return Ok(start > 0);
            }
        }
    }
}

/// One paragraph.
#[derive(Clone, Copy, Debug)]
pub struct Paragraph<'a> {
    text: &'a str,
}

impl<'a> Paragraph<'a> {
    /// Name and value of each field, in order. A folded value keeps its line breaks and the white space after them;
    /// white space around the whole value is cut. Lines that are no field are left out.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        Fields { rest: self.text }
    }

    /// The value of the first field called `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.rest;
            let (line, mut after) = cut_line(start)?;
            // A line that starts with white space goes on with the value above it.
            while after.starts_with([' ', '\t']) {
                after = cut_line(after).map_or("", |(_, rest)| rest);
            }
            self.rest = after;
            if line.starts_with('#') {
                continue;
            }
            if let Some(colon) = line.find(':') {
                let value = &start[colon + 1..start.len() - after.len()];
                return Some((&line[..colon], value.trim()));
            }
        }
    }
}

/// The first line without its end, and what comes after it. `None` at the end of the text.
fn cut_line(text: &str) -> Option<(&str, &str)> {
    match text.find('\n') {
        Some(at) => Some((&text[..at], &text[at + 1..])),
        None if text.is_empty() => None,
        None => Some((text, "")),
    }
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_the_same_paragraphs() {
        for text in ["", "\n \n", "A: 1\nB: 2\n", "\n \t\nA: 1\n B\n\n\r\nC: 2\n \n\nD: 3", "A: 1\n\n"] {
            // A small buffer: lines come in pieces.
            let mut input = io::BufReader::with_capacity(3, text.as_bytes());
            let (mut streamed, mut buffer) = (Vec::new(), Vec::new());
            while read_paragraph(&mut input, &mut buffer).unwrap() {
                streamed.push(String::from_utf8(buffer.clone()).unwrap());
            }
            let whole: Vec<&str> = paragraphs(text).map(|paragraph| paragraph.text).collect();
            assert_eq!(streamed, whole, "{text:?}");
        }
    }

    #[test]
    fn folded_fields_comments_and_several_blank_lines() {
        let text = "\n \t\nPackage: a\nDescription: short\n long\n .\n  more\n# note\nSize:  7 \n\n\r\nPackage: b";
        let found: Vec<Vec<(&str, &str)>> = paragraphs(text).map(|paragraph| paragraph.fields().collect()).collect();
        assert_eq!(
            found,
            [
                vec![("Package", "a"), ("Description", "short\n long\n .\n  more"), ("Size", "7")],
                vec![("Package", "b")]
            ]
        );
    }

    #[test]
    fn a_value_may_hold_colons_and_names_have_no_case() {
        let paragraph = paragraphs("date: Sat, 06 Sep 2025 10:02:33 UTC\nSHA256:\n aa 1 x\n").next().unwrap();
        assert_eq!(paragraph.get("Date"), Some("Sat, 06 Sep 2025 10:02:33 UTC"));
        assert_eq!(paragraph.get("sha256"), Some("aa 1 x"));
        assert_eq!(paragraph.get("Size"), None);
    }

    #[test]
    fn empty_texts_and_odd_lines_end() {
        assert_eq!(paragraphs("").count(), 0);
        assert_eq!(paragraphs("\n\n \n").count(), 0);
        let odd = paragraphs(" starts folded\nno colon here\nA: 1\n b").next().unwrap();
        assert_eq!(odd.fields().collect::<Vec<_>>(), [("A", "1\n b")]);
    }
}
