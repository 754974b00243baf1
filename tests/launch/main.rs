//! images/bundle/launch-qemu.sh under every shell that this machine has, against a stand-in for QEMU that answers probes
//! as real ones do and writes down its arguments. No guest runs here: `boot_bundle.rs` does that.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests look for shells in PATH and write only scratch files")]

mod answers;
mod devices;
mod locks;
mod logs;
mod refusals;
mod seed;
mod stage;
mod stores;
mod terminal;
mod words;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use stage::{SHELLS, Shell};
use std::process::{Command, ExitCode};

/// One test, of a table or by itself.
type Check = Box<dyn FnOnce(&Shell) -> Result<(), Failed> + Send>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("every_option_of_the_seed_is_compared", seed::every_option_is_compared),
        Trial::ignorable_test("shellcheck", shellcheck),
    ];
    for shell in SHELLS {
        let mut add = |name: String, test: Check| {
            let trial = Trial::ignorable_test(format!("{}::{name}", shell.name), move || match shell.missing() {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => test(shell).map(|()| Completion::Completed),
            });
            trials.push(trial);
        };
        for case in seed::CASES {
            add(format!("as_the_seed::{}", case.name), Box::new(|shell| case.check(shell)));
        }
        for refusal in refusals::all() {
            add(format!("refuses::{}", refusal.name), Box::new(move |shell| refusal.check(shell)));
        }
        for (name, test) in
            locks::TESTS.iter().chain(words::TESTS).chain(stores::TESTS).chain(devices::TESTS).chain(logs::TESTS)
        {
            add((*name).to_owned(), Box::new(test));
        }
        for exit in terminal::EXITS {
            let trial = Trial::ignorable_test(format!("{}::terminal::{}", shell.name, exit.name), move || match shell
                .missing()
                .or_else(terminal::missing)
            {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => exit.check(shell).map(|()| Completion::Completed),
            });
            trials.push(trial);
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn shellcheck() -> Result<Completion, Failed> {
    match Command::new("shellcheck").args(["--shell", "sh", stage::SCRIPT]).output() {
        Err(error) => Ok(Completion::ignored_with(format!("shellcheck does not run: {error}"))),
        Ok(output) if output.status.success() => Ok(Completion::Completed),
        Ok(output) => Err(String::from_utf8_lossy(&output.stdout).into_owned().into()),
    }
}
