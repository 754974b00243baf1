//! What cannot work is refused before QEMU starts: with its own exit code, and with object, cause and remedy.

use crate::answers::{AMD_6_1, AMD_8_2, Answers, OLD, UPSTREAM};
use crate::seed::qcow2;
use crate::stage::{STORE_GUID, Shell, Stage, said};
use libtest_mimic::Failed;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

/// A user that owns nothing here; only root can become it, and only root needs to.
pub const NOBODY: u32 = 65534;

pub struct Refusal {
    pub name: &'static str,
    answers: &'static Answers,
    arguments: &'static [&'static str],
    spoil: fn(&Stage),
    code: i32,
    /// Object, cause and remedy.
    says: &'static [&'static str],
    as_nobody: bool,
}

fn refusal(
    name: &'static str,
    arguments: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
) -> Refusal {
    Refusal { name, answers: &OLD, arguments, spoil: |_| (), code, says, as_nobody: false }
}

impl Refusal {
    fn when(self, spoil: fn(&Stage)) -> Self {
        Self { spoil, ..self }
    }

    fn with(self, answers: &'static Answers) -> Self {
        Self { answers, ..self }
    }

    fn for_nobody(self) -> Self {
        Self { as_nobody: true, ..self }
    }

    pub fn check(&self, shell: &Shell) -> Result<(), Failed> {
        let stage = Stage::new(self.answers);
        (self.spoil)(&stage);
        let found = || ["work", "in", "tmp"].map(|folder| stage.path(folder).is_dir().then(|| stage.contents(folder)));
        let before = found();
        let mut command = stage.command(shell, self.arguments);
        if self.as_nobody && rustix::process::getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(self.code) || self.says.iter().any(|part| !words.contains(part)) {
            return Err(format!("code {} and {:?} were expected: {}", self.code, self.says, said(&output)).into());
        }
        let after = found();
        if stage.argv().is_some() || before != after {
            return Err(format!("QEMU was started, or something was changed: {before:?}, {after:?}").into());
        }
        Ok(())
    }
}

pub fn all() -> Vec<Refusal> {
    [words(), files(), stores(), logs(), disks(), machine(), qemu()].into_iter().flatten().collect()
}

fn words() -> Vec<Refusal> {
    vec![
        refusal("unknown_option", &["-hdb", "x"], 64, &["'-hdb'", "after --"]),
        refusal("no_value", &["-hda"], 64, &["-hda wants a value"]),
        refusal("empty_value", &["-mem", ""], 64, &["-mem wants a value"]),
        refusal("memory_with_unit", &["-mem", "4G"], 64, &["'4G'", "such as 4096"]),
        refusal("memory_octal", &["-mem", "010"], 64, &["'010'", "such as 4096"]),
        refusal("memory_huge", &["-mem", "99999999999999999999"], 64, &["such as 4096"]),
        refusal("smp_zero", &["-smp", "0"], 64, &["-smp '0'", "such as 4"]),
        refusal("smp_words", &["-smp", "4,cores=2"], 64, &["'4,cores=2'", "such as 4"]),
        refusal("cbitpos", &["-sev", "-cbitpos", "64"], 64, &["'64'", "such as 51"]),
        refusal("accel", &["-accel", "xen"], 64, &["'xen'", "kvm, tcg, auto"]),
        refusal("format", &["-hda-format", "vdi"], 64, &["'vdi'", "raw nor qcow2"]),
        refusal("hashes", &["-kernel-hashes", "yes"], 64, &["'yes'", "on nor off"]),
        refusal("initrd_alone", &["-initrd", "x"], 64, &["-initrd", "give -kernel too"]),
        refusal("append_alone", &["-append", ""], 64, &["-append", "give -kernel too"]),
        refusal("certs_alone", &["-sev", "-certs", "x"], 64, &["-certs", "give -sev-snp too"]),
        refusal("sev_with_tcg", &["-sev", "-accel", "tcg"], 64, &["-sev needs KVM", "leave -sev or -accel tcg out"]),
        refusal("snp_with_tcg", &["-sev-snp", "-accel", "tcg"], 64, &["-sev-snp needs KVM", "leave -sev-snp or"]),
        refusal(
            "sev_with_one_thread",
            &["-sev", "-accel", "tcg,thread=single"],
            64,
            &["-sev needs KVM", "leave -sev or"],
        ),
        refusal("two_networks", &["-default-network", "-bridge", "br0"], 64, &["-bridge", "exclude"]),
        refusal("bridge_name", &["-bridge", "a,b"], 64, &["'a,b'", "network interface"]),
    ]
}

const SHARE: &str = "the bundle/usr/local/share/qemu";

fn stores() -> Vec<Refusal> {
    vec![
        refusal("store_is_the_template", &["-vars", "t"], 66, &["template of all guests", "-vars"]).when(|stage| {
            std::os::unix::fs::symlink(stage.path(&format!("{SHARE}/OVMF_VARS.fd")), stage.path("work/t")).unwrap()
        }),
        refusal("store_is_a_name_of_the_template", &["-vars", "t"], 66, &["template of all guests", "-vars"]).when(
            |stage| std::fs::hard_link(stage.path(&format!("{SHARE}/OVMF_VARS.fd")), stage.path("work/t")).unwrap(),
        ),
        refusal("store_of_other_firmware", &["-vars", "v"], 66, &["v' belongs to other firmware", "move it away"])
            .when(|stage| stage.write("work/v", &[[0; 16], STORE_GUID].concat())),
        refusal("store_is_none", &["-vars", "v"], 66, &["v' is no variable store", "-vars, or move it away"])
            .when(|stage| stage.write("work/v", &[7; 48])),
        refusal(
            "store_is_none_and_has_no_template",
            &["-bios", "X_CODE.fd", "-vars", "v"],
            66,
            &["v' is no variable store", "-vars, or move it away"],
        )
        .when(|stage| {
            stage.write("work/X_CODE.fd", b"code");
            stage.write("work/v", b"a letter");
        }),
        refusal("store_beside_the_disk_is_none", &["-hda", "d.img"], 66, &["d.fd' is no variable store", "-vars"])
            .when(|stage| {
                stage.write("work/d.img", b"some bytes");
                stage.write("work/d.fd", b"a letter");
            }),
        refusal("store_is_the_disk", &["-hda", "f", "-vars", "f"], 66, &["f' is the disk too", "-vars"])
            .when(|stage| stage.write("work/f", &[[0; 16], STORE_GUID, [1; 16]].concat())),
        refusal("store_is_the_cdrom", &["-cdrom", "f", "-vars", "l"], 66, &["l' is the CD-ROM too", "-vars"]).when(
            |stage| {
                stage.write("work/f", &[[0; 16], STORE_GUID, [1; 16]].concat());
                std::fs::hard_link(stage.path("work/f"), stage.path("work/l")).unwrap();
            },
        ),
        refusal("store_is_the_code", &["-vars", "l"], 66, &["OVMF_CODE.fd' is the firmware too", "-vars"]).when(
            |stage| {
                std::os::unix::fs::symlink(stage.path(&format!("{SHARE}/OVMF_CODE.fd")), stage.path("work/l")).unwrap()
            },
        ),
        refusal("template_is_none", &["-vars", "v"], 66, &["template", "OVMF_VARS.fd' is no variable store", "-bios"])
            .when(|stage| stage.write(&format!("{SHARE}/OVMF_VARS.fd"), b"a letter")),
        refusal(
            "store_in_the_firmware",
            &["-bios", "f", "-vars", "v"],
            66,
            &["'f' holds a variable store", "OVMF_CODE.fd"],
        )
        .when(|stage| {
            std::os::unix::fs::symlink(stage.path(&format!("{SHARE}/OVMF.fd")), stage.path("work/f")).unwrap()
        }),
        refusal("store_for_snp_upstream", &["-sev-snp", "-vars", "v"], 66, &["no variable store", "leave -vars out"])
            .with(&UPSTREAM),
    ]
}

fn files() -> Vec<Refusal> {
    vec![
        refusal("no_qemu", &[], 66, &["qemu-system-x86_64' does not exist", "-qemu"])
            .when(|stage| stage.remove("the bundle/usr/local/bin/qemu-system-x86_64")),
        refusal("qemu_not_executable", &["-qemu", "q"], 66, &["q' is not executable", "chmod +x"])
            .when(|stage| stage.write("work/q", b"")),
        refusal("qemu_does_not_run", &["-qemu", "q"], 66, &["q' does not run here: broken", "-qemu"]).when(|stage| {
            stage.write("work/q", b"#!/bin/sh\necho broken; exit 1\n");
            stage.make_executable("work/q");
        }),
        refusal("no_code", &[], 66, &["firmware code", "OVMF_CODE.fd' does not exist", "-bios"])
            .when(|stage| stage.remove(&format!("{SHARE}/OVMF_CODE.fd"))),
        refusal("no_template", &[], 66, &["OVMF_VARS.fd' does not exist", "-bios"])
            .when(|stage| stage.remove(&format!("{SHARE}/OVMF_VARS.fd"))),
        refusal("no_whole_firmware", &["-sev-snp"], 66, &["OVMF.fd' does not exist", "-bios"])
            .with(&UPSTREAM)
            .when(|stage| stage.remove(&format!("{SHARE}/OVMF.fd"))),
        refusal("no_bios", &["-bios", "none.fd"], 66, &["firmware 'none.fd' does not exist", "-bios"]),
        refusal("no_kernel", &["-kernel", "k"], 66, &["kernel 'k' does not exist", "-kernel"]),
        refusal("kernel_is_a_folder", &["-kernel", "."], 66, &["kernel '.' is a folder", "-kernel"]),
        refusal("no_cdrom", &["-cdrom", "c"], 66, &["CD-ROM 'c' does not exist", "-cdrom"]),
        refusal("monitor_is_a_file", &["-monitor", "m"], 66, &["'m' exists and is no socket", "-monitor"])
            .when(|stage| stage.write("work/m", b"precious")),
    ]
}

/// The log replaces what has its name: nothing that the guest needs may go that way.
fn logs() -> Vec<Refusal> {
    const CODE: &str = "the bundle/usr/local/share/qemu/OVMF_CODE.fd";
    fn file(stage: &Stage) {
        stage.write("work/f", b"precious");
    }
    vec![
        refusal("log", &["-log", "no/log"], 66, &["log 'no/log' cannot be written", "-log"]),
        refusal("log_is_a_folder", &["-log", "in"], 66, &["log 'in' exists and is no plain file", "-log"])
            .when(|stage| std::fs::create_dir(stage.path("work/in")).unwrap()),
        refusal("log_is_a_socket", &["-log", "s"], 66, &["log 's' exists and is no plain file", "-log"])
            .when(|stage| drop(std::os::unix::net::UnixListener::bind(stage.path("work/s")).unwrap())),
        refusal("log_is_the_disk", &["-hda", "f", "-log", "f"], 66, &["log 'f' is the disk too", "-log"]).when(file),
        refusal("log_is_the_cdrom", &["-cdrom", "f", "-log", "../work/f"], 66, &["is the CD-ROM too", "-log"])
            .when(file),
        refusal("log_links_to_the_kernel", &["-kernel", "f", "-log", "l"], 66, &["log 'l' is the kernel too", "-log"])
            .when(|stage| {
                file(stage);
                std::os::unix::fs::symlink("f", stage.path("work/l")).unwrap();
            }),
        refusal(
            "log_is_a_name_of_the_initrd",
            &["-kernel", "../kvm", "-initrd", "f", "-log", "l"],
            66,
            &["log 'l' is the initrd too", "-log"],
        )
        .when(|stage| {
            file(stage);
            std::fs::hard_link(stage.path("work/f"), stage.path("work/l")).unwrap();
        }),
        refusal("log_is_the_blob", &["-sev-snp", "-certs", "f", "-log", "f"], 66, &["is the certificate blob too"])
            .with(&AMD_8_2)
            .when(file),
        refusal("log_is_the_firmware", &["-log", "l"], 66, &["log 'l' is the firmware too", "-log"])
            .when(|stage| std::os::unix::fs::symlink(stage.path(CODE), stage.path("work/l")).unwrap()),
        refusal("log_is_the_new_store", &["-vars", "v", "-log", "./v"], 66, &["is the variable store too", "-log"]),
        refusal("log_is_the_monitor", &["-monitor", "m", "-log", "m"], 66, &["log 'm' is the monitor too", "-log"]),
    ]
}

fn disks() -> Vec<Refusal> {
    vec![
        refusal("no_disk", &["-hda", "d"], 66, &["disk 'd' does not exist", "qemu-img create"]),
        refusal("unreadable_disk", &["-hda", "d"], 66, &["disk 'd' cannot be read by", "change its mode"])
            .for_nobody()
            .when(|stage| mode(stage, 0o000)),
        refusal("unwritable_disk", &["-hda", "d"], 66, &["/work/d' cannot be written by", "change its mode"])
            .for_nobody()
            .when(|stage| mode(stage, 0o444)),
        refusal("vmdk", &["-hda", "d"], 66, &["/work/d' is neither raw nor qcow2", "qemu-img convert"])
            .when(|stage| stage.write("work/d", b"KDMV\x01\0\0\0")),
        refusal("not_qcow2", &["-hda", "d.qcow2"], 66, &["called qcow2 and is none", "-hda-format raw"])
            .when(|stage| stage.write("work/d.qcow2", b"some bytes")),
        refusal("not_raw", &["-hda", "d.raw"], 66, &["called raw and begins like qcow2", "-hda-format"])
            .when(|stage| stage.write("work/d.raw", &qcow2())),
        refusal("not_as_said", &["-hda", "d", "-hda-format", "qcow2"], 66, &["no qcow2 image", "-hda-format"])
            .when(|stage| stage.write("work/d", b"some bytes")),
        // What a guest could write to the start of its raw disk, to read a file of the host at the next start.
        refusal("smuggled_backing_file", &["-hda", "d.img"], 66, &["names another file", "-hda-format qcow2"]).when(
            |stage| {
                let mut header = qcow2();
                header[8..16].copy_from_slice(&104_u64.to_be_bytes());
                stage.write("work/d.img", &header);
            },
        ),
        refusal("smuggled_data_file", &["-hda", "d.img"], 66, &["names another file", "-hda-format qcow2"]).when(
            |stage| {
                let mut header = qcow2();
                header[79] = 4;
                stage.write("work/d.img", &header);
            },
        ),
    ]
}

fn mode(stage: &Stage, mode: u32) {
    stage.write("work/d", b"some bytes");
    std::fs::set_permissions(stage.path("work/d"), PermissionsExt::from_mode(mode)).unwrap();
}

fn machine() -> Vec<Refusal> {
    vec![
        refusal("no_kvm", &[], 68, &["kvm does not exist", "modprobe kvm_amd", "-accel tcg"])
            .when(|stage| stage.remove("kvm")),
        refusal("kvm_closed", &[], 68, &["kvm cannot be opened by", "usermod -aG kvm", "as root"])
            .for_nobody()
            .when(|stage| std::fs::set_permissions(stage.path("kvm"), PermissionsExt::from_mode(0o600)).unwrap()),
        refusal("no_sev", &["-sev"], 68, &["sev does not exist", "SMEE", "modprobe ccp"])
            .when(|stage| stage.remove("sev")),
        refusal("sev_closed", &["-sev"], 68, &["sev cannot be opened by", "setfacl"]).for_nobody().when(|stage| {
            std::fs::set_permissions(stage.path("kvm"), PermissionsExt::from_mode(0o666)).unwrap();
            std::fs::set_permissions(stage.path("sev"), PermissionsExt::from_mode(0o600)).unwrap();
        }),
        refusal("sev_off", &["-sev"], 68, &["/sev is N", "kvm.conf", "BIOS"])
            .when(|stage| stage.write("parameters/sev", b"N\n")),
        refusal("snp_off", &["-sev-snp"], 68, &["/sev_snp is 0", "SEV-SNP", "kvm.conf"])
            .with(&UPSTREAM)
            .when(|stage| stage.write("parameters/sev_snp", b"0\n")),
        refusal("intel", &["-sev"], 68, &["-sev: this processor is no AMD", "leave -sev out"])
            .when(|stage| stage.cpuid(*b"GenuineIntel", 0x8000_0008, 7, 7)),
        refusal("old_amd", &["-sev"], 68, &["no leaf 0x8000001f", "another machine"])
            .when(|stage| stage.cpuid(*b"AuthenticAMD", 0x8000_001e, 2, 47)),
        refusal("no_snp_in_processor", &["-sev-snp"], 68, &["-sev-snp: this processor does not", "weaker kind"])
            .with(&UPSTREAM)
            .when(|stage| stage.cpuid(*b"AuthenticAMD", 0x8000_001f, 0b1010, 51)),
        refusal(
            "c_bit_unknown",
            &["-sev"],
            68,
            &["C-bit", "cpuid cannot be read", "SEV is not enabled in KVM", "-cbitpos"],
        )
        .when(|stage| stage.remove("cpuid")),
    ]
}

fn qemu() -> Vec<Refusal> {
    vec![
        refusal("no_snp_in_qemu", &["-sev-snp"], 70, &["7.2.22", "no sev-snp-guest object", "QEMU 9.1"]),
        refusal(
            "no_certs_in_qemu",
            &["-sev-snp", "-certs", "x"],
            70,
            &["-certs", "10.0.13", "no certs-path", "leave -certs"],
        )
        .with(&UPSTREAM),
        refusal("no_certs", &["-sev-snp", "-certs", "x"], 66, &["certificate blob 'x' does not exist", "-certs"])
            .with(&AMD_8_2),
        refusal(
            "no_hashes_in_qemu",
            &["-sev-snp", "-kernel-hashes", "on"],
            70,
            &["no kernel-hashes", "-kernel-hashes off"],
        )
        .with(&AMD_6_1),
    ]
}
