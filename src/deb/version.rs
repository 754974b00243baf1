//! Debian versions and the relations that name them. The order is deb-version(7)'s.

use std::cmp::Ordering;

/// Compares two versions: epoch, upstream version, revision.
pub fn compare(one: &str, other: &str) -> Ordering {
    let ((epoch, upstream, revision), (epoch2, upstream2, revision2)) = (parts(one), parts(other));
    digits(epoch, epoch2).then_with(|| part(upstream, upstream2)).then_with(|| part(revision, revision2))
}

fn parts(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Alternately the longest prefixes without digits, then those of digits.
fn part(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one.as_bytes(), other.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let (left, right) = (text_length(a), text_length(b));
        let order = text(&a[..left], &b[..right]);
        (a, b) = (&a[left..], &b[right..]);
        let (left, right) = (digit_length(a), digit_length(b));
        let order = order.then_with(|| number(&a[..left], &b[..right]));
        (a, b) = (&a[left..], &b[right..]);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn text_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count()
}

fn digit_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Letters before everything else, a tilde before the end.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn text(one: &[u8], other: &[u8]) -> Ordering {
    (0..one.len().max(other.len()))
        .map(|at| weight(one.get(at)).cmp(&weight(other.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn number(one: &[u8], other: &[u8]) -> Ordering {
    let bare = |digits: &[u8]| digits.iter().skip_while(|digit| **digit == b'0').copied().collect::<Vec<u8>>();
    let (one, other) = (bare(one), bare(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
}

fn digits(one: &str, other: &str) -> Ordering {
    number(one.as_bytes(), other.as_bytes())
}

/// Whether one of the comma-separated relations in `field` (as `Replaces` has them) holds for a package: its name, and
/// its version where the relation gives one. A relation that cannot be read holds for nothing.
pub fn names(field: &str, package: &str, version: &str) -> bool {
    field.split(',').any(|relation| {
        let (name, condition) = relation.trim().split_once('(').unwrap_or((relation.trim(), ""));
        let name = name.trim();
        name.split_once(':').map_or(name, |(name, _)| name) == package && holds(condition, version)
    })
}

fn holds(condition: &str, version: &str) -> bool {
    let condition = condition.trim().trim_end_matches(')').trim();
    if condition.is_empty() {
        return true;
    }
    let at = condition.find(|c| !matches!(c, '<' | '>' | '=')).unwrap_or(condition.len());
    let (operator, wanted) = condition.split_at(at);
    let order = compare(version, wanted.trim());
    match operator {
        "<<" => order.is_lt(),
        "<=" | "<" => order.is_le(),
        "=" => order.is_eq(),
        ">=" | ">" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_deb_version() {
        let rising = ["1~~", "1~~a", "1~", "1", "1-1", "1a", "1+b1", "1.2", "1.10", "2", "1:0.1", "2:0"];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("0:1.02-1", "1.2-01"), Ordering::Equal);
        assert_eq!(compare("1.0-1~bpo12+1", "1.0-1"), Ordering::Less);
        assert_eq!(compare("99999999999999999999999", "100000000000000000000000"), Ordering::Less);
    }

    #[test]
    fn relations_with_and_without_versions() {
        let field = "old, other:any (<< 2.0-1~), third (= 1.5), broken (?? 1)";
        assert!(names(field, "old", "9"));
        assert!(names(field, "other", "1.9") && !names(field, "other", "2.0-1"));
        assert!(names(field, "third", "1.5") && !names(field, "third", "1.6"));
        assert!(!names(field, "broken", "1") && !names(field, "absent", "1"));
    }
}
