//! A foreign system in which the bundle's programs run. It knows nothing of QEMU.

use libtest_mimic::Failed;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An idle machine needs 10 s for a kernel; CI machines are neither fast nor idle.
const PATIENCE: Duration = Duration::from_secs(240);
/// No prefix that anything was configured for.
const PROGRAMS: &str = "/tmp/moved/some where";
const BUSYBOX: &str = "/bin/busybox";

/// A root file system, the programs' folder and a scratch folder, which is the working folder of what runs.
pub struct Root {
    folder: PathBuf,
    programs: PathBuf,
    scratch: tempfile::TempDir,
}

impl Root {
    /// The root called `name`, or the reason why this machine has none.
    pub fn open(name: &str, programs: Option<PathBuf>, roots: Option<PathBuf>) -> Result<Root, String> {
        let programs = programs.ok_or("SNPFORGE_TEST_QEMU does not name a bundle's folder usr/local")?;
        works(Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "true"]))
            .map_err(|reason| format!("bubblewrap does not work here (Debian package bubblewrap): {reason}"))?;
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = match (name, roots) {
            ("busybox", _) => busybox_only(&scratch.path().join("root"))?,
            (_, None) => return Err("SNPFORGE_TEST_ROOTS does not name a folder with root file systems".to_owned()),
            (name, Some(roots)) => roots.join(name),
        };
        if !folder.join("bin").is_dir() {
            return Err(format!("{} is no root file system", folder.display()));
        }
        std::fs::create_dir(scratch.path().join("work")).map_err(|error| error.to_string())?;
        Ok(Root { folder, programs, scratch })
    }

    /// The folder that is the working folder inside.
    pub fn scratch(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    /// What `command`, a program of the bundle and its arguments, prints. Any other end than success is a failure.
    pub fn run(&self, command: &[&str]) -> Result<String, Failed> {
        self.run_with(command, "")
    }

    /// The same with `input` on its standard input.
    pub fn run_with(&self, command: &[&str], input: &str) -> Result<String, Failed> {
        let log = self.scratch.path().join("log");
        let output = std::fs::File::create(&log)?;
        let mut child = Command::new("bwrap")
            .args(["--unshare-all", "--die-with-parent", "--clearenv", "--ro-bind"])
            .args([self.folder.as_path(), Path::new("/")])
            .args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind"])
            .args([self.programs.as_path(), Path::new(PROGRAMS)])
            .arg("--bind")
            .args([self.scratch().as_path(), Path::new("/tmp/work")])
            .args(["--chdir", "/tmp/work", &format!("{PROGRAMS}/bin/{}", command[0])])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        // A program that ended early says so by its status.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let start = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status.to_string(),
                None if start.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    break format!("not done within {} s", PATIENCE.as_secs());
                }
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        if status == "exit status: 0" { Ok(text) } else { Err(format!("{command:?}: {status}\n{text}").into()) }
    }
}

fn busybox_only(folder: &Path) -> Result<PathBuf, String> {
    works(Command::new(BUSYBOX).arg("true"))
        .map_err(|reason| format!("{BUSYBOX} (package busybox-static): {reason}"))?;
    let make = || {
        for name in ["bin", "proc", "dev", "tmp"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        std::fs::copy(BUSYBOX, folder.join("bin/busybox"))
    };
    make().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))?;
    Ok(folder.to_path_buf())
}

fn works(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
