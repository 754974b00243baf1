//! What a failed step of building a sandbox means on this machine, and what the user can do about it.

use super::privileges::Rights;
use super::wire::{Failure, Step};
use crate::error::{Error, Kind};
use rustix::io::Errno;
use std::path::Path;

/// What of this machine decides about sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// Ubuntu's restriction of user namespaces to programs with an AppArmor profile.
    pub(super) apparmor: bool,
    /// `user.max_user_namespaces` is 0.
    pub(super) none_allowed: bool,
    /// Debian's `kernel.unprivileged_userns_clone` is 0.
    pub(super) only_root: bool,
    /// This process itself runs in a container.
    pub(super) container: bool,
    /// This process is under a system call filter.
    pub(super) filtered: bool,
}

impl Machine {
    /// This one.
    pub(super) fn here() -> Self {
        let says = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Machine {
            apparmor: says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            none_allowed: says("/proc/sys/user/max_user_namespaces", "0"),
            only_root: says("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            container: ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists()),
            filtered: status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() != "0")),
        }
    }

    /// The cures for a refusal, most likely first.
    fn cures(self, rights: Rights, root: bool) -> Vec<&'static str> {
        let mut cures = Vec::new();
        if rights == Rights::OneId {
            if self.none_allowed {
                cures.push("allow user namespaces: `sysctl user.max_user_namespaces=15000` as root");
            }
            if self.only_root {
                cures.push("allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1` as root");
            }
            if self.apparmor {
                cures.push(
                    "AppArmor lets only programs with a profile use user namespaces here (Ubuntu since 23.10): install \
                     one for this program (`profile snpforge /path/to/snpforge flags=(unconfined) { userns, }`), or \
                     `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root",
                );
            }
        }
        if self.container || self.filtered || root {
            cures.push(
                "a container must be started with `--privileged`, or with `--cap-add SYS_ADMIN --security-opt \
                 seccomp=unconfined --security-opt apparmor=unconfined`",
            );
        }
        if !root {
            cures.push("run as root");
        }
        cures.push("use --engine docker or --engine podman");
        cures
    }
}

/// The failure as an error with its remedy.
pub(super) fn explain(failure: &Failure, rights: Rights, root: bool, machine: Machine) -> Error {
    let errno = failure.errno.map(Errno::from_raw_os_error);
    let refused = matches!(errno, Some(Errno::PERM | Errno::ACCESS));
    let cause = [failure.step.words(), &failure.object].join(" ");
    let made = Error::new(Kind::Engine, "sandbox", format!("cannot {}: {}", cause.trim(), failure.cause));
    match (failure.step, errno) {
        (Step::Mount, Some(Errno::NOENT | Errno::NOTDIR)) if failure.object.starts_with('/') => {
            made.remedy("the image must hold this folder: build it anew")
        }
        (Step::Start, Some(Errno::NOENT)) => made.remedy("the image does not hold it, or not its interpreter"),
        (Step::Start, Some(Errno::ACCESS)) => {
            made.remedy("it must be executable, and the store on a file system that is not mounted noexec")
        }
        (Step::User, Some(Errno::NOSPC | Errno::USERS | Errno::NOSYS | Errno::INVAL)) => {
            made.remedy(machine.cures(rights, root).join("; or "))
        }
        (Step::Pivot, Some(Errno::INVAL)) => {
            made.remedy("the machine runs from its initial RAM disk, where the root cannot be changed: use --engine docker or --engine podman")
        }
        _ if refused => made.remedy(machine.cures(rights, root).join("; or ")),
        _ => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(step: Step, errno: Errno, rights: Rights, root: bool, machine: Machine) -> String {
        let failure = step.failed("", std::io::Error::from(errno));
        let error = explain(&failure, rights, root, machine);
        assert_eq!(error.kind(), Kind::Engine);
        error.remedy_text().unwrap_or_default().to_owned()
    }

    #[test]
    fn each_cause_has_its_cure_and_the_other_engines_are_always_named() {
        let none = Machine::default();
        for (step, errno, root, machine, word) in [
            (Step::Map, Errno::PERM, false, Machine { apparmor: true, ..none }, "AppArmor"),
            (Step::Mount, Errno::ACCESS, false, Machine { apparmor: true, ..none }, "AppArmor"),
            (Step::User, Errno::NOSPC, false, Machine { none_allowed: true, ..none }, "max_user_namespaces"),
            (Step::User, Errno::PERM, false, Machine { only_root: true, ..none }, "unprivileged_userns_clone"),
            (Step::User, Errno::PERM, true, Machine { container: true, ..none }, "--privileged"),
            (Step::Namespaces, Errno::PERM, false, none, "run as root"),
        ] {
            let text = remedy(step, errno, Rights::OneId, root, machine);
            assert!(text.contains(word) && text.contains("--engine docker"), "{step:?}: {text}");
        }
        let text = remedy(Step::Namespaces, Errno::PERM, Rights::Root, true, none);
        assert!(text.contains("--privileged") && !text.contains("run as root"), "{text}");
    }

    #[test]
    fn a_missing_program_is_no_question_of_rights() {
        let failure = Step::Start.failed("/bin/nope", std::io::Error::from(Errno::NOENT));
        let error = explain(&failure, Rights::Root, true, Machine::default());
        assert!(error.to_string().contains("cannot start /bin/nope"), "{error}");
        assert!(error.remedy_text().unwrap().contains("does not hold it"));
    }
}
