//! Who may do what: whether this process can give a build the contract's user without a user namespace, and giving
//! everything up before the command starts.

use super::wire::{During, Failure, Step};
use crate::engine::contract;
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, getgroups, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// How the contract's user comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// As root, without a user namespace: the build runs as the real user 1000, files keep the owners of the image.
    Root,
    /// In a user namespace with one id: the invoking user is 1000 inside and nobody else exists.
    OneId,
}

/// What root needs here. In a container root may lack any of it.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::DAC_OVERRIDE);

/// The soft limits that a user's shell often changes, and the value every build sees.
const STACK: u64 = 8 << 20;

impl Rights {
    /// Those of this process.
    pub(super) fn here() -> Self {
        let able = capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED));
        let root = rustix::process::geteuid().is_root();
        let mapped = ["uid_map", "gid_map"].iter().all(|map| {
            std::fs::read_to_string(format!("/proc/self/{map}")).is_ok_and(|text| maps(&text, contract::UID))
        });
        if root && able && mapped { Rights::Root } else { Rights::OneId }
    }
}

/// Whether a map of ids (first inside, first outside, how many) knows `id`.
fn maps(text: &str, id: u32) -> bool {
    text.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [inside, _, count] if (inside..inside + count).contains(&u64::from(id)))
    })
}

/// Each capability there can be, known by name here or not.
fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..64).map(|number| CapabilitySet::from_bits_retain(1 << number))
}

/// Sets the contract's limits. A hard limit below the contract's stays: an unprivileged user cannot raise it.
pub(super) fn limit() -> Result<(), Failure> {
    let wanted = [(Resource::Nofile, contract::NOFILE), (Resource::Nproc, contract::NPROC), (Resource::Core, (0, 0))];
    for (resource, (soft, hard)) in wanted {
        let rlimit = Rlimit { current: Some(soft), maximum: Some(hard) };
        if setrlimit(resource, rlimit).is_err() {
            let hard = getrlimit(resource).maximum.map_or(hard, |now| now.min(hard));
            setrlimit(resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })
                .during(Step::Privileges, "set limits")?;
        }
    }
    for resource in [Resource::Stack, Resource::As, Resource::Data, Resource::Fsize, Resource::Cpu] {
        let now = getrlimit(resource);
        let most = if resource == Resource::Stack { Some(STACK) } else { None };
        let current = most.map_or(now.maximum, |most| Some(now.maximum.map_or(most, |hard| hard.min(most))));
        setrlimit(resource, Rlimit { current, maximum: now.maximum }).during(Step::Privileges, "set limits")?;
    }
    Ok(())
}

/// Becomes the contract's user, for good, without any capability or way to one.
pub(super) fn give_up(rights: Rights) -> Result<(), Failure> {
    let step = |what: &'static str| move |error: Errno| Step::Privileges.failed(what, error);
    clear_ambient_capability_set().map_err(step("clear ambient capabilities"))?;
    for one in each() {
        match remove_capability_from_bounding_set(one) {
            // Beyond the last one this kernel knows.
            Err(Errno::INVAL) => break,
            other => other.map_err(step("drop capabilities"))?,
        }
    }
    if rights == Rights::Root {
        let (user, group) = (Uid::from_raw(contract::UID), Gid::from_raw(contract::UID));
        // As Docker and Podman do it: the group itself and no other.
        set_thread_groups(&[group]).map_err(step("drop groups"))?;
        set_thread_res_gid(group, group, group).map_err(step("change the group"))?;
        set_thread_res_uid(user, user, user).map_err(step("change the user"))?;
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(step("drop capabilities"))?;
    set_no_new_privs(true).map_err(step("refuse new rights"))
}

/// Rules of the contract that cannot be kept with these rights, in words.
pub(super) fn limits(rights: Rights) -> Vec<String> {
    let mut said = Vec::new();
    let raises = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    if rights == Rights::OneId {
        let own = rustix::process::getegid();
        let others = getgroups().unwrap_or_default().iter().filter(|group| **group != own).count();
        if others > 0 {
            said.push(format!("{others} supplementary groups of the invoking user stay (shown as nogroup)"));
        }
    }
    for (resource, name, wanted) in
        [(Resource::Nofile, "open files", contract::NOFILE.1), (Resource::Nproc, "processes", contract::NPROC.1)]
    {
        if let Some(hard) = getrlimit(resource).maximum.filter(|hard| *hard < wanted && !raises) {
            said.push(format!("the hard limit of {name} stays {hard} instead of {wanted}"));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_ids_are_read() {
        assert!(maps("         0          0 4294967295\n", 1000), "the first namespace");
        assert!(!maps("         0       1000          1\n", 1000), "one id");
        assert!(maps("0 1000 1\n1 100000 65536\n", 1000), "subordinate ids");
        assert!(!maps("", 1000));
    }
}
