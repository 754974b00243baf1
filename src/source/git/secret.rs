//! Secrets in URLs: refused where they would end up in a lock, taken out of everything that is shown.

/// What is shown in a secret's place.
const HIDDEN: &str = "***";

/// `text` without the user names and passwords of the URLs in it. A user name alone stays where it is no secret: for
/// ssh. Servers with HTTP take tokens as user names, so none of these is shown.
pub(super) fn hidden(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let word = after.find(|c: char| c.is_whitespace() || "'\"`<>".contains(c)).unwrap_or(after.len());
        let host = after.find('/').unwrap_or(word).min(word);
        // A password may hold an unescaped slash; then what looks like the port is none.
        let odd = after[..host]
            .rsplit_once(':')
            .is_some_and(|(name, port)| !name.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit()));
        let end = if odd { word } else { host };
        let user = after[..end].rfind('@');
        let http = before.ends_with("http://") || before.ends_with("https://");
        let from = match user {
            Some(sign) if http || after[..sign].contains(':') => {
                shown.push_str(HIDDEN);
                sign
            }
            _ => 0,
        };
        shown.push_str(&after[from..end]);
        rest = &after[end..];
    }
    shown.push_str(rest);
    shown
}

/// A URL without its secrets. Also understands ssh's short form, which has no place for a password, so that one is shown
/// to nobody.
pub(super) fn url(url: &str) -> String {
    let first = url.split('/').next().unwrap_or_default();
    match (first.split_once(':'), first.rsplit_once('@')) {
        (Some((user, _)), Some((before, host)))
            if !url.contains("://") && !user.contains('@') && before.len() > user.len() && host.contains(':') =>
        {
            format!("{HIDDEN}{}", &url[before.len()..])
        }
        _ => hidden(url),
    }
}

/// Whether the URL has a secret in it.
pub(super) fn is_in(text: &str) -> bool {
    url(text) != text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_never_shown() {
        for (with, without) in [
            ("https://user:geheim@h/p", "https://***@h/p"),
            ("https://geheim@h:8443/p", "https://***@h:8443/p"),
            ("http://user:ge/heim@h/p", "http://***@h/p"),
            ("http://user:geheim@[::1]:80/p", "http://***@[::1]:80/p"),
            ("ssh://git:geheim@h:22/p", "ssh://***@h:22/p"),
            ("git:geheim@h:p/q.git", "***@h:p/q.git"),
        ] {
            assert_eq!(url(with), without);
            assert!(is_in(with), "{with}");
        }
        for url in [
            "https://h/p@v1",
            "http://127.0.0.1:80/p@q",
            "http://[::1]:80/p",
            "ssh://git@h:22/p",
            "git@h:p",
            "git@h:p@q",
            "/srv/a:b@c:d",
            "file:///srv/a@b",
        ] {
            assert!(!is_in(url), "{url}");
        }
        assert_eq!(hidden("https://h/=https://a:b@h/p"), "https://h/=https://***@h/p");
        let words = "fatal: 'http://a:b@h/p' and https://c@i/q: error: 1";
        assert_eq!(hidden(words), "fatal: 'http://***@h/p' and https://***@i/q: error: 1");
    }
}
