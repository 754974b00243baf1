//! Do the packages of a real bundle install, by the tools that users have? dpkg, rpm with a database of its own, and
//! install.sh, each into a fresh root made from Debian's packages. Inputs and tools are named from outside:
//! `SNPFORGE_TEST_BUNDLE`, an unpacked snp-release-DATE folder; root rights; mmdebstrap, and apt sources that serve it.
//! Without them everything is reported as ignored, with the reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to test, and write only scratch files"
)]

use libtest_mimic::{Arguments, Completion, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use tempfile::TempDir;

/// What a root needs to take a kernel, and to read an rpm.
const PACKAGES: &str = "kmod,initramfs-tools,rpm,busybox-static";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Every test unpacks a root of its own; disks, not processors, are the limit.
    arguments.test_threads.get_or_insert(1);
    let bundle = std::env::var_os("SNPFORGE_TEST_BUNDLE").map(PathBuf::from);
    let trial = |name: &str, test: fn(&Path)| {
        let bundle = bundle.clone();
        Trial::ignorable_test(name, move || {
            let Some(bundle) = bundle else {
                return Ok(Completion::ignored_with(
                    "SNPFORGE_TEST_BUNDLE does not name an unpacked snp-release-DATE folder",
                ));
            };
            Ok(match base() {
                Err(reason) => Completion::ignored_with(reason),
                Ok(_) => {
                    test(&bundle);
                    Completion::Completed
                }
            })
        })
    };
    let trials = vec![
        trial("the_host_deb_installs", |bundle| deb(bundle, "host")),
        trial("the_guest_deb_installs", |bundle| deb(bundle, "guest")),
        trial("the_host_rpm_installs", |bundle| rpm(bundle, "host")),
        trial("the_guest_rpm_installs", |bundle| rpm(bundle, "guest")),
        trial("install_sh_installs", install_sh),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The tar of a Debian root of this machine's own suite, made once; or why there is none.
fn base() -> Result<&'static Path, String> {
    static BASE: OnceLock<Result<(TempDir, PathBuf), String>> = OnceLock::new();
    let made = BASE.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may make and enter roots".into());
        }
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let suite = suite.ok_or("this machine's suite is not named in /etc/os-release")?;
        let folder = tempfile::tempdir().unwrap();
        let tar = folder.path().join("root.tar");
        let mut make = Command::new("mmdebstrap");
        make.args(["--quiet", "--variant=minbase", "--include", PACKAGES, suite]).arg(&tar).args(sources());
        match make.output() {
            Ok(output) if output.status.success() => Ok((folder, tar)),
            Ok(output) => Err(format!("mmdebstrap: {}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("mmdebstrap cannot be started: {error}")),
        }
    });
    made.as_ref().map(|(_, tar)| tar.as_path()).map_err(Clone::clone)
}

/// The files that say where this machine's packages come from.
fn sources() -> Vec<PathBuf> {
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let all = parts.chain(["/etc/apt/sources.list".into()]);
    all.filter(|path| path.extension().is_some_and(|end| end == "list" || end == "sources") && path.is_file()).collect()
}

/// A fresh root.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("tar").arg("-xpf").arg(base().unwrap()).arg("-C").arg(folder.path()));
        Root(folder)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Runs a command of the root in it, with /proc, and returns what it prints.
    fn inside(&self, words: &[&str]) -> String {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\""]);
        run(command.arg(self.0.path()).args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    }

    fn copy(&self, from: &Path, to: &str) {
        std::fs::copy(from, self.at(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let all = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&all));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one file of a folder whose name begins and ends so, and does not begin with `but`.
fn one(folder: &Path, begin: &str, but: &str, end: &str) -> PathBuf {
    let all = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let fits =
        |name: &String| name.starts_with(begin) && name.ends_with(end) && (but.is_empty() || !name.starts_with(but));
    let names: Vec<String> = names.filter(fits).collect();
    assert_eq!(names.len(), 1, "{begin}*{end} in {}: {names:?}", folder.display());
    folder.join(&names[0])
}

/// `uname -r` of a bundle's kernel, as its tarball is named.
fn version(bundle: &Path, role: &str) -> String {
    let tarball = one(&bundle.join("linux").join(role), "linux-", "linux-image", ".tar.gz");
    let name = tarball.file_name().unwrap().to_str().unwrap();
    name.strip_prefix("linux-").unwrap().strip_suffix(".tar.gz").unwrap().to_owned()
}

/// Kernel, configuration and modules stand in the root `at`; modinfo, of the root around it, finds what the role is for.
fn check(root: &Root, at: &str, version: &str, role: &str) {
    for name in ["vmlinuz", "config", "System.map"] {
        let path = root.at(&format!("{at}boot/{name}-{version}"));
        assert!(path.metadata().is_ok_and(|facts| facts.len() > 0), "{} is missing", path.display());
    }
    let config = std::fs::read_to_string(root.at(&format!("{at}boot/config-{version}"))).unwrap();
    let (module, symbol) = match role {
        "guest" => ("sev-guest", "CONFIG_SEV_GUEST="),
        _ => ("kvm-amd", "CONFIG_KVM_AMD_SEV="),
    };
    assert!(config.contains(symbol), "no {symbol} in the configuration");
    let found = root.inside(&["modinfo", "-b", &format!("/{at}"), "-k", version, module]);
    assert!(found.contains(&module.replace('-', "_")), "{found}");
}

fn deb(bundle: &Path, role: &str) {
    let root = Root::new();
    let version = version(bundle, role);
    let package = format!("linux-image-{version}");
    root.copy(&one(&bundle.join("linux").join(role), &format!("{package}_"), "", ".deb"), "kernel.deb");
    root.inside(&["dpkg", "--install", "/kernel.deb"]);
    assert_eq!(root.inside(&["dpkg-query", "-W", "-f", "${Status}", &package]), "install ok installed");
    check(&root, "", &version, role);
    assert!(root.at(&format!("boot/initrd.img-{version}")).is_file(), "no hook made an initramfs");
    // Removing is part of installing well.
    root.inside(&["dpkg", "--purge", &package]);
    assert!(!root.at(&format!("boot/vmlinuz-{version}")).exists());
}

/// An rpm system inside the root: a base package with a shell, and a database that holds it.
fn rpm(bundle: &Path, role: &str) {
    const SPEC: &str = "Name: base\nVersion: 1\nRelease: 1\nSummary: base\nLicense: none\nProvides: /bin/sh\nAutoReqProv: no\n\
        %description\nbase\n%install\nmkdir -p %{buildroot}/bin %{buildroot}/boot\n\
        cp /usr/bin/busybox %{buildroot}/bin/\nfor name in sh cmp cp rm; do ln -s busybox %{buildroot}/bin/$name; done\n\
        %files\n/bin/*\n%dir /boot\n";
    let root = Root::new();
    let version = version(bundle, role);
    root.copy(&one(&bundle.join("linux").join(role), "kernel-", "kernel-devel", ".rpm"), "kernel.rpm");
    std::fs::write(root.at("base.spec"), SPEC).unwrap();
    root.inside(&["rpmbuild", "-bb", "--quiet", "--define", "_topdir /base", "/base.spec"]);
    let database = ["--root", "/system", "--dbpath", "/var/lib/rpm"];
    let rpm = |words: &[&str]| root.inside(&[&["rpm"], &database[..], words].concat());
    std::fs::create_dir(root.at("system")).unwrap();
    rpm(&["--initdb"]);
    rpm(&[
        "--install",
        &one(&root.at("base/RPMS/x86_64"), "base-", "", ".rpm")
            .display()
            .to_string()
            .replace(root.0.path().to_str().unwrap(), ""),
    ]);
    // Dependencies and digests are checked as anywhere; no key signed it.
    rpm(&["--install", "/kernel.rpm"]);
    let name = root.inside(&["rpm", "-qp", "--nosignature", "/kernel.rpm"]);
    let files = rpm(&["-ql", name.trim()]);
    assert!(files.contains(&format!("/lib/modules/{version}/vmlinuz")), "{files}");
    assert_eq!(rpm(&["-V", name.trim()]), "", "files are not as the package has them");
    root.inside(&["depmod", "-b", "/system", &version]);
    check(&root, "system/", &version, role);
}

fn install_sh(bundle: &Path) {
    let root = Root::new();
    let version = version(bundle, "host");
    // The root has what makes an initramfs, but no boot loader: that remains to be done, and the status says so.
    let install = || {
        let mut command = Command::new("sh");
        let output = command.arg(bundle.join("install.sh")).arg("--root").arg(root.0.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(20), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("add a boot entry"), "{said}");
        said
    };
    install();
    check(&root, "", &version, "host");
    assert!(root.at(&format!("boot/initrd.img-{version}")).is_file(), "update-initramfs made no initramfs");
    assert!(root.at(&format!("usr/lib/modules/{version}/modules.dep")).is_file());
    // They need nothing of the root.
    for (program, word) in [("qemu-system-x86_64", "QEMU emulator version"), ("qemu-img", "qemu-img version")] {
        let said = root.inside(&[&format!("/opt/snp/bin/{program}"), "--version"]);
        assert!(said.contains(word), "{said}");
    }
    root.inside(&["sha256sum", "--check", "--strict", "--quiet", "/opt/snp/share/snp/journal"]);
    let said = install();
    let does = |line: &str| ["create ", "write ", "replace ", "run "].iter().any(|word| line.starts_with(word));
    assert!(!said.lines().any(does), "the second run does it again: {said}");
}
