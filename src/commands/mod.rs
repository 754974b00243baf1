//! The commands: each translates arguments into a request, makes one call and turns the result into words.

pub mod build;
pub mod compare;
pub mod doctor;
pub mod image;
pub mod import;
pub mod lock;
pub mod locked;
pub mod seed;
pub mod session;
pub mod shell;
pub mod sign;
pub mod verify;

use crate::cli::Command;
use session::Session;
use snpforge::error::Result;

/// Runs one command.
///
/// # Errors
/// Whatever the command fails with; the kind chooses the exit code.
pub fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Build(arguments) => build::build(arguments, session),
        Command::Plan(arguments) => build::plan(arguments, session),
        Command::Lock(arguments) => lock::lock(arguments, session),
        Command::Fetch(which) => build::fetch(which, session),
        Command::Image(arguments) => image::run(arguments, session),
        Command::Diff(arguments) => compare::diff(arguments, session),
        Command::Notes(arguments) => compare::notes(arguments, session),
        Command::Doctor(arguments) => doctor::run(arguments, session),
        Command::ImportStableCommits(arguments) => import::run(arguments, session),
        Command::Sign(arguments) => sign::run(arguments, session),
        Command::Verify(arguments) => verify::run(arguments, session),
        Command::Completions { shell } => shell::completions(*shell),
        Command::Man { folder } => shell::man(folder),
    }
}
