//! Is the firmware that a build made what it claims to be, and does it start? QEMU runs it under TCG, so no hardware is
//! needed; the serial log decides. Both inputs are named from outside and their absence is reported as ignored:
//! `SNPFORGE_TEST_OVMF`, a folder with OVMF.fd, OVMF_CODE.fd, OVMF_VARS.fd and OVMF.amdsev.fd, and `qemu-system-x86_64`
//! in PATH (Debian package qemu-system-x86). If the folder is named, every file must be there.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to test, and write only scratch files"
)]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use snpforge::firmware::{Firmware, SectionKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// An idle machine needs 10 s; CI machines are neither fast nor idle.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many lines of a log a failure shows.
const LAST_LINES: usize = 30;

/// What a shell prints on the serial console, between colour codes.
const SHELL: [&str; 2] = ["UEFI Interactive Shell", "Shell> "];
/// The first line of SEC in DEBUG firmware (OvmfPkg/Sec/SecMain.c and AmdSev's).
const SEC: [&str; 1] = ["SecCoreStartupWithStack("];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os("SNPFORGE_TEST_OVMF").map(PathBuf::from);
    let qemu = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("qemu-system-x86_64")).find(|file| file.is_file())
    });
    let reads = |name, test: fn(&Path) -> Result<(), Failed>| {
        let folder = folder.clone();
        Trial::ignorable_test(name, move || match folder {
            None => Ok(Completion::ignored_with("SNPFORGE_TEST_OVMF does not name a folder with built firmware")),
            Some(folder) => test(&folder).map(|()| Completion::Completed),
        })
    };
    let boots = |name, test: fn(&Path, &Path) -> Result<(), Failed>| {
        let (folder, qemu) = (folder.clone(), qemu.clone());
        Trial::ignorable_test(name, move || match (folder, qemu) {
            (None, _) => Ok(Completion::ignored_with("SNPFORGE_TEST_OVMF does not name a folder with built firmware")),
            (_, None) => {
                Ok(Completion::ignored_with("PATH has no qemu-system-x86_64 (Debian package qemu-system-x86)"))
            }
            (Some(folder), Some(qemu)) => test(&folder, &qemu).map(|()| Completion::Completed),
        })
    };
    let trials = vec![
        reads("only_the_amdsev_flavour_measures_a_kernel", only_the_amdsev_flavour_measures_a_kernel),
        reads("both_flavours_describe_an_snp_launch", both_flavours_describe_an_snp_launch),
        reads("code_and_variables_are_the_halves_of_the_image", code_and_variables_are_the_halves_of_the_image),
        boots("ovmf_boots_to_the_shell_as_bios", ovmf_boots_to_the_shell_as_bios),
        boots("ovmf_boots_to_the_shell_from_flash", ovmf_boots_to_the_shell_from_flash),
        boots("amdsev_reaches_sec", amdsev_reaches_sec),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Failed> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn parse(folder: &Path, name: &str) -> Result<Firmware, Failed> {
    Firmware::parse(&read(folder, name)?).map_err(|error| format!("{name}: {error}").into())
}

fn only_the_amdsev_flavour_measures_a_kernel(folder: &Path) -> Result<(), Failed> {
    let amdsev = parse(folder, "OVMF.amdsev.fd")?;
    let page = amdsev.kernel_hashes().ok_or("OVMF.amdsev.fd has no SNP_KERNEL_HASHES section")?.region;
    let table = amdsev.hash_table.ok_or("OVMF.amdsev.fd has no room for the hash table")?;
    if table.base < page.base || table.end() > page.end() {
        return Err(format!("the hash table {table:x?} lies outside of its section {page:x?}").into());
    }
    // The negative control: in this flavour nothing measures the kernel.
    let ovmf = parse(folder, "OVMF.fd")?;
    match (ovmf.kernel_hashes(), ovmf.hash_table) {
        (None, None) => Ok(()),
        found => Err(format!("OVMF.fd claims to measure a kernel: {found:x?}").into()),
    }
}

fn both_flavours_describe_an_snp_launch(folder: &Path) -> Result<(), Failed> {
    for name in ["OVMF.fd", "OVMF.amdsev.fd"] {
        let firmware = parse(folder, name)?;
        for kind in [SectionKind::SecMemory, SectionKind::Secrets, SectionKind::Cpuid] {
            if !firmware.sections.iter().any(|section| section.kind == kind) {
                return Err(format!("{name} has no section {kind:?}: {:x?}", firmware.sections).into());
            }
        }
        firmware.es_reset.ok_or_else(|| format!("{name} has no SEV-ES reset address"))?;
    }
    Ok(())
}

fn code_and_variables_are_the_halves_of_the_image(folder: &Path) -> Result<(), Failed> {
    let (code, variables) = (read(folder, "OVMF_CODE.fd")?, read(folder, "OVMF_VARS.fd")?);
    if [variables.as_slice(), &code].concat() != read(folder, "OVMF.fd")? {
        return Err("OVMF.fd is not OVMF_VARS.fd followed by OVMF_CODE.fd".into());
    }
    if parse(folder, "OVMF_CODE.fd")? != parse(folder, "OVMF.fd")? {
        return Err("OVMF_CODE.fd and OVMF.fd describe themselves differently".into());
    }
    match Firmware::parse(&variables) {
        Ok(found) => Err(format!("the variable store was taken for firmware: {found:?}").into()),
        Err(_) => Ok(()),
    }
}

fn ovmf_boots_to_the_shell_as_bios(folder: &Path, qemu: &Path) -> Result<(), Failed> {
    boot(qemu, &["-bios", &text(&folder.join("OVMF.fd"))], &SHELL)
}

fn ovmf_boots_to_the_shell_from_flash(folder: &Path, qemu: &Path) -> Result<(), Failed> {
    // The variable store is written to by the guest.
    let scratch = tempfile::tempdir()?;
    let variables = scratch.path().join("OVMF_VARS.fd");
    std::fs::write(&variables, read(folder, "OVMF_VARS.fd")?)?;
    let drive =
        |unit: u8, file: &Path, more: &str| format!("if=pflash,format=raw,unit={unit},file={}{more}", text(file));
    let (code, variables) = (drive(0, &folder.join("OVMF_CODE.fd"), ",readonly=on"), drive(1, &variables, ""));
    boot(qemu, &["-drive", &code, "-drive", &variables], &SHELL)
}

/// Without a launch there are no hashes, so this flavour has nothing to boot; that it starts is what can be seen.
fn amdsev_reaches_sec(folder: &Path, qemu: &Path) -> Result<(), Failed> {
    boot(qemu, &["-bios", &text(&folder.join("OVMF.amdsev.fd"))], &SEC)
}

fn text(path: &Path) -> String {
    // A comma would end an option's value; QEMU wants it doubled.
    path.to_str().unwrap().replace(',', ",,")
}

/// Ends QEMU whatever becomes of the test.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `qemu` with `firmware` until all `wanted` texts stand in the serial log, or says what stands there instead.
fn boot(qemu: &Path, firmware: &[&str], wanted: &[&str]) -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let (serial, complaints) = (scratch.path().join("serial"), scratch.path().join("complaints"));
    let start = Instant::now();
    let machine = Command::new(qemu)
        .args(["-accel", "tcg", "-machine", "q35", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-net", "none", "-serial", &format!("file:{}", text(&serial))])
        .args(firmware)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&complaints)?)
        .spawn()?;
    let mut machine = Machine(machine);
    loop {
        let ended = machine.0.try_wait()?;
        let log = String::from_utf8_lossy(&std::fs::read(&serial).unwrap_or_default()).into_owned();
        if wanted.iter().all(|text| log.contains(text)) {
            return Ok(());
        }
        let verdict = match ended {
            Some(status) => format!("QEMU ended with {status}"),
            None if start.elapsed() > PATIENCE => format!("not within {} s", PATIENCE.as_secs()),
            None => {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let complaints = std::fs::read_to_string(&complaints).unwrap_or_default();
        return Err(failure(&verdict, wanted, &log, &complaints).into());
    }
}

fn failure(verdict: &str, wanted: &[&str], log: &str, complaints: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    format!(
        "{wanted:?} did not appear: {verdict}\n{complaints}--- last lines of the serial log (RELEASE firmware prints few, \
         DEBUG firmware only with DEBUG_ON_SERIAL_PORT):\n{last}"
    )
}
