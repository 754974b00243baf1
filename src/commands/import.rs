//! `import-stable-commits`.

use super::session::Session;
use crate::cli::Import;
use crate::terminal;
use snpforge::document;
use snpforge::error::{Error, Kind, Result};
use snpforge::release::stable_commits::{StableCommits, TEMPLATE};
use snpforge::store::files;
use std::path::Path;

/// `snpforge import-stable-commits`.
///
/// # Errors
/// [`Kind::Document`] with the line for what cannot be understood, [`Kind::Usage`] when the file to write is there and is
/// another or none that a release is found by, [`Kind::Io`].
pub fn run(arguments: &Import, session: &Session) -> Result<()> {
    if let Some(out) = arguments.out.as_ref().filter(|out| out.extension().is_none_or(|ending| ending != "toml")) {
        return Err(Error::new(Kind::Usage, format!("--out {}", out.display()), "is no name of a release file")
            .remedy("name releases/NAME.toml: `--release NAME` finds it there"));
    }
    let path = session.folder.join(&arguments.file);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::io(&path, "read", error).also("name the stable-commits file of AMDSEV, or the source-config of a bundle")
    })?;
    let name = arguments.file.display().to_string();
    let read = StableCommits::parse(&name, &text)?;
    let summary = format!("Imported from {}", path.file_name().unwrap_or_default().to_string_lossy());
    let release = read.release(&session.project()?.release(TEMPLATE)?, summary)?;
    let head = format!(
        "# Made by `snpforge import-stable-commits`. Repositories and branches are those of the file; all that it does not\n\
         # say (image, extra sources, build options) is as in releases/{TEMPLATE}.toml.\n"
    );
    let made = document::render(&name, &head, &release)?;
    match &arguments.out {
        None => terminal::print(&made),
        Some(out) => {
            write(&session.folder.join(out), &made)?;
            let release = out.file_stem().unwrap_or_default().to_string_lossy();
            terminal::line(format!("wrote {}", out.display()));
            terminal::line(format!("as releases/{release}.toml of a project: `snpforge lock --release {release}`"));
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    match std::fs::read(path) {
        Ok(old) if old == text.as_bytes() => Ok(()),
        Ok(_) => Err(Error::new(Kind::Usage, path.display(), "is there already and is another file")
            .remedy("remove it, or name another with --out")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => files::write_whole(path, text.as_bytes()),
        Err(error) => Err(Error::io(path, "read", error)),
    }
}
