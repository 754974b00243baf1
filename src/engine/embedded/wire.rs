//! What the driver and the stages of a sandbox tell each other, as lines of JSON over a socket that is the stages'
//! stdin. The command in the sandbox never sees it.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// All a stage must know to build the sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// The root file system; `None` for the probe, which gets an empty one.
    pub(super) root: Option<PathBuf>,
    /// The container's work folder with `src`, `build` and `out`; for the probe any existing folder.
    pub(super) work: PathBuf,
    /// Program and arguments; the probe has none.
    pub(super) command: Vec<String>,
    /// All variables.
    pub(super) environment: Vec<(String, String)>,
    /// Working folder.
    pub(super) workdir: String,
    /// A person sits at it: stdin is the terminal on stdout.
    pub(super) interactive: bool,
}

/// What a stage tells the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The sandbox could not be built, or the command could not be started.
    Failed(Failure),
    /// The command ended with this status; 128 + signal when it was killed.
    Ended(i32),
}

/// A step of building the sandbox that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// What was tried.
    pub(super) step: Step,
    /// On what, where that says more than the step.
    pub(super) object: String,
    /// The system's error number, where there is one.
    pub(super) errno: Option<i32>,
    /// The cause in words.
    pub(super) cause: String,
}

/// The steps, as far as their failures have different cures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// Talking to the driver.
    Talk,
    /// Joining the control group.
    Group,
    /// Making a user namespace.
    User,
    /// Mapping the user in it.
    Map,
    /// Making the other namespaces.
    Namespaces,
    /// Mounting.
    Mount,
    /// Making the new root the root.
    Pivot,
    /// Giving up rights.
    Privileges,
    /// Starting the command.
    Start,
}

impl Step {
    /// The step in words that follow "cannot".
    pub(super) fn words(self) -> &'static str {
        match self {
            Step::Talk => "talk to its driver",
            Step::Group => "join its control group",
            Step::User => "make a user namespace",
            Step::Map => "map the user in a user namespace",
            Step::Namespaces => "make namespaces",
            Step::Mount => "mount",
            Step::Pivot => "change the root",
            Step::Privileges => "give up rights",
            Step::Start => "start",
        }
    }

    /// A failure of this step about `object`.
    pub(super) fn failed(self, object: &str, error: impl Into<io::Error>) -> Failure {
        let error = error.into();
        Failure { step: self, object: object.into(), errno: error.raw_os_error(), cause: error.to_string() }
    }
}

/// Gives a failed system call its step and object.
pub(super) trait During<T> {
    /// The value, or the failure of `step` about `object`.
    fn during(self, step: Step, object: &str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: Step, object: &str) -> Result<T, Failure> {
        self.map_err(|error| step.failed(object, error))
    }
}
