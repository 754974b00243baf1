//! Completions and man pages, from the command line's own definition.

use crate::cli::Cli;
use crate::terminal;
use clap::CommandFactory;
use snpforge::error::{Error, Kind, Result};
use snpforge::store::files;
use std::path::Path;

/// Prints completions for `shell`.
///
/// # Errors
/// [`Kind::Io`] when a script is not text.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "snpforge", &mut script);
    let text = String::from_utf8(script).map_err(|error| Error::new(Kind::Io, "completions", error))?;
    terminal::print(&text);
    Ok(())
}

/// Writes one man page per command into `folder`.
///
/// # Errors
/// [`Kind::Io`].
pub fn man(folder: &Path) -> Result<()> {
    files::make_folder(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
        .map_err(|error| Error::io(folder, "write in", error))
}
