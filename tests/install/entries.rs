//! Which tools make the boot entry: seen by what a root has. The tools of absent systems are stubs in the root that write
//! their arguments down; run-parts is busybox's own.

use crate::Test;
use crate::bundle::{Bundle, MODULES, VERSION};
use crate::machine::{Install, Need, Run, Shell, System, script};
use std::os::unix::fs::PermissionsExt;

pub const TESTS: &[Test] = &[
    ("kernel_install_carries_the_kernel", Need::Root, kernel_install),
    ("kernel_install_without_an_entry_is_told", Need::Root, kernel_install_in_vain),
    ("hooks_of_postinst_d_run", Need::Root, hooks),
    ("hooks_that_call_kernel_install_come_first", Need::Root, hooks_with_systemd_boot),
    ("dracut_and_grub2_mkconfig", Need::Root, dracut),
    ("mkinitcpio_and_mkinitfs", Need::Root, small_makers),
    ("a_failing_tool_is_told_and_tried_again", Need::Root, failing),
    ("a_tool_without_a_loader_leaves_the_rest", Need::Root, no_loader),
    ("hooks_without_a_loader_leave_the_entry", Need::Root, hooks_without_loader),
    ("a_lost_initramfs_or_entry_is_made_again", Need::Root, lost),
    ("without_rights_the_steps_are_printed", Need::Root, no_chroot),
    ("a_dry_run_starts_nothing_of_another_system", Need::Root, dry_run),
    ("tools_run_in_the_own_language_after_a_sync", Need::Root, surroundings),
    ("os_release_decides_nothing", Need::Root, os_release),
];

const MAKES_ENTRY: &str = "mkdir -p /boot/loader/entries && : >/boot/loader/entries/id-$2.conf";
const MAKES_CONFIG: &str = "ls /boot >$2";
/// For a tool whose last argument is the version.
const MAKES_INITRAMFS: &str = "for last; do :; done; : >/boot/initramfs-$last.img";

fn with_busybox() -> System {
    let system = System::new();
    system.busybox().folder("usr/lib/modules").folder("boot").link("lib", "usr/lib");
    system
}

/// Installs twice: the second run must neither write nor call anything.
fn twice(shell: Shell, system: &System) -> Run {
    let bundle = Bundle::new();
    let first = Install::new(shell, &bundle).root(system).run();
    first.expect(0, &["done:", &format!("choose {VERSION} in the boot menu")]);
    let before = system.state();
    let second = Install::new(shell, &bundle).root(system).run();
    second.expect(0, &["nothing to do: everything is in place"]);
    assert_eq!(before, system.state());
    first
}

fn kernel_install(shell: Shell) {
    for mark in ["grubby", "install.d", "loader.conf"] {
        let system = with_busybox();
        system.tool("usr/bin/kernel-install", MAKES_ENTRY);
        match mark {
            "grubby" => {
                system.tool("usr/sbin/grubby", "");
            }
            "install.d" => {
                system.folder("usr/lib/kernel/install.d");
                script(&system.at("usr/lib/kernel/install.d/20-grub.install"), "");
            }
            _ => {
                system.folder("efi/loader");
                std::fs::write(system.at("efi/loader/loader.conf"), "timeout 3\n").unwrap();
            }
        }
        twice(shell, &system);
        let home = format!("/usr/lib/modules/{VERSION}");
        assert_eq!(system.calls(), format!("kernel-install add {VERSION} {home}/vmlinuz\n"), "{mark}");
        // What it copies to /boot is its business; it finds these beside the kernel.
        assert_eq!(system.read(&format!("{home}/config")), "the config");
        assert_eq!(system.read(&format!("{home}/System.map")), "the System.map");
        assert!(!system.at(&format!("boot/vmlinuz-{VERSION}")).exists());
    }
}

fn kernel_install_in_vain(shell: Shell) {
    let (bundle, system) = (Bundle::new(), with_busybox());
    system.tool("usr/bin/kernel-install", "").tool("usr/sbin/grubby", "");
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(21, &["there is no boot entry or initramfs", "remedy: look at"]);
    assert!(system.at(&format!("usr/lib/modules/{VERSION}/{}", MODULES[0])).exists());
}

fn hooks(shell: Shell) {
    let system = with_busybox();
    system.folder("etc/kernel/postinst.d").folder("boot/grub");
    system.tool("usr/sbin/update-initramfs", ": >/boot/initrd.img-$3");
    script(&system.at("etc/kernel/postinst.d/initramfs-tools"), "PATH=/usr/sbin:$PATH update-initramfs -c -k \"$1\"\n");
    script(
        &system.at("etc/kernel/postinst.d/zz-update-grub"),
        "echo \"update-grub $*\" >>/calls; ls /boot >/boot/grub/grub.cfg\n",
    );
    // systemd brings kernel-install to systems that do not use it.
    system.tool("usr/bin/kernel-install", "");
    twice(shell, &system);
    let expected = format!("update-initramfs -c -k {VERSION}\nupdate-grub {VERSION} /boot/vmlinuz-{VERSION}\n");
    assert_eq!(system.calls(), expected);
    assert_eq!(system.read(&format!("boot/vmlinuz-{VERSION}")), "the vmlinuz");
}

/// Debian with systemd-boot: kernel-install alone would make an entry without an initramfs.
fn hooks_with_systemd_boot(shell: Shell) {
    let system = with_busybox();
    system.folder("etc/kernel/postinst.d").folder("boot/efi/loader/entries");
    system.tool("usr/sbin/update-initramfs", "").tool("usr/bin/kernel-install", MAKES_ENTRY);
    script(&system.at("etc/kernel/postinst.d/initramfs-tools"), ": >/boot/initrd.img-$1\n");
    script(&system.at("etc/kernel/postinst.d/zz-systemd-boot"), "/usr/bin/kernel-install add \"$1\" \"$2\"\n");
    twice(shell, &system);
    assert_eq!(system.calls(), format!("kernel-install add {VERSION} /boot/vmlinuz-{VERSION}\n"));
}

fn dracut(shell: Shell) {
    let system = with_busybox();
    system.folder("boot/grub2").tool("usr/bin/dracut", MAKES_INITRAMFS).tool("usr/sbin/grub2-mkconfig", MAKES_CONFIG);
    // Hooks for other things do not make an initramfs.
    system.folder("etc/kernel/postinst.d");
    script(&system.at("etc/kernel/postinst.d/dkms"), "echo dkms >>/calls\n");
    let run = twice(shell, &system);
    let expected = format!("dracut --force --no-hostonly --kver {VERSION}\ngrub2-mkconfig -o /boot/grub2/grub.cfg\n");
    assert_eq!(system.calls(), expected);
    let line = format!("run in {}: dracut --force --no-hostonly --kver {VERSION}", system.path().display());
    assert!(run.out.contains(&line), "{}", run.out);
}

fn small_makers(shell: Shell) {
    for (tool, expected) in [
        ("mkinitcpio", format!("-S autodetect -k {VERSION} -g /boot/initramfs-{VERSION}.img")),
        ("mkinitfs", format!("-o /boot/initramfs-{VERSION} {VERSION}")),
    ] {
        let system = with_busybox();
        let makes = "case $1 in -o) : >\"$2\" ;; *) for last; do :; done; : >\"$last\" ;; esac";
        system.folder("boot/grub").tool("sbin/grub-mkconfig", MAKES_CONFIG).tool(&format!("sbin/{tool}"), makes);
        twice(shell, &system);
        assert_eq!(system.calls(), format!("{tool} {expected}\ngrub-mkconfig -o /boot/grub/grub.cfg\n"));
    }
}

fn failing(shell: Shell) {
    let (bundle, system) = (Bundle::new(), with_busybox());
    system
        .folder("boot/grub")
        .tool("sbin/grub-mkconfig", "echo no device >&2; exit 1")
        .tool("sbin/dracut", MAKES_INITRAMFS);
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(21, &["grub-mkconfig: it failed", "no device", "run install.sh again"]);
    system.tool("sbin/grub-mkconfig", MAKES_CONFIG);
    std::fs::remove_file(system.at("calls")).unwrap();
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(0, &["done:"]);
    assert!(!run.out.contains("create"), "{}", run.out);
    assert_eq!(system.calls().lines().count(), 2, "{}", system.calls());
    Install::new(shell, &bundle).root(&system).run().expect(0, &["nothing to do"]);
}

/// The steps are printed every time, but the tools run once.
fn no_loader(shell: Shell) {
    let (bundle, system) = (Bundle::new(), with_busybox());
    system.tool("sbin/dracut", MAKES_INITRAMFS).tool("sbin/grub-mkconfig", "");
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(20, &["no boot loader tool", "add a boot entry", "done:"]);
    assert!(!run.out.contains("in the boot menu"), "{}", run.out);
    assert_eq!(system.calls(), format!("dracut --force --no-hostonly --kver {VERSION}\n"));
    let before = system.state();
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(20, &["no boot loader tool", "add a boot entry"]);
    assert!(!run.out.contains("done:") && !run.out.contains("nothing to do"), "{}", run.out);
    assert_eq!(before, system.state());
}

/// Hooks may make the initramfs only, and leave the entry to nobody.
fn hooks_without_loader(shell: Shell) {
    let (bundle, system) = (Bundle::new(), with_busybox());
    system.folder("etc/kernel/postinst.d").tool("usr/sbin/update-initramfs", "");
    script(&system.at("etc/kernel/postinst.d/initramfs-tools"), "echo hook >>/calls; : >/boot/initrd.img-$1\n");
    for _ in 0..2 {
        let run = Install::new(shell, &bundle).root(&system).run();
        run.expect(20, &["no boot loader tool", "add a boot entry"]);
        assert!(!run.out.contains("in the boot menu"), "{}", run.out);
        assert_eq!(system.calls(), "hook\n");
    }
    // With a loader, its configuration must name the kernel.
    let system = with_busybox();
    system.folder("etc/kernel/postinst.d").folder("boot/grub").tool("usr/sbin/update-initramfs", "");
    system.tool("sbin/grub-mkconfig", MAKES_CONFIG);
    script(&system.at("etc/kernel/postinst.d/initramfs-tools"), ": >/boot/initrd.img-$1\n");
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(21, &["postinst.d: it succeeded, but there is no boot entry"]);
    script(&system.at("etc/kernel/postinst.d/zz-update-grub"), "ls /boot >/boot/grub/grub.cfg\n");
    Install::new(shell, &bundle).root(&system).run().expect(0, &["in the boot menu"]);
}

/// What was made once may get lost.
fn lost(shell: Shell) {
    for tool in ["dracut", "update-initramfs"] {
        let (bundle, system) = (Bundle::new(), with_busybox());
        let initramfs = if tool == "dracut" {
            system.tool("sbin/dracut", MAKES_INITRAMFS);
            format!("boot/initramfs-{VERSION}.img")
        } else {
            system.folder("etc/kernel/postinst.d").tool("sbin/update-initramfs", "");
            let hook = ": >/boot/initrd.img-$1; ls /boot >/boot/grub/grub.cfg\n";
            script(&system.at("etc/kernel/postinst.d/all"), hook);
            format!("boot/initrd.img-{VERSION}")
        };
        system.folder("boot/grub").tool("sbin/grub-mkconfig", MAKES_CONFIG);
        Install::new(shell, &bundle).root(&system).run().expect(0, &["done:"]);
        for path in [&*initramfs, "boot/grub/grub.cfg"] {
            std::fs::remove_file(system.at(path)).unwrap();
            let run = Install::new(shell, &bundle).root(&system).run();
            run.expect(0, &["run in ", "done:"]);
            assert!(!run.out.contains("create"), "{}", run.out);
            assert!(system.at(path).exists(), "{path}");
            Install::new(shell, &bundle).root(&system).run().expect(0, &["nothing to do"]);
        }
    }
}

/// Not root's, or without a shell: what cannot be started is printed.
fn no_chroot(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.folder("boot/grub2").tool("usr/bin/dracut", MAKES_INITRAMFS).tool("usr/sbin/grub2-mkconfig", MAKES_CONFIG);
    let run = Install::new(shell, &bundle).root(&system).run();
    let steps =
        format!("    dracut --force --no-hostonly --kver {VERSION}\n    grub2-mkconfig -o /boot/grub2/grub.cfg\n");
    run.expect(20, &["no way to start programs in", &steps, "done:"]);
    assert_eq!(system.calls(), "");
    // The next run finds nothing to write, and says no other.
    let before = system.state();
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(20, &["no way to start programs in", &steps]);
    assert!(!run.out.contains("done:") && !run.out.contains("write"), "{}", run.out);
    assert_eq!(before, system.state());
}

fn dry_run(shell: Shell) {
    let (bundle, system) = (Bundle::new(), with_busybox());
    system.folder("boot/grub2").tool("usr/bin/dracut", MAKES_INITRAMFS).tool("usr/sbin/grub2-mkconfig", MAKES_CONFIG);
    std::fs::remove_file(system.at("bin/sh")).unwrap();
    let text = "#!/bin/busybox sh\necho sh >>/calls\nexec /bin/busybox sh \"$@\"\n";
    std::fs::write(system.at("bin/sh"), text).unwrap();
    std::fs::set_permissions(system.at("bin/sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = system.state();
    let run = Install::new(shell, &bundle).root(&system).with(&["--dry-run"]).run();
    run.expect(0, &["would: run in", "grub2-mkconfig", "nothing was written"]);
    assert_eq!(before, system.state());
    Install::new(shell, &bundle).root(&system).run().expect(0, &["done:"]);
    assert!(system.calls().starts_with("sh\n"), "{}", system.calls());
}

fn surroundings(shell: Shell) {
    for locale in [None, Some("C.UTF-8")] {
        let (bundle, system) = (Bundle::new(), with_busybox());
        let dracut = format!("echo \"language ${{LC_ALL-unset}}\" >>/calls; {MAKES_INITRAMFS}");
        system.folder("boot/grub2").tool("usr/bin/dracut", &dracut).tool("usr/sbin/grub2-mkconfig", MAKES_CONFIG);
        script(&bundle.tools().join("sync"), &format!("echo sync >>'{}'\n", system.at("calls").display()));
        let install = Install::new(shell, &bundle).root(&system);
        let install = if let Some(locale) = locale { install.env("LC_ALL", locale) } else { install };
        install.run().expect(0, &["done:"]);
        // The shell of busybox takes its own sync, which tells nobody.
        let sync = if shell.name == "busybox" { "" } else { "sync\n" };
        let language = locale.unwrap_or("unset");
        let dracut = format!("dracut --force --no-hostonly --kver {VERSION}\nlanguage {language}\n");
        assert_eq!(system.calls(), format!("{sync}{dracut}grub2-mkconfig -o /boot/grub2/grub.cfg\n{sync}"));
    }
}

/// Tools decide; what a system calls itself does not.
fn os_release(shell: Shell) {
    let system = with_busybox();
    system
        .folder("etc")
        .folder("boot/grub2")
        .tool("usr/bin/dracut", MAKES_INITRAMFS)
        .tool("usr/sbin/grub2-mkconfig", MAKES_CONFIG);
    std::fs::write(system.at("etc/os-release"), "ID=debian\nID_LIKE=\"ubuntu debian\"\ntouch /calls-of-os-release\n")
        .unwrap();
    twice(shell, &system);
    assert!(system.calls().starts_with("dracut "));
    assert!(!system.at("calls-of-os-release").exists());
}
