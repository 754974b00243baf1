//! The thin binary: reads the environment and the clock once, hands them to the library, turns errors into exit codes.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
