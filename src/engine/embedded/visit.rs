//! Entering a container that was kept after a run: the same sandbox around a shell, with the terminal on its streams.

use super::failure::{Machine, explain};
use super::launch::{End, Output, run};
use super::privileges::Rights;
use super::raw;
use super::wire::Job;
use super::work;
use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Runs a shell in the container whose work folder is `work`. Speaks for itself, because the hidden command that calls
/// it has nothing else to say.
pub(super) fn enter(work: &Path) -> ExitCode {
    match shell(work) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            let remedy = error.remedy_text().map(|text| format!("\n{text}")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{error}{remedy}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn shell(folder: &Path) -> Result<i32> {
    let path = work::job(folder);
    let text = std::fs::read_to_string(&path).map_err(|error| Error::io(&path, "read", error))?;
    let job: Job = serde_json::from_str(&text).map_err(|error| Error::io(&path, "understand", error.into()))?;
    let job = Job { command: vec!["/bin/sh".into()], interactive: true, ..job };
    raw::ignore_interrupts();
    match run(Path::new("/proc/self/exe"), &job, &[], Output::Terminal, &|| false)? {
        End::Code(code) => Ok(code),
        End::Stopped => Ok(130),
        End::Failed(failure) => {
            Err(explain(&failure, Rights::here(), rustix::process::geteuid().is_root(), Machine::here()))
        }
    }
}
