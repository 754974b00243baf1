//! The bundle's folder: which kernels it says it holds, and the files of them.

use flate2::read::GzDecoder;
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Guest,
    Host,
}

pub struct Bundle(PathBuf);

/// A kernel as its tarball holds it.
pub struct Kernel {
    pub image: Vec<u8>,
    /// Compressed or not, by path.
    pub modules: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    pub fn open(folder: &Path) -> Result<Self, Failed> {
        let folder =
            folder.canonicalize().map_err(|error| format!("SNPFORGE_TEST_BUNDLE {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn folder(&self, role: Role) -> PathBuf {
        self.0.join(if role == Role::Guest { "linux/guest" } else { "linux/host" })
    }

    /// The only file of a kernel's folder with this beginning and end.
    fn only(&self, role: Role, beginning: &str, end: &str) -> Result<String, Failed> {
        let folder = self.folder(role);
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        names.retain(|name| name.starts_with(beginning) && name.ends_with(end));
        match <[String; 1]>::try_from(names) {
            Ok([name]) => Ok(name),
            Err(names) => Err(format!("{} has not one {beginning}*{end}: {names:?}", folder.display()).into()),
        }
    }

    /// The kernel release in the name linux-image-RELEASE_VERSION_amd64.deb.
    pub fn release(&self, role: Role) -> Result<String, Failed> {
        let name = self.only(role, "linux-image-", "_amd64.deb")?;
        let release = name["linux-image-".len()..].split_once('_').map(|(release, _)| release.to_owned());
        release.ok_or_else(|| format!("{name} names no release").into())
    }

    pub fn kernel(&self, role: Role) -> Result<Kernel, Failed> {
        let path = self.folder(role).join(self.only(role, "linux-", ".tar.gz")?);
        let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(&path)?));
        let (mut image, mut modules) = (None, BTreeMap::new());
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_str().unwrap().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            if name.starts_with("boot/vmlinuz-") {
                entry.read_to_end(&mut bytes)?;
                image = Some(bytes);
            } else if name.ends_with(".ko") || name.contains(".ko.") {
                entry.read_to_end(&mut bytes)?;
                modules.insert(name, bytes);
            }
        }
        let image = image.ok_or_else(|| format!("{} has no boot/vmlinuz-*", path.display()))?;
        Ok(Kernel { image, modules })
    }

    /// Converts an image with the bundle's qemu-img.
    pub fn convert(&self, [from, to]: [&str; 2], source: &Path, target: &Path) -> Result<(), Failed> {
        let mut command = Command::new(self.0.join("usr/local/bin/qemu-img"));
        let output = command.args(["convert", "-f", from, "-O", to]).arg(source).arg(target).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("qemu-img: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
