//! Whose a container is. A run that is killed leaves its containers behind; a later run may remove them only when
//! it is certain that nobody uses them any more. So every container carries the process that made it, and this
//! module says whether that process is gone. Nothing of this reaches a product.

use crate::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;
use std::path::Path;

/// A process of some machine, as a label tells it: `machine/boot/pid namespace/pid/start time`.
///
/// A process id alone is not enough: it is used again, means nothing in another pid namespace (a CI job in a
/// container that was given the host's socket) and nothing on another machine (a remote engine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Digest of /etc/machine-id, or empty where there is none.
    machine: String,
    /// The kernel's boot id.
    boot: String,
    /// Number of the pid namespace.
    namespace: String,
    /// The process.
    pid: u32,
    /// When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
    start: u64,
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] when /proc does not tell.
    pub fn this_process() -> Result<Self> {
        let process = Path::new("/proc/self");
        let boot = Path::new("/proc/sys/kernel/random/boot_id");
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| Error::io(path, "read", error));
        let namespace = process.join("ns/pid");
        let link = std::fs::read_link(&namespace).map_err(|error| Error::io(&namespace, "read", error))?;
        let stat = process.join("stat");
        let (_, start) = state_and_start(&read(&stat)?)
            .ok_or_else(|| Error::io(&stat, "understand", std::io::ErrorKind::InvalidData.into()))?;
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Ok(Owner {
            machine: if machine.trim().is_empty() {
                String::new()
            } else {
                Digest::of(machine.trim().as_bytes()).short()
            },
            boot: read(boot)?.trim().to_owned(),
            namespace: link.display().to_string().chars().filter(char::is_ascii_digit).collect(),
            pid: std::process::id(),
            start,
        })
    }

    /// The owner a label names; `None` for a text that is no owner.
    pub fn parse(label: &str) -> Option<Self> {
        let mut words = label.split('/');
        let mut next = || words.next();
        let (machine, boot, namespace) = (next()?.to_owned(), next()?.to_owned(), next()?.to_owned());
        let (pid, start) = (next()?.parse().ok()?, next()?.parse().ok()?);
        next().is_none().then_some(Owner { machine, boot, namespace, pid, start })
    }

    /// Whether the process no longer exists, as far as `here`, a living process with its `proc` folder, can be
    /// certain. Of another machine's or namespace's processes nothing is known: they count as living.
    pub fn is_gone(&self, here: &Owner, proc: &Path) -> bool {
        if self.boot != here.boot {
            return !self.machine.is_empty() && self.machine == here.machine;
        }
        if self.namespace != here.namespace {
            return false;
        }
        match std::fs::read_to_string(proc.join(self.pid.to_string()).join("stat")) {
            Ok(stat) => {
                state_and_start(&stat).is_some_and(|(state, start)| start != self.start || matches!(state, 'Z' | 'X'))
            }
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.machine, self.boot, self.namespace, self.pid, self.start)
    }
}

/// State and start time from /proc/PID/stat. The program's name, in parentheses, may itself hold both signs.
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::write_whole;

    fn stat(state: char, start: u64) -> String {
        format!("7 (a) b) {state} {}{start} 0 0", "1 ".repeat(18))
    }

    #[test]
    fn this_process_lives_and_survives_its_label() {
        let here = Owner::this_process().unwrap();
        assert_eq!(Owner::parse(&here.to_string()), Some(here.clone()));
        assert!(!here.is_gone(&here, Path::new("/proc")));
    }

    #[test]
    fn gone_means_certainly_gone() {
        let proc = tempfile::tempdir().unwrap();
        let at = |label: &str| Owner::parse(label).unwrap();
        let here = at("m/b/1/9/9");
        let tell = |stat: &str| write_whole(&proc.path().join("7/stat"), stat.as_bytes()).unwrap();
        tell(&stat('S', 50));
        for (label, gone) in [
            ("m/b/1/7/50", false),
            ("m/b/1/7/49", true),
            ("m/b/1/8/50", true),
            ("m/b/2/8/50", false),
            ("m/c/1/7/50", true),
            ("n/c/1/7/50", false),
            ("/c/1/7/50", false),
        ] {
            assert_eq!(at(label).is_gone(&here, proc.path()), gone, "{label}");
        }
        tell(&stat('Z', 50));
        assert!(at("m/b/1/7/50").is_gone(&here, proc.path()), "a dead process nobody waited for");
    }

    #[test]
    fn other_texts_are_no_owner() {
        for text in ["", "probe", "m/b/1/x/2", "m/b/1/2", "m/b/1/2/3/4"] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
    }
}
