//! The only place that prints. Progress goes to stderr (bars on a terminal, plain lines elsewhere, JSON lines on
//! request), results go to stdout. Who listens to stderr is not waited for; a result that cannot be written is an error.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use snpforge::error::{Error, Kind};
use snpforge::report::{Event, Report, Unit};
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Bars on a terminal, plain lines elsewhere.
    Auto,
    /// Bars.
    Tty,
    /// Plain lines.
    Plain,
    /// One JSON object per line.
    Json,
}

/// A listener for the chosen mode. `dumb` says that the terminal cannot move its cursor (TERM=dumb).
pub fn report(mode: Mode, dumb: bool) -> Box<dyn Report> {
    let terminal = io::stderr().is_terminal() && !dumb;
    match mode {
        Mode::Json => Box::new(JsonLines),
        Mode::Tty => Box::new(Bars::new()),
        Mode::Auto if terminal => Box::new(Bars::new()),
        Mode::Auto | Mode::Plain => Box::new(Plain::default()),
    }
}

/// Prints a result line for people.
pub fn line(text: impl std::fmt::Display) {
    print(&format!("{}\n", plain(&text)));
}

/// The text without anything that a terminal would obey, or that changes the order in which it is read: much of it is said
/// by others (servers, commits, documents, logs).
fn plain(text: &dyn std::fmt::Display) -> String {
    let obeyed = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text = text.to_string();
    if !text.contains(obeyed) {
        return text;
    }
    text.chars().map(|c| if obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Tells people something on stderr.
fn tell(text: impl std::fmt::Display) {
    stderr(&plain(&text));
}

/// A line on stderr. Where it cannot be written nobody can be told of that; the work goes on, and its exit code says the rest.
fn stderr(text: &str) {
    let _nobody_listens = writeln!(io::stderr(), "{text}");
}

/// Prints a value as JSON for programs.
pub fn json<T: Serialize>(value: &T) -> snpforge::error::Result<()> {
    let failed = |error| Error::new(Kind::Document, "JSON", error);
    // Through a `Value`: its keys are sorted.
    let value = serde_json::to_value(value).map_err(failed)?;
    line(serde_json::to_string_pretty(&value).map_err(failed)?);
    Ok(())
}

/// The first write to stdout that failed. Nothing is written after it.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Prints text as it is (completions, notes). [`finish`] tells whether it could be written.
pub fn print(text: &str) {
    if UNWRITTEN.get().is_none() {
        printed(io::stdout().write_all(text.as_bytes()));
    }
}

/// Takes note of how a write to stdout ended.
pub fn printed(written: io::Result<()>) {
    if let Err(error) = written {
        let _the_first_stays = UNWRITTEN.set(error);
    }
}

/// Ends the results.
///
/// # Errors
/// [`Kind::Io`] when they are not all written. A closed pipe ends the output, not the program: whoever read it has enough.
pub fn finish() -> snpforge::error::Result<()> {
    printed(io::stdout().flush());
    match UNWRITTEN.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = Error::new(Kind::Io, "standard output", format!("cannot write: {error}"));
            Err(error.remedy("what is there is not whole: run the command again with another place for it"))
        }
        _ => Ok(()),
    }
}

/// An error as the last event of a run, for programs.
#[derive(Serialize)]
struct Failure<'a> {
    event: &'static str,
    kind: Kind,
    object: &'a str,
    cause: &'a str,
    because: Vec<String>,
    remedy: Option<&'a str>,
    exit_code: u8,
}

/// Prints an error with its causes and remedy, once: as lines, or as one more JSON line where progress is told in JSON.
pub fn error(error: &Error, mode: Mode) {
    let sources = std::iter::successors(std::error::Error::source(error), |source| source.source());
    let because: Vec<String> =
        sources.map(ToString::to_string).filter(|text| !error.cause().contains(text.as_str())).collect();
    let again = (error.kind() == Kind::Interrupted).then_some("run the command again");
    let remedy = error.remedy_text().or(again);
    if mode == Mode::Json {
        let failure = Failure {
            event: "error",
            kind: error.kind(),
            object: error.object(),
            cause: error.cause(),
            because,
            remedy,
            exit_code: error.kind().exit_code(),
        };
        if let Ok(text) = serde_json::to_string(&failure) {
            stderr(&text);
        }
        return;
    }
    tell(format!("error: {error}"));
    for text in because {
        tell(format!("  because: {text}"));
    }
    if let Some(remedy) = remedy {
        tell(format!("  help: {remedy}"));
    }
}

/// One JSON object per event.
struct JsonLines;

impl Report for JsonLines {
    fn event(&self, event: Event) {
        if let Ok(text) = serde_json::to_string(&event) {
            stderr(&text);
        }
    }
}

/// Lines for logs and pipes: starts, ends, notes, and progress at most every ten seconds per task.
#[derive(Default)]
struct Plain(Mutex<HashMap<String, Open>>);

/// A task that has begun.
struct Open {
    /// When its last line was printed.
    shown: Instant,
    /// What its last line said it does.
    text: Option<String>,
    total: Option<u64>,
    unit: Unit,
}

/// The least time between two progress lines of a task.
const QUIET: Duration = Duration::from_secs(10);

impl Report for Plain {
    fn event(&self, event: Event) {
        let Ok(mut tasks) = self.0.lock() else { return };
        match event {
            Event::Phase { name } => tell(format!("==> {name}")),
            Event::Note { text } => tell(text),
            Event::Warning { text } => tell(format!("warning: {text}")),
            Event::Begin { task, total, unit } => {
                tell(format!(
                    "{task}: begins{}",
                    total.map_or(String::new(), |total| format!(", {}", amount(total, unit)))
                ));
                tasks.insert(task, Open { shown: Instant::now(), text: None, total, unit });
            }
            Event::Progress { task, done, total, text } => {
                let Some(open) = tasks.get_mut(&task) else { return };
                open.total = total.or(open.total);
                if text.is_some() && text != open.text {
                    open.text = text;
                } else if done.is_none() || open.shown.elapsed() < QUIET {
                    return;
                }
                open.shown = Instant::now();
                tell(format!("{task}: {}", so_far(open, done)));
            }
            Event::Line { .. } => {}
            Event::End { task, outcome } => {
                tasks.remove(&task);
                tell(format!("{task}: {outcome}"));
            }
        }
    }
}

/// What a task does, and how far it is.
fn so_far(open: &Open, done: Option<u64>) -> String {
    let count = done.map(|done| match open.total {
        Some(total) => format!("{} of {}", amount(done, open.unit), amount(total, open.unit)),
        None => amount(done, open.unit),
    });
    match (&open.text, count) {
        (Some(text), Some(count)) => format!("{text}: {count}"),
        (Some(text), None) => text.clone(),
        (None, count) => count.unwrap_or_default(),
    }
}

fn amount(count: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{:.1} MB", count as f64 / 1e6),
        Unit::Steps => count.to_string(),
    }
}

/// Bars on a terminal: one per open task, notes above them.
struct Bars {
    all: MultiProgress,
    open: Mutex<HashMap<String, (ProgressBar, Unit)>>,
}

impl Bars {
    fn new() -> Self {
        Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), open: Mutex::default() }
    }

    fn above(&self, text: &str) {
        let text = plain(&text);
        // `println` of indicatif drops messages where it draws nothing.
        if self.all.is_hidden() || self.all.println(&text).is_err() {
            stderr(&text);
        }
    }

    fn begin(&self, task: String, total: Option<u64>, unit: Unit) {
        let bar = self.all.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        bar.set_prefix(task.clone());
        bar.set_style(style(total.is_some(), unit));
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Ok(mut open) = self.open.lock() {
            open.insert(task, (bar, unit));
        }
    }

    fn with(&self, task: &str, act: impl FnOnce(&ProgressBar, Unit)) {
        if let Ok(open) = self.open.lock()
            && let Some((bar, unit)) = open.get(task)
        {
            act(bar, *unit);
        }
    }
}

fn style(counted: bool, unit: Unit) -> ProgressStyle {
    let template = match (counted, unit) {
        (true, Unit::Bytes) => "{prefix:.bold} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}",
        (true, Unit::Steps) => "{prefix:.bold} [{bar:30}] {pos}/{len} {elapsed} {wide_msg}",
        (false, _) => "{spinner} {prefix:.bold} {elapsed} {wide_msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

impl Report for Bars {
    fn event(&self, event: Event) {
        match event {
            Event::Phase { name } => self.above(&format!("==> {name}")),
            Event::Note { text } => self.above(&text),
            Event::Warning { text } => self.above(&format!("warning: {text}")),
            Event::Begin { task, total, unit } => self.begin(task, total, unit),
            Event::Progress { task, done, total, text } => self.with(&task, |bar, unit| {
                if let Some(total) = total {
                    bar.set_length(total);
                    bar.set_style(style(true, unit));
                }
                if let Some(done) = done {
                    bar.set_position(done);
                }
                if let Some(text) = text {
                    bar.set_message(plain(&text));
                }
            }),
            Event::Line { .. } => {}
            Event::End { task, outcome } => {
                if let Some((bar, _)) = self.open.lock().ok().and_then(|mut open| open.remove(&task)) {
                    bar.finish_and_clear();
                }
                self.above(&format!("{task}: {outcome}"));
            }
        }
    }
}
