//! What an image below the packages adds to a layer: every path that is not there yet, after the rules for packages. It
//! enters last, so packages, the definition's links and the contract always win.
//!
//! - A package of the base that is also among the image's own is the same one in another version: what its list names
//!   stays out, unless another of the base's packages has it, too. The others keep their paragraph, list and other files
//!   in the package database; lists no longer name what the image's own packages have.
//! - Where the image's own packages have something that is no folder, nothing comes to lie below it.
//! - Left out besides: what lies below the contract's folders, an engine's mark (/.dockerenv), all else of the package
//!   database but alternatives, and beside packages the linker's cache, which names libraries of the base's versions.
//! - Order: folders, then links, by path; then files, by layer and by their order in it.

use super::accounts::Tables;
use super::assemble::{Assembler, Owner};
use super::database::{self, Database, FOLDER};
use super::rules::Rules;
use super::{Recipe, top_link};
use crate::deb::Stanza;
use crate::error::{Error, Kind, Result};
use crate::oci::base::{Base, Content, Node, REMEDY};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write;

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

/// A file on its way: path in the layer, mode, time.
struct Wish {
    path: Vec<u8>,
    mode: u32,
    mtime: u64,
}

impl<'a> Below<'a> {
    /// Reads the package database of the recipe's base, if there is one; `packages` are names and architectures.
    pub(super) fn of(recipe: &Recipe<'a>, rules: &'a Rules<'a>, packages: &[(&str, &str)]) -> Result<Option<Self>> {
        let Some(base) = recipe.base else { return Ok(None) };
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
        let mut others = BTreeSet::new();
        let status = String::from_utf8_lossy(base.text(&format!("{FOLDER}/status")).unwrap_or_default()).into_owned();
        for paragraph in status.split("\n\n").map(|text| text.trim_matches('\n')).filter(|text| !text.is_empty()) {
            let stanza = Stanza::parse(paragraph).map_err(damaged)?;
            let (name, stem) = (stanza.get("Package").unwrap_or_default().to_owned(), database::stem(&stanza));
            let architecture = stanza.get("Architecture").unwrap_or_default().to_owned();
            let same = |(other, arch): &&(&str, &str)| {
                *other == name && (*arch == architecture || *arch == "all" || architecture == "all")
            };
            let paths = below.listed(&stem);
            if packages.iter().any(|package| same(&package)) {
                below.superseded.extend(paths);
                below.replaced.insert(name);
            } else {
                others.extend(paths);
                below.stems.insert(stem.clone());
                below.kept.insert((name, architecture), (stem, format!("{paragraph}\n\n")));
            }
        }
        below.superseded.retain(|path| !others.contains(path));
        Ok(Some(below))
    }

    /// The account tables.
    pub(super) fn tables(&self) -> Tables<'a> {
        Tables { passwd: self.base.text("etc/passwd"), group: self.base.text("etc/group") }
    }

    /// Puts the kept packages into the database and gives their lists, without what `taken` says is another's.
    pub(super) fn describe(
        &self,
        database: &mut Database,
        taken: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<(String, u32, Vec<u8>)> {
        let mut lists = Vec::new();
        for (key, (stem, paragraph)) in &self.kept {
            let triggers = self.base.text(&format!("{FOLDER}/info/{stem}.triggers")).unwrap_or_default();
            database.keep(key.clone(), paragraph.clone(), stem, &String::from_utf8_lossy(triggers));
            let path = format!("{FOLDER}/info/{stem}.list");
            let Some(list) = self.base.text(&path) else { continue };
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
        lists
    }

    /// The diversions of packages that are not also among the image's own: three lines each.
    fn diversions(&self) -> String {
        let text = String::from_utf8_lossy(self.base.text(&format!("{FOLDER}/diversions")).unwrap_or_default());
        let lines: Vec<&str> = text.lines().collect();
        let kept = lines.chunks_exact(3).filter(|diversion| !self.replaced.contains(diversion[2]));
        kept.flatten().map(|line| format!("{line}\n")).collect()
    }

    /// Writes what is not there yet.
    pub(super) fn fill<W: Write>(
        &self,
        assembler: &mut Assembler<'_, W>,
        progress: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        for (path, node) in self.base.nodes() {
            let Node::Folder { mode } = node else { continue };
            if let Some(path) = self.placed(assembler, path)? {
                assembler.folder(&path, mode & 0o1777, 0, Owner::Tool)?;
            }
        }
        for (path, node) in self.base.nodes() {
            let Node::Symlink { target, mtime } = node else { continue };
            if self.rules.superfluous(path, target) {
                if let Some(link) = self.rules.top_link(path).filter(|link| link.as_bytes() == path) {
                    self.top(assembler, link)?;
                }
            } else if let Some(path) = self.placed(assembler, path)? {
                assembler.symlink(&path, target, *mtime, Owner::Tool)?;
            }
        }
        let mut wished: BTreeMap<Content, VecDeque<Wish>> = BTreeMap::new();
        for (path, node) in self.base.nodes() {
            let Node::File { mode, mtime, content, .. } = node else { continue };
            if let Some(path) = self.placed(assembler, path)? {
                let wish = Wish { path, mode: mode & 0o777, mtime: *mtime };
                wished.entry(*content).or_default().push_back(wish);
            }
        }
        self.base.contents(wished, &mut |Wish { path, mode, mtime }, size, content| {
            progress()?;
            // Two paths of the base can become one by merged /usr.
            if assembler.is_free(&path) {
                assembler.file(&path, (mode, mtime), size, content, Owner::Tool)
            } else {
                Ok(())
            }
        })
    }

    /// Where a path goes, if there is room for it; the link it needs at the top of the tree is written before.
    fn placed<W: Write>(&self, assembler: &mut Assembler<'_, W>, path: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.is_left_out(path) {
            return Ok(None);
        }
        let placed = self.rules.place(path).filter(|path| assembler.is_free(path));
        if let Some(link) = self.rules.top_link(path).filter(|_| placed.is_some()) {
            self.top(assembler, link)?;
        }
        // The link may have brought the folder with it.
        Ok(placed.filter(|path| assembler.is_free(path)))
    }

    fn top<W: Write>(&self, assembler: &mut Assembler<'_, W>, link: &str) -> Result<()> {
        let target = format!("usr/{link}");
        let room = assembler.is_free(target.as_bytes()) || assembler.is_folder(target.as_bytes());
        if room { top_link(assembler, link) } else { Ok(()) }
    }

    fn is_left_out(&self, path: &[u8]) -> bool {
        let below = |folder: &str| path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        path == b".dockerenv"
            || (path == b"etc/ld.so.cache" && !self.alone)
            || self.contract.iter().any(|folder| below(folder))
            || (below(FOLDER) && !self.is_described(path))
            || (self.superseded.contains(path) && !matches!(self.base.node(path), Some(Node::Folder { .. })))
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

fn damaged(cause: String) -> Error {
    let cause = cause.replace("the control file", "a paragraph").replace("control file: ", "");
    Error::new(Kind::Trust, format!("/{FOLDER}/status of the base image"), cause).remedy(REMEDY)
}
