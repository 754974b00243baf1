//! Words as a POSIX shell reads them back, for what a user may paste and what a script may source.

/// `text` in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` as it is where a shell takes it so, else in quotes.
pub fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        for text in ["a'b $(false) `x` \"y\" \\ z", "plain/word-1.2:3", "", "~", "#", "a\nb"] {
            for written in [quoted(text), word(text)] {
                let script = format!("X={written}; printf %s \"$X\"");
                let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
                assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{written}");
            }
        }
        assert_eq!(word("plain/word-1.2:3"), "plain/word-1.2:3");
    }
}
