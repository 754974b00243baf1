//! Does the QEMU that a build made run on systems that have nothing in common with its builder? Each root is entered with
//! bubblewrap, without a network, and the folder of programs is mounted where no configuration knows it. Inputs are named
//! from outside and their absence is reported as ignored:
//!
//! - `SNPFORGE_TEST_QEMU`: the folder usr/local of a bundle, with bin/ and share/qemu/;
//! - `SNPFORGE_TEST_KERNEL`: a bzImage with virtio-pci, virtio-scsi, sd and the serial console built in, as the bundle's
//!   guest kernel has them;
//! - `SNPFORGE_TEST_ROOTS`: a folder with the roots `bullseye` and `sid`, made by
//!   `mmdebstrap --mode=root --variant=essential SUITE FOLDER` (for sid: --aptopt='Acquire::Check-Valid-Until "false"').
//!
//! The third root needs no input: it holds a static busybox (Debian package busybox-static) and nothing else, no C
//! library either.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to test, and write only scratch files"
)]

mod guest;
mod root;

use guest::Kernel;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use root::Root;
use std::path::PathBuf;
use std::process::ExitCode;

/// The inputs, each with the reason why it is missing.
struct Inputs {
    root: Result<Root, String>,
    kernel: Result<Kernel, String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for root in ["busybox", "bullseye", "sid"] {
        let mut add = |name: &str, test: fn(&Root) -> Result<(), Failed>| {
            trials.push(trial(&format!("{root}::{name}"), root, move |inputs| Ok(test(&inputs.root?))));
        };
        add("knows_snp_guests", knows_snp_guests);
        add("starts_its_default_machine_with_its_own_firmware", starts_its_default_machine_with_its_own_firmware);
        add("makes_and_checks_disks", makes_and_checks_disks);
        trials.push(trial(&format!("{root}::boots_a_kernel_with_every_device"), root, |inputs| {
            let (root, kernel) = (inputs.root?, inputs.kernel?);
            Ok(boots_a_kernel_with_every_device(&root, &kernel))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(
    name: &str,
    root: &'static str,
    test: impl FnOnce(Inputs) -> Result<Result<(), Failed>, String> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let inputs = Inputs {
            root: Root::open(root, variable("SNPFORGE_TEST_QEMU"), variable("SNPFORGE_TEST_ROOTS")),
            kernel: Kernel::open(variable("SNPFORGE_TEST_KERNEL")),
        };
        match test(inputs) {
            Err(missing) => Ok(Completion::ignored_with(missing)),
            Ok(outcome) => outcome.map(|()| Completion::Completed),
        }
    })
}

fn contains(text: &str, wanted: &[&str]) -> Result<(), Failed> {
    match wanted.iter().find(|wanted| !text.contains(**wanted)) {
        None => Ok(()),
        Some(wanted) => Err(format!("'{wanted}' is missing in:\n{text}").into()),
    }
}

fn knows_snp_guests(root: &Root) -> Result<(), Failed> {
    contains(&root.run(&["qemu-system-x86_64", "-version"])?, &["QEMU emulator version "])?;
    let help = root.run(&["qemu-system-x86_64", "-machine", "none", "-object", "sev-snp-guest,help"])?;
    contains(&help, &["policy=", "host-data=", "id-block=", "kernel-hashes="])?;
    // The negative control: what it does not know, it refuses.
    match root.run(&["qemu-system-x86_64", "-machine", "none", "-object", "sev-snp-gast,help"]) {
        Ok(text) => Err(format!("an unknown object was accepted: {text}").into()),
        Err(_) => Ok(()),
    }
}

/// A default screen and network card: their ROMs and the BIOS come from beside the program.
fn starts_its_default_machine_with_its_own_firmware(root: &Root) -> Result<(), Failed> {
    let commands = r#"{"execute":"qmp_capabilities"} {"execute":"query-status"} {"execute":"quit"}"#;
    let answer = root.run_with(
        &["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "64", "-S", "-vnc", ":9", "-qmp", "stdio"],
        commands,
    )?;
    contains(&answer, &["\"prelaunch\"", "SHUTDOWN"])
}

fn makes_and_checks_disks(root: &Root) -> Result<(), Failed> {
    std::fs::write(root.scratch().join("raw"), vec![b'x'; 1 << 20])?;
    root.run(&[
        "qemu-img",
        "convert",
        "-f",
        "raw",
        "-O",
        "qcow2",
        "-c",
        "-o",
        "compression_type=zstd",
        "raw",
        "qcow2",
    ])?;
    contains(&root.run(&["qemu-img", "check", "qcow2"])?, &["No errors were found"])?;
    contains(&root.run(&["qemu-img", "info", "qcow2"])?, &["file format: qcow2", "virtual size: 1 MiB", "zstd"])?;
    contains(&root.run(&["qemu-img", "compare", "raw", "qcow2"])?, &["Images are identical"])?;
    contains(&root.run(&["qemu-nbd", "--version"])?, &["qemu-nbd "])
}

/// What a launch uses: virtio disk and network as SNP guests need them, hot-pluggable processors, memory that is bound
/// to a node, a screen.
const MACHINE: [(&str, &str); 17] = [
    ("-machine", "q35"),
    ("-accel", "tcg"),
    ("-cpu", "max"),
    ("-m", "512"),
    ("-smp", "2,maxcpus=255"),
    ("-object", "memory-backend-memfd,id=memory,size=512M,share=on"),
    ("-numa", "node,memdev=memory"),
    ("-vnc", ":9"),
    ("-serial", "stdio"),
    ("-device", "virtio-scsi-pci,id=scsi,disable-legacy=on,iommu_platform=true"),
    ("-drive", "if=none,id=disk,file=qcow2,format=qcow2"),
    ("-device", "scsi-hd,drive=disk"),
    ("-netdev", "user,id=net"),
    ("-device", "virtio-net-pci,netdev=net,disable-legacy=on,iommu_platform=true"),
    ("-kernel", "kernel"),
    ("-initrd", "initrd"),
    ("-append", "console=ttyS0 quiet panic=-1"),
];

/// The guest reads a sentence from a qcow2 disk and says who it is; nothing of this stands on its command line.
fn boots_a_kernel_with_every_device(root: &Root, kernel: &Kernel) -> Result<(), Failed> {
    let mut disk = guest::SENTENCE.as_bytes().to_vec();
    disk.resize(1 << 20, b'\n');
    std::fs::write(root.scratch().join("raw"), disk)?;
    std::fs::copy(&kernel.image, root.scratch().join("kernel"))?;
    std::fs::write(root.scratch().join("initrd"), &kernel.initrd)?;
    root.run(&["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "raw", "qcow2"])?;
    let mut command = vec!["qemu-system-x86_64", "-no-reboot"];
    command.extend(MACHINE.iter().flat_map(|(option, value)| [*option, *value]));
    let log = root.run(&command)?;
    contains(&log, &[guest::GREETING, guest::SENTENCE, "firmware: SeaBIOS"])
}
