//! Machines that allow no sandbox.

use libtest_mimic::Completion;
use std::process::Command;

/// A user namespace in which no further one may be made stands for a machine that forbids them.
pub fn no_user_namespaces() -> Completion {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" drive-probe \"$1\"";
    let output = Command::new("unshare")
        .args(["-U", "-r", "/bin/sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(folder.path())
        .output();
    let Ok(output) = output else { return Completion::ignored_with("unshare(1) is missing (package util-linux)") };
    let text = String::from_utf8_lossy(&output.stdout);
    if text.is_empty() {
        return Completion::ignored_with(format!("unshare: {}", String::from_utf8_lossy(&output.stderr)));
    }
    assert_eq!(output.status.code(), Some(8), "{text}");
    for word in ["cannot make a user namespace", "sysctl user.max_user_namespaces", "--engine docker"] {
        assert!(text.contains(word), "{text}");
    }
    Completion::Completed
}
