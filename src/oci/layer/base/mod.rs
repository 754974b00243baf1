//! What an image below the packages adds to a layer: every path that is not there yet, after the rules for packages. It
//! enters last, so packages, the definition's links and the contract always win.
//!
//! - A package of the base that is also among the image's own is the same one in another version: what its list names
//!   stays out, unless another of the base's packages has it, too. The others keep their paragraph, list and other files
//!   in the package database; lists no longer name what the image's own packages have.
//! - Where the image's own packages have something that is no folder, nothing comes to lie below it.
//! - Left out besides: what lies below the contract's folders, an engine's mark (/.dockerenv), all else of the package
//!   database but alternatives, and beside packages the linker's cache, which names libraries of the base's versions.
//! - Order: folders, then links, by path; then files, by layer and by their order in it, of those with more than one path
//!   (hard links) the first, and the others after all first ones of the layer.
//! - A root without merged /usr takes packages only on a base without it, too.
//!
//! Here is what the base's package database says and becomes; `fill` writes the paths.

mod fill;

use super::Recipe;
use super::accounts::Tables;
use super::database::{self, Database, FOLDER};
use super::rules::{self, Rules};
use crate::deb::Stanza;
use crate::error::{Error, Kind, Result};
use crate::oci::base::{Base, Node, REMEDY};
use std::collections::{BTreeMap, BTreeSet};

/// A base with what its package database says.
pub(super) struct Below<'a> {
    base: &'a Base,
    rules: &'a Rules<'a>,
    /// Folders that the contract fills.
    contract: &'a [&'a str],
    /// Whether there are no packages.
    alone: bool,
    /// Paragraphs of the status file by name and architecture, with the name that files in the database have.
    kept: BTreeMap<(String, String), (String, String)>,
    /// The names in the database of packages that are not also among the image's own.
    stems: BTreeSet<String>,
    /// Paths of packages that are, and of no other.
    superseded: BTreeSet<Vec<u8>>,
    /// Names of packages that are.
    replaced: BTreeSet<String>,
}

impl<'a> Below<'a> {
    /// Reads the package database of the recipe's base, if there is one; `packages` are names and architectures. Calls
    /// `progress` at every paragraph.
    pub(super) fn of(
        recipe: &Recipe<'a>,
        rules: &'a Rules<'a>,
        packages: &[(&str, &str)],
        progress: &dyn Fn() -> Result<()>,
    ) -> Result<Option<Self>> {
        let Some(base) = recipe.base else { return Ok(None) };
        if !recipe.root.merged_usr && !packages.is_empty() {
            not_merged(base)?;
        }
        let mut below = Below {
            base,
            rules,
            contract: recipe.contract.folders,
            alone: packages.is_empty(),
            kept: BTreeMap::new(),
            stems: BTreeSet::new(),
            superseded: BTreeSet::new(),
            replaced: BTreeSet::new(),
        };
        let mut architectures: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, architecture) in packages {
            architectures.entry(name).or_default().push(architecture);
        }
        let mut superseded = BTreeSet::new();
        let status = String::from_utf8_lossy(base.text(&format!("{FOLDER}/status")).unwrap_or_default());
        for paragraph in status.split("\n\n").map(|text| text.trim_matches('\n')).filter(|text| !text.is_empty()) {
            progress()?;
            let stanza = Stanza::parse(paragraph).map_err(damaged)?;
            let (name, stem) = (stanza.get("Package").unwrap_or_default().to_owned(), database::stem(&stanza));
            let architecture = stanza.get("Architecture").unwrap_or_default().to_owned();
            let same = |arch: &&str| *arch == architecture || *arch == "all" || architecture == "all";
            let is_replaced = architectures.get(name.as_str()).is_some_and(|found| found.iter().any(same));
            if is_replaced {
                superseded.insert(stem);
                below.replaced.insert(name);
            } else {
                below.stems.insert(stem.clone());
                below.kept.insert((name, architecture), (stem, format!("{paragraph}\n\n")));
            }
        }
        below.supersede(&superseded, progress)?;
        Ok(Some(below))
    }

    /// Learns the paths of the packages that give way. A list is read once, whatever the number of paragraphs that it would
    /// belong to; those of the others, nearly all paths of a base, are not held together.
    fn supersede(&mut self, stems: &BTreeSet<String>, progress: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut paths: BTreeSet<Vec<u8>> = stems.iter().flat_map(|stem| self.listed(stem)).collect();
        for stem in self.stems.iter().filter(|_| !stems.is_empty()) {
            progress()?;
            for path in self.listed(stem) {
                paths.remove(&path);
            }
        }
        self.superseded = paths;
        Ok(())
    }

    /// The account tables.
    pub(super) fn tables(&self) -> Tables<'a> {
        Tables { passwd: self.base.text("etc/passwd"), group: self.base.text("etc/group") }
    }

    /// Puts the kept packages into the database and gives their lists, without what `taken` says is another's. Calls
    /// `progress` at every package.
    pub(super) fn describe(
        &self,
        database: &mut Database,
        taken: &dyn Fn(&[u8]) -> bool,
        progress: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<(String, u32, Vec<u8>)>> {
        let (mut lists, mut described) = (Vec::new(), BTreeSet::new());
        for (key, (stem, paragraph)) in &self.kept {
            progress()?;
            let is_new = described.insert(stem);
            let triggers = self.base.text(&format!("{FOLDER}/info/{stem}.triggers")).filter(|_| is_new);
            let triggers = String::from_utf8_lossy(triggers.unwrap_or_default());
            database.keep(key.clone(), paragraph.clone(), stem, &triggers);
            let path = format!("{FOLDER}/info/{stem}.list");
            let Some(list) = self.base.text(&path).filter(|_| is_new) else { continue };
            let is_ours = |line: &&[u8]| {
                let path = line.strip_prefix(b"/").unwrap_or(line).trim_ascii_end();
                !self.rules.place(&self.found(path)).is_some_and(|path| taken(&path))
            };
            lists.push((
                path,
                0o644,
                list.split_inclusive(|byte| *byte == b'\n').filter(is_ours).collect::<Vec<_>>().concat(),
            ));
        }
        database.divert(self.diversions());
        Ok(lists)
    }

    /// The diversions of packages that are not also among the image's own: three lines each.
    fn diversions(&self) -> String {
        let text = String::from_utf8_lossy(self.base.text(&format!("{FOLDER}/diversions")).unwrap_or_default());
        let lines: Vec<&str> = text.lines().collect();
        let kept = lines.chunks_exact(3).filter(|diversion| !self.replaced.contains(diversion[2]));
        kept.flatten().map(|line| format!("{line}\n")).collect()
    }

    /// Whether a path of the base's package database is of a package that is kept, or a choice of alternatives. Lists are
    /// written anew.
    fn is_described(&self, path: &[u8]) -> bool {
        let Some(inner) = path.get(FOLDER.len() + 1..) else { return false };
        if inner == b"alternatives" || inner.starts_with(b"alternatives/") {
            return true;
        }
        let name = inner.strip_prefix(b"info/").and_then(|name| std::str::from_utf8(name).ok());
        let parts = name.and_then(|name| name.rsplit_once('.'));
        parts.is_some_and(|(stem, ending)| ending != "list" && self.stems.contains(stem))
    }

    /// The paths of a package, where the base has them.
    fn listed(&self, stem: &str) -> Vec<Vec<u8>> {
        let list = self.base.text(&format!("{FOLDER}/info/{stem}.list")).unwrap_or_default();
        let lines = list.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"/"));
        lines.map(|path| self.found(path)).collect()
    }

    /// Where the base has a path of a list: in a merged root, bin/x lies below usr.
    fn found(&self, path: &[u8]) -> Vec<u8> {
        let top = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        match self.base.node(top) {
            Some(Node::Symlink { target, .. }) if path.len() > top.len() => {
                [target.strip_prefix(b"/").unwrap_or(target), &path[top.len()..]].concat()
            }
            _ => path.to_vec(),
        }
    }
}

/// Refuses a base with merged /usr: a package's ./bin/x would make a folder of what is a link there, and all that the base
/// has in /bin would be found no more.
fn not_merged(base: &Base) -> Result<()> {
    for top in rules::merged_tops() {
        if let Some(Node::Symlink { target, .. }) = base.node(top.as_bytes()) {
            let target = String::from_utf8_lossy(target).escape_debug().to_string();
            let cause = format!("root.merged-usr is false, but /{top} of the base image is a link to `{target}`");
            return Err(Error::new(Kind::Document, "image definition", cause)
                .remedy("write merged-usr = true: packages and the base must agree on it"));
        }
    }
    Ok(())
}

fn damaged(cause: String) -> Error {
    Error::new(Kind::Trust, format!("/{FOLDER}/status of the base image"), cause).remedy(REMEDY)
}

#[cfg(test)]
mod tests {
    use super::super::Contract;
    use super::super::assemble::Assembler;
    use super::super::order::sorted;
    use super::*;
    use crate::date::Epoch;
    use crate::definition::Root;
    use crate::oci::base::sample::{self, file, symlink};

    const CONTRACT: Contract<'static> = Contract { folders: &[], owned: &[], id: 1000, user: "builder", home: "/b" };

    fn root(merged_usr: bool) -> Root {
        let (packages, links, exclude, keep) = Default::default();
        Root { merged_usr, packages, links, exclude, keep }
    }

    /// What [`Below::of`] says of a base below packages.
    fn of(
        root: &Root,
        base: &Base,
        packages: &[(&str, &str)],
        progress: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<String>> {
        let recipe = Recipe { root, base: Some(base), epoch: Epoch(0), contract: CONTRACT };
        let rules = Rules::of(root);
        let below = Below::of(&recipe, &rules, packages, progress)?.unwrap();
        let mut database = Database::default();
        let lists = below.describe(&mut database, &|_| false, progress)?;
        let status = database.finish().into_iter().find(|(path, ..)| path == "var/lib/dpkg/status").unwrap();
        let made = lists.into_iter().chain([status]);
        Ok(made.map(|(path, _, text)| format!("{path} {}", String::from_utf8(text).unwrap())).collect())
    }

    #[test]
    fn a_merged_base_below_packages_wants_a_merged_root() {
        let base = sample::base(&[vec![symlink("lib64", "usr/lib64"), file("usr/lib64/ld.so", "")]]).unwrap();
        let tool = [("tool", "amd64")];
        let error = of(&root(false), &base, &tool, &|| Ok(())).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Document, "image definition"));
        assert!(error.cause().contains("/lib64 of the base image is a link to `usr/lib64`"), "{error}");
        assert!(error.remedy_text().unwrap().contains("merged-usr = true"), "{error}");
        of(&root(true), &base, &tool, &|| Ok(())).unwrap();
        of(&root(false), &base, &[], &|| Ok(())).unwrap();
        let old = sample::base(&[vec![file("bin/sh", "")]]).unwrap();
        of(&root(false), &old, &tool, &|| Ok(())).unwrap();
    }

    #[test]
    fn a_list_is_read_once() {
        let paragraph = |name: &str, arch: &str| format!("Package: {name}\nArchitecture: {arch}\n\n");
        let status = [paragraph("a", "amd64"), paragraph("a", "i386"), paragraph("b", "amd64")].concat();
        let base = sample::base(&[vec![
            file("var/lib/dpkg/status", &status),
            file("var/lib/dpkg/info/a.list", "/a\n"),
            file("var/lib/dpkg/info/b.list", "/b\n"),
        ]])
        .unwrap();
        let made = of(&root(true), &base, &[("b", "amd64"), ("a", "arm64")], &|| Ok(())).unwrap();
        let kept = paragraph("a", "amd64") + &paragraph("a", "i386");
        assert_eq!(made, ["var/lib/dpkg/info/a.list /a\n".to_owned(), format!("var/lib/dpkg/status {kept}")]);
    }

    #[test]
    fn a_hostile_status_ends_soon() {
        let fields: String = (0..200_000).map(|number| format!("a{number}:\n")).collect();
        let base = sample::base(&[vec![file("var/lib/dpkg/status", format!("Package: a\n{fields}"))]]).unwrap();
        let error = of(&root(true), &base, &[], &|| Ok(())).unwrap_err();
        assert_eq!((error.kind(), error.object()), (Kind::Trust, "/var/lib/dpkg/status of the base image"));
        assert!(error.cause().contains("more than 1024 fields"), "{error}");
    }

    #[test]
    fn a_wish_to_stop_is_heard_at_every_paragraph_and_path() {
        let status = (0..10).map(|number| format!("Package: a{number}\n\n")).collect::<String>();
        let base = sample::base(&[vec![file("var/lib/dpkg/status", status), file("a/b", "x")]]).unwrap();
        let left = std::cell::Cell::new(0);
        let progress = || {
            let rest: u32 = left.get();
            left.set(rest.saturating_sub(1));
            if rest == 0 { Err(Error::new(Kind::Interrupted, "x", "interrupted")) } else { Ok(()) }
        };
        // Ten paragraphs are read, then ten packages described.
        for (steps, is_stopped) in [(9, true), (10, true), (19, true), (20, false)] {
            left.set(steps);
            let found = of(&root(true), &base, &[], &progress).err().map(|error| error.kind());
            assert_eq!(found, is_stopped.then_some(Kind::Interrupted), "{steps}");
        }
        // Three loops over six paths (folders come by themselves), then the two members of the tar.
        for (steps, is_stopped) in [(0, true), (6, true), (12, true), (19, true), (20, false)] {
            left.set(u32::MAX);
            let root = root(true);
            let recipe = Recipe { root: &root, base: Some(&base), epoch: Epoch(0), contract: CONTRACT };
            let rules = Rules::of(&root);
            let below = Below::of(&recipe, &rules, &[], &progress).unwrap().unwrap();
            let (_, claims) = sorted(&[], 1).unwrap();
            let mut assembler = Assembler::new(Vec::new(), &claims, 0);
            left.set(steps);
            let found = below.fill(&mut assembler, &progress).err().map(|error| error.kind());
            assert_eq!(found, is_stopped.then_some(Kind::Interrupted), "{steps}");
        }
    }
}
