//! What a running git says on standard error: its last lines for errors, each line for whoever follows the progress.
//! Secrets in URLs are taken out before anybody gets to see them.

use super::secret;
use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Lines of git's own words that an error repeats.
const LAST_LINES: usize = 6;

/// What git says on standard error, and when it last did.
#[derive(Default)]
pub(super) struct Heard(Arc<Mutex<(Option<Instant>, VecDeque<String>)>>);

impl Heard {
    /// Lines end with a newline or, in progress, with a carriage return.
    pub(super) fn listen(&self, pipe: ChildStderr, hear: &(dyn Fn(&str) + Sync)) {
        let mut line = Vec::new();
        for byte in BufReader::new(pipe).bytes().map_while(std::io::Result::ok) {
            if byte == b'\n' || byte == b'\r' {
                self.take(&String::from_utf8_lossy(&std::mem::take(&mut line)), byte == b'\n', hear);
            } else if line.len() < 4096 {
                line.push(byte);
            }
        }
        self.take(&String::from_utf8_lossy(&line), true, hear);
    }

    fn take(&self, line: &str, lasting: bool, hear: &(dyn Fn(&str) + Sync)) {
        let line = secret::hidden(line.trim());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(Instant::now());
        if line.is_empty() {
            return;
        }
        hear(&line);
        if lasting {
            state.1.push_back(line);
            if state.1.len() > LAST_LINES {
                state.1.pop_front();
            }
        }
    }

    pub(super) fn last(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn words(&self) -> String {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ")
    }
}
