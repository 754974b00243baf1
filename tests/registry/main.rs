//! Images of registries as bases: Debian's docker-registry on loopback where it is installed (package docker-registry), and
//! small stand-ins for what no honest registry does. The real program throughout; nothing leaves this machine, for all
//! proxies lead to a port at which nobody listens.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking"
)]

#[path = "../support/archive.rs"]
mod archive;
mod below;
#[path = "../support/busybox.rs"]
mod busybox;
#[path = "../support/deb.rs"]
mod deb;
#[path = "../jammy/desk.rs"]
mod desk;
mod hostile;
#[path = "../support/http.rs"]
mod http;
mod image;
#[path = "../support/listener.rs"]
mod listener;
mod locked;
mod real;
mod tls;
#[path = "../support/workshop.rs"]
mod workshop;

use libtest_mimic::{Arguments, Completion, Trial};
use snpforge::engine::embedded::Embedded;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let on_real = |name: &str, test: fn(&real::Registry)| {
        Trial::ignorable_test(name, move || {
            Ok(real::Registry::start().map_or_else(Completion::ignored_with, |registry| {
                test(&registry);
                Completion::Completed
            }))
        })
    };
    let usable = usable();
    let trials = vec![
        on_real("docker_registry::a_platform_digest_is_locked_and_built", locked::a_platform_digest),
        on_real("docker_registry::an_index_is_refused_with_the_digest_to_write", locked::an_index),
        on_real("docker_registry::a_digest_that_is_not_there_is_gone", locked::a_missing_digest),
        on_real("docker_registry::packages_win_over_the_base", below::packages_win),
        Trial::ignorable_test("docker_registry::a_component_is_built_in_it", move || {
            let both = usable.and_then(|shell| Ok((shell, real::Registry::start()?)));
            Ok(both.map_or_else(Completion::ignored_with, |(shell, registry)| {
                locked::a_component(&shell, &registry);
                Completion::Completed
            }))
        }),
        trial("the_tag_is_never_asked_for", locked::the_tag_is_never_asked_for),
        trial("a_claim_that_is_wrong_names_both_values", locked::a_wrong_claim),
        trial("another_platform_is_refused", locked::another_platform),
        trial("a_registry_that_stops_in_the_middle", locked::a_registry_that_stops),
        trial("credentials_come_from_the_file", locked::credentials),
        trial("everybody_gets_a_token", locked::a_token_for_everybody),
        trial("a_wish_to_stop_is_heard", locked::a_wish_to_stop),
        trial("a_root_without_merged_usr", locked::an_old_root),
        trial("by_tls_through_the_proxy", tls::by_tls_through_the_proxy),
        trial("nobody_listens", locked::nobody_listens),
        trial("a_lying_registry", hostile::a_lying_registry),
        trial("hostile_members_are_refused_by_layer_and_path", hostile::members),
        trial("unusual_members_become_a_layer", hostile::unusual_members),
        trial("what_is_no_layer_is_refused", hostile::layers),
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
