//! Does a bundle boot its own kernels with its own firmware, QEMU and launcher? TCG runs them, so no hardware is needed;
//! what the guest sees decides. `SNPFORGE_TEST_BUNDLE` names the folder (`snp-release-DATE`); without it, or without a
//! static busybox for the guest's only program, everything is reported as ignored.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to test, and write only scratch files"
)]

mod bundle;
mod cpio;
mod guest;
mod machine;
mod modules;

use bundle::{Bundle, Role};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use machine::{Boot, Machine};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What one boot of each kernel showed; several tests look at it.
#[derive(Default)]
struct Shown {
    guest: OnceLock<Result<Boot, String>>,
    host: OnceLock<Result<Boot, String>>,
}

impl Shown {
    /// The guest kernel starts as an SNP guest would, from one firmware image; the host kernel from flash.
    fn boot(&self, bundle: &Bundle, role: Role) -> Result<&Boot, Failed> {
        let firmware = bundle.path("usr/local/share/qemu/OVMF.fd");
        let (cell, arguments) = match role {
            Role::Guest => (
                &self.guest,
                vec!["-bios".to_owned(), firmware, "-smp".into(), "2".into(), "-mem".into(), "768".into()],
            ),
            Role::Host => (&self.host, vec!["-mem".into(), "512".into(), "-smp".into(), "1".into()]),
        };
        let boot = cell.get_or_init(|| Machine::run(bundle, role, &arguments, "").map_err(|failed| words(&failed)));
        boot.as_ref().map_err(|error| Failed::from(error.clone()))
    }
}

type Test = fn(&Bundle, &Shown) -> Result<(), Failed>;

const TESTS: &[(&str, Test)] = &[
    ("guest_kernel_is_what_its_deb_says", |bundle, shown| {
        release(shown.boot(bundle, Role::Guest)?, bundle, Role::Guest)
    }),
    ("host_kernel_is_what_its_deb_says", |bundle, shown| release(shown.boot(bundle, Role::Host)?, bundle, Role::Host)),
    ("another_kernel_is_noticed", another_kernel_is_noticed),
    ("firmware_is_edk2", firmware_is_edk2),
    ("command_line_arrives", command_line_arrives),
    ("memory", memory),
    ("processors", processors),
    ("log", log),
    ("disk_raw_and_cdrom", disk_raw_and_cdrom),
    ("disk_qcow2", disk_qcow2),
    ("network", network),
    ("monitor", monitor),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let shown = Arc::new(Shown::default());
    let trials = TESTS.iter().map(|(name, test)| {
        let shown = Arc::clone(&shown);
        Trial::ignorable_test(*name, move || {
            let Some(folder) = std::env::var_os("SNPFORGE_TEST_BUNDLE") else {
                return Ok(Completion::ignored_with("SNPFORGE_TEST_BUNDLE does not name a bundle's folder"));
            };
            if let Some(reason) = guest::busybox_missing() {
                return Ok(Completion::ignored_with(reason));
            }
            test(&Bundle::open(Path::new(&folder))?, &shown).map(|()| Completion::Completed)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn words(failed: &Failed) -> String {
    failed.message().unwrap_or_default().to_owned()
}

fn release(boot: &Boot, bundle: &Bundle, role: Role) -> Result<(), Failed> {
    let (found, wanted) = (boot.seen("release")?, bundle.release(role)?);
    if found == wanted { Ok(()) } else { Err(format!("uname -r is {found}, the deb's name says {wanted}").into()) }
}

/// The negative control: with the other kernel the same comparison must fail, and for this reason.
fn another_kernel_is_noticed(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    let (guest, host) = (bundle.release(Role::Guest)?, bundle.release(Role::Host)?);
    match release(shown.boot(bundle, Role::Host)?, bundle, Role::Guest) {
        Err(failed) if words(&failed).contains(&format!("uname -r is {host}, the deb's name says {guest}")) => Ok(()),
        other => Err(format!("the host's kernel was taken for the guest's: {other:?}").into()),
    }
}

fn firmware_is_edk2(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    for role in [Role::Guest, Role::Host] {
        let vendor = shown.boot(bundle, role)?.seen("firmware")?;
        if !vendor.contains("EDK II") {
            return Err(format!("{role:?}: the firmware calls itself {vendor:?}").into());
        }
    }
    Ok(())
}

fn command_line_arrives(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    for role in [Role::Guest, Role::Host] {
        let boot = shown.boot(bundle, role)?;
        let found = boot.seen("number")?;
        if found != boot.number {
            return Err(format!("{role:?}: the number is {found}, given was {}", boot.number).into());
        }
    }
    Ok(())
}

fn memory(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    for (role, given) in [(Role::Guest, 768), (Role::Host, 512)] {
        let found = shown.boot(bundle, role)?.seen("memory")?.parse::<u32>()? / 1024;
        // Kernel and firmware keep some for themselves.
        if found > given || found + 160 < given {
            return Err(format!("{role:?}: {found} MB of memory, given were {given}").into());
        }
    }
    Ok(())
}

fn processors(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    for (role, given) in [(Role::Guest, "2"), (Role::Host, "1")] {
        let found = shown.boot(bundle, role)?.seen("processors")?;
        if found != given {
            return Err(format!("{role:?}: {found} processors, given were {given}").into());
        }
    }
    Ok(())
}

fn log(bundle: &Bundle, shown: &Shown) -> Result<(), Failed> {
    let boot = shown.boot(bundle, Role::Guest)?;
    let first = boot.log.lines().next().unwrap_or_default();
    if !first.contains("qemu-system-x86_64 -accel tcg -cpu max -machine q35 -smp 2,maxcpus=255") {
        return Err(format!("the log does not begin with the command: {first}").into());
    }
    if !boot.log.contains(&format!("{}number={}", guest::MARK, boot.number)) {
        return Err(format!("the log does not hold what the guest said:\n{}", boot.log).into());
    }
    Ok(())
}

/// 2 MiB that begin with `text`.
fn disk(path: &Path, text: &str) -> Result<(), Failed> {
    let mut bytes = vec![0; 2 << 20];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Ok(std::fs::write(path, bytes)?)
}

/// What the guest wrote 4096 bytes into its disk.
fn written(path: &Path) -> Result<String, Failed> {
    let bytes = std::fs::read(path)?;
    Ok(bytes[4096..].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

fn compare(what: &str, found: &str, wanted: &str) -> Result<(), Failed> {
    if found == wanted { Ok(()) } else { Err(format!("{what} is {found:?}, not {wanted:?}").into()) }
}

fn disk_raw_and_cdrom(bundle: &Bundle, _: &Shown) -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let (hda, cd) = (scratch.path().join("a disk.img"), scratch.path().join("a cd.iso"));
    disk(&hda, "this is the raw disk")?;
    disk(&cd, "this is the CD")?;
    let files = [&hda, &cd].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["-hda", &files[0], "-cdrom", &files[1]].map(str::to_owned);
    let boot = Machine::run(bundle, Role::Guest, &arguments, "disks")?;
    compare("the disk", &boot.seen("disk")?, "this is the raw disk")?;
    compare("the CD-ROM", &boot.seen("cdrom")?, "this is the CD")?;
    compare("what the guest wrote", &written(&hda)?, &format!("written by {}", boot.number))?;
    if !scratch.path().join("a disk.fd").is_file() {
        return Err("the guest has no variable store beside its disk".into());
    }
    Ok(())
}

fn disk_qcow2(bundle: &Bundle, _: &Shown) -> Result<(), Failed> {
    let scratch = tempfile::tempdir()?;
    let (raw, hda, back) = (scratch.path().join("raw"), scratch.path().join("disk.qcow2"), scratch.path().join("back"));
    disk(&raw, "this is the qcow2 disk")?;
    bundle.convert(["raw", "qcow2"], &raw, &hda)?;
    let arguments = ["-hda", hda.to_str().unwrap()].map(str::to_owned);
    let boot = Machine::run(bundle, Role::Guest, &arguments, "disk")?;
    compare("the disk", &boot.seen("disk")?, "this is the qcow2 disk")?;
    bundle.convert(["qcow2", "raw"], &hda, &back)?;
    compare("what the guest wrote", &written(&back)?, &format!("written by {}", boot.number))
}

/// The guest gets an address and reaches a port of this machine's loopback, which is 10.0.2.2 for it.
fn network(bundle: &Bundle, _: &Shown) -> Result<(), Failed> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let secret = format!("secret {}", machine::number());
    let answer = secret.clone();
    // Ends with the test's process if nobody calls.
    std::thread::spawn(move || listener.accept().and_then(|(mut stream, _)| writeln!(stream, "{answer}")));
    let extra = format!("network ip=dhcp snpforge.port={port}");
    let boot = Machine::run(bundle, Role::Guest, &["-default-network".to_owned()], &extra)?;
    compare("the address", &boot.seen("address")?, "10.0.2.15")?;
    compare("what 10.0.2.2 says", &boot.seen("answer")?, &secret)
}

fn ticks(machine: &Machine) -> usize {
    machine.log().matches(&format!("{}tick=", guest::MARK)).count()
}

/// `stop` and `cont` on the socket, as the guest's ticks show them; `quit` ends the guest and the launcher.
fn monitor(bundle: &Bundle, _: &Shown) -> Result<(), Failed> {
    let arguments = ["-monitor", "the monitor"].map(str::to_owned);
    let mut machine = Machine::start(bundle, Role::Guest, &arguments, "tick")?;
    machine.wait_until("the guest ticks", |machine| ticks(machine) >= 2)?;
    let mut socket = std::os::unix::net::UnixStream::connect(machine.folder().join("the monitor"))?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut command = |text: &str, wanted: &str| -> Result<(), Failed> {
        socket.write_all(text.as_bytes())?;
        let (mut heard, mut piece) = (String::new(), [0; 512]);
        while !heard.contains(wanted) {
            match socket.read(&mut piece)? {
                0 => return Err(format!("the monitor closed before it said {wanted:?}: {heard}").into()),
                read => heard.push_str(&String::from_utf8_lossy(&piece[..read])),
            }
        }
        Ok(())
    };
    command("stop\ninfo status\n", "VM status: paused")?;
    std::thread::sleep(Duration::from_secs(1));
    let before = ticks(&machine);
    std::thread::sleep(Duration::from_secs(5));
    let after = ticks(&machine);
    if after != before {
        return Err(format!("the guest ticked {} times while it was stopped", after - before).into());
    }
    command("cont\ninfo status\n", "VM status: running")?;
    machine.wait_until("the guest ticks again", |machine| ticks(machine) > after + 1)?;
    socket.write_all(b"quit\n")?;
    let start = Instant::now();
    let status = machine.end()?;
    if status.code() != Some(0) {
        return Err(format!("after quit the launcher ended with {status} in {:?}", start.elapsed()).into());
    }
    Ok(())
}
