//! The version that a tree says of itself, so that a lock of a moving branch tells more than a commit: Linux' Makefile
//! or a file VERSION, as QEMU has it. Other trees (edk2) say none.

use super::{Entry, EntryKind};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::source::Workshop;
use std::io::Read;

/// More of a file is not looked at: both kinds say it at the beginning.
const LOOKED_AT: u64 = 4096;

/// How a file's text says a version.
type Reading = fn(&str) -> Option<String>;

/// Files at the top of a tree that may say its version, and how each is read.
const FILES: [(&[u8], Reading); 2] = [(b"Makefile", makefile), (b"VERSION", plain)];

impl Workshop<'_> {
    /// The version that the tree of a commit which was brought says of itself.
    pub(super) fn own_version(&self, url: &str, commit: &str) -> Result<Option<String>> {
        let entries = self.git.tree(url, commit, self.cancel)?;
        for (name, read) in FILES {
            let regular = |entry: &&Entry| matches!(entry.kind, EntryKind::File | EntryKind::Executable);
            let Some(entry) = entries.iter().filter(regular).find(|entry| entry.path == name) else { continue };
            let text = self.beginning(url, &entry.hash, self.cancel)?;
            if let Some(version) = read(&text) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    fn beginning(&self, url: &str, blob: &str, cancel: &Cancel) -> Result<String> {
        let mut bytes = Vec::new();
        let mut take = |_: usize, content: &mut dyn Read| {
            let failed = |error| Error::new(Kind::Io, url, error);
            content.take(LOOKED_AT).read_to_end(&mut bytes).map_err(failed)?;
            std::io::copy(content, &mut std::io::sink()).map_err(failed)?;
            Ok(())
        };
        self.git.blobs(url, &[blob], &mut take, cancel)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// `VERSION = 6`, `PATCHLEVEL = 6`, `SUBLEVEL = 0`, `EXTRAVERSION = -rc1`.
fn makefile(text: &str) -> Option<String> {
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('=').map(str::trim))
    };
    let numbers = [value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?];
    plain(&format!("{}{}", numbers.join("."), value("EXTRAVERSION")?))
}

/// One line that is a version: numbers and dots, then perhaps letters (`6.6.0-rc1`).
fn plain(text: &str) -> Option<String> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let end = line.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(line.len());
    let (numbers, rest) = line.split_at(end);
    let numbers_good = numbers.contains('.') && numbers.split('.').all(|part| !part.is_empty());
    let rest_good = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    (numbers_good && rest_good && line.len() <= 40).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_and_qemu_say_their_version() {
        let linux = "# SPDX\nVERSION = 6\nPATCHLEVEL = 6\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\nNAME = Hurr\n";
        assert_eq!(makefile(linux).as_deref(), Some("6.6.0-rc1"));
        assert_eq!(makefile(&linux.replace("-rc1", "")).as_deref(), Some("6.6.0"));
        assert_eq!(makefile(&linux.replace("= 6\n", "= $(shell date)\n")), None);
        assert_eq!(makefile("all:\n\tcc x.c\n"), None);
        assert_eq!(plain("8.2.0\n").as_deref(), Some("8.2.0"));
        for wrong in ["", "8", "main\n", "8.\n", ".8\n", "8.2\n9.1\n", "8.2 x\n", "8.2/../x\n"] {
            assert_eq!(plain(wrong), None, "{wrong:?}");
        }
    }
}
