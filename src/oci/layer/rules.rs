//! Where a package's path goes in the layer, and what stays out: merged /usr, folders that only a running system
//! fills, and the definition's patterns.

use crate::definition::Root;

/// The top folders that merged /usr turns into links to usr/.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Folders whose content belongs to a running system: it would differ, be hidden by a mount, or never be read.
const VOLATILE: [&str; 11] =
    ["dev", "proc", "run", "sys", "tmp", "var/cache", "var/lib/apt", "var/lock", "var/log", "var/run", "var/tmp"];

/// Files that an engine or this tool writes itself.
const REPLACED: [&str; 7] =
    ["etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", "etc/machine-id", "etc/passwd", "etc/group"];

/// The rules of one image.
pub(super) struct Rules<'a> {
    merged: bool,
    exclude: Vec<Pattern<'a>>,
    keep: Vec<Pattern<'a>>,
}

impl<'a> Rules<'a> {
    /// The rules a definition asks for.
    pub(super) fn of(root: &'a Root) -> Self {
        let patterns = |texts: &'a [String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Rules { merged: root.merged_usr, exclude: patterns(&root.exclude), keep: patterns(&root.keep) }
    }

    /// The path in the layer of a package's path, or nothing if it stays out.
    pub(super) fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        let placed = self.merged(path);
        let volatile = VOLATILE.iter().any(|folder| below(&placed, folder.as_bytes()));
        let left_out = volatile
            || REPLACED.iter().any(|file| file.as_bytes() == placed)
            || (self.exclude.iter().any(|pattern| pattern.matches(&placed))
                && !self.keep.iter().any(|pattern| pattern.matches(&placed)));
        (!left_out).then_some(placed)
    }

    /// The link that merged /usr puts at the top of the tree for a package's path, if it needs one.
    pub(super) fn top_link(&self, path: &[u8]) -> Option<&'static str> {
        self.merged.then(|| top(path)).flatten()
    }

    /// Whether a symbolic link only says what merged /usr says already: `bin -> usr/bin` itself, or `bin/x ->
    /// /usr/bin/x`, which would come to lie on its own target.
    pub(super) fn superfluous(&self, path: &[u8], target: &[u8]) -> bool {
        self.merged && {
            let meant = self.merged(&resolved(path, target));
            meant == self.merged(path)
        }
    }

    fn merged(&self, path: &[u8]) -> Vec<u8> {
        match self.top_link(path) {
            Some(_) => [b"usr/", path].concat(),
            None => path.to_vec(),
        }
    }
}

/// The top folders that merged /usr turns into links.
pub(super) fn merged_tops() -> impl Iterator<Item = &'static str> {
    MERGED.into_iter()
}

/// The links every merged root has, whatever its packages hold.
pub(super) fn always_linked() -> impl Iterator<Item = &'static str> {
    MERGED.into_iter().take(3)
}

fn top(path: &[u8]) -> Option<&'static str> {
    let first = path.split(|byte| *byte == b'/').next()?;
    MERGED.into_iter().find(|name| name.as_bytes() == first)
}

fn below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// What a link at `path` means, by its text alone.
fn resolved(path: &[u8], target: &[u8]) -> Vec<u8> {
    let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path[..at]);
    let start = if target.starts_with(b"/") { &b""[..] } else { folder };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in start.split(|byte| *byte == b'/').chain(target.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// A path pattern: `*` matches within a name, `**` across folders, everything else itself.
pub(super) struct Pattern<'a>(&'a [u8]);

impl<'a> Pattern<'a> {
    /// A leading slash is allowed and means nothing.
    pub(super) fn new(text: &'a str) -> Self {
        Pattern(text.strip_prefix('/').unwrap_or(text).as_bytes())
    }

    /// Whether the whole path matches.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        matches(self.0, path)
    }
}

/// Linear in practice: on a mismatch only the last star of each kind takes one byte more.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    // Where to go on in the pattern, and from which byte of the path the star takes one more.
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            double = Some((p, s));
            single = None;
        } else if pattern.get(p) == Some(&b'*') {
            p += 1;
            single = Some((p, s));
        } else if s < path.len() && pattern.get(p) == Some(&path[s]) {
            p += 1;
            s += 1;
        } else if s == path.len() && p == pattern.len() {
            return true;
        } else if let Some((after, from)) = single.filter(|(_, from)| path.get(*from).is_some_and(|b| *b != b'/')) {
            single = Some((after, from + 1));
            (p, s) = (after, from + 1);
        } else if let Some((after, from)) = double.filter(|(_, from)| *from < path.len()) {
            double = Some((after, from + 1));
            single = None;
            (p, s) = (after, from + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(merged_usr: bool) -> Root {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Root {
            merged_usr,
            packages: Vec::new(),
            links: Default::default(),
            exclude: texts(&["usr/share/doc/**", "/usr/share/man/**"]),
            keep: texts(&["usr/share/doc/*/copyright"]),
        }
    }

    fn placed(rules: &Rules<'_>, path: &str) -> Option<String> {
        rules.place(path.as_bytes()).map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**/x", "a/b/x", true),
            ("**/x", "x", false),
            ("a*c", "abbc", true),
            ("a*c", "ab/c", false),
            ("a**c", "ab/c", true),
            ("a/**/z/*.o", "a/b/z/c/z/d.o", true),
            ("a/**/z/*.o", "a/b/z/c/d.o", false),
            ("*/b", "a/b", true),
            ("", "", true),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn merged_usr_moves_the_top_folders_only() {
        let (root, plain) = (root(true), root(false));
        let rules = Rules::of(&root);
        assert_eq!(placed(&rules, "bin/sh").unwrap(), "usr/bin/sh");
        assert_eq!(placed(&rules, "lib").unwrap(), "usr/lib");
        assert_eq!(placed(&rules, "library/x").unwrap(), "library/x");
        assert_eq!(placed(&rules, "usr/bin/x").unwrap(), "usr/bin/x");
        assert_eq!(rules.top_link(b"lib64/ld.so"), Some("lib64"));
        let rules = Rules::of(&plain);
        assert_eq!(placed(&rules, "bin/sh").unwrap(), "bin/sh");
        assert_eq!(rules.top_link(b"bin/sh"), None);
    }

    #[test]
    fn what_stays_out() {
        let root = root(true);
        let rules = Rules::of(&root);
        for path in ["usr/share/doc/a", "usr/share/man/man1/a.1.gz", "var/cache/man", "run/x", "etc/hosts"] {
            assert_eq!(placed(&rules, path), None, "{path}");
        }
        for path in ["usr/share/doc/a/copyright", "var/cache", "run", "etc/host.conf", "var/loggia/x"] {
            assert_eq!(placed(&rules, path).unwrap(), path);
        }
    }

    #[test]
    fn links_that_merged_usr_makes_superfluous() {
        let (root, plain) = (root(true), root(false));
        let rules = Rules::of(&root);
        assert!(rules.superfluous(b"bin/which", b"/usr/bin/which"));
        assert!(rules.superfluous(b"bin/which", b"../usr/bin/which"));
        assert!(rules.superfluous(b"usr/lib/x", b"/lib/x"));
        assert!(rules.superfluous(b"bin", b"usr/bin"));
        assert!(!rules.superfluous(b"bin/sh", b"dash"));
        assert!(!rules.superfluous(b"usr/bin/x", b"/etc/x"));
        assert!(!Rules::of(&plain).superfluous(b"bin/which", b"/usr/bin/which"));
    }
}
