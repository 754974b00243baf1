//! Which packages can have a part in resolving some wishes: for the builder 336 of bookworm's 63 440, and only those are kept.
//! Whatever is named in a dependency of one of them is one, whether it will be chosen or not, with all that provides it; so
//! the resolver finds among them what it would find among all. Names are numbers here: two that share one keep a package
//! too many.

use super::control::Paragraph;
use super::relation::{self, Relation};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What packages name, of one index.
#[derive(Default)]
pub(super) struct Graph {
    /// What stands in dependencies, package by package.
    names: Vec<u32>,
    /// Each package with the place of its part of `names`.
    packages: Vec<(u32, u32, u32)>,
    /// Provided names with their packages.
    provided: Vec<(u32, u32)>,
    essential: Vec<u32>,
}

/// A name's number, the same in every run.
#[expect(clippy::cast_possible_truncation, reason = "a part of a hash is one, too")]
fn number(name: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as u32
}

impl Graph {
    /// Takes a package in.
    pub(super) fn push(&mut self, paragraph: &Paragraph<'_>) {
        let Some(own) = paragraph.get("Package").map(number) else { return };
        let first = self.names.len();
        for (field, value) in paragraph.fields() {
            match field {
                "Essential" if value == "yes" => self.essential.push(own),
                "Depends" | "Pre-Depends" => self.names.extend(named(value).map(number)),
                "Provides" => self.provided.extend(named(value).map(|name| (number(name), own))),
                _ => {}
            }
        }
        // An index with more than 4 billion names is none.
        if let (Ok(first), Ok(end)) = (u32::try_from(first), u32::try_from(self.names.len())) {
            self.packages.push((own, first, end));
        }
    }

    fn sort(&mut self) {
        self.packages.sort_unstable();
        self.provided.sort_unstable();
    }

    /// What a name leads to: dependencies of the packages that are called so, and packages that provide it.
    fn follow(&self, name: u32, open: &mut Vec<u32>) {
        let first = self.packages.partition_point(|(own, ..)| *own < name);
        for (_, first, end) in self.packages[first..].iter().take_while(|(own, ..)| *own == name) {
            open.extend(&self.names[*first as usize..*end as usize]);
        }
        let first = self.provided.partition_point(|(provided, _)| *provided < name);
        open.extend(self.provided[first..].iter().take_while(|(provided, _)| *provided == name).map(|(_, own)| *own));
    }
}

/// The names in a field. What cannot be understood names nothing; the resolver says so if it meets it.
fn named(field: &str) -> impl Iterator<Item = &str> {
    relation::groups(field).flatten().flatten().map(|relation| relation.name)
}

/// The names that can be met from the essential packages and the wished ones.
pub(super) struct Reach(HashSet<u32>);

impl Reach {
    pub(super) fn new(mut graphs: Vec<Graph>, wished: &[String]) -> Self {
        graphs.iter_mut().for_each(Graph::sort);
        let mut open: Vec<u32> = graphs.iter().flat_map(|graph| &graph.essential).copied().collect();
        open.extend(wished.iter().filter_map(|wish| Relation::parse(wish).ok()).map(|wish| number(wish.name)));
        let mut met = HashSet::new();
        while let Some(name) = open.pop() {
            if met.insert(name) {
                graphs.iter().for_each(|graph| graph.follow(name, &mut open));
            }
        }
        Reach(met)
    }

    /// Whether the package of this paragraph is one.
    pub(super) fn has(&self, paragraph: &Paragraph<'_>) -> bool {
        paragraph.get("Package").is_some_and(|name| self.0.contains(&number(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::control::paragraphs;

    const INDEX: &str = "Package: base\nEssential: yes\nPre-Depends: libc (>= 2)\n\nPackage: libc\n\n\
        Package: tool\nDependss: never\nDepends: shell | other-shell, mailer\n\nPackage: other-shell\n\n\
        Package: postman\nProvides: mailer (= 1), letters\nDepends: stamps [odd]\n\nPackage: stamps\n\n\
        Package: never\nDepends: tool\nProvides: nothing\n";

    #[test]
    fn what_is_named_and_what_provides_it_and_nothing_else() {
        let mut graph = Graph::default();
        paragraphs(INDEX).for_each(|paragraph| graph.push(&paragraph));
        let reach = Reach::new(vec![graph, Graph::default()], &["tool (>= 1)".to_owned()]);
        let kept: Vec<&str> =
            paragraphs(INDEX).filter(|paragraph| reach.has(paragraph)).filter_map(|one| one.get("Package")).collect();
        // The relation to stamps cannot be understood, which is the resolver's to tell.
        assert_eq!(kept, ["base", "libc", "tool", "other-shell", "postman"]);
    }
}
