//! Which packages belong together: the closure of wished packages under Pre-Depends and Depends, as apt would choose
//! them for an empty system without recommended packages. Pure, and a function of its arguments alone.
//!
//! - Seeds: all essential packages, then the wished ones, each kind by name. All are marked first and closed one by one,
//!   so the essential packages and what they need are the same for every wish that does not name an alternative.
//! - Of a package's versions the newest counts; of equal ones the first in `packages` (the earlier suite's).
//! - Within a seed, groups that only one package can meet come first. A group with a choice is met by any package that
//!   is there already, else by its first alternative that exists.
//! - A virtual package is met by a provider: the best priority first, then the first name. A versioned relation is met
//!   by versioned Provides only.
//! - Conflicts and Breaks between the chosen packages are an error; there is no search for another set.
//!
//! On bookworm this gives exactly apt's set for builder images (tests/archive_real.rs) and for five of six random
//! wishes; else mostly a smaller set: apt goes depth first and may take an alternative before a later package meets it.

use super::package::{Package, Packages, Priority};
use super::relation::{self, Relation};
use crate::deb::version;
use crate::error::{Error, Kind, Result};
use crate::lock::PackageLock;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The closure of `wished` (names, or relations such as `gcc (>= 12)`), by name.
///
/// # Errors
/// [`Kind::Resolve`] when a package is missing (naming the chain that wants it) or two chosen ones cannot be together;
/// [`Kind::Document`] when a wish or a field of a chosen package cannot be understood.
pub fn resolve(packages: &Packages<'_>, architecture: &str, wished: &[String]) -> Result<Vec<PackageLock>> {
    let universe = Universe::new(*packages, architecture);
    let mut choice = Choice::new(&universe);
    for seed in choice.seed(wished)? {
        choice.close(seed)?;
    }
    choice.check_conflicts()?;
    let mut locks: Vec<PackageLock> =
        choice.chosen().into_iter().map(|package| package.lock()).collect::<Result<_>>()?;
    locks.sort();
    Ok(locks)
}

/// A candidate that provides a name, and the version it provides. The order is that in which providers are taken.
struct Provider<'a> {
    name: &'a str,
    priority: Priority,
    package: &'a str,
    at: usize,
    version: Option<&'a str>,
}

/// What can be chosen. The map is only asked by name, so no result depends on its order.
struct Universe<'a> {
    architecture: &'a str,
    packages: Packages<'a>,
    /// Places in `packages`.
    candidates: Vec<usize>,
    by_name: HashMap<&'a str, usize>,
    /// By the provided name, the best first.
    providers: Vec<Provider<'a>>,
}

impl<'a> Universe<'a> {
    fn new(packages: Packages<'a>, architecture: &'a str) -> Self {
        let mut universe =
            Universe { architecture, packages, candidates: Vec::new(), by_name: HashMap::new(), providers: Vec::new() };
        for (place, package) in packages.iter().enumerate() {
            if ![architecture, "all"].contains(&package.architecture) {
                continue;
            }
            let at = *universe.by_name.entry(package.name).or_insert(universe.candidates.len());
            if at == universe.candidates.len() {
                universe.candidates.push(place);
            } else if version::compare(package.version, universe.package(at).version).is_gt() {
                universe.candidates[at] = place;
            }
        }
        for at in 0..universe.candidates.len() {
            let package = universe.package(at);
            // A package whose Provides cannot be understood provides nothing; it can still be chosen by name.
            let provided = relation::groups(package.provides).flatten().flatten().map(|relation| Provider {
                name: relation.name,
                priority: package.priority,
                package: package.name,
                at,
                version: relation.version.map(|(_, version)| version),
            });
            universe.providers.extend(provided);
        }
        // Stable: what a package provides twice stays as it wrote it.
        universe.providers.sort_by(|a, b| (a.name, a.priority, a.package).cmp(&(b.name, b.priority, b.package)));
        universe
    }

    fn package(&self, at: usize) -> Package<'a> {
        self.packages.get(self.candidates[at]).unwrap_or_default()
    }

    /// The candidates that meet a relation, best first: the package of that name, then its providers.
    fn meeting<'s>(&'s self, relation: &Relation<'s>) -> impl Iterator<Item = usize> + use<'s, 'a> {
        let relation = *relation;
        let own = relation.qualifier.is_none_or(|word| ["any", "native", self.architecture].contains(&word));
        let real = self.by_name.get(relation.name).copied();
        let real = real.filter(move |at| relation.accepts(self.package(*at).version));
        let first = self.providers.partition_point(|provider| provider.name < relation.name);
        let provided = self.providers[first..].iter().take_while(move |provider| provider.name == relation.name);
        let provided = provided.filter(move |provider| match provider.version {
            Some(version) => relation.accepts(version),
            None => relation.version.is_none(),
        });
        real.into_iter().chain(provided.map(|provider| provider.at)).filter(move |_| own)
    }
}

/// Why a package was chosen.
#[derive(Clone, Debug)]
enum Reason<'a> {
    Essential,
    Wished,
    Needed { by: usize, relation: Relation<'a> },
}

/// A group of relations and the candidate that has it.
type Group<'a> = (usize, Vec<Relation<'a>>);

/// A growing set of packages.
struct Choice<'u> {
    universe: &'u Universe<'u>,
    /// Of the chosen candidates.
    reasons: BTreeMap<usize, Reason<'u>>,
    /// Groups that one package alone can meet, or none.
    plain: VecDeque<Group<'u>>,
    /// Groups that several packages can meet: one that is chosen meanwhile may do.
    open: VecDeque<Group<'u>>,
}

impl<'u> Choice<'u> {
    fn new(universe: &'u Universe<'u>) -> Self {
        Choice { universe, reasons: BTreeMap::new(), plain: VecDeque::new(), open: VecDeque::new() }
    }

    /// Marks the essential and the wished packages, before any relation counts, and gives them in the order in which
    /// they are to be closed: the essential ones first, so that every image of an archive has the same base. Only a
    /// wished package itself may stand in for one of their alternatives.
    fn seed(&mut self, wished: &[String]) -> Result<Vec<usize>> {
        let mut seeds: Vec<usize> =
            (0..self.universe.candidates.len()).filter(|at| self.package(*at).essential).collect();
        seeds.sort_by_key(|at| self.package(*at).name);
        for at in &seeds {
            self.reasons.insert(*at, Reason::Essential);
        }
        let mut wishes: Vec<Relation> = wished.iter().map(|wish| Relation::parse(wish)).collect::<Result<_>>()?;
        // Real packages come first, so that one of them may be the wished provider of a virtual one.
        wishes.sort_by_key(|wish| (!self.universe.by_name.contains_key(wish.name), wish.name));
        for wish in wishes {
            let met: Vec<usize> = self.universe.meeting(&wish).collect();
            let first = met.first().ok_or_else(|| self.missing(&[wish], None))?;
            if !met.iter().any(|at| self.is_chosen(*at)) {
                self.reasons.insert(*first, Reason::Wished);
                seeds.push(*first);
            }
        }
        Ok(seeds)
    }

    /// Meets all relations of a seed, and of what is chosen for it.
    fn close(&mut self, seed: usize) -> Result<()> {
        self.queue(seed)?;
        while let Some((by, group)) = self.plain.pop_front().or_else(|| self.open.pop_front()) {
            if group.iter().any(|relation| self.universe.meeting(relation).any(|at| self.is_chosen(at))) {
                continue;
            }
            let first = group.iter().find_map(|relation| Some((self.universe.meeting(relation).next()?, *relation)));
            let (at, relation) = first.ok_or_else(|| self.missing(&group, Some(by)))?;
            self.reasons.insert(at, Reason::Needed { by, relation });
            self.queue(at)?;
        }
        Ok(())
    }

    /// Puts the relations of a chosen package into the queues.
    fn queue(&mut self, at: usize) -> Result<()> {
        let package = self.package(at);
        for field in [package.pre_depends, package.depends] {
            for group in relation::groups(field) {
                let group = group.map_err(|error| in_package(&package, error))?;
                let mut met = group.iter().flat_map(|relation| self.universe.meeting(relation));
                let first = met.next();
                let has_choice = met.any(|other| Some(other) != first);
                if has_choice { &mut self.open } else { &mut self.plain }.push_back((at, group));
            }
        }
        Ok(())
    }

    fn is_chosen(&self, at: usize) -> bool {
        self.reasons.contains_key(&at)
    }

    /// Refuses a set in which one package conflicts with or breaks another.
    fn check_conflicts(&self) -> Result<()> {
        for package in self.chosen() {
            for (field, word) in [(package.conflicts, "conflicts with"), (package.breaks, "breaks")] {
                for group in relation::groups(field) {
                    for relation in group.map_err(|error| in_package(&package, error))? {
                        let mut met = self.universe.meeting(&relation).filter(|at| self.is_chosen(*at));
                        // A package may conflict with a virtual one that it provides itself: then it wants to be alone.
                        if let Some(at) = met.find(|at| self.package(*at).name != package.name) {
                            return Err(conflict(&package, word, &relation, &self.package(at)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn package(&self, at: usize) -> Package<'u> {
        self.universe.package(at)
    }

    fn chosen(&self) -> Vec<Package<'u>> {
        self.reasons.keys().map(|at| self.package(*at)).collect()
    }

    /// How a package came to be chosen, from its seed on: `gcc -> gcc-12 (>= 12.2.0-1~) -> ...`.
    fn chain(&self, mut at: usize) -> String {
        let mut steps = Vec::new();
        // A package's reason names one that was chosen before it, so this ends at a seed.
        loop {
            let name = self.package(at).name;
            match self.reasons.get(&at) {
                Some(Reason::Needed { by, relation }) => {
                    let provided = relation.name != name;
                    steps.push(if provided { format!("{relation} by {name}") } else { relation.to_string() });
                    at = *by;
                }
                Some(Reason::Essential) => break steps.push(format!("{name} (essential)")),
                Some(Reason::Wished) | None => break steps.push(name.to_owned()),
            }
        }
        steps.reverse();
        steps.join(" -> ")
    }

    /// The error for a group that nothing meets.
    fn missing(&self, group: &[Relation<'_>], by: Option<usize>) -> Error {
        let wanted: Vec<String> = group.iter().map(Relation::to_string).collect();
        let wanted = wanted.join(" | ");
        let there = group.iter().filter_map(|relation| {
            let at = self.universe.by_name.get(relation.name)?;
            Some(format!("{} {}", relation.name, self.package(*at).version))
        });
        let there: Vec<String> = there.collect();
        let state = match there.as_slice() {
            [] => "no suite of the archive has it".to_owned(),
            there => format!("the archive has only {}", there.join(", ")),
        };
        let why = by.map_or("it is wished".to_owned(), |by| format!("wanted by {} -> {wanted}", self.chain(by)));
        Error::new(Kind::Resolve, format!("package `{wanted}`"), format!("{state} ({why})"))
            .remedy("correct the wished packages, or add the suite or component that has it")
    }
}

fn conflict(package: &Package<'_>, word: &str, relation: &Relation<'_>, other: &Package<'_>) -> Error {
    let cause = format!(
        "cannot be together: {} {} {word} `{relation}`, which {} {} is",
        package.name, package.version, other.name, other.version
    );
    Error::new(Kind::Resolve, format!("packages {} and {}", package.name, other.name), cause)
        .remedy("leave one of them out of the wished packages, or wish for another alternative")
}

/// Names the package whose field is broken.
fn in_package(package: &Package<'_>, error: Error) -> Error {
    Error::new(error.kind(), format!("package {} {}", package.name, package.version), error)
        .remedy("choose another mirror or suite")
}

#[cfg(test)]
mod tests;
