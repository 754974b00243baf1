//! How lower floors tell what they do: events, without knowing whether a terminal, a log or a program listens.

use serde::Serialize;
use std::sync::Mutex;

/// What a count of a task's progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes downloaded, packed or unpacked.
    Bytes,
    /// Steps, files or packages.
    Steps,
}

/// Something that happened. Tasks are named by a text that is unique while the task is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A new phase of the line begins (`plan`, `fetch`, `image`, `run`, ...).
    Phase {
        /// The phase's name.
        name: String,
    },
    /// Something worth one line.
    Note {
        /// The line.
        text: String,
    },
    /// Something the user should know although the run goes on.
    Warning {
        /// The line.
        text: String,
    },
    /// A task starts.
    Begin {
        /// The task.
        task: String,
        /// How much there is to do, when it is known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
    },
    /// A task got on.
    Progress {
        /// The task.
        task: String,
        /// How much is done by now, of `total`, if this changed.
        done: Option<u64>,
        /// The total, when it changed or became known.
        total: Option<u64>,
        /// What it does now, in a few words.
        text: Option<String>,
    },
    /// A line of a task's own output.
    Line {
        /// The task.
        task: String,
        /// The line, without its end.
        text: String,
    },
    /// A task ended well (failures travel as errors).
    End {
        /// The task.
        task: String,
        /// The outcome in a few words.
        outcome: String,
    },
}

/// Whoever listens to events. Called from several threads.
pub trait Report: Send + Sync {
    /// Takes one event in; must not block for long.
    fn event(&self, event: Event);
}

impl dyn Report + '_ {
    /// A new phase of the line begins.
    pub fn phase(&self, name: &str) {
        self.event(Event::Phase { name: name.into() });
    }

    /// One line of information.
    pub fn say(&self, text: impl Into<String>) {
        self.event(Event::Note { text: text.into() });
    }

    /// One line the user should not miss.
    pub fn warn(&self, text: impl Into<String>) {
        self.event(Event::Warning { text: text.into() });
    }

    /// A task starts.
    pub fn begin(&self, task: &str, total: Option<u64>, unit: Unit) {
        self.event(Event::Begin { task: task.into(), total, unit });
    }

    /// A task got on.
    pub fn progress(&self, task: &str, done: u64) {
        self.event(Event::Progress { task: task.into(), done: Some(done), total: None, text: None });
    }

    /// A task ended well.
    pub fn end(&self, task: &str, outcome: impl Into<String>) {
        self.event(Event::End { task: task.into(), outcome: outcome.into() });
    }
}

/// A number of things, in words: `1 file`, `2 files`.
pub fn number_of<N: std::fmt::Display + PartialEq + From<u8>>(count: N, word: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {word}{ending}")
}

/// Keeps all events, for tests and for programs that ask afterwards.
#[derive(Default)]
pub struct Collected(Mutex<Vec<Event>>);

impl Collected {
    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().map(|events| events.clone()).unwrap_or_default()
    }
}

impl Report for Collected {
    fn event(&self, event: Event) {
        if let Ok(mut events) = self.0.lock() {
            events.push(event);
        }
    }
}
