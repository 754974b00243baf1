//! A small bundle of the real layout, in a folder whose name holds a space, as a medium's mount point may.

use flate2::{Compression, write::GzEncoder};
use snpforge::digest::Digest;
use snpforge::tarball::{Attributes, Writer};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub const NAME: &str = "snp-release-2026-11-23";
pub const VERSION: &str = "6.12.107-snp-host-0123456789ab-01234567";
/// The modules of the kernel: `snp_b` depends on `snp_a`.
pub const MODULES: [&str; 2] = ["kernel/drivers/snp_a.ko", "kernel/drivers/deep/snp_b.ko"];

const FILES: [(&str, &str); 12] = [
    ("launch-qemu.sh", "#!/bin/sh\n"),
    ("kvm.conf", "options kvm_amd sev-snp=1 sev=1 sev-es=1\n"),
    ("manifest.json", "{}\n"),
    ("licenses/qemu/COPYING", "GPL\n"),
    ("linux/host/linux-image-x_1_amd64.deb", "deb"),
    ("usr/local/bin/qemu-system-x86_64", "emulator"),
    ("usr/local/bin/qemu-img", "images"),
    ("usr/local/share/qemu/OVMF.fd", "firmware"),
    ("usr/local/share/qemu/OVMF_CODE.fd", "code"),
    ("usr/local/share/qemu/OVMF.amdsev.fd", "measuring firmware"),
    ("usr/local/share/qemu/efi-virtio.rom", "rom"),
    ("usr/local/share/qemu/keymaps/en-us", "keys"),
];

/// What a kernel's tarball holds: path and content.
pub type Members = Vec<(String, Vec<u8>)>;

pub struct Bundle {
    pub scratch: TempDir,
    pub folder: PathBuf,
}

impl Bundle {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        open(scratch.path());
        let bundle = Bundle { folder: scratch.path().join("usb stick").join(NAME), scratch };
        let script = include_str!("../../images/bundle/install.sh");
        for (path, content) in FILES.iter().chain([&("install.sh", script)]) {
            bundle.write(path, content.as_bytes());
        }
        bundle.kernel(&members(), None);
        bundle.sums();
        bundle
    }

    /// A folder of tools that the script finds first.
    pub fn tools(&self) -> PathBuf {
        let tools = self.scratch.path().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        open(&tools);
        tools
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Makes the kernel's tarball anew, with a link in it if one is named.
    pub fn kernel(&self, members: &Members, link: Option<(&str, &str)>) {
        let mut writer = Writer::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let attributes = Attributes { mode: 0o644, mtime: 1_762_625_177, owner: 0 };
        for (path, content) in members {
            writer.file(path.as_bytes(), attributes, content.len() as u64, &mut content.as_slice()).unwrap();
        }
        if let Some((path, target)) = link {
            writer.symlink(path.as_bytes(), target.as_bytes(), attributes).unwrap();
        }
        let bytes = writer.finish().unwrap().finish().unwrap();
        self.write(&format!("linux/host/linux-{VERSION}.tar.gz"), &bytes);
    }

    /// SHA256SUMS of the files as they are.
    pub fn sums(&self) {
        let mut lines = Vec::new();
        for entry in walkdir::WalkDir::new(&self.folder) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(&self.folder).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().is_file() && path != "SHA256SUMS" {
                lines.push((path, Digest::of(&std::fs::read(entry.path()).unwrap())));
            }
        }
        lines.sort();
        let text: String = lines.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        self.write("SHA256SUMS", text.as_bytes());
    }

    /// Replaces `old` by `new` in SHA256SUMS.
    pub fn edit_sums(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.folder.join("SHA256SUMS")).unwrap();
        assert!(text.contains(old), "SHA256SUMS does not hold {old}");
        self.write("SHA256SUMS", text.replacen(old, new, 1).as_bytes());
    }

    /// The file that is signed, beside the folder.
    pub fn outer(&self) -> PathBuf {
        self.folder.with_file_name(format!("{NAME}.SHA256SUMS"))
    }

    pub fn write_outer(&self) {
        let sums = Digest::of(&std::fs::read(self.folder.join("SHA256SUMS")).unwrap());
        let other = Digest::of(b"the tarball");
        std::fs::write(self.outer(), format!("{sums}  {NAME}/SHA256SUMS\n{other}  {NAME}.tar.gz\n")).unwrap();
    }

    /// Signs the outer file with a private key, as ssh-keygen does it.
    pub fn sign(&self, key: &Path, namespace: &str) {
        let made = self.outer().with_file_name(format!("{NAME}.SHA256SUMS.sig"));
        let _ = std::fs::remove_file(&made);
        let mut sign = Command::new("ssh-keygen");
        let output = sign.args(["-Y", "sign", "-n", namespace, "-f"]).arg(key).arg(self.outer()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = self.outer().with_file_name(format!("{NAME}.SHA256SUMS.sigs"));
        std::fs::create_dir_all(&folder).unwrap();
        let name = Digest::of(&std::fs::read(key).unwrap());
        std::fs::rename(made, folder.join(format!("{name}.sig"))).unwrap();
    }
}

/// The members of an ordinary kernel.
pub fn members() -> Members {
    let mut members: Members = ["vmlinuz", "config", "System.map"]
        .map(|name| (format!("boot/{name}-{VERSION}"), format!("the {name}").into_bytes()))
        .into();
    members.push((format!("usr/lib/modules/{VERSION}/vmlinuz"), b"the vmlinuz".to_vec()));
    // busybox's depmod looks for these words, wherever they stand.
    for (path, content) in MODULES.iter().zip(["\0name=snp_a\0depends=\0", "\0name=snp_b\0depends=snp_a\0"]) {
        members.push((format!("usr/lib/modules/{VERSION}/{path}"), content.as_bytes().to_vec()));
    }
    members
}

/// Lets everybody in, whatever the umask is.
pub fn open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
