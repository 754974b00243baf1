//! `verify`.

use super::session::Session;
use crate::cli::Verify;
use crate::terminal;
use snpforge::error::{Error, Kind, Result};
use snpforge::verify::{self, Trust, Verdict};
use std::num::NonZeroUsize;

/// `snpforge verify`. The verdict is printed also when it is bad.
///
/// # Errors
/// [`Kind::Usage`] when nothing says whose signatures count, [`Kind::Trust`] when the release does not hold.
pub fn run(arguments: &Verify, session: &Session) -> Result<()> {
    let file = arguments.allowed_signers.as_ref().map(|file| session.folder.join(file));
    let trust = match &file {
        Some(file) => Trust::Signers {
            file,
            identity: arguments.identity.as_deref(),
            threshold: arguments.threshold.unwrap_or(NonZeroUsize::MIN),
            now: session.now,
        },
        None if arguments.sums_only => Trust::SumsOnly,
        None => {
            return Err(Error::new(Kind::Usage, "verify", "nothing says whose signatures count").remedy(
                "give --allowed-signers FILE, a list of keys that you have from elsewhere than the release (README, \
                 `Verify`); --sums-only looks for damage alone",
            ));
        }
    };
    let verdict = verify::verify(&session.folder.join(&arguments.bundle), &trust, &session.hearing())?;
    if arguments.json {
        terminal::json(&verdict)?;
    } else {
        show(&verdict);
    }
    verdict.outcome()
}

fn show(verdict: &Verdict) {
    let word = match (verdict.good, verdict.threshold) {
        (false, _) => "DOES NOT HOLD",
        (true, Some(_)) => "good",
        (true, None) => "undamaged; NO SIGNATURE WAS CHECKED",
    };
    terminal::line(format!("{}: {word}", verdict.release));
    for one in &verdict.signatures {
        match (&one.key, &one.principals, &one.reason) {
            (Some(key), Some(who), None) => terminal::line(format!("  signed by    {key} {who}")),
            (.., reason) => {
                terminal::line(format!("  not counted  {} {}", one.file, reason.as_deref().unwrap_or_default()));
            }
        }
    }
    if verdict.skipped > 0 {
        terminal::line(format!("  not read     {} more files among the signatures", verdict.skipped));
    }
    if let Some(threshold) = verdict.threshold {
        terminal::line(format!("  signers      {} of {threshold} needed", verdict.signers));
    }
    let Some(content) = &verdict.content else {
        terminal::line("  files        not looked at");
        return;
    };
    if let Some(folder) = &content.folder {
        let bytes = folder.bytes;
        terminal::line(format!("  checked      {}/: {} files, {bytes} bytes", verdict.release, folder.files));
    }
    content.checked.iter().for_each(|file| terminal::line(format!("  checked      {file}")));
    content.absent.iter().for_each(|file| terminal::line(format!("  not here     {file}")));
}
