//! What a component's build must deliver in /out, and where it stands in the product.

use super::parameters::Variables;
use crate::component::Component;
use serde::Serialize;

/// What an expected path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One file.
    File,
    /// A folder: each of its files is kept, below the place in the product.
    Folder,
    /// A folder that becomes one gzipped tar at the place in the product, without a top folder.
    Tarball,
    /// One line of text: the kernel's release. It is not installed; names of other files hold it.
    Release,
}

/// A file or folder that a component's build must deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Path relative to /out.
    pub path: String,
    /// What it is.
    pub form: Form,
    /// Path in the product. `{release}` stands for the kernel's release, `{version}` for its part before the local
    /// version, `{rpm}` for the release as rpm has it, without hyphens.
    pub install: String,
    /// More bytes than this are refused: of the file, or of all files of the folder together.
    pub limit: u64,
}

impl Expected {
    /// The path as people read it: a folder ends with `/**`.
    pub fn shown(&self) -> String {
        match self.form {
            Form::File | Form::Release => self.path.clone(),
            Form::Folder | Form::Tarball => format!("{}/**", self.path),
        }
    }

    /// Whether a delivered file of this path is meant.
    pub fn takes(&self, path: &str) -> bool {
        match self.form {
            Form::File | Form::Release => self.path == path,
            Form::Folder | Form::Tarball => self.inside(path).is_some_and(|inner| inner.split('/').all(plain)),
        }
    }

    /// The path below this folder.
    pub fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path.as_str())?.strip_prefix('/')
    }

    /// Whether a delivered folder of this path is this one, is in it or leads to it.
    pub fn leads_through(&self, folder: &str) -> bool {
        let leads = self.path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let deep = matches!(self.form, Form::Folder | Form::Tarball) && self.takes(folder);
        let is_file = self.path == folder && matches!(self.form, Form::File | Form::Release);
        (leads || deep) && !is_file
    }
}

/// A part of a file name that no tool treats in a special way.
fn plain(part: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.len() <= 200 && part.bytes().all(good)
}

/// More files in one folder than any component has: a server's kernel has about 4000.
pub const MOST_FILES: usize = 20_000;

const MIB: u64 = 1 << 20;

/// What a component's build must deliver.
pub fn expected(component: Component, parameters: &Variables) -> Vec<Expected> {
    let one = |path: &str, form, install: String, limit| Expected { path: path.to_owned(), form, install, limit };
    let mut all = match component {
        // A flash image is a few MiB; QEMU refuses more than 16 MiB.
        Component::Ovmf => ["OVMF.amdsev.fd", "OVMF.fd", "OVMF_CODE.fd", "OVMF_VARS.fd"]
            .map(|name| one(name, Form::File, format!("usr/local/share/qemu/{name}"), 16 * MIB))
            .to_vec(),
        Component::Qemu => ["qemu-img", "qemu-nbd", "qemu-system-x86_64"]
            .map(|name| one(&format!("bin/{name}"), Form::File, format!("usr/local/bin/{name}"), 256 * MIB))
            .into_iter()
            .chain([one("share/qemu", Form::Folder, "usr/local/share/qemu".into(), 64 * MIB)])
            .collect(),
        Component::KernelHost | Component::KernelGuest => {
            let role = component.role().unwrap_or_default();
            let revision = parameters.get("KERNEL_REVISION").map_or("1", String::as_str);
            let place = |name: &str| format!("linux/{role}/{name}");
            vec![
                one("release", Form::Release, String::new(), 128),
                one("config", Form::File, format!("config.{role}"), 4 * MIB),
                one(
                    "linux-image.deb",
                    Form::File,
                    place(&format!("linux-image-{{release}}_{{version}}-{revision}_amd64.deb")),
                    1024 * MIB,
                ),
                one(
                    "linux-headers.deb",
                    Form::File,
                    place(&format!("linux-headers-{{release}}_{{version}}-{revision}_amd64.deb")),
                    256 * MIB,
                ),
                one("kernel.rpm", Form::File, place(&format!("kernel-{{rpm}}-{revision}.x86_64.rpm")), 1024 * MIB),
                one(
                    "kernel-devel.rpm",
                    Form::File,
                    place(&format!("kernel-devel-{{rpm}}-{revision}.x86_64.rpm")),
                    256 * MIB,
                ),
                one("tree", Form::Tarball, place("linux-{release}.tar.gz"), 2048 * MIB),
            ]
        }
    };
    all.push(one("licenses", Form::Folder, format!("licenses/{component}"), 16 * MIB));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_plain_names_below_it_only() {
        let all = expected(Component::Qemu, &Variables::new());
        let folder = all.iter().find(|one| one.path == "share/qemu").unwrap();
        for good in ["share/qemu/bios-256k.bin", "share/qemu/keymaps/en-us", "share/qemu/a/b/c"] {
            assert!(folder.takes(good), "{good}");
        }
        for bad in [
            "share/qemu",
            "share/qemu/",
            "share/qemu/../x",
            "share/qemux/a",
            "share/qemu/.x",
            "share/qemu/a b",
            "share/qemu//a",
        ] {
            assert!(!folder.takes(bad), "{bad}");
        }
        for way in ["share", "share/qemu", "share/qemu/keymaps"] {
            assert!(folder.leads_through(way), "{way}");
        }
        for no in ["shar", "usr", "share/q", "share/qemu/.."] {
            assert!(!folder.leads_through(no), "{no}");
        }
    }

    #[test]
    fn a_kernel_carries_its_revision_and_release() {
        let parameters = Variables::from([("KERNEL_REVISION".into(), "3".into())]);
        let all = expected(Component::KernelGuest, &parameters);
        let deb = all.iter().find(|one| one.path == "linux-image.deb").unwrap();
        assert_eq!(deb.install, "linux/guest/linux-image-{release}_{version}-3_amd64.deb");
        assert!(!deb.leads_through("linux-image.deb"), "a file is no folder");
    }
}
