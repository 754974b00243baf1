//! Docker's API as far as a build sees it before it runs anything: the engine answers, and goes away when the builder's image
//! is asked for. A build that gets there had all its inputs and has made the image.

use crate::http::{Reply, Server};

/// What a build that gets there says.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub const END: &str = "it went away while it was to describe the image";

/// The running engine; it stops when dropped.
pub struct Engine(Server);

impl Engine {
    pub fn start() -> Engine {
        let version = r#"{"Version": "1", "ApiVersion": "1.41", "MinAPIVersion": "1.24", "Os": "linux"}"#;
        Engine(Server::start(move |request, _| {
            let path = request.path.split('?').next().unwrap();
            let answers = [("version", version), ("info", "{}"), ("containers/json", "[]")];
            let answer = answers.iter().find(|(what, _)| path.ends_with(what));
            answer.map_or(Reply::Announce(1), |(_, text)| Reply::File(text.as_bytes().to_vec()))
        }))
    }

    /// What `--host` names it by.
    pub fn host(&self) -> String {
        self.0.url("").trim_end_matches('/').to_owned()
    }
}
