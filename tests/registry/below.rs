//! Packages on top of a base.

use crate::archive::{Archive, Signer, Suite};
use crate::deb::{Deb, Packing};
use crate::desk::{Desk, holds};
use crate::image::*;
use crate::real::Registry;

/// The package that the base has in an older version, and an essential one that it does not have.
fn packages() -> [Deb; 2] {
    let tool = Deb::new("tool", "2", Packing::Zst)
        .field("Multi-Arch", "same")
        .folder("./bin/", 0o755)
        .file("./bin/tool", 0o755, b"#!/bin/sh\necho tool 2\n")
        .folder("./usr/", 0o755)
        .folder("./usr/share/", 0o755)
        .file("./usr/share/shared", 0o644, b"tool's")
        .symlink("./usr/share/stays", "elsewhere");
    [tool, Deb::new("essential", "1", Packing::Gz).field("Essential", "yes").file("./etc/essential", 0o644, b"e")]
}

pub fn packages_win(registry: &Registry) {
    let desk = Desk::new();
    let signer = Signer::new(1);
    let mut archive = Archive::default();
    let mut suite = Suite::new("s");
    for deb in packages() {
        let fields = if deb.name == "essential" { "Essential: yes" } else { "Multi-Arch: same" };
        suite.packages.push(archive.package(&deb.name, &deb.version, fields, &deb.build()));
    }
    archive.publish(&suite, &[&signer]);
    desk.serve("mirror", archive.files);
    desk.write("images/keys/test.gpg", &signer.keyring());
    let table = format!(
        "[archive]\nfamily = \"debian\"\nsuites = [\"s\"]\ncomponents = [\"main\"]\nkeyring = \"keys/test.gpg\"\nmirrors = [\"{}\"]\n",
        desk.server.url("mirror")
    );
    let claim = "{ VERSION_ID = \"22.04\" }";
    define_with(&desk, &registry.push(&jammy(b"no shell\n")), claim, &table, "[\"tool\"]");
    holds(&desk.said("one", &["lock", "--image", "b"], 0), &["2 packages chosen of 2 that could be", "2 layers"]);
    let lock = lock(&desk);
    assert_eq!(lock.epoch.0, u64::from(suite.date), "the newest of all dates");
    let layer = layer(&desk, "one");
    let has = |entry: &str| assert!(layer.iter().any(|found| found == entry), "no `{entry}` in {layer:#?}");
    let lacks = |start: &str| assert!(!layer.iter().any(|found| found.starts_with(start)), "`{start}` in {layer:#?}");
    // The package's files, and the base's where it has none; nothing of the older version of the package.
    has("usr/bin/tool 755 #!/bin/sh\\necho tool 2\\n");
    has("usr/bin/only 755 #!/bin/sh\\necho only 1\\n");
    has("usr/share/shared 644 tool's");
    has("usr/share/stays -> elsewhere");
    has("etc/issue 644 upper\\n");
    has("etc/essential 644 e");
    for path in ["usr/share/tool/data", "usr/share/tool/conf", "usr/share/stays/", "etc/ld.so.cache"] {
        lacks(path);
    }
    // Both packages and what is left of the base's are installed.
    let status = layer.iter().find(|entry| entry.starts_with("var/lib/dpkg/status ")).unwrap();
    assert_eq!(status.matches("Status: install ok installed").count(), 3, "{status}");
    assert!(status.contains("Package: tool") && status.contains("Version: 2") && status.contains("Description: stays"));
    assert!(!status.contains("Description: goes"), "{status}");
    has("var/lib/dpkg/info/only.list 644 /.\\n/bin\\n/bin/only\\n/bin/only-again\\n/usr\\n");
    has("var/lib/dpkg/info/only.md5sums 644 0  bin/only\\n");
    has("var/lib/dpkg/triggers/File 644 /usr/share/watched only/noawait\\n");
    has("var/lib/dpkg/diversions 644 /a\\n/a.real\\nonly\\n");
    has("var/lib/dpkg/alternatives/awk 644 auto\\n");
    assert!(
        layer.iter().any(|entry| entry.starts_with("var/lib/dpkg/info/tool:amd64.list 644 /.\\n/bin\\n/bin/tool\\n"))
    );
    for path in ["var/lib/dpkg/status-old", "var/lib/dpkg/lock"] {
        lacks(path);
    }
    let mut paths: Vec<&str> = layer.iter().map(|entry| entry.split(' ').next().unwrap()).collect();
    let all = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), all, "a path is there twice");
    // The same one from an empty store.
    desk.said("two", &["image", "build", "b", "--locked"], 0);
    assert!(store(&desk, "two").contains(&lock.diff_id));
}
