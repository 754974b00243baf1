//! Git sources from elsewhere: mirrors, bundles, servers with HTTP and ssh that want passwords, cut connections or send
//! rubbish, and what a lock says when a branch moved or is no more. All servers are on loopback.

#![allow(clippy::disallowed_methods, reason = "a test moves repositories about")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "../support/git_http.rs"]
mod git_http;
#[path = "../support/listener.rs"]
mod listener;
#[path = "../support/repository.rs"]
mod repository;
#[path = "../support/workshop.rs"]
mod workshop;

mod bundles;
mod credentials;
mod mirrors;
mod moved;
mod ssh;
mod submodules;
mod transfers;

use snpforge::cancel::Cancel;
use snpforge::component::Component;
use snpforge::digest::Digest;
use snpforge::environment::Environment;
use snpforge::error::Result;
use snpforge::lock::SourceLock;
use snpforge::release::Source;
use workshop::{Bench, FOLDER};

/// Where programs are, and more variables.
fn with(more: &[(&str, &str)]) -> Environment {
    let path = workshop::environment().get("PATH").unwrap().to_owned();
    Environment::from_iter(more.iter().copied().chain([("PATH", path.as_str())]))
}

fn resolve(bench: &Bench, environment: &Environment, source: &Source) -> Result<SourceLock> {
    bench.within(environment, false, &Cancel::new(), |workshop| workshop.resolve(Component::Ovmf, FOLDER, source, None))
}

fn obtain(bench: &Bench, environment: &Environment, lock: &SourceLock) -> Result<Digest> {
    bench.within(environment, false, &Cancel::new(), |workshop| workshop.obtain(lock))
}

/// What a failed or finished git leaves behind that nobody needs.
fn leftovers(bench: &Bench) -> Vec<String> {
    let walk = walkdir::WalkDir::new(bench.store.root().join("git")).into_iter().flatten();
    let names = walk.map(|entry| entry.path().display().to_string());
    let odd = |path: &String| path.contains("/tmp_") || path.contains(".git/") && path.ends_with(".lock");
    names.filter(odd).chain(bench.files().into_iter().filter(|path| !path.starts_with("blobs"))).collect()
}
