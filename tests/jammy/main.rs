//! Ubuntu 22.04 without Ubuntu: an archive of its shape that the tests make and sign, served on loopback in the form of
//! its snapshot service, and what is said where the real one cannot be reached. The real program throughout; nothing
//! leaves this machine, for all proxies lead to a port at which nobody listens.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "../support/archive.rs"]
mod archive;
#[path = "../support/busybox.rs"]
mod busybox;
#[path = "../support/deb.rs"]
mod deb;
mod desk;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/listener.rs"]
mod listener;
mod locked;
mod stand_in;
mod unreachable;
#[path = "../support/workshop.rs"]
mod workshop;

use libtest_mimic::{Arguments, Completion, Trial};
use snpforge::engine::embedded::Embedded;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let usable = usable();
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("the_stand_in_is_locked_as_ever", locked::the_stand_in_is_locked_as_ever),
        trial("another_time_is_another_lock", locked::another_time_is_another_lock),
        trial("the_definition_of_jammy_resolves", locked::the_definition_of_jammy_resolves),
        Trial::ignorable_test("a_component_is_built_in_it", move || {
            Ok(usable.map_or_else(Completion::ignored_with, |shell| locked::a_component_is_built_in_it(&shell)))
        }),
        trial("a_refusing_archive_is_named_with_the_way_out", unreachable::a_refusing_archive),
        trial("a_silent_archive_is_named_in_time", unreachable::a_silent_archive),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A shell for a sandbox that works here, or why there is none.
fn usable() -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().unwrap();
    let engine = Embedded::new(folder.path().join("sandbox")).with_program(env!("CARGO_BIN_EXE_snpforge").into());
    engine.probe().map_err(|error| format!("{error}; {}", error.remedy_text().unwrap_or("no cure known")))?;
    busybox::busybox()
}
