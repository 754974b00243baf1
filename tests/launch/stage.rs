//! A bundle's folder with a stand-in for QEMU, and a machine's devices as plain files: all that the launcher looks at.

use crate::answers::Answers;
use libtest_mimic::Failed;
use std::ffi::OsStr;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/images/bundle/launch-qemu.sh");

/// One test, run once for each shell.
pub type Test = fn(&Shell) -> Result<(), Failed>;

/// A shell and what makes it run a script.
pub struct Shell {
    pub name: &'static str,
    pub command: &'static [&'static str],
}

pub const SHELLS: &[Shell] = &[
    Shell { name: "dash", command: &["dash"] },
    Shell { name: "bash", command: &["bash"] },
    Shell { name: "busybox", command: &["busybox", "ash"] },
];

impl Shell {
    pub fn missing(&self) -> Option<String> {
        let run = Command::new(self.command[0]).args(&self.command[1..]).args(["-c", ":"]).output();
        (!run.is_ok_and(|output| output.status.success())).then(|| format!("{} does not run here", self.name))
    }
}

const QEMU: &str = r#"#!/bin/sh
here=${0%/*}
case "$*" in
    --version) cat "$here/answers/version"; exit ;;
    -object\ *,help)
        kind=${2%,help}
        [ ! -e "$here/answers/$kind" ] || exec cat "$here/answers/$kind"
        echo "qemu: -object $2: Parameter 'qom-type' does not accept value '$kind'" >&2
        exit 1
        ;;
    *'-qmp stdio'*) exec cat "$here/answers/qmp" ;;
esac
printf '%s\0' "$@" >"$here/argv"
. "$here/guest"
"#;

/// What QEMU 10.0.13 said to query-sev-capabilities on a machine without SEV.
const NO_SEV: &str = r#"{"QMP": {"version": {"qemu": {"micro": 13, "minor": 0, "major": 10}}, "capabilities": ["oob"]}}
{"return": {}}
{"error": {"class": "GenericError", "desc": "SEV is not enabled in KVM"}}
"#;

/// First 16 bytes of a variable store: zeros, then the GUID of its volume.
pub const STORE_GUID: [u8; 16] =
    [0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50];

pub struct Stage {
    scratch: tempfile::TempDir,
}

impl Stage {
    /// A bundle whose QEMU gives `answers`, on a machine where SNP works and the C-bit is 51.
    pub fn new(answers: &Answers) -> Self {
        let stage = Self { scratch: tempfile::tempdir().unwrap() };
        // Whoever the test runs as, others must be able to look in: one refusal needs another user.
        std::fs::set_permissions(stage.scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for folder in ["home", "tmp", "work", "parameters", "the bundle/usr/local/bin/answers"] {
            std::fs::create_dir_all(stage.path(folder)).unwrap();
        }
        stage.write("the bundle/launch-qemu.sh", &std::fs::read(SCRIPT).unwrap());
        stage.write("the bundle/usr/local/bin/qemu-system-x86_64", QEMU.as_bytes());
        stage.make_executable("the bundle/usr/local/bin/qemu-system-x86_64");
        stage.write("the bundle/usr/local/bin/guest", b":\n");
        stage.answer("version", &format!("{}\nCopyright (c) Fabrice Bellard\n", answers.version));
        stage.answer("sev-guest", answers.sev);
        stage.answer("qmp", NO_SEV);
        if let Some(snp) = answers.snp {
            stage.answer("sev-snp-guest", snp);
        }
        let store = [[0; 16], STORE_GUID, [1; 16]].concat();
        stage.write("the bundle/usr/local/share/qemu/OVMF_VARS.fd", &store);
        stage.write("the bundle/usr/local/share/qemu/OVMF_CODE.fd", b"code");
        stage.write("the bundle/usr/local/share/qemu/OVMF.fd", &[&store[..], b"code"].concat());
        stage.write("the bundle/usr/local/share/qemu/OVMF.amdsev.fd", b"amdsev");
        for (variable, file) in [("KVM_DEVICE", "kvm"), ("SEV_DEVICE", "sev")] {
            stage.write(file, b"");
            stage.set(variable, file);
        }
        for parameter in ["sev", "sev_es", "sev_snp"] {
            stage.write(&format!("parameters/{parameter}"), b"Y\n");
        }
        stage.set("KVM_AMD_PARAMETERS", "parameters");
        stage.cpuid(*b"AuthenticAMD", 0x8000_0028, 0b1_1010, 51 | 1 << 6);
        stage.set("CPUID_DEVICE", "cpuid");
        stage
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    pub fn make_executable(&self, name: &str) {
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub fn answer(&self, question: &str, text: &str) {
        self.write(&format!("the bundle/usr/local/bin/answers/{question}"), text.as_bytes());
    }

    /// What the stand-in does once it was started, in sh.
    pub fn guest(&self, script: &str) {
        self.write("the bundle/usr/local/bin/guest", script.as_bytes());
    }

    /// Sets a variable at the script's head to a file of this stage, as a person would with an editor.
    pub fn set(&self, variable: &str, file: &str) {
        let path = self.path("the bundle/launch-qemu.sh");
        let text = std::fs::read_to_string(&path).unwrap();
        let prefix = format!("{variable}=");
        let changed: Vec<&str> = text.lines().filter(|line| line.starts_with(&prefix)).collect();
        assert_eq!(changed.len(), 1, "{variable} is not set once at the script's head");
        let line = format!("{prefix}'{}'", self.path(file).display());
        std::fs::write(&path, text.replacen(changed[0], &line, 1)).unwrap();
    }

    /// The device of the first processor: leaves 0x80000000 to 0x8000001f, 16 bytes each at the leaf's own number.
    pub fn cpuid(&self, vendor: [u8; 12], highest: u32, eax: u32, ebx: u32) {
        let vendor: Vec<&[u8]> = vendor.chunks(4).collect();
        // EBX, ECX and EDX hold the first, third and second part of the name.
        let first = [&highest.to_le_bytes(), vendor[0], vendor[2], vendor[1]].concat();
        let file = std::fs::File::create(self.path("cpuid")).unwrap();
        file.write_all_at(&first, 0x8000_0000).unwrap();
        file.write_all_at(&[eax.to_le_bytes(), ebx.to_le_bytes(), [0; 4], [0; 4]].concat(), 0x8000_0000 + 31 * 16)
            .unwrap();
    }

    /// What the plain files of a folder hold, links not followed.
    pub fn contents(&self, folder: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let read = |name: String| {
            let path = self.path(folder).join(&name);
            let plain = path.symlink_metadata().unwrap().is_file();
            (name, plain.then(|| std::fs::read(&path).unwrap()))
        };
        self.list(folder).into_iter().map(read).collect()
    }

    pub fn command<A: AsRef<OsStr>>(&self, shell: &Shell, arguments: &[A]) -> Command {
        let mut command = Command::new(shell.command[0]);
        command.args(&shell.command[1..]).arg(self.path("the bundle/launch-qemu.sh")).args(arguments);
        command.current_dir(self.path("work")).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, shell: &Shell, arguments: &[A]) -> Output {
        self.command(shell, arguments).output().unwrap()
    }

    /// The arguments that QEMU was started with, if it was.
    pub fn argv(&self) -> Option<Vec<String>> {
        let bytes = std::fs::read(self.path("the bundle/usr/local/bin/argv")).ok()?;
        let mut words: Vec<String> =
            bytes.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        assert_eq!(words.pop().as_deref(), Some(""));
        Some(words)
    }

    /// Names of what lies in a folder of this stage.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// What a run said, for messages.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n--- stdout\n{}--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
