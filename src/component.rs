//! The four components of the stack and the profiles of its kernels: closed sets, parsed once.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the things a release builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Linux for the machine that runs the guests.
    KernelHost,
    /// Linux for the confidential guest.
    KernelGuest,
    /// The virtual machine monitor and its tools.
    Qemu,
    /// The guest's UEFI firmware.
    Ovmf,
}

impl Component {
    /// Every component, in build order.
    pub const ALL: [Component; 4] = [Component::KernelHost, Component::KernelGuest, Component::Qemu, Component::Ovmf];

    /// The name users type and files carry.
    pub fn name(self) -> &'static str {
        match self {
            Component::KernelHost => "kernel-host",
            Component::KernelGuest => "kernel-guest",
            Component::Qemu => "qemu",
            Component::Ovmf => "ovmf",
        }
    }

    /// The recipe family: both kernels share one Containerfile and one recipe folder.
    pub fn family(self) -> &'static str {
        match self {
            Component::KernelHost | Component::KernelGuest => "kernel",
            Component::Qemu => "qemu",
            Component::Ovmf => "ovmf",
        }
    }

    /// `host` or `guest` for a kernel.
    pub fn role(self) -> Option<&'static str> {
        match self {
            Component::KernelHost => Some("host"),
            Component::KernelGuest => Some("guest"),
            Component::Qemu | Component::Ovmf => None,
        }
    }

    /// The components a word on the command line stands for: a component's name, or `kernel` for both kernels.
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other word.
    pub fn select(word: &str) -> Result<Vec<Component>> {
        let chosen: Vec<Component> = Self::ALL.into_iter().filter(|c| c.name() == word || c.family() == word).collect();
        if chosen.is_empty() {
            return Err(Error::new(Kind::Usage, format!("component `{word}`"), "is not known")
                .remedy("name kernel, kernel-host, kernel-guest, qemu or ovmf"));
        }
        Ok(chosen)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much the kernels hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Little more than virtio, a serial console and SEV-SNP: for first tries and tests.
    Lean,
    /// What servers with EPYC processors need.
    Server,
}

impl Profile {
    /// The name users type, and that of the configuration fragment.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Lean => "lean",
            Profile::Server => "server",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_means_both_kernels() {
        assert_eq!(Component::select("kernel").unwrap(), [Component::KernelHost, Component::KernelGuest]);
        assert_eq!(Component::select("ovmf").unwrap(), [Component::Ovmf]);
        assert_eq!(Component::select("grub").unwrap_err().kind(), Kind::Usage);
    }
}
