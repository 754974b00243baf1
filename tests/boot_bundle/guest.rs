//! The guest's side: one static busybox and an init that says what it sees, a line for each thing.

use crate::bundle::Kernel;
use crate::cpio::{Cpio, Kind};
use crate::modules;
use libtest_mimic::Failed;

const BUSYBOX: &str = "/bin/busybox";

/// What every line of the guest begins with.
pub const MARK: &str = "snpforge: ";

const INIT: &str = r#"#!/bin/busybox sh
PATH=/bin
# The links are made to what /proc says busybox is.
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
say() { echo "snpforge: $*"; }
for module in $(cat /modules/order); do insmod /modules/$module.ko || say "module=$module failed"; done
given() { sed -n "s/.* snpforge\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
# Text at the start of a block device, which may appear late.
first() {
    for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -b "$1" ] && break; sleep 1; done
    head -c 64 "$1" | tr -d '\0'
}
number=$(given number)
say "release=$(uname -r)"
say "firmware=$(cat /sys/class/dmi/id/bios_vendor || dmesg | grep 'efi: EFI v')"
say "number=$number"
say "memory=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
say "processors=$(grep -c ^processor /proc/cpuinfo)"
case $(given task) in
    disk*)
        say "disk=$(first /dev/sda)"
        printf 'written by %s' "$number" | dd of=/dev/sda bs=4096 seek=1 conv=notrunc
        sync
        ;;
esac
case $(given task) in
    disks) say "cdrom=$(first /dev/sr0)" ;;
    network)
        ifconfig eth0 | grep -q 'inet addr' || { ifconfig eth0 up; udhcpc -i eth0 -n -q -s /lease; }
        say "address=$(ifconfig eth0 | sed -n 's/.*inet addr:\([0-9.]*\).*/\1/p')"
        say "answer=$(nc 10.0.2.2 "$(given port)" </dev/null)"
        ;;
    tick) while :; do say "tick=$((n = ${n:-0} + 1))"; sleep 1; done ;;
esac
say "end=1"
sync
reboot -f
"#;

const LEASE: &str = "#!/bin/busybox sh\n[ \"$1\" != bound ] || ifconfig \"$interface\" \"$ip\" netmask \"$subnet\"\n";

pub fn busybox_missing() -> Option<String> {
    let Ok(bytes) = std::fs::read(BUSYBOX) else {
        return Some(format!("{BUSYBOX} is not there (Debian package busybox-static)"));
    };
    let needs_libraries = bytes.windows(9).any(|window| window == b"/ld-linux");
    needs_libraries.then(|| format!("{BUSYBOX} is not static (Debian package busybox-static)"))
}

/// The initramfs for `kernel`: made twice, and refused if that gives two archives.
pub fn initramfs(kernel: &Kernel) -> Result<Vec<u8>, Failed> {
    let (first, second) = (make(kernel)?, make(kernel)?);
    if first == second { Ok(first) } else { Err("the same files gave two initramfs".into()) }
}

fn make(kernel: &Kernel) -> Result<Vec<u8>, Failed> {
    let mut cpio = Cpio::default();
    for folder in ["bin", "dev", "modules", "proc", "sys"] {
        cpio.add(folder, Kind::Folder);
    }
    cpio.add("bin/busybox", Kind::Program(&std::fs::read(BUSYBOX)?));
    cpio.add("dev/console", Kind::Device(5, 1));
    cpio.add("init", Kind::Program(INIT.as_bytes()));
    cpio.add("lease", Kind::Program(LEASE.as_bytes()));
    let modules = modules::in_order(&kernel.modules)?;
    let order: String = modules.iter().map(|(name, _)| format!("{name}\n")).collect();
    cpio.add("modules/order", Kind::File(order.as_bytes()));
    for (name, bytes) in &modules {
        cpio.add(&format!("modules/{name}.ko"), Kind::File(bytes));
    }
    Ok(cpio.finish())
}
