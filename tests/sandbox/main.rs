//! The embedded sandbox on this machine, with a root made of a static busybox: what a build finds inside, how it ends,
//! and what is left afterwards. Everything here is ignored, with the reason, where a sandbox cannot be made.
//!
//! `TEST-BINARY time N` prints how long a sandbox around `/bin/true` takes, in milliseconds: median, least, most.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what went wrong by panicking")]

mod bench;
mod driver;
mod ends;
mod files;
mod inside;
mod refused;
mod roots;

use libtest_mimic::{Arguments, Completion, Trial};
use snpforge::engine::embedded::{Embedded, stage};
use std::process::ExitCode;

fn main() -> ExitCode {
    // The sandbox starts this program anew, and so do tests that need a driver of their own.
    if let Some(code) = stage(std::env::args_os()) {
        return code;
    }
    // Nothing may depend on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Some(code) = driver::drive() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Tests that wait for an end must not starve.
    arguments.test_threads.get_or_insert(2);
    let usable = usable();
    let trial = |name: &str, test: fn() -> Completion| {
        let usable = usable.clone();
        Trial::ignorable_test(name, move || Ok(usable.map_or_else(Completion::ignored_with, |()| test())))
    };
    let trials = vec![
        trial("the_contract_holds_inside", inside::the_contract_holds),
        trial("calls_around_the_namespaces_are_refused", inside::calls_are_refused),
        trial("output_and_status_arrive", ends::output_and_status_arrive),
        trial("what_cannot_start_is_named", ends::what_cannot_start_is_named),
        trial("orphans_die_with_the_run", ends::orphans_die_with_the_run),
        trial("a_wish_to_stop_is_heard", ends::a_wish_to_stop_is_heard),
        trial("a_full_log_ends_the_run", ends::a_full_log_ends_the_run),
        trial("a_killed_driver_takes_all_along", ends::a_killed_driver_takes_all_along),
        trial("a_memory_limit_is_kept", ends::a_memory_limit_is_kept),
        trial("a_changed_root_is_noticed_and_put_right", roots::a_changed_root_is_noticed_and_put_right),
        trial("a_root_in_use_is_not_replaced", roots::a_root_in_use_is_not_replaced),
        trial("many_may_load_at_once", roots::many_may_load_at_once),
        trial("a_damaged_layer_is_no_image", roots::a_damaged_layer_is_no_image),
        trial("hostile_output_is_handed_out_as_it_is", files::hostile_output),
        trial("uploads_add_up_and_cannot_leave", files::uploads),
        trial("everything_is_removed", files::everything_is_removed),
        trial("a_kept_container_can_be_entered", files::a_kept_container_can_be_entered),
        trial("no_user_namespaces_means_a_named_cure", refused::no_user_namespaces),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether a sandbox can be made here and what it is filled with is there.
fn usable() -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let probed = Embedded::new(folder.path().join("sandbox")).probe();
    probed.map_err(|error| format!("{error}; {}", error.remedy_text().unwrap_or("no cure known")))?;
    bench::busybox().map(drop)
}
