//! Which service answers, and which rules of the contract it cannot keep, from what it tells about itself.

use crate::engine::KILLED;
use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum as Cgroup, SystemVersion};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which of the two services answers the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Docker's own daemon.
    Docker,
    /// Podman's service.
    Podman,
}

impl Flavour {
    /// `docker` or `podman`: the engine's name and that of its command.
    pub fn name(self) -> &'static str {
        match self {
            Flavour::Docker => "docker",
            Flavour::Podman => "podman",
        }
    }

    /// What an engine's word on a kill for lack of memory is worth, for a run that ended with status `code`. Podman 4.3
    /// never tells of one: its `false` means nothing. Docker hears of one through events that may come late, so its
    /// `false` means nothing where process 1 was killed (status 137).
    pub(super) fn out_of_memory(self, told: Option<bool>, code: i64) -> Option<bool> {
        told.filter(|killed| *killed || (self == Flavour::Docker && code != KILLED))
    }

    pub(super) fn of(version: &SystemVersion) -> Self {
        let podman = version.components.iter().flatten().any(|part| part.name.starts_with("Podman"));
        if podman { Flavour::Podman } else { Flavour::Docker }
    }
}

/// Whether the service at `address` runs without root's rights.
pub(super) fn rootless(address: &str, told: &SystemInfo) -> bool {
    let says = told.security_options.iter().flatten().any(|option| option.contains("rootless"));
    // Podman 4.3 does not say it here; its socket belongs to who runs it.
    let socket = address.strip_prefix("unix://").map(Path::new);
    says || socket.and_then(|path| path.metadata().ok()).is_some_and(|found| found.uid() != 0)
}

/// Rules of the contract that a service cannot keep, from what it tells about itself.
pub(super) fn limits(told: &SystemInfo, rootless: bool) -> Vec<String> {
    let seccomp = told.security_options.iter().flatten().any(|option| option.contains("seccomp"));
    let ignored = rootless && told.cgroup_version == Some(Cgroup::_1);
    [
        (ignored, "limits of memory, processes and open files are ignored: rootless on cgroup v1"),
        (told.memory_limit == Some(false), "memory is not limited: its cgroup controller is off"),
        (told.pids_limit == Some(false), "processes are not limited: their cgroup controller is off"),
        (!seccomp, "system calls are not filtered: seccomp is off"),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .map(|(_, words)| words.to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_docker_can_deny_a_lack_of_memory() {
        assert_eq!(Flavour::Docker.out_of_memory(Some(false), 2), Some(false));
        assert_eq!(Flavour::Docker.out_of_memory(Some(false), KILLED), None);
        assert_eq!(Flavour::Docker.out_of_memory(Some(true), KILLED), Some(true));
        assert_eq!(Flavour::Podman.out_of_memory(Some(false), 2), None);
        assert_eq!(Flavour::Podman.out_of_memory(Some(true), 2), Some(true));
    }

    #[test]
    fn what_a_service_cannot_keep_is_said() {
        let seccomp = Some(vec!["name=seccomp,profile=default".to_owned()]);
        let good = SystemInfo { security_options: seccomp, ..SystemInfo::default() };
        assert!(limits(&good, true).is_empty());
        let old = SystemInfo { cgroup_version: Some(Cgroup::_1), ..good.clone() };
        assert!(limits(&old, false).is_empty() && limits(&old, true)[0].contains("ignored"));
        let bare = SystemInfo { memory_limit: Some(false), pids_limit: Some(false), ..SystemInfo::default() };
        assert_eq!(limits(&bare, false).len(), 3);
    }
}
