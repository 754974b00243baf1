//! Faults of the network, of servers and repositories, of archives and of this machine, and what the program makes of them:
//! recovery or a clear error, a clean store, and success once the fault is gone. `table` is the list; the real program runs,
//! against real sockets, repositories and file systems.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "../support/archive.rs"]
mod archive;
#[path = "../support/deb.rs"]
mod deb;
mod driver;
#[path = "../support/engine.rs"]
mod engine;
mod git;
#[path = "../support/git_http.rs"]
mod git_http;
#[path = "../support/http.rs"]
mod http;
mod https;
mod lies;
#[path = "../support/listener.rs"]
mod listener;
#[path = "../support/repository.rs"]
mod repository;
mod room;
mod store;
mod table;
#[path = "../support/workshop.rs"]
mod workshop;
mod world;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// Rows at once: most of their time is spent waiting.
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let mut rows = table::rows();
    // The longest begin first.
    rows.sort_by_key(|row| std::cmp::Reverse(row.within));
    let trials = rows.into_iter().map(|row| Trial::ignorable_test(row.name, move || Ok(driver::judge(&row))));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
