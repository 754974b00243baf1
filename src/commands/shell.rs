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
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(&command, "snpforge", folder)
}

fn write(command: &clap::Command, name: &str, folder: &Path) -> Result<()> {
    let mut page = Vec::new();
    // clap_mangen would date the page with nothing: it takes no clock, so pages are reproducible.
    let titled = command.clone().name(name.to_owned());
    clap_mangen::Man::new(titled).render(&mut page).map_err(|error| Error::new(Kind::Io, name, error))?;
    files::write_whole(&folder.join(format!("{name}.1")), &page)?;
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        write(child, &format!("{name}-{}", child.get_name()), folder)?;
    }
    Ok(())
}
