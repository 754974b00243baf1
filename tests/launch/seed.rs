//! Our arguments against those of the script that AMD's users know (launch-qemu.sh of AMDESE/AMDSEV). Its arguments were
//! recorded by running it (branch snp-latest; for hosts 6.5/6.6 its state before January 2024; for hosts 5.19 branch
//! sev-snp-devel) with a stand-in for QEMU. Where ours differ, the difference is listed here with its reason, and nothing
//! else may differ.

use crate::answers::{AMD_6_1, AMD_8_0, AMD_8_2, Answers, OLD, UPSTREAM};
use crate::stage::{Shell, Stage, said};
use libtest_mimic::Failed;

/// The options that the seed's script has.
const OPTIONS: &str = "-sev -sev-es -sev-snp -enable-discard -bios -hda -mem -smp -cpu -allow-debug -kernel -initrd -append \
    -cdrom -default-network -monitor -log -certs";

pub struct Difference {
    seed: &'static str,
    ours: &'static str,
    /// Why ours is the better one: nobody reads it but people.
    #[allow(dead_code, reason = "the reason is for the reader")]
    why: &'static str,
}

macro_rules! difference {
    ($name:ident, $seed:expr, $ours:expr, $why:expr) => {
        const $name: &Difference = &Difference { seed: $seed, ours: $ours, why: $why };
    };
}

difference!(ACCEL, "-enable-kvm", "-accel kvm", "the same, in the form that can also say tcg");
difference!(READONLY, "CODE,readonly", "CODE,readonly=on", "QEMU warns of the short form and will drop it");
difference!(SOCKET, "server,nowait", "server=on,wait=off", "QEMU warns of the short form and will drop it");
difference!(
    STORE,
    "file=ROOT/work/disk.fd",
    "file=ROOT/in/disk.fd",
    "the store belongs to the disk, not to where one stands"
);
difference!(
    CD_STORE,
    "file=ROOT/work/cd.fd",
    "file=ROOT/home/.local/state/launch-qemu/cd-SUM.fd",
    "a folder of images may not be writable, and the working folder is whatever it is"
);
difference!(
    NO_NIC,
    "-drive file=ROOT/in",
    "-nic none -drive file=ROOT/in",
    "QEMU adds an e1000e of its own and needs its ROM; the seed's comment says that there shall be no network"
);
difference!(NO_NIC_CD, "-boot d", "-boot d -nic none", "as NO_NIC");
difference!(
    CD_FORMAT,
    "media=cdrom",
    "media=cdrom,format=raw",
    "without it QEMU guesses the format from what the image holds"
);
difference!(
    DEBUG,
    "sev-snp-guest,id=sev0",
    "sev-snp-guest,id=sev0,policy=0xb0000",
    "-allow-debug left the policy of SNP guests as it is, so that nothing could debug them"
);
difference!(CERTS, "certs-path=in/c", "certs-path=ROOT/in/c", "absolute, as all files that stand inside an option");
difference!(
    FIRMWARE,
    "-drive if=pflash,format=raw,unit=0,file=ROOT/the~bundle/usr/local/share/qemu/CODE,readonly \
     -drive if=pflash,format=raw,unit=1,file=ROOT/work/disk.fd",
    "-bios ROOT/the~bundle/usr/local/share/qemu/OVMF.fd",
    "guest_memfd cannot back flash"
);
difference!(GUEST_SUPPORT, "memory-encryption=sev0", "confidential-guest-support=sev0", "upstream's name for it");
difference!(
    PRIVATE_ORDER,
    "-object sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,discard=none -machine memory-backend=ram1,kvm-type=protected",
    "-machine memory-backend=ram1,kvm-type=protected -object sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,discard=none",
    "the same in the order of later scripts"
);
difference!(MAXIMUM, "maxcpus=64", "maxcpus=255", "raised for all in August 2023");
difference!(MAXIMUM_MEMORY, "maxmem=30G", "maxmem=10240M", "follows -mem since August 2023");
difference!(
    NETWORK,
    "-netdev user,id=vmnic -device virtio-net-pci,disable-legacy=on,iommu_platform=true,netdev=vmnic,romfile=",
    "",
    "only on demand since March 2023: -default-network"
);

/// Parts that most of the seed's command lines have. `~` is a space inside a word.
const PARTS: &[(&str, &str)] = &[
    ("HEAD", "-enable-kvm -cpu EPYC-v4 -machine q35 SIZE FLASH"),
    ("SIZE", "-smp 4,maxcpus=255 -m 2048M,slots=5,maxmem=10240M -no-reboot"),
    (
        "FLASH",
        "-drive if=pflash,format=raw,unit=0,file=ROOT/the~bundle/usr/local/share/qemu/CODE,readonly \
         -drive if=pflash,format=raw,unit=1,file=ROOT/work/disk.fd",
    ),
    ("DISK", "-drive file=ROOT/in/disk.raw,if=none,id=disk0,format=raw SCSI"),
    ("SCSI", "-device virtio-scsi-pci,id=scsi0,disable-legacy=on,iommu_platform=true -device scsi-hd,drive=disk0"),
    (
        "MEMORY",
        "-object memory-backend-memfd,id=ram1,size=2048M,share=true,prealloc=false -machine memory-backend=ram1",
    ),
    ("ENCRYPT", "-machine memory-encryption=sev0,vmport=off"),
    ("SNP", "-object sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1"),
    ("TAIL", "-nographic -monitor pty -monitor unix:monitor,server,nowait"),
];

pub struct Case {
    pub name: &'static str,
    answers: &'static Answers,
    arguments: &'static str,
    seed: &'static str,
    /// Beyond those in `ALWAYS`.
    differences: &'static [&'static Difference],
}

const ALWAYS: &[&Difference] = &[ACCEL, SOCKET];
const WITH_DISK: &[&Difference] = &[READONLY, STORE, NO_NIC];

const fn case(
    name: &'static str,
    answers: &'static Answers,
    arguments: &'static str,
    seed: &'static str,
    differences: &'static [&'static Difference],
) -> Case {
    Case { name, answers, arguments, seed, differences }
}

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("none", &OLD, "-hda in/disk.raw", "HEAD DISK TAIL", WITH_DISK),
    case("sev", &OLD, "-hda in/disk.raw -sev", "HEAD DISK ENCRYPT -object sev-guest,id=sev0,cbitpos=51,reduced-phys-bits=1 TAIL", WITH_DISK),
    case("sev_new_qemu", &UPSTREAM, "-hda in/disk.raw -sev", "HEAD DISK ENCRYPT -object sev-guest,id=sev0,cbitpos=51,reduced-phys-bits=1 TAIL", WITH_DISK),
    case("sev_debug", &OLD, "-hda in/disk.raw -sev -allow-debug", "HEAD DISK ENCRYPT -object sev-guest,id=sev0,policy=0,cbitpos=51,reduced-phys-bits=1 TAIL", WITH_DISK),
    case("sev_es", &OLD, "-hda in/disk.raw -sev-es", "HEAD DISK ENCRYPT -object sev-guest,id=sev0,policy=0x5,cbitpos=51,reduced-phys-bits=1 TAIL", WITH_DISK),
    case("sev_es_debug", &OLD, "-hda in/disk.raw -sev-es -allow-debug", "HEAD DISK ENCRYPT -object sev-guest,id=sev0,policy=0x4,cbitpos=51,reduced-phys-bits=1 TAIL", WITH_DISK),
    case("snp_8_2", &AMD_8_2, "-hda in/disk.raw -sev-snp", "HEAD DISK ENCRYPT MEMORY SNP TAIL", WITH_DISK),
    case("snp_8_2_weaker_kind_after_it", &AMD_8_2, "-hda in/disk.raw -sev-snp -sev", "HEAD DISK ENCRYPT MEMORY SNP TAIL", WITH_DISK),
    case("snp_8_2_debug", &AMD_8_2, "-hda in/disk.raw -sev-snp -allow-debug", "HEAD DISK ENCRYPT MEMORY SNP TAIL", &[READONLY, STORE, NO_NIC, DEBUG]),
    case("snp_8_2_discard", &AMD_8_2, "-hda in/disk.raw -sev-snp -enable-discard", "HEAD DISK ENCRYPT MEMORY SNP TAIL", WITH_DISK),
    case("snp_8_2_certs", &AMD_8_2, "-hda in/disk.raw -sev-snp -certs in/c", "HEAD DISK ENCRYPT MEMORY SNP,certs-path=in/c TAIL", &[READONLY, STORE, NO_NIC, CERTS]),
    case("snp_upstream", &UPSTREAM, "-hda in/disk.raw -sev-snp", "HEAD DISK ENCRYPT MEMORY SNP TAIL", &[FIRMWARE, NO_NIC, GUEST_SUPPORT]),
    case("snp_upstream_debug", &UPSTREAM, "-hda in/disk.raw -sev-snp -allow-debug", "HEAD DISK ENCRYPT MEMORY SNP TAIL", &[FIRMWARE, NO_NIC, GUEST_SUPPORT, DEBUG]),
    case("snp_6_6", &AMD_8_0, "-hda in/disk.raw -sev-snp",
        "HEAD DISK ENCRYPT -object memory-backend-memfd-private,id=ram1,size=2048M,share=true SNP,discard=none -machine memory-backend=ram1,kvm-type=protected TAIL",
        &[READONLY, STORE, NO_NIC, PRIVATE_ORDER]),
    case("snp_5_19", &AMD_6_1, "-hda in/disk.raw -sev-snp",
        "-enable-kvm -cpu EPYC-v4 -machine q35 -smp 4,maxcpus=64 -m 2048M,slots=5,maxmem=30G -no-reboot FLASH \
         -netdev user,id=vmnic -device virtio-net-pci,disable-legacy=on,iommu_platform=true,netdev=vmnic,romfile= DISK ENCRYPT SNP TAIL",
        &[READONLY, STORE, NO_NIC, MAXIMUM, MAXIMUM_MEMORY, NETWORK]),
    case("mem", &OLD, "-hda in/disk.raw -mem 4096", "-enable-kvm -cpu EPYC-v4 -machine q35 -smp 4,maxcpus=255 -m 4096M,slots=5,maxmem=12288M -no-reboot FLASH DISK TAIL", WITH_DISK),
    case("smp", &OLD, "-hda in/disk.raw -smp 8", "-enable-kvm -cpu EPYC-v4 -machine q35 -smp 8,maxcpus=255 -m 2048M,slots=5,maxmem=10240M -no-reboot FLASH DISK TAIL", WITH_DISK),
    case("cpu", &OLD, "-hda in/disk.raw -cpu EPYC-v4,+avx512f", "-enable-kvm -cpu EPYC-v4,+avx512f -machine q35 SIZE FLASH DISK TAIL", WITH_DISK),
    case("kernel", &OLD, "-hda in/disk.raw -kernel in/k", "HEAD DISK -kernel in/k -append console=ttyS0~earlyprintk=serial~root=/dev/sda2 TAIL", WITH_DISK),
    case("initrd", &OLD, "-hda in/disk.raw -kernel in/k -initrd in/i -append a~b", "HEAD DISK -kernel in/k -append a~b -initrd in/i TAIL", WITH_DISK),
    case("cdrom", &OLD, "-hda in/disk.raw -cdrom in/cd.iso", "HEAD -drive file=ROOT/in/cd.iso,media=cdrom -boot d DISK TAIL", &[READONLY, STORE, NO_NIC_CD, CD_FORMAT]),
    case("only_cdrom", &OLD, "-cdrom in/cd.iso",
        "-enable-kvm -cpu EPYC-v4 -machine q35 SIZE -drive if=pflash,format=raw,unit=0,file=ROOT/the~bundle/usr/local/share/qemu/CODE,readonly \
         -drive if=pflash,format=raw,unit=1,file=ROOT/work/cd.fd -drive file=ROOT/in/cd.iso,media=cdrom -boot d TAIL",
        &[READONLY, CD_STORE, NO_NIC_CD, CD_FORMAT]),
    case("default_network", &OLD, "-hda in/disk.raw -default-network",
        "HEAD -netdev user,id=vmnic -device virtio-net-pci,disable-legacy=on,iommu_platform=true,netdev=vmnic,romfile= DISK TAIL", &[READONLY, STORE]),
    case("monitor", &OLD, "-hda in/disk.raw -monitor other", "HEAD DISK -nographic -monitor pty -monitor unix:other,server,nowait", WITH_DISK),
    case("log", &OLD, "-hda in/disk.raw -log other", "HEAD DISK TAIL", WITH_DISK),
    case("bios", &OLD, "-hda in/disk.raw -bios the~bundle/usr/local/share/qemu", "HEAD DISK TAIL", WITH_DISK),
    case("qcow2", &OLD, "-hda in/disk.qcow2", "HEAD -drive file=ROOT/in/disk.qcow2,if=none,id=disk0,format=qcow2 SCSI TAIL", WITH_DISK),
];

/// A disk image, as far as the launcher looks: version 3, no backing file, no data file.
pub fn qcow2() -> Vec<u8> {
    let mut header = vec![0; 104];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    header
}

impl Case {
    pub fn check(&self, shell: &Shell) -> Result<(), Failed> {
        let stage = Stage::new(self.answers);
        stage.write("in/disk.qcow2", &qcow2());
        for name in ["in/disk.raw", "in/cd.iso", "in/k", "in/i", "in/c"] {
            stage.write(name, b"some bytes");
        }
        std::os::unix::fs::symlink("../in", stage.path("work/in"))?;
        std::os::unix::fs::symlink("../the bundle", stage.path("work/the bundle"))?;
        let arguments: Vec<String> = words(self.arguments);
        let output = stage.run(shell, &[&["-dry-run".to_owned()], &arguments[..]].concat());
        if !output.status.success() {
            return Err(said(&output).into());
        }
        let root = stage.path("").display().to_string();
        let ours = String::from_utf8(output.stdout)?.replace(root.trim_end_matches('/'), "ROOT");
        let ours: Vec<String> = ours.lines().skip(1).map(without_sum).collect();
        let wanted = self.wanted()?;
        if ours != wanted {
            return Err(format!(
                "ours:\n{}\nthe seed's with the listed differences:\n{}",
                ours.join(" "),
                wanted.join(" ")
            )
            .into());
        }
        if let Some(left) = stage.list("work").iter().find(|name| !["in", "the bundle"].contains(&name.as_str())) {
            return Err(format!("-dry-run left {left}").into());
        }
        Ok(())
    }

    /// The seed's arguments with the differences that this case lists; each must be there once.
    fn wanted(&self) -> Result<Vec<String>, Failed> {
        let mut line = format!(" {} ", self.seed);
        for (name, part) in PARTS {
            for end in [' ', ','] {
                line = line.replace(&format!(" {name}{end}"), &format!(" {part}{end}"));
            }
        }
        for difference in ALWAYS.iter().chain(self.differences) {
            if line.matches(difference.seed).count() != 1 {
                return Err(format!("'{}' is not once in the seed's line: {line}", difference.seed).into());
            }
            line = line.replace(difference.seed, difference.ours);
        }
        Ok(words(&line.replace("CODE", "OVMF_CODE.fd")))
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace('~', " ")).collect()
}

/// The number in the name of a store in the state folder depends on where the stage lies.
fn without_sum(word: &str) -> String {
    match word.split_once("launch-qemu/cd-") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}launch-qemu/cd-SUM{after}")
        }
        None => word.to_owned(),
    }
}

pub fn every_option_is_compared() -> Result<(), Failed> {
    let tried: Vec<&str> = CASES.iter().flat_map(|case| case.arguments.split_whitespace()).collect();
    match OPTIONS.split_whitespace().find(|option| !tried.contains(option)) {
        None => Ok(()),
        Some(option) => Err(format!("no case has {option}").into()),
    }
}
