//! The guest: any kernel, with a busybox that looks around and says what it sees.

use std::path::PathBuf;

/// On the first disk.
pub const SENTENCE: &str = "this sentence was read from a disk";
/// What the guest finds itself to be.
pub const GREETING: &str = "guest: Linux x86_64, 2 processors";

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "guest: $(uname -s) $(uname -m), $(nproc) processors"
echo "firmware: $(cat /sys/class/dmi/id/bios_vendor)"
head -n 1 /dev/sda
poweroff -f
"#;

/// A kernel and the initial root file system that is given to it.
pub struct Kernel {
    pub image: PathBuf,
    pub initrd: Vec<u8>,
}

impl Kernel {
    /// The kernel at `image`, or the reason why there is none.
    pub fn open(image: Option<PathBuf>) -> Result<Kernel, String> {
        let image = image.ok_or("SNPFORGE_TEST_KERNEL does not name a kernel image")?;
        let busybox =
            std::fs::read("/bin/busybox").map_err(|error| format!("/bin/busybox (busybox-static): {error}"))?;
        Ok(Kernel { image, initrd: archive(&busybox) })
    }
}

/// A cpio archive ("newc") with what the kernel starts.
fn archive(busybox: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for folder in ["bin", "dev", "proc", "sys"] {
        entry(&mut bytes, folder, 0o040_755, b"");
    }
    entry(&mut bytes, "bin/busybox", 0o100_755, busybox);
    entry(&mut bytes, "init", 0o100_755, INIT.as_bytes());
    entry(&mut bytes, "TRAILER!!!", 0, b"");
    bytes
}

fn entry(bytes: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let number = bytes.len();
    // Magic; inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name with its zero, checksum.
    let fields = [number, mode as usize, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0];
    bytes.extend(b"070701");
    for field in fields {
        bytes.extend(format!("{field:08X}").bytes());
    }
    bytes.extend(name.bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend(content);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
