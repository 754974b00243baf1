//! images/bundle/install.sh under every shell it is for, with bundles and roots made in temporary folders: what it puts
//! where, which tools it calls, what it refuses, and that a refusal leaves the root as it was. What a machine cannot run
//! (chroot and mounts need root rights, roots need a static busybox) is reported as ignored, with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking, and writes only scratch files"
)]

mod bundle;
mod entries;
mod machine;
mod places;
mod refused;
mod signed;
mod trouble;

use libtest_mimic::{Arguments, Completion, Trial};
use machine::{Need, SHELLS, Shell, reason};
use std::process::ExitCode;

type Test = (&'static str, Need, fn(Shell));

const TESTS: &[&[Test]] = &[places::TESTS, entries::TESTS, refused::TESTS, signed::TESTS, trouble::TESTS];

fn main() -> ExitCode {
    // Nothing may depend on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for shell in SHELLS {
        for &(name, need, test) in TESTS.iter().copied().flatten() {
            // A system of busybox alone has one shell.
            if need == Need::Alone && shell.name != "busybox" {
                continue;
            }
            trials.push(Trial::ignorable_test(format!("{name}::{}", shell.name), move || {
                Ok(match reason(shell).or_else(|| need.reason()) {
                    Some(reason) => Completion::ignored_with(reason),
                    None => {
                        test(shell);
                        Completion::Completed
                    }
                })
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
