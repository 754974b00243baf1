//! What goes where, a second run, a dry run, the journal.

use crate::Test;
use crate::bundle::{Bundle, MODULES, VERSION, members};
use crate::machine::{Install, Need, Shell, System, script};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub const TESTS: &[Test] = &[
    ("an_empty_root_gets_everything", Need::Nothing, empty_root),
    ("modules_go_where_the_system_looks", Need::Nothing, unmerged_root),
    ("links_of_a_root_stay_inside", Need::Nothing, links_stay_inside),
    ("folders_are_the_named_ones", Need::Nothing, named_folders),
    ("a_second_run_changes_nothing", Need::Nothing, second_run),
    ("a_dry_run_writes_nothing_and_tells_all", Need::Nothing, dry_run),
    ("only_the_wanted_parts_come", Need::Nothing, parts),
    ("damage_is_repaired_and_additions_stay", Need::Nothing, repair),
    ("modules_dep_knows_what_a_repair_brought", Need::Nothing, repair_dependencies),
    ("another_kvm_conf_is_kept", Need::Nothing, back_up),
    ("a_link_at_kvm_conf_is_kept_as_a_link", Need::Nothing, back_up_link),
    ("files_of_others_are_not_replaced", Need::Nothing, files_of_others),
    ("the_journal_covers_all_and_keeps_others", Need::Nothing, journal),
];

/// Exit code of an installation into a root that has no boot tools.
const BY_HAND: i32 = 20;

fn check_tree(system: &System, modules: &str) {
    for (path, content) in
        [("qemu-system-x86_64", "emulator"), ("qemu-img", "images"), ("launch-qemu.sh", "#!/bin/sh\n")]
    {
        assert_eq!(system.read(&format!("opt/snp/bin/{path}")), content);
        assert_eq!(system.mode(&format!("opt/snp/bin/{path}")), 0o755);
    }
    for (path, content) in [("OVMF.fd", "firmware"), ("efi-virtio.rom", "rom"), ("keymaps/en-us", "keys")] {
        assert_eq!(system.read(&format!("opt/snp/share/qemu/{path}")), content);
        assert_eq!(system.mode(&format!("opt/snp/share/qemu/{path}")), 0o644);
    }
    assert!(system.read("etc/modprobe.d/snp-kvm.conf").contains("sev-snp=1"));
    for name in ["vmlinuz", "config", "System.map"] {
        assert_eq!(system.read(&format!("boot/{name}-{VERSION}")), format!("the {name}"));
        assert_eq!(system.mode(&format!("boot/{name}-{VERSION}")), 0o644);
    }
    for path in MODULES.iter().chain(&["vmlinuz", "modules.dep"]) {
        assert_eq!(system.mode(&format!("{modules}/{VERSION}/{path}")), 0o644);
    }
    for (path, facts) in system.state() {
        assert!(!path.to_string_lossy().contains("/.snp"), "left: {}", path.display());
        assert!(facts.0 & 0o170_000 != 0o040_000 || facts.0 & 0o7777 == 0o755, "mode of {}", path.display());
    }
}

fn empty_root(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(BY_HAND, &["only damage can be found", "make an initramfs", &format!("kernel /boot/vmlinuz-{VERSION}")]);
    check_tree(&system, "usr/lib/modules");
}

fn unmerged_root(shell: Shell) {
    let bundle = Bundle::new();
    let unmerged = System::new();
    unmerged.folder("lib/modules").folder("usr/lib");
    Install::new(shell, &bundle).root(&unmerged).run().expect(BY_HAND, &[]);
    check_tree(&unmerged, "lib/modules");
    assert!(!unmerged.at("usr/lib/modules").exists());
    assert!(unmerged.read("opt/snp/share/snp/journal").contains(&format!("  /lib/modules/{VERSION}/vmlinuz\n")));
    let merged = System::new();
    merged.merged();
    Install::new(shell, &bundle).root(&merged).run().expect(BY_HAND, &[]);
    check_tree(&merged, "usr/lib/modules");
    assert!(merged.at("lib").is_symlink(), "the link to usr/lib was replaced");
}

/// ostree has /opt in /var; an absolute link means a place of that system, not of this one.
fn links_stay_inside(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.merged().folder("var").folder("sysroot");
    system.link("opt", "var/opt").link("boot", "/sysroot/boot").link("var/opt", "../../../../../srv");
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    assert_eq!(system.read("srv/snp/bin/qemu-img"), "images");
    assert_eq!(system.read(&format!("sysroot/boot/vmlinuz-{VERSION}")), "the vmlinuz");
    let before = system.state();
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    assert_eq!(before, system.state());
}

/// `cd` has ideas of its own: options, the folder before, CDPATH.
fn named_folders(shell: Shell) {
    let (bundle, here, elsewhere) = (Bundle::new(), System::new(), System::new());
    for name in ["-P", "-", "named", "tmp"] {
        here.folder(name);
        elsewhere.folder(name);
    }
    let before = elsewhere.state();
    for name in ["-P", "-", "named"] {
        let install = Install::new(shell, &bundle).inside(here.path()).with(&["--root", name, "--no-kernel"]);
        let install = install.env("CDPATH", elsewhere.path()).env("HOME", elsewhere.path());
        install.env("OLDPWD", elsewhere.path()).env("TMPDIR", "tmp").run().expect(0, &["done:"]);
        assert_eq!(here.read(&format!("{name}/opt/snp/bin/qemu-img")), "images");
        assert_eq!(before, elsewhere.state());
        assert_eq!(std::fs::read_dir(here.at("tmp")).unwrap().count(), 0);
    }
}

fn second_run(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    Install::new(shell, &bundle).root(&system).with(&["--no-kernel"]).run().expect(0, &["done:"]);
    let before = system.state();
    let run = Install::new(shell, &bundle).root(&system).with(&["--no-kernel"]).run();
    run.expect(0, &["nothing to do: everything is in place"]);
    assert_eq!(before, system.state());
    // The kernel comes on top; without boot tools its steps are printed every time.
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    let before = system.state();
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(BY_HAND, &["make an initramfs"]);
    assert!(!run.out.contains("create"), "{}", run.out);
    assert_eq!(before, system.state());
}

fn dry_run(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.merged().folder("etc/modprobe.d");
    std::fs::write(system.at("etc/modprobe.d/snp-kvm.conf"), "options kvm_amd sev=0\n").unwrap();
    let before = system.state();
    let dry = Install::new(shell, &bundle).root(&system).with(&["--dry-run"]).run();
    dry.expect(BY_HAND, &["nothing was written"]);
    assert_eq!(before, system.state());
    let real = Install::new(shell, &bundle).root(&system).run();
    let told: Vec<&str> = dry.out.lines().filter_map(|line| line.strip_prefix("would: ")).collect();
    let verbs = ["create ", "replace ", "back up ", "write ", "leave "];
    let done: Vec<&str> = real.out.lines().filter(|line| verbs.iter().any(|verb| line.starts_with(verb))).collect();
    assert_eq!(told, done);
    assert!(told.len() > 12, "{told:?}");
}

fn parts(shell: Shell) {
    let bundle = Bundle::new();
    let tops = |only: &[&str]| {
        let system = System::new();
        Install::new(shell, &bundle).root(&system).with(only).run();
        let mut found: Vec<String> = system.state().into_keys().map(|path| path.display().to_string()).collect();
        found.retain(|path| !path.contains("share/snp"));
        found
    };
    let firmware = tops(&["--only", "ovmf"]);
    assert!(firmware.contains(&"opt/snp/share/qemu/OVMF.fd".to_owned()), "{firmware:?}");
    assert!(!firmware.iter().any(|path| path.contains("bin") || path.ends_with(".rom") || path.contains("etc")));
    assert!(!tops(&["--only=kvm-conf"]).iter().any(|path| path.contains("qemu") || path.contains("boot")));
    let both = tops(&["--only", "ovmf,qemu", "--prefix", "/a place/snp"]);
    assert!(both.contains(&"a place/snp/bin/launch-qemu.sh".to_owned()), "{both:?}");
    assert!(!both.iter().any(|path| path.starts_with("boot") || path.starts_with("etc")));
    let kernel = tops(&["--only", "kernel"]);
    assert!(kernel.contains(&format!("boot/vmlinuz-{VERSION}")) && !kernel.contains(&"etc".to_owned()), "{kernel:?}");
}

fn repair(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    let home = format!("usr/lib/modules/{VERSION}");
    std::fs::write(system.at(&format!("{home}/{}", MODULES[0])), "damaged").unwrap();
    std::fs::write(system.at(&format!("{home}/other.ko")), "of others").unwrap();
    std::fs::write(system.at("opt/snp/bin/qemu-img"), "damaged").unwrap();
    let run = Install::new(shell, &bundle).root(&system).run();
    run.expect(BY_HAND, &["repair", "replace"]);
    let content = &members()[4].1;
    assert_eq!(system.read(&format!("{home}/{}", MODULES[0])).as_bytes(), content);
    assert_eq!(system.read(&format!("{home}/other.ko")), "of others");
    check_tree(&system, "usr/lib/modules");
}

/// depmod sees the modules of the system: those that came and those that others added.
fn repair_dependencies(shell: Shell) {
    let (bundle, system, other) = (Bundle::new(), System::new(), System::new());
    system.folder("lib").folder("srv").link("lib/modules", "/srv/modules");
    let listing =
        "cd -P \"$2/lib/modules/$3\" && find . -name '*.ko' | sort >modules.dep && echo aliases >modules.alias";
    script(&bundle.tools().join("depmod"), listing);
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    let home = format!("srv/modules/{VERSION}");
    assert_eq!(
        system.read(&format!("{home}/modules.dep")),
        "./kernel/drivers/deep/snp_b.ko\n./kernel/drivers/snp_a.ko\n"
    );
    std::fs::write(system.at(&format!("{home}/other.ko")), "of others").unwrap();
    // The same kernel with one more module.
    let mut more = members();
    more.push((format!("usr/lib/modules/{VERSION}/kernel/snp_c.ko"), b"new".to_vec()));
    bundle.kernel(&more, None);
    bundle.sums();
    // A link is not written through.
    std::fs::write(other.at("aliases"), "of another system").unwrap();
    std::fs::remove_file(system.at(&format!("{home}/modules.alias"))).unwrap();
    system.link(&format!("{home}/modules.alias"), other.at("aliases").to_str().unwrap());
    // Should depmod fail, the next run makes it again.
    script(&bundle.tools().join("depmod"), &format!("case $2 in *snp-install.*) exit 1 ;; esac\n{listing}"));
    Install::new(shell, &bundle).root(&system).run().expect(11, &["depmod: it failed on", "run this again"]);
    assert!(!system.at(&format!("{home}/modules.dep")).exists());
    script(&bundle.tools().join("depmod"), listing);
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &["repair"]);
    let all = "./kernel/drivers/deep/snp_b.ko\n./kernel/drivers/snp_a.ko\n./kernel/snp_c.ko\n./other.ko\n";
    assert_eq!(system.read(&format!("{home}/modules.dep")), all);
    assert_eq!(system.read(&format!("{home}/modules.alias")), "aliases\n");
    assert_eq!(other.read("aliases"), "of another system");
    let before = system.state();
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    assert_eq!(before, system.state());
}

fn back_up(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.folder("etc/modprobe.d");
    let conf = system.at("etc/modprobe.d/snp-kvm.conf");
    std::fs::write(&conf, "mine").unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        Install::new(shell, &bundle).root(&system).with(&["--only", "kvm-conf"]).run().expect(0, &[]);
        assert!(system.read("etc/modprobe.d/snp-kvm.conf").contains("sev-snp=1"));
        let digest = snpforge::digest::Digest::of(b"mine").to_string();
        let backup = format!("etc/modprobe.d/snp-kvm.conf.backup-{}", &digest[..12]);
        assert_eq!((&*system.read(&backup), system.mode(&backup)), ("mine", 0o600));
        assert_eq!(std::fs::read_dir(system.at("etc/modprobe.d")).unwrap().count(), 2);
    }
}

/// What a link leads to may be secret and of another system: nothing of it is copied. It may lead nowhere, too.
fn back_up_link(shell: Shell) {
    let (bundle, other) = (Bundle::new(), System::new());
    std::fs::write(other.at("secret"), "secret").unwrap();
    for target in [other.at("secret"), other.at("nothing"), other.path().to_path_buf()] {
        let system = System::new();
        system.folder("etc/modprobe.d").link("etc/modprobe.d/snp-kvm.conf", target.to_str().unwrap());
        // A folder behind the link counts as a folder in the way.
        let code = if target.is_dir() { 11 } else { 0 };
        for _ in 0..2 {
            Install::new(shell, &bundle).root(&system).with(&["--only", "kvm-conf"]).run().expect(code, &[]);
        }
        let mut links = Vec::new();
        for entry in std::fs::read_dir(system.at("etc/modprobe.d")).unwrap() {
            let path = entry.unwrap().path();
            match std::fs::read_link(&path) {
                Ok(to) => links.push((path.file_name().unwrap().to_str().unwrap().contains(".conf.backup-link-"), to)),
                Err(_) => assert!(std::fs::read_to_string(&path).unwrap().contains("sev-snp=1")),
            }
        }
        assert_eq!(links, [(code == 0, target)]);
    }
    assert_eq!(other.read("secret"), "secret");
}

fn journal(shell: Shell) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.folder("opt/snp/share/snp");
    let other = "0".repeat(64) + "  /opt/snp/bin/of-an-older-release\n";
    std::fs::write(system.at("opt/snp/share/snp/journal"), format!("# snp journal 1\n# release old\n{other}")).unwrap();
    Install::new(shell, &bundle).root(&system).run().expect(BY_HAND, &[]);
    let journal = system.read("opt/snp/share/snp/journal");
    assert!(journal.starts_with("# snp journal 1\n# release snp-release-2026-11-23\n# kernel 6.12"), "{journal}");
    assert!(journal.contains(&other), "{journal}");
    // In the terms of this machine it is a list for sha256sum.
    let here = journal.replace(&other, "").replace("  /", &format!("  {}/", system.path().display()));
    let list = bundle.scratch.path().join("list");
    std::fs::write(&list, &here).unwrap();
    let check = Command::new("sha256sum").args(["-c", "--strict"]).arg(&list).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let files = system.state().into_iter().filter(|(path, facts)| {
        facts.0 & 0o170_000 == 0o100_000 && !path.ends_with("journal") && !path.ends_with("modules.dep")
    });
    assert_eq!(files.count(), here.lines().filter(|line| !line.starts_with('#')).count());
    // A file that is no journal is nobody's to overwrite.
    std::fs::write(system.at("opt/snp/share/snp/journal"), "notes of mine\n").unwrap();
    Install::new(shell, &bundle).root(&system).run().expect(11, &["it is no journal that this script knows"]);
    std::fs::remove_file(system.at("opt/snp/share/snp/journal")).unwrap();
    system.folder("opt/snp/share/snp/journal");
    Install::new(shell, &bundle).root(&system).run().expect(11, &["journal: it is no file that can be read"]);
}

/// /usr/local may hold a QEMU that somebody built.
fn files_of_others(shell: Shell) {
    let bundle = Bundle::new();
    let install =
        |system| Install::new(shell, &bundle).root(system).with(&["--prefix", "/usr/local", "--no-kernel"]).run();
    let path = "usr/local/bin/qemu-img";
    let system = System::new();
    system.folder("usr/local/bin");
    std::fs::write(system.at(path), "of others").unwrap();
    let before = system.state();
    let word = format!("{path}: it is of others: ");
    install(&system).expect(11, &[&word, "/usr/local/share/snp/journal does not list it", "--prefix"]);
    assert_eq!(before, system.state());
    std::fs::remove_file(system.at(path)).unwrap();
    system.link(path, "nowhere");
    install(&system).expect(11, &[&word]);
    // The same bytes do no harm to anybody, and what the journal lists is this script's.
    std::fs::remove_file(system.at(path)).unwrap();
    std::fs::write(system.at(path), "images").unwrap();
    install(&system).expect(0, &["done:"]);
    std::fs::write(system.at(path), "damaged").unwrap();
    install(&system).expect(0, &["done:"]);
    assert_eq!(system.read(path), "images");
}
