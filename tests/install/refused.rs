//! Bundles that are not what was released, and command lines that mean nothing: each refusal has its exit code, names its
//! object and leaves the root as it was.

use crate::Test;
use crate::bundle::{Bundle, Members, VERSION, members};
use crate::machine::{Install, Need, Shell, System};

pub const TESTS: &[Test] = &[
    ("a_changed_bundle_is_refused", Need::Nothing, changed),
    ("odd_lists_are_refused", Need::Nothing, odd_lists),
    ("odd_kernels_are_refused", Need::Nothing, odd_kernels),
    ("odd_command_lines_are_refused", Need::Nothing, command_lines),
    ("control_characters_in_places_are_refused", Need::Nothing, control_characters),
    ("help_is_printed", Need::Nothing, help),
];

/// A fresh bundle, spoiled: the script must end with `code`, say `words` and write nothing.
#[track_caller]
fn refuse(shell: Shell, code: i32, words: &[&str], spoil: impl FnOnce(&Bundle)) {
    let (bundle, system) = (Bundle::new(), System::new());
    system.merged();
    let before = system.state();
    spoil(&bundle);
    Install::new(shell, &bundle).root(&system).run().expect(code, words);
    assert_eq!(before, system.state());
}

fn changed(shell: Shell) {
    refuse(shell, 5, &["usr/local/bin/qemu-img", "SHA-256"], |bundle| {
        bundle.write("usr/local/bin/qemu-img", b"imagez")
    });
    refuse(shell, 5, &["usr/local/share/extra.rom", "not part of the release"], |bundle| {
        bundle.write("usr/local/share/extra.rom", b"x");
    });
    refuse(shell, 5, &["/.hidden", "not part of the release"], |bundle| bundle.write(".hidden", b"x"));
    refuse(shell, 5, &["kvm.conf", "is missing"], |bundle| {
        std::fs::remove_file(bundle.folder.join("kvm.conf")).unwrap()
    });
    refuse(shell, 5, &["no link or device"], |bundle| {
        std::os::unix::fs::symlink("qemu-img", bundle.folder.join("usr/local/bin/link")).unwrap();
    });
    // A link with the right content behind it is a link all the same.
    refuse(shell, 5, &["usr/local/bin/qemu-img", "no link or device"], |bundle| {
        let path = bundle.folder.join("usr/local/bin/qemu-img");
        std::fs::rename(&path, bundle.scratch.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(bundle.scratch.path().join("elsewhere"), path).unwrap();
    });
    refuse(shell, 5, &["a file with such a name"], |bundle| bundle.write("usr/local/bin/a b", b"x"));
    // Line by line this looks like a listed file.
    refuse(shell, 5, &["a file with such a name"], |bundle| bundle.write("x\n./kvm.conf", b"x"));
    refuse(shell, 3, &["this folder is no bundle"], |bundle| {
        std::fs::remove_file(bundle.folder.join("SHA256SUMS")).unwrap();
    });
}

fn odd_lists(shell: Shell) {
    for (new, why) in [
        ("  /etc/passwd\n", "may lead out of the bundle"),
        ("  ../kvm.conf\n", "may lead out of the bundle"),
        ("  linux/../kvm.conf\n", "may lead out of the bundle"),
        ("  ./kvm.conf\n", "may lead out of the bundle"),
        ("  usr//kvm.conf\n", "may lead out of the bundle"),
        ("  kvm conf\n", "a character that no file of a bundle has"),
        ("  SHA256SUMS\n", "it lists itself"),
        ("  install.sh\n", "stands there twice"),
        (" *kvm.conf\n", "it is not a digest, two spaces and a path"),
        ("\n", "it is not a digest, two spaces and a path"),
    ] {
        refuse(shell, 5, &["SHA256SUMS: line ", why], |bundle| bundle.edit_sums("  kvm.conf\n", new));
    }
    refuse(shell, 5, &["it lists nothing"], |bundle| bundle.write("SHA256SUMS", b""));
}

fn odd_kernels(shell: Shell) {
    let with = |more: &str| -> Members {
        let mut all = members();
        all.push((more.to_owned(), b"x".to_vec()));
        all
    };
    for (path, why) in [
        ("etc/passwd".to_owned(), "a file that no kernel of a bundle has"),
        ("usr/lib/modules/6.1/x.ko".to_owned(), "a file that no kernel of a bundle has"),
        ("boot/grub.cfg".to_owned(), "a file that no kernel of a bundle has"),
        ("boot//vmlinuz".to_owned(), "an odd name"),
        (format!("usr/lib/modules/{VERSION}/./x"), "an odd name"),
        (format!("usr/lib/modules/{VERSION}/vmlinuz"), "it is there twice"),
    ] {
        refuse(shell, 3, &[&path, why], |bundle| {
            bundle.kernel(&with(&path), None);
            bundle.sums();
        });
    }
    // busybox's tar shows another name than the tarball has; it is refused all the same.
    refuse(shell, 3, &["x: a"], |bundle| {
        bundle.kernel(&with(&format!("usr/lib/modules/{VERSION}/../../x")), None);
        bundle.sums();
    });
    refuse(shell, 3, &["something that is no file and no folder"], |bundle| {
        bundle.kernel(&members(), Some((&format!("usr/lib/modules/{VERSION}/build"), "/usr/src")));
        bundle.sums();
    });
    refuse(shell, 3, &["it has no boot/config-"], |bundle| {
        bundle.kernel(&members().into_iter().filter(|(path, _)| !path.contains("config")).collect(), None);
        bundle.sums();
    });
    refuse(shell, 3, &["it holds not one linux-VERSION.tar.gz but 2", "--no-kernel"], |bundle| {
        bundle.write("linux/host/linux-7.tar.gz", b"x");
        bundle.sums();
    });
    refuse(shell, 3, &["it cannot be read"], |bundle| {
        bundle.write(&format!("linux/host/linux-{VERSION}.tar.gz"), b"no gzip");
        bundle.sums();
    });
    refuse(shell, 3, &["it holds no ovmf"], |bundle| {
        std::fs::remove_file(bundle.folder.join("usr/local/share/qemu/OVMF.fd")).unwrap();
        bundle.sums();
    });
}

fn command_lines(shell: Shell) {
    let bundle = Bundle::new();
    for (arguments, why) in [
        (&["--colour"][..], "--colour: unknown option"),
        (&["stray"], "stray: unknown option"),
        (&["--prefix"], "its value is missing"),
        (&["--prefix="], "its value is empty"),
        (&["--prefix", "relative/place"], "it is no absolute path"),
        (&["--prefix", "/opt/a\tb"], "its value holds a control character"),
        (&["--prefix", "/opt/../etc"], "it holds . or .."),
        (&["--prefix", "//usr/"], "the system's package manager"),
        (&["--root", "/does/not/exist"], "there is no such folder"),
        (&["--only", "qemu,kernels"], "unknown part"),
        (&["--only", ","], "it names no part"),
        (&["--only", "kernel", "--no-kernel"], "it cannot stand beside --only"),
        (&["--identity", "me"], "only with --allowed-signers"),
        (&["--allowed-signers", "/does/not/exist"], "/does/not/exist: there is no such file"),
    ] {
        let system = System::new();
        let before = system.state();
        Install::new(shell, &bundle).root(&system).with(arguments).run().expect(2, &[why]);
        assert_eq!(before, system.state());
    }
}

/// They would end a line or a column of the plan.
fn control_characters(shell: Shell) {
    let word = "its path holds a control character";
    let (mut bundle, system) = (Bundle::new(), System::new());
    for name in ["a\nroot", "a root\n", "a\troot"] {
        system.folder(name);
        let before = system.state();
        let run = Install::new(shell, &bundle).with(&[std::path::Path::new("--root"), &system.at(name)]).run();
        run.expect(2, &["--root: ", word]);
        // By another name the place is the same.
        let run = Install::new(shell, &bundle).inside(&system.at(name)).with(&["--root", "."]).run();
        run.expect(2, &["--root: ", word]);
        assert_eq!(before, system.state());
    }
    let before = system.state();
    let install = Install::new(shell, &bundle).root(&system).env("TMPDIR", system.at("a\troot"));
    install.run().expect(2, &["TMPDIR: ", word]);
    let moved = bundle.scratch.path().join("usb\tstick");
    std::fs::rename(bundle.folder.parent().unwrap(), &moved).unwrap();
    bundle.folder = moved.join(bundle.folder.file_name().unwrap());
    Install::new(shell, &bundle).root(&system).run().expect(2, &["this bundle: ", word]);
    assert_eq!(before, system.state());
    let system = System::new();
    system.link("opt", "a\tb");
    Install::new(shell, &Bundle::new()).root(&system).run().expect(11, &["/opt: this link holds a control character"]);
}

fn help(shell: Shell) {
    let run = Install::new(shell, &Bundle::new()).with(&["--help"]).run();
    run.expect(0, &["--prefix DIR", "--allowed-signers FILE", "Exit codes:", "chroot"]);
    assert_eq!(run.err, "");
}
