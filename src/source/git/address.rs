//! URLs of repositories: which are accepted, and what relative ones in `.gitmodules` mean. Nothing that git could take
//! for an option or a helper program passes.

use super::{secret, trouble};
use crate::error::{Error, Kind, Result};

/// The protocols that may be used. git's own list is longer; `ext::` runs any program.
pub(super) const PROTOCOLS: [&str; 5] = ["https", "http", "ssh", "git", "file"];

fn refuse(url: &str, cause: &str) -> Error {
    Error::new(Kind::Document, format!("git url `{}`", secret::url(url).escape_debug()), cause)
        .remedy("write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH, or an absolute path of this machine")
}

/// Refuses what git could misunderstand.
///
/// # Errors
/// [`Kind::Document`] saying why.
pub(super) fn check(url: &str) -> Result<()> {
    if url.is_empty() || url.starts_with('-') {
        return Err(refuse(url, "could be taken for an option"));
    }
    if url.starts_with('/') && !url.contains(char::is_control) {
        return Ok(());
    }
    if secret::is_in(url) {
        let cause = "has a user name or password in it, which locks and messages would repeat";
        return Err(refuse(url, cause).remedy(format!("take it out of the url; {}", trouble::CREDENTIALS)));
    }
    let before_slash = url.split('/').next().unwrap_or_default();
    if before_slash.contains("::") {
        return Err(refuse(url, "names a helper program, which is not allowed"));
    }
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(refuse(url, "has white space or control characters in it"));
    }
    let host = match url.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => return Ok(()),
        Some((scheme, rest)) if PROTOCOLS.contains(&scheme) && scheme != "file" => {
            rest.split('/').next().unwrap_or_default()
        }
        Some(_) => return Err(refuse(url, "has a protocol that is not used here")),
        // The short form of ssh: [USER@]HOST:PATH.
        None => match before_slash.split_once(':') {
            Some((host, _)) => host,
            None => return Err(refuse(url, "is a relative path")),
        },
    };
    let name = host.rsplit('@').next().unwrap_or_default();
    if name.is_empty() || name.starts_with('-') || host.starts_with('-') {
        return Err(refuse(url, "has no proper host name"));
    }
    Ok(())
}

/// Whether the repository lies on this machine.
pub(super) fn is_local(url: &str) -> bool {
    url.starts_with('/') || url.starts_with("file://")
}

/// The URL of a submodule that `.gitmodules` of the repository at `parent` gives as `url`: `./` and `../` are relative
/// to the parent's URL, as git-submodule(1) has it. A repository elsewhere cannot name one on this machine.
///
/// # Errors
/// [`Kind::Document`] for what is not accepted.
pub(super) fn submodule(parent: &str, url: &str) -> Result<String> {
    let relative = url.starts_with("./") || url.starts_with("../") || url == ".." || url == ".";
    let absolute = if relative { join(parent, url)? } else { url.to_owned() };
    check(&absolute)?;
    if is_local(&absolute) && !is_local(parent) {
        return Err(refuse(&absolute, "lies on this machine, but comes from a repository elsewhere"));
    }
    Ok(absolute)
}

fn join(parent: &str, url: &str) -> Result<String> {
    // Nothing before this may be taken away: scheme and host, or the host of the short form.
    let root = match parent.split_once("://") {
        Some((scheme, rest)) => scheme.len() + 3 + rest.find('/').unwrap_or(rest.len()),
        None => parent.find(':').filter(|_| !parent.starts_with('/')).map_or(0, |colon| colon + 1),
    };
    let (root, path) = parent.split_at(root);
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in url.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part != ".." {
            parts.push(part);
        } else if parts.pop().is_none() {
            return Err(refuse(url, "climbs above the host of its parent"));
        }
    }
    let slash = if path.starts_with('/') { "/" } else { "" };
    Ok(format!("{root}{slash}{}", parts.join("/")))
}

/// Refuses names of revisions that git could take for an option or an expression (git-check-ref-format(1)).
///
/// # Errors
/// [`Kind::Document`] saying why.
pub(super) fn check_revision(rev: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let wrong = rev.is_empty()
        || rev.starts_with(['-', '/', '.', '+'])
        || rev.ends_with(['/', '.'])
        || rev.ends_with(".lock")
        || rev.contains("..")
        || rev.contains("//")
        || rev.contains("/.")
        || rev.contains("@{")
        || rev.chars().any(odd);
    if wrong {
        return Err(Error::new(
            Kind::Document,
            format!("git rev `{}`", rev.escape_debug()),
            "is no name of a revision",
        )
        .remedy("write a branch, a tag, or a full commit hash"));
    }
    Ok(())
}

/// Whether the text is a full hash: 40 digits of SHA-1 or 64 of SHA-256, in lower case.
pub(super) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_could_misunderstand_is_refused() {
        for url in ["https://h/p", "ssh://git@h:22/p", "git@h:p/q.git", "/srv/a b.git", "file:///srv/x", "git://h/p"] {
            check(url).unwrap();
        }
        for url in [
            "--upload-pack=touch /tmp/x",
            "-x",
            "",
            "ext::sh -c x",
            "ext::x",
            "fd::1",
            "file://host/p",
            "ssh://-oProxyCommand=x/p",
            "-oProxyCommand=x:p",
            "git@-oProxyCommand=x:p",
            "ftp://h/p",
            "https:///p",
            "https://h/p q",
            "../relative",
            "relative/path",
            "/x\ny",
        ] {
            let error = check(url).unwrap_err();
            assert_eq!(error.kind(), Kind::Document, "{url}");
        }
    }

    #[test]
    fn secrets_are_refused_without_repeating_them() {
        for url in ["https://u:geheim@h/p", "https://geheim@h/p", "ssh://u:geheim@h/p", "u:geheim@h:p"] {
            let error = check(url).unwrap_err();
            assert_eq!(error.kind(), Kind::Document, "{url}");
            assert!(error.cause().contains("locks and messages"), "{error}");
            assert!(error.remedy_text().unwrap().contains("SNPFORGE_GIT_CREDENTIAL_HELPER"), "{error:?}");
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
        }
        let error = submodule("https://h/a", "https://u:geheim@h/b").unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }

    #[test]
    fn relative_urls_of_submodules() {
        for (parent, url, expected) in [
            ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
            ("https://h/a/b.git/", "../../c/./d.git", "https://h/c/d.git"),
            ("https://h/a", "./b", "https://h/a/b"),
            ("git@h:a/b.git", "../c.git", "git@h:a/c.git"),
            ("git@h:a.git", "../c.git", "git@h:c.git"),
            ("/srv/git/a", "../b", "/srv/git/b"),
            ("file:///srv/a", "../b", "file:///srv/b"),
            ("/srv/git/a", "https://h/b", "https://h/b"),
        ] {
            assert_eq!(submodule(parent, url).unwrap(), expected, "{parent} {url}");
        }
        for (parent, url) in [
            ("https://h/a", "../../b"),
            ("https://h/a", "/etc"),
            ("https://h/a", "file:///etc"),
            ("git@h:a", "../../b"),
            ("https://h/a", "--upload-pack=x"),
        ] {
            assert!(submodule(parent, url).is_err(), "{parent} {url}");
        }
    }

    #[test]
    fn revisions() {
        for rev in ["main", "v6.12.1", "refs/heads/snp-latest", "feature/x+y", "HEAD"] {
            check_revision(rev).unwrap();
        }
        for rev in ["", "-x", "--all", "a b", "a..b", "a^", "HEAD~1", "a:b", "+x", "x@{1}", "*", "x.lock", "a//b"] {
            assert!(check_revision(rev).is_err(), "{rev}");
        }
        assert!(is_hash(&"0a".repeat(20)) && !is_hash("0a") && !is_hash(&"0A".repeat(20)));
    }
}
