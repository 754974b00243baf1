//! The arguments of AMDSEV's build.sh, where they are not ours: whoever types them is told what to type here.

use crate::cli::Cli;
use clap::CommandFactory;
use snpforge::error::{Error, Kind};
use snpforge::shell;

/// The command line of this tool that does what these words after `snpforge` mean for build.sh; `None` when they hold
/// nothing that is build.sh's alone.
pub fn equivalent(words: &[String]) -> Option<String> {
    let (_, words) = words.split_at_checked(words.iter().position(|word| word == "build")? + 1)?;
    let mut made = vec!["snpforge".to_owned(), "build".to_owned()];
    let mut changed = false;
    let mut value = false;
    for word in words {
        let before = made.last().map(String::as_str);
        match word.as_str() {
            // Kernels are two components, each with a name of its own.
            "host" | "guest" if !value => {
                if before == Some("kernel") {
                    made.pop();
                }
                made.push(format!("kernel-{word}"));
                changed = true;
            }
            "--amd" => {
                made.extend(["--release".to_owned(), "amd".to_owned()]);
                changed = true;
            }
            _ => made.push(shell::word(word)),
        }
        value = takes_value(word);
    }
    changed.then(|| made.join(" "))
}

/// Whether the word after this one is its value.
fn takes_value(word: &str) -> bool {
    let mut cli = Cli::command();
    // Gives `build` what all commands have.
    cli.build();
    let arguments = cli.find_subcommand("build").map(|build| build.get_arguments().collect::<Vec<_>>());
    let named = |name: Option<String>| name.is_some_and(|name| name == word);
    arguments.into_iter().flatten().any(|argument| {
        let names =
            [argument.get_long().map(|long| format!("--{long}")), argument.get_short().map(|c| format!("-{c}"))];
        argument.get_action().takes_values() && names.into_iter().any(named)
    })
}

/// The error of a command line, with the equivalent of what was meant.
pub fn explained(error: Error, words: &[String]) -> Error {
    match equivalent(words).filter(|_| error.kind() == Kind::Usage) {
        Some(line) => error.remedy(advice(&line)),
        None => error,
    }
}

/// What to say of an equivalent.
pub fn advice(line: &str) -> String {
    format!("for what AMDSEV's build.sh does with these arguments: `{line}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_sh_and_its_equivalents() {
        for (seed, ours) in [
            ("build kernel host", Some("snpforge build kernel-host")),
            ("build --package kernel guest", Some("snpforge build --package kernel-guest")),
            ("build --amd --package", Some("snpforge build --release amd --package")),
            ("--progress plain build guest", Some("snpforge build kernel-guest")),
            ("build --install host kernel host", Some("snpforge build --install host kernel-host")),
            ("build --install=/o qemu host", Some("snpforge build --install=/o qemu kernel-host")),
            // What is ours, too, needs no advice.
            ("build --package", None),
            ("build --install /opt kernel", None),
            ("build qemu ovmf", None),
            ("build --install host qemu", None),
            ("plan kernel host", None),
            ("", None),
        ] {
            let words: Vec<String> = seed.split_whitespace().map(str::to_owned).collect();
            assert_eq!(equivalent(&words).as_deref(), ours, "{seed}");
        }
        let odd = ["build", "--install", "a b'c", "host"].map(str::to_owned);
        assert_eq!(equivalent(&odd).unwrap(), "snpforge build --install 'a b'\\''c' kernel-host");
    }
}
