//! The order in which packages enter a layer: by name, but one that replaces another's files before it. Then the
//! first package with a path is the one that keeps it, and a layer can be written in one pass.

use super::Package;
use super::decode;
use crate::deb::version;
use crate::error::{Error, Kind, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What decides about files that two packages have.
pub(super) struct Claims {
    /// For each package of the order, its `Replaces` field.
    replaces: Vec<String>,
    names: Vec<(String, String)>,
}

impl Claims {
    /// Whether files of `package` are taken over by `other`, both by their place in the order.
    pub(super) fn replaces(&self, other: usize, package: usize) -> bool {
        let (name, version) = &self.names[package];
        version::names(&self.replaces[other], name, version)
    }

    /// Name and version for messages.
    pub(super) fn name(&self, package: usize) -> String {
        let (name, version) = &self.names[package];
        format!("{name} {version}")
    }
}

/// Sorts the packages; reads the control files of all of them.
pub(super) fn sorted(packages: &[Package], workers: usize) -> Result<(Vec<&Package>, Claims)> {
    let mut by_name: Vec<&Package> = packages.iter().collect();
    by_name.sort_by(|a, b| (&a.name, &a.architecture, &a.version).cmp(&(&b.name, &b.architecture, &b.version)));
    for pair in by_name.windows(2) {
        if pair[0].name == pair[1].name && pair[0].architecture == pair[1].architecture {
            let cause = format!("is there twice, as {} and {}", pair[0].version, pair[1].version);
            return Err(Error::new(Kind::Lock, format!("package {}", pair[0].name), cause)
                .remedy("resolve the image anew: snpforge lock --update"));
        }
    }
    let replaces = replaces(&by_name, workers)?;
    let names = |package: &&Package| (package.name.clone(), package.version.clone());
    let claims = Claims { names: by_name.iter().map(names).collect(), replaces };
    let order = topological(&claims);
    Ok((
        order.iter().map(|at| by_name[*at]).collect(),
        Claims {
            replaces: order.iter().map(|at| claims.replaces[*at].clone()).collect(),
            names: order.iter().map(|at| claims.names[*at].clone()).collect(),
        },
    ))
}

/// The `Replaces` fields. The first error in the packages' order is the one that is told, whatever thread met it.
fn replaces(packages: &[&Package], workers: usize) -> Result<Vec<String>> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Result<String>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers.max(1) {
            scope.spawn(|| {
                while let Some((at, package)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|at| packages.get(at).map(|package| (at, package)))
                {
                    let field = decode::open(package)
                        .map(|(_, control)| control.stanza.get("Replaces").unwrap_or_default().to_owned());
                    if let Ok(mut found) = found.lock() {
                        found.push((at, field));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, field)| field).collect()
}

/// Places in the given order, each after those that replace it. Packages that replace each other stay as they are.
fn topological(claims: &Claims) -> Vec<usize> {
    let count = claims.names.len();
    let mut before: Vec<Vec<usize>> = (0..count)
        .map(|package| (0..count).filter(|other| *other != package && claims.replaces(*other, package)).collect())
        .collect();
    for (package, others) in before.iter_mut().enumerate() {
        others.retain(|other| !claims.replaces(package, *other));
    }
    let (mut order, mut state) = (Vec::with_capacity(count), vec![false; count]);
    for package in 0..count {
        visit(package, &before, &mut state, &mut order);
    }
    order
}

/// Depth first; a longer ring of replacements is cut where it was entered, which depends on names only.
fn visit(package: usize, before: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[package], true) {
        return;
    }
    for other in &before[package] {
        visit(*other, before, seen, order);
    }
    order.push(package);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(packages: &[(&str, &str, &str)]) -> Vec<usize> {
        topological(&Claims {
            replaces: packages.iter().map(|(.., replaces)| (*replaces).to_owned()).collect(),
            names: packages.iter().map(|(name, version, _)| ((*name).to_owned(), (*version).to_owned())).collect(),
        })
    }

    #[test]
    fn replacing_packages_come_first() {
        assert_eq!(order(&[("a", "1", ""), ("b", "1", ""), ("c", "1", "a (<< 2)")]), [2, 0, 1]);
        assert_eq!(order(&[("a", "3", ""), ("b", "1", ""), ("c", "1", "a (<< 2)")]), [0, 1, 2]);
        assert_eq!(order(&[("a", "1", "b"), ("b", "1", "a")]), [0, 1], "each other: by name");
        assert_eq!(order(&[("a", "1", "b"), ("b", "1", "c"), ("c", "1", "a")]), [1, 2, 0], "a ring is cut");
    }
}
