//! The arguments of AMDSEV's build.sh, where they are not ours: whoever types them is told what to type here.

use snpforge::error::{Error, Kind};

/// Flags that take no value, of both command lines: the word after any other flag is that flag's value.
const FLAGS: [&str; 7] = ["--package", "--amd", "--locked", "--offline", "--keep", "--json", "--help"];

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
            _ => made.push(quoted(word)),
        }
        value = word.starts_with('-') && !word.contains('=') && !FLAGS.contains(&word.as_str());
    }
    changed.then(|| made.join(" "))
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

/// A word as it can be pasted into a shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
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
