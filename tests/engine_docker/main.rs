//! Docker and Podman for real. Each test runs once per engine; where one does not answer, its tests are ignored, with
//! the reason in their name. SNPFORGE_TEST_DOCKER_HOST and SNPFORGE_TEST_PODMAN_HOST name the services; without them
//! the usual sockets are tried.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
#![allow(clippy::print_stdout, reason = "a child process of the tests answers on its output")]
#![allow(clippy::disallowed_methods, reason = "a test's main reads the environment")]

mod cases;
mod probe;
mod proxy;
mod trouble;

use libtest_mimic::{Arguments, Trial};
use snpforge::engine::Engine;
use snpforge::engine::discover::{candidates, search};
use snpforge::engine::docker::{Flavour, Timeouts};
use snpforge::environment::Environment;
use std::process::ExitCode;

/// The service of a flavour: what a variable names, else the usual sockets.
fn address(flavour: Flavour) -> Result<String, String> {
    let variable = format!("SNPFORGE_TEST_{}_HOST", flavour.name().to_uppercase());
    let named = std::env::var(&variable).ok().filter(|value| !value.is_empty());
    let environment = Environment::from_iter(std::env::vars());
    let found = search(candidates(&environment, named.as_deref()), Some(flavour), Timeouts::default());
    match found.found {
        Some((_, docker)) => Ok(docker.info().map_err(|error| error.to_string())?.address),
        None => Err(format!("no {} answers; {variable} may name one", flavour.name())),
    }
}

fn trials(flavour: Flavour) -> Vec<Trial> {
    let found = probe::busybox().and_then(|_| address(flavour));
    let local = found.clone().and_then(|address| match address.starts_with("unix://") {
        true => Ok(address),
        false => Err("needs a local socket".to_owned()),
    });
    let trial = |(name, case): &(&str, cases::Case), found: &Result<String, String>| {
        let (case, name) = (*case, format!("{}::{name}", flavour.name()));
        match found.clone() {
            Ok(address) => Trial::test(name, move || {
                case(&cases::Bench::new(flavour, &address));
                Ok(())
            }),
            Err(reason) => Trial::test(format!("{name} ({reason})"), || Ok(())).with_ignored_flag(true),
        }
    };
    let all = cases::ALL.iter().map(|case| trial(case, &found));
    all.chain(cases::PROXIED.iter().map(|case| trial(case, &local))).collect()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    // The child of the reap test: makes a container and waits to be killed.
    if let [_, flag, address] = &words[..]
        && flag == "--leave-a-container"
    {
        cases::leave_a_container(&cases::connect(address, Timeouts::default()));
    }
    let arguments = Arguments::from_args();
    let all = [Flavour::Docker, Flavour::Podman].into_iter().flat_map(trials).collect();
    libtest_mimic::run(&arguments, all).exit_code()
}
