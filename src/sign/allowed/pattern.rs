//! Lists of patterns (ssh_config(5), PATTERNS), as principals and namespaces are.

/// Whether `name` is in a comma-separated list of patterns with `*` and `?`; a match of `!pattern` excludes it.
pub(super) fn listed(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// Glob matching without recursion: on a mismatch the last `*` takes one byte more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_as_much_as_the_rest_leaves_it() {
        assert!(matches(b"a*b*c", b"aXbYbZc") && !matches(b"a*b*c", b"aXbYbZ"));
        assert!(listed("x,a?c*", "abc") && !listed("x,a?c*", "ac") && !listed("*,!abc", "abc"));
    }
}
