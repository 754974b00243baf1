//! A mount namespace with a small file system in it, which only programs started there see. Needs root.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Room {
    /// Holds the namespace.
    keeper: Child,
    place: PathBuf,
}

impl Room {
    /// A file system of 64 MiB at `place`, or why there can be none.
    pub fn new(place: &Path) -> Result<Room, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can mount a small file system".into());
        }
        let script = "mount -t tmpfs -o size=64m none \"$0\" && echo ready && exec cat";
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut room = Room { keeper: keeper.map_err(|error| format!("unshare: {error}"))?, place: place.to_owned() };
        let mut line = String::new();
        BufReader::new(room.keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.trim() == "ready" {
            return Ok(room);
        }
        let mut words = String::new();
        room.keeper.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        Err(format!("no small file system can be mounted: {}", words.trim()))
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.keeper.id().to_string(), "--mount", "--"]);
        command
    }

    /// The file system holds so many KiB from now on; none: it can only be read.
    pub fn limit(&self, size: u32) {
        let options = if size == 0 { "remount,ro".to_owned() } else { format!("remount,rw,size={size}k") };
        let done = self.enter().args(["mount", "-o", &options]).arg(&self.place).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A program to be run inside, in the folder `working`.
    pub fn program(&self, working: &Path, program: &str) -> Command {
        let mut command = self.enter();
        command.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]).arg(working).arg(program);
        command
    }

    /// A path inside, as seen from outside.
    pub fn seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), path.display()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
