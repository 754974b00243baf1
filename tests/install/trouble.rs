//! Machines that do not allow it, media that change while they are read, signals; and a system of busybox alone.

use crate::Test;
use crate::bundle::{Bundle, NAME, VERSION, members, open};
use crate::machine::{Install, Need, Shell, System, script};
use std::path::Path;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("a_full_disk_is_seen_before", Need::Mounts, full),
    ("a_read_only_prefix_is_seen_before", Need::Mounts, read_only),
    ("missing_rights_are_seen_before", Need::Root, rights),
    ("things_in_the_way_are_named", Need::Nothing, in_the_way),
    ("no_module_is_written_through_a_link", Need::Nothing, linked_folders),
    ("a_signal_leaves_nothing_half", Need::Nothing, signal),
    ("two_runs_do_not_meet", Need::Nothing, two_runs),
    ("a_file_that_changes_meanwhile_is_noticed", Need::Nothing, changes_meanwhile),
    ("a_failing_depmod_changes_nothing", Need::Nothing, failing_depmod),
    ("busybox_alone_is_enough", Need::Alone, busybox_alone),
];

/// Runs the script in a mount namespace after `mount`, and lists the root before and after it.
fn mounted(shell: Shell, bundle: &Bundle, system: &System, mount: &str) -> crate::machine::Run {
    let root = system.path().to_str().unwrap();
    let text = format!(
        "set -e; cd \"$1\"; {mount}; list() {{ find \"$1\" | xargs -d '\\n' ls -lid --time-style=full-iso; }}\n\
         list \"$1\" >\"$2/before\"; shift; shift; code=0; \"$@\" || code=$?; list . >/dev/null\n\
         list '{root}' >'{}/after'; exit $code",
        bundle.scratch.path().display()
    );
    let scratch = bundle.scratch.path().to_str().unwrap();
    let run =
        Install::below(shell, bundle, &["unshare", "-m", "sh", "-c", &text, "sh", root, scratch]).root(system).run();
    let listed = |name: &str| std::fs::read_to_string(bundle.scratch.path().join(name)).unwrap();
    assert_eq!(listed("before"), listed("after"));
    run
}

fn full(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    let mut big = members();
    // Zeros: small in the tarball, large on the disk.
    big.push((format!("usr/lib/modules/{VERSION}/kernel/big.ko"), vec![0; 3 << 20]));
    bundle.kernel(&big, None);
    bundle.sums();
    let run = mounted(shell, &bundle, &system, "mount -t tmpfs -o size=2m none . && cd .");
    run.expect(11, &["MiB are needed, ", " MiB are free", "--no-kernel"]);
    let system = System::new();
    system.folder("boot/grub").tool("sbin/dracut", "");
    let run = mounted(shell, &bundle, &system, "mount -t tmpfs -o size=2m none boot");
    run.expect(11, &["/boot: 81 MiB are needed"]);
    // What the script unpacks for a look needs room as well.
    let mut big = members();
    big[0].1 = vec![0; 2 << 20];
    bundle.kernel(&big, None);
    bundle.sums();
    let scratch = bundle.scratch.path().join("tmp");
    let mount = format!("mount -t tmpfs -o size=1m none '{}'", scratch.display());
    let run = mounted(shell, &bundle, &System::new(), &mount);
    run.expect(11, &["snp-install.", "the kernel cannot be unpacked there", "set TMPDIR"]);
}

fn read_only(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.folder("opt").folder("usr/lib/modules");
    let run = mounted(shell, &bundle, &system, "mount -t tmpfs -o ro none opt");
    run.expect(11, &["/opt/snp/", "it lies on a read-only mount", "--prefix"]);
    let run = mounted(shell, &bundle, &system, "mount --bind usr usr && mount -o remount,bind,ro usr");
    run.expect(11, &["/usr/lib/modules", "it lies on a read-only mount", "--no-kernel"]);
}

fn rights(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    readable(bundle.scratch.path());
    system.folder("etc").folder("usr").folder("boot").folder("opt").folder("home/user");
    std::os::unix::fs::chown(system.at("home/user"), Some(65534), Some(65534)).unwrap();
    let before = system.state();
    let run = Install::new(shell, &bundle).without_rights().root(&system).run();
    run.expect(11, &["this user may not write there", "run as root"]);
    // Looking is allowed.
    let run = Install::new(shell, &bundle).without_rights().root(&system).with(&["--dry-run"]).run();
    run.expect(20, &["a real run has to be root's", "would: create"]);
    assert_eq!(before, system.state());
    let own = ["--prefix", "/home/user/snp", "--only", "qemu,ovmf"];
    Install::new(shell, &bundle).without_rights().root(&system).with(&own).run().expect(0, &["done:"]);
    assert_eq!(system.read("home/user/snp/bin/qemu-img"), "images");
}

/// Lets every user read the bundle, whatever the umask is.
fn readable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        match entry.file_type().is_dir() {
            true => open(entry.path()),
            false => std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o644)).unwrap(),
        }
    }
}

fn in_the_way(shell: Shell) {
    let bundle = Bundle::new();
    for (folder, file, word) in [
        ("opt/snp/bin/qemu-img", None, "/bin/qemu-img: a folder is where a file"),
        ("opt", Some("opt/snp"), "/opt/snp: it is no folder"),
        ("usr/lib/modules", Some(&*format!("usr/lib/modules/{VERSION}")), "it is in the way"),
    ] {
        let system = System::new();
        system.folder(folder);
        if let Some(file) = file {
            std::fs::write(system.at(file), "mine").unwrap();
        }
        let before = system.state();
        Install::new(shell, &bundle).root(&system).run().expect(11, &[word, "remedy"]);
        assert_eq!(before, system.state());
    }
    let system = System::new();
    system.link("opt", "opt");
    Install::new(shell, &bundle).root(&system).run().expect(11, &["too many links"]);
}

/// A folder of modules may be a link out of the root: it is refused before anything is written through it.
fn linked_folders(shell: Shell) {
    let bundle = Bundle::new();
    for at in ["", "/kernel", "/kernel/drivers/deep"] {
        let (system, other) = (System::new(), System::new());
        let place = format!("usr/lib/modules/{VERSION}{at}");
        system.folder(Path::new(&place).parent().unwrap().to_str().unwrap());
        system.link(&place, other.path().to_str().unwrap());
        let before = (system.state(), other.state());
        let word = format!("{place}: it is in the way of the kernel's modules");
        Install::new(shell, &bundle).root(&system).run().expect(11, &[&word, "move it away"]);
        assert_eq!(before, (system.state(), other.state()));
    }
    let system = System::new();
    system.folder(&format!("usr/lib/modules/{VERSION}/kernel/drivers/snp_a.ko"));
    Install::new(shell, &bundle).root(&system).run().expect(11, &["snp_a.ko: it is in the way of a file"]);
}

/// Replaces the depmod that the script finds, which runs before anything is in place.
fn depmod(bundle: &Bundle, text: &str) {
    script(&bundle.tools().join("depmod"), text);
}

fn unfinished(system: &System) {
    let files = system.state().into_iter().filter(|(_, facts)| facts.0 & 0o170_000 == 0o100_000);
    let files: Vec<_> = files.map(|(path, _)| path).collect();
    assert!(files.is_empty(), "{files:?}");
    assert!(!system.state().keys().any(|path| path.to_string_lossy().contains(".snp")));
}

fn signal(shell: Shell) {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131), ("PIPE", 141)] {
        let (bundle, system) = (Bundle::new(), System::new());
        depmod(&bundle, &format!("kill -{name} $PPID; exit 0\n"));
        // A shell cannot catch what was ignored when it started, as a job in the background has SIGINT and SIGQUIT.
        let run = Install::below(shell, &bundle, &["env", "--default-signal"]).root(&system).run();
        run.expect(code, &[]);
        unfinished(&system);
        std::fs::remove_file(bundle.scratch.path().join("tools/depmod")).unwrap();
        Install::new(shell, &bundle).root(&system).run().expect(20, &["done:"]);
    }
}

fn two_runs(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    // depmod starts the second one while the first is at work, and only that one.
    let said = bundle.scratch.path().join("said");
    let words = format!(
        "[ ! -e '{said}' ] || exit 1\n\
         {} '{}' --root '{}' --only kernel --prefix /other >'{said}' 2>&1\n\
         echo \"code $?\" >>'{said}'\n: >\"$2/lib/modules/$3/modules.dep\"\n",
        shell.words.join(" "),
        bundle.folder.join("install.sh").display(),
        system.path().display(),
        said = said.display(),
    );
    depmod(&bundle, &words);
    Install::new(shell, &bundle).root(&system).run().expect(20, &["done:"]);
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("usr/lib/modules/.snp-lock: another run of this script is at work there"), "{said}");
    assert!(said.ends_with("code 11\n"), "{said}");
    assert!(!system.at(&format!("usr/lib/modules/{VERSION}/{VERSION}")).exists());
    assert!(!system.state().keys().any(|path| path.to_string_lossy().contains(".snp")));
    depmod(&bundle, ": >\"$2/lib/modules/$3/modules.dep\"\n");
    // What a run that was killed left is named, with the way out.
    for lock in ["opt/snp/share/snp/.snp-lock", "usr/lib/modules/.snp-lock"] {
        let system = System::new();
        system.folder(lock);
        let run = Install::new(shell, &bundle).root(&system).run();
        run.expect(11, &["another run of this script", &format!("rmdir '{}'", system.at(lock).display())]);
        assert!(system.at(lock).exists() && !system.at("opt/snp/bin").exists());
        std::fs::remove_dir(system.at(lock)).unwrap();
        Install::new(shell, &bundle).root(&system).run().expect(20, &["done:"]);
    }
    // Something else may bring the folder meanwhile.
    let system = System::new();
    let home = system.at(&format!("usr/lib/modules/{VERSION}"));
    depmod(&bundle, &format!(": >\"$2/lib/modules/$3/modules.dep\"; mkdir '{}'\n", home.display()));
    Install::new(shell, &bundle).root(&system).run().expect(11, &["it was made while this script was at work"]);
    assert_eq!(std::fs::read_dir(home).unwrap().count(), 0);
}

fn changes_meanwhile(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    let path = bundle.folder.join("usr/local/bin/qemu-img");
    depmod(&bundle, &format!("echo more >>'{}'\n: >\"$2/lib/modules/$3/modules.dep\"\n", path.display()));
    Install::new(shell, &bundle).root(&system).run().expect(5, &["qemu-img: it changed after it was checked"]);
    assert!(!system.at("opt/snp/bin/qemu-img").exists());
    assert!(!system.state().keys().any(|path| path.to_string_lossy().contains(".snp")));
}

fn failing_depmod(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    depmod(&bundle, "echo bad module >&2; exit 1\n");
    Install::new(shell, &bundle).root(&system).run().expect(11, &["bad module", "nothing was put in place"]);
    unfinished(&system);
}

/// A system that has nothing but busybox, with itself as the root: its shell, tar, sha256sum, depmod.
fn busybox_alone(_: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system
        .busybox()
        .folder("usr/lib/modules")
        .folder("media")
        .folder("boot/grub2")
        .folder("proc")
        .link("lib", "usr/lib");
    let medium = system.at("media/usb stick");
    let copied = Command::new("cp").arg("-R").arg(bundle.folder.parent().unwrap()).arg(&medium).status().unwrap();
    assert!(copied.success());
    system.tool("sbin/dracut", "for last; do :; done; : >/boot/initramfs-$last.img");
    system.tool("sbin/grub2-mkconfig", "ls /boot >$2").tool("sbin/restorecon", "");
    system.tool("sbin/mokutil", "echo 'SecureBoot enabled'");
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(system.path()).args(["/bin/sh", &format!("/media/usb stick/{NAME}/install.sh")]).args(arguments);
        let output = command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = inside(&["--allowed-signers", "/bin/busybox"]);
    assert!(code == Some(11) && text.contains("ssh-keygen: this machine lacks it"), "{text}");
    let (code, text) = inside(&[]);
    assert!(code == Some(0) && text.contains("Secure Boot is on"), "{text}");
    let home = format!("usr/lib/modules/{VERSION}");
    let dependencies = system.read(&format!("{home}/modules.dep"));
    assert!(dependencies.contains("kernel/drivers/deep/snp_b.ko: kernel/drivers/snp_a.ko"), "{dependencies}");
    let calls = system.calls();
    assert!(calls.contains(&format!("restorecon -R /{home}\n")), "{calls}");
    assert!(calls.contains("restorecon /opt/snp/bin/qemu-system-x86_64\n"), "{calls}");
    assert!(
        calls.ends_with(&format!("dracut --force --kver {VERSION}\ngrub2-mkconfig -o /boot/grub2/grub.cfg\n")),
        "{calls}"
    );
    let (code, text) = inside(&[]);
    assert!(code == Some(0) && text.contains("nothing to do"), "{text}");
}
