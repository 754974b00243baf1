//! The thin binary: reads the environment, the clock and the working folder once, hands them to the commands, and turns
//! an error into one message and an exit code.

mod cli;
mod commands;
mod terminal;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use cli::Cli;
use commands::seed;
use commands::session::Session;
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::engine::embedded;
use snpforge::environment::Environment;
use snpforge::error::{Error, Kind, Result};
use snpforge::heap;
use std::process::ExitCode;
use std::sync::Arc;
use terminal::Mode;

fn main() -> ExitCode {
    // The sandbox runs this program again as its first stage, which must stay single-threaded.
    if let Some(code) = embedded::stage(std::env::args_os()) {
        return code;
    }
    heap::settle();
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(error, &words),
    };
    let done = run(&cli).map_err(|error| seed::explained(error, &words));
    ended(done.and_then(|()| terminal::finish()), cli.common.progress)
}

/// The exit code of a run, after its error, if there is one, was told.
fn ended(done: Result<()>, mode: Mode) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    terminal::error(&error, mode);
    ExitCode::from(error.kind().exit_code())
}

/// What clap says of a command line it does not understand, or its help. A program that asked for JSON gets JSON, as far
/// as this can be seen in arguments that make no sense as a whole.
fn unparsed(mut error: clap::Error, words: &[String]) -> ExitCode {
    if let Some(line) = seed::equivalent(words).filter(|_| error.use_stderr()) {
        let tip = ContextValue::StyledStrs(vec![seed::advice(&line).into()]);
        let _replaced = error.insert(ContextKind::Suggested, tip);
    }
    let json = words.iter().any(|word| word == "--progress=json")
        || words.windows(2).any(|pair| pair[0] == "--progress" && pair[1] == "json");
    if !error.use_stderr() {
        terminal::printed(error.print());
        return ended(terminal::finish(), if json { Mode::Json } else { Mode::Auto });
    }
    if json {
        let text = error.to_string();
        let cause = text.trim().trim_start_matches("error: ");
        let error = Error::new(Kind::Usage, "command line", cause).remedy("`snpforge help` shows commands and options");
        return ended(Err(error), Mode::Json);
    }
    let _nobody_listens = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

fn run(cli: &Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Io, "tokio runtime", error))?;
    let session = session(cli, &runtime)?;
    runtime.spawn(stop_on_signal(session.cancel.clone()));
    commands::run(&cli.command, &session)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads environment, clock and working folder")]
fn session(cli: &Cli, runtime: &tokio::runtime::Runtime) -> Result<Session> {
    let environment = Environment::of_process(std::env::vars_os())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let folder = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "working folder", error))?;
    let dumb = environment.get("TERM") == Some("dumb");
    Ok(Session {
        now: Epoch(now),
        folder,
        project: cli.common.project.clone(),
        report: Arc::from(terminal::report(cli.common.progress, dumb)),
        cancel: Cancel::new(),
        runtime: runtime.handle().clone(),
        environment,
    })
}

/// The first Ctrl-C or SIGTERM stops the work and cleans up; a second one ends the process at once.
async fn stop_on_signal(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    for first in [true, false] {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        if !first {
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        }
        cancel.cancel();
    }
}
