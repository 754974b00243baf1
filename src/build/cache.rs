//! Action results: what a build with a given key delivered. A second build with the same key runs nothing.

use super::plan::Task;
use crate::component::Component;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::document;
use crate::engine::Info;
use crate::error::Result;
use crate::store::Store;
use serde::{Deserialize, Serialize};

/// One file that a build put in /out and that was expected there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Path relative to /out.
    pub path: String,
    /// Permission bits, normalised to 0644 or 0755.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Digest of the content; also its name in the store.
    pub sha256: Digest,
}

/// What really ran. Stands beside the products, never inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The engine that executed the build.
    pub engine: Info,
    /// Wall clock when the command started.
    pub started: Epoch,
    /// Duration of the run in milliseconds.
    pub milliseconds: u64,
    /// Processors handed to the build.
    pub jobs: usize,
    /// Version of this tool.
    pub snpforge: String,
}

/// The result of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResult {
    /// The component.
    pub component: Component,
    /// The action's key.
    pub key: Digest,
    /// The artifacts, by path.
    pub artifacts: Vec<Artifact>,
    /// What really ran.
    pub record: RunRecord,
}

/// The stored result of a task, if all its artifacts are still there. They are verified when they are packed.
///
/// # Errors
/// [`crate::error::Kind::Io`] when the store cannot be read.
pub fn look_up(task: &Task, store: &Store) -> Result<Option<ActionResult>> {
    // A result that cannot be understood was written by another version: it is as good as none.
    let stored: Option<ActionResult> = store.action(&task.key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(stored.filter(|result| {
        result.key == task.key && result.artifacts.iter().all(|artifact| store.contains(&artifact.sha256))
    }))
}

/// Stores a result under its key.
///
/// # Errors
/// [`crate::error::Kind::Io`].
pub fn save(result: &ActionResult, store: &Store) -> Result<()> {
    store.put_action(&result.key, &document::canonical(result)?)
}
