//! `sign`.

use super::session::Session;
use crate::cli::Sign;
use crate::terminal;
use snpforge::error::Result;
use snpforge::verify;

/// `snpforge sign`.
///
/// # Errors
/// Whatever the check of the release or the key fails with.
pub fn run(arguments: &Sign, session: &Session) -> Result<()> {
    let (bundle, key) = (session.folder.join(&arguments.bundle), session.folder.join(&arguments.key));
    let signed = verify::sign(&bundle, &key, &session.hearing())?;
    if arguments.json {
        return terminal::json(&signed);
    }
    let how = match (signed.unchanged, signed.replaced) {
        (true, _) => "was signed already",
        (_, true) => "signed; an older signature of this key was replaced",
        (..) => "signed",
    };
    terminal::line(format!("{}: {how}", signed.release));
    terminal::line(format!("  key        {}", signed.key));
    terminal::line(format!("  sums       {}", signed.sums_sha256));
    terminal::line(format!("  signature  {}", signed.file.display()));
    Ok(())
}
