//! Paths and targets of links in tars that others made. Names need not be UTF-8: they stay bytes.

/// Bytes of the longest path (Linux' PATH_MAX) and of the longest name in it (NAME_MAX).
pub(super) const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// The folders above a path, the nearest first.
pub(crate) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..path.len()).rev().filter(|at| path[*at] == b'/').map(|at| &path[..at])
}

/// A path for messages.
pub(super) fn show(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}

/// The path from the root, of at most `parts_max` parts, or why it is none.
pub(super) fn normalised(raw: &[u8], parts_max: usize) -> Result<Vec<u8>, String> {
    // A line end would forge entries in the package database's file lists; dpkg refuses it too.
    if raw.contains(&0) || raw.contains(&b'\n') {
        return Err("its name holds a NUL or a line end".into());
    }
    let mut path = Vec::with_capacity(raw.len());
    let mut parts = 0;
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err("leads out of the root".into()),
            long if long.len() > NAME_MAX => return Err(format!("a part of its name is longer than {NAME_MAX} bytes")),
            part => {
                parts += 1;
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    if parts > parts_max {
        return Err(format!("lies below more than {parts_max} folders"));
    }
    if path.len() > PATH_MAX { Err(format!("is longer than {PATH_MAX} bytes")) } else { Ok(path) }
}

/// A symbolic link may point anywhere: nothing here or in a root that is made of it is ever reached through it.
pub(super) fn symlink_target(link: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    match link {
        Some(target) if target.len() > PATH_MAX => Err(format!("its target is longer than {PATH_MAX} bytes")),
        Some(target) if !target.is_empty() && !target.contains(&0) => Ok(target),
        _ => Err("a symbolic link without a target".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative() {
        for (raw, path) in [("./a/b", "a/b"), ("/a//b/", "a/b"), (".//./a", "a"), ("./", ""), ("a/...", "a/...")] {
            assert_eq!(normalised(raw.as_bytes(), 2).unwrap(), path.as_bytes(), "{raw}");
        }
        assert_eq!(normalised(b"./caf\xe9", 1).unwrap(), b"caf\xe9");
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for raw in ["..", "./../a", "a/../../b", "a/b/..", "/..", "a\nb"] {
            assert!(normalised(raw.as_bytes(), usize::MAX).is_err(), "{raw}");
        }
        assert!(normalised(&[b'a'; 256], usize::MAX).is_err());
        assert!(normalised("a/".repeat(2100).as_bytes(), usize::MAX).is_err());
    }

    #[test]
    fn targets_are_not_endless() {
        assert!(symlink_target(Some(vec![b'a'; PATH_MAX])).is_ok());
        assert!(symlink_target(Some(vec![b'a'; PATH_MAX + 1])).unwrap_err().contains("longer than 4096 bytes"));
    }

    #[test]
    fn paths_are_as_deep_as_the_reader_allows() {
        let deep = |parts: usize, most| normalised("a/".repeat(parts).as_bytes(), most);
        assert!(deep(256, 256).is_ok());
        assert!(deep(257, usize::MAX).is_ok());
        assert_eq!(deep(257, 256).unwrap_err(), "lies below more than 256 folders");
    }
}
