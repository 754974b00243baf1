//! Debian versions: `[epoch:]upstream[-revision]`, compared as the Debian Policy Manual says (section 5.6.12), and
//! whether a field such as Replaces names a package of a version. Serves indexes and packages alike. Pure.

use std::cmp::Ordering;
use std::fmt;

/// Which of two versions is the newer one. `1.0`, `0:1.0` and `1.0-0` are the same version in three spellings.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_rest) = split_epoch(left);
    let (right_epoch, right_rest) = split_epoch(right);
    let (left_upstream, left_revision) = split_revision(left_rest);
    let (right_upstream, right_revision) = split_revision(right_rest);
    compare_numbers(left_epoch, right_epoch)
        .then_with(|| compare_parts(left_upstream, right_upstream))
        .then_with(|| compare_parts(left_revision, right_revision))
}

/// How a relation wants a version to stand to the one it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Reads the sign. `<` and `>` are old spellings of `<=` and `>=`.
    pub fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "<<" => Operator::Earlier,
            "<=" | "<" => Operator::EarlierOrEqual,
            "=" => Operator::Equal,
            ">=" | ">" => Operator::LaterOrEqual,
            ">>" => Operator::Later,
            _ => return None,
        })
    }

    /// Whether `version` stands so to `wanted`.
    pub fn holds(self, version: &str, wanted: &str) -> bool {
        let order = compare(version, wanted);
        match self {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        })
    }
}

/// Whether one of the comma-separated relations in `field` (as `Replaces` has them) holds for a package: its name, and
/// its version where the relation gives one. A relation that cannot be read holds for nothing.
pub fn names(field: &str, package: &str, version: &str) -> bool {
    field.split(',').any(|relation| {
        let (name, condition) = relation.trim().split_once('(').unwrap_or((relation.trim(), ""));
        let name = name.trim();
        name.split_once(':').map_or(name, |(name, _)| name) == package && meets(condition, version)
    })
}

/// Whether the rest of a relation after its `(` holds for a version.
fn meets(condition: &str, version: &str) -> bool {
    let condition = condition.trim().trim_end_matches(')').trim();
    let signs = condition.find(|sign| !matches!(sign, '<' | '>' | '=')).unwrap_or(condition.len());
    let (sign, wanted) = condition.split_at(signs);
    condition.is_empty() || Operator::parse(sign).is_some_and(|operator| operator.holds(version, wanted.trim()))
}

/// Epoch (empty: zero) and the rest.
fn split_epoch(version: &str) -> (&str, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    }
}

/// Upstream version and revision (empty, which equals 0, when there is none).
fn split_revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Compares runs of digits of any length as numbers; an empty run is zero.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Compares upstream versions or revisions: by turns a run of other characters and a run of digits.
fn compare_parts(mut left: &str, mut right: &str) -> Ordering {
    while !(left.is_empty() && right.is_empty()) {
        let (left_text, left_after) = cut(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_after) = cut(right, |byte| !byte.is_ascii_digit());
        let (left_number, left_rest) = cut(left_after, |byte| byte.is_ascii_digit());
        let (right_number, right_rest) = cut(right_after, |byte| byte.is_ascii_digit());
        let order = compare_texts(left_text, right_text).then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

/// Compares runs without digits: `~` before the end, the end before letters, letters before all else.
fn compare_texts(left: &str, right: &str) -> Ordering {
    // The end of a run weighs 0, so a `~` sorts even before it.
    let weight = |byte: Option<&u8>| match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let (left, right) = (left.as_bytes(), right.as_bytes());
    (0..left.len().max(right.len()))
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The longest start whose bytes all pass `test`, and the rest.
fn cut(text: &str, test: impl Fn(u8) -> bool) -> (&str, &str) {
    // Multi-byte characters never hold an ASCII digit byte, so the position is a character border.
    let at = text.bytes().position(|byte| !test(byte)).unwrap_or(text.len());
    text.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        // Ascending: the policy's own examples, real packages and edge cases, all distinct.
        let ascending = [
            "~~",
            "~~a",
            "~",
            "",
            "0.9~rc1",
            "0.9",
            "1.0~beta1~svc1",
            "1.0~beta1",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0-10",
            "1.0a",
            "1.0+dfsg",
            "1.0.1",
            "1.2",
            "1.10",
            "2.36-9",
            "2.36-9+deb12u9",
            "2.36-9+deb12u14",
            "99999999999999999999",
            "100000000000000000000",
            "99999999999999999999999",
            "100000000000000000000000",
            "a",
            "b",
            "+",
            "1:0",
            "1:0.1",
            "1:1.2.3-4-5",
            "2:0",
            "10:0",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} against {right}");
            }
        }
    }

    #[test]
    fn spellings_of_one_version() {
        for (left, right) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.0", "1.0-"),
            ("1.00", "1.0"),
            ("01:1", "1:1"),
            ("0:1.02-1", "1.2-01"),
        ] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} against {right}");
        }
    }

    #[test]
    fn operators() {
        for (sign, earlier, equal, later) in [
            ("<<", true, false, false),
            ("<=", true, true, false),
            ("=", false, true, false),
            (">=", false, true, true),
            (">>", false, false, true),
        ] {
            let operator = Operator::parse(sign).unwrap();
            let found = ["1.0~", "1.0", "1.0-1"].map(|version| operator.holds(version, "1.0"));
            assert_eq!(found, [earlier, equal, later], "{sign}");
            assert_eq!(operator.to_string(), sign);
        }
        assert_eq!(Operator::parse("<"), Some(Operator::EarlierOrEqual));
        assert_eq!(Operator::parse("=="), None);
    }

    #[test]
    fn relations_with_and_without_versions() {
        let field = "old, other:any (<< 2.0-1~), third (= 1.5), broken (?? 1)";
        assert!(names(field, "old", "9"));
        assert!(names(field, "other", "1.9") && !names(field, "other", "2.0-1"));
        assert!(names(field, "third", "1.5") && !names(field, "third", "1.6"));
        assert!(!names(field, "broken", "1") && !names(field, "absent", "1"));
    }

    /// A small generator of numbers (xorshift64), so that the checks need no crate and fail the same way each time.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn version(&mut self) -> String {
            const ALPHABET: &[u8] = b"0019aZ.+~-:";
            let length = self.next() % 7;
            (0..length).map(|_| char::from(ALPHABET[(self.next() % ALPHABET.len() as u64) as usize])).collect()
        }
    }

    #[test]
    fn the_order_is_total() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..200_000 {
            let [a, b, c] = [(); 3].map(|()| numbers.version());
            assert_eq!(compare(&a, &a), Ordering::Equal, "{a}");
            assert_eq!(compare(&a, &b), compare(&b, &a).reverse(), "{a} against {b}");
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                assert!(compare(&a, &c).is_le(), "{a} <= {b} <= {c}");
            }
            if compare(&a, &b).is_eq() {
                assert_eq!(compare(&a, &c), compare(&b, &c), "{a} = {b} against {c}");
            }
        }
    }

    #[test]
    fn agrees_with_a_character_by_character_reading_of_the_policy() {
        // The algorithm of the policy's words, written the slow way: no runs, no lengths, big numbers by digits.
        fn slow(left: &str, right: &str) -> Ordering {
            let rank = |byte: Option<u8>| match byte {
                Some(b'~') => -1,
                None => 0,
                Some(byte) if byte.is_ascii_digit() => 0,
                Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
                Some(byte) => i32::from(byte) + 256,
            };
            let (left, right) = (left.as_bytes(), right.as_bytes());
            let (mut i, mut j) = (0, 0);
            let digit = |bytes: &[u8], at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
            while i < left.len() || j < right.len() {
                while (i < left.len() && !digit(left, i)) || (j < right.len() && !digit(right, j)) {
                    let order = rank(left.get(i).copied()).cmp(&rank(right.get(j).copied()));
                    if order.is_ne() {
                        return order;
                    }
                    i += 1;
                    j += 1;
                }
                let mut numbers = [0_u128; 2];
                for (number, bytes, at) in [(0, left, &mut i), (1, right, &mut j)] {
                    while digit(bytes, *at) {
                        numbers[number] = numbers[number] * 10 + u128::from(bytes[*at] - b'0');
                        *at += 1;
                    }
                }
                if numbers[0] != numbers[1] {
                    return numbers[0].cmp(&numbers[1]);
                }
            }
            Ordering::Equal
        }
        let mut numbers = Numbers(42);
        for _ in 0..200_000 {
            let [a, b] = [(); 2].map(|()| numbers.version().replace([':', '-'], ""));
            assert_eq!(compare(&a, &b), slow(&a, &b), "{a} against {b}");
        }
    }
}
