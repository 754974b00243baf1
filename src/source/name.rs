//! Names inside a source: what is refused because it would leave the tree, and how odd names are shown.

/// The longest path Linux can open (PATH_MAX).
const LONGEST: usize = 4096;

/// The path without `.` and empty parts; empty for the top itself. The error says what is wrong with it.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    if path.first() == Some(&b'/') {
        return Err("has an absolute name");
    }
    if path.len() > LONGEST {
        return Err("has a name longer than any system can open");
    }
    let mut clean = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("has `..` in its name"),
            part if part.contains(&0) => return Err("has a zero byte in its name"),
            part => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(part);
            }
        }
    }
    Ok(clean)
}

/// Refuses a link at `path` whose relative target climbs out of the tree. Absolute targets pass: edk2 has one
/// (`X11IncludeHack`), and inside the build they mean the builder's own root, whatever this machine has there. Nothing
/// on this side follows a link of a source.
pub(super) fn check_link(path: &[u8], target: &[u8]) -> Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) {
        return Err("is a link to nothing");
    }
    if target.len() > LONGEST {
        return Err("is a link with a target longer than any system can open");
    }
    if target.first() == Some(&b'/') {
        return Ok(());
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return Err("is a link that climbs out of the source"),
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}

/// A name for messages: odd bytes are escaped.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        assert_eq!(clean(b"./a//b/./c/").unwrap(), b"a/b/c");
        assert_eq!(clean(b"./").unwrap(), b"");
        for wrong in [&b"/etc/passwd"[..], b"a/../../b", b"..", b"a\0b"] {
            assert!(clean(wrong).is_err(), "{}", shown(wrong));
        }
        assert!(clean(&b"a/".repeat(3000)).is_err());
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [("a/b/l", "../../c"), ("l", "./x/../y"), ("X11IncludeHack", "/opt/X11/include")] {
            assert_eq!(check_link(path.as_bytes(), target.as_bytes()), Ok(()), "{path} -> {target}");
        }
        for (path, target) in [("l", "../x"), ("a/l", "b/../../../x"), ("a/b/l", "../../.."), ("l", "")] {
            assert!(check_link(path.as_bytes(), target.as_bytes()).is_err(), "{path} -> {target}");
        }
    }
}
