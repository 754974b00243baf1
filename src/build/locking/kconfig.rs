//! Which options a kernel's sources know: what a new version has dropped shows before the first build. Reads Kconfig files
//! of a normalised source tar as far as `config NAME` lines go; what depends on what, only the kernel's own build knows.

use crate::component::Component;
use crate::difference::{Difference, State, config};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::project::Project;
use crate::store::Store;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// For every kernel whose source moved: how many options came and went, and which of those that the project's fragments name
/// are new to it or not known to it any more. Empty for sources that are not in the store.
///
/// # Errors
/// [`crate::error::Kind::Io`] when a source or fragment cannot be read.
pub fn moved(difference: &Difference, store: &Store, project: &Project) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    // Both kernels often come from one source.
    let mut read: BTreeMap<Digest, Option<BTreeSet<String>>> = BTreeMap::new();
    for source in difference.sources.iter().filter(|source| source.folder == LINUX) {
        let digest = |state: &Option<State>| state.as_ref().and_then(|state| state.digest);
        let (Some(old), Some(new)) = (digest(&source.old), digest(&source.new)) else { continue };
        if old == new {
            continue;
        }
        for one in [old, new] {
            if let Entry::Vacant(room) = read.entry(one) {
                room.insert(known(&one, store)?);
            }
        }
        let (Some(Some(old)), Some(Some(new))) = (read.get(&old), read.get(&new)) else { continue };
        let (come, gone) = (new.difference(old).count(), old.difference(new).count());
        lines.push(format!("{}: {come} options of its configuration have come, {gone} are gone", source.component));
        let wished = wished(source.component, project)?;
        let named = |mark: char, names: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
            let named = wished.iter().filter(|name| names.contains(*name) && !other.contains(*name));
            named.map(|name| format!("  {mark} {name}, which the fragments name")).collect()
        };
        lines.extend(named('-', old, new));
        lines.extend(named('+', new, old));
    }
    Ok(lines)
}

/// The folder of a kernel's main source.
const LINUX: &str = "linux";

/// The options that the fragments of the kernels' recipe name.
fn wished(component: Component, project: &Project) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in project.folder(&format!("images/{}/config", component.family()))? {
        names.extend(config::options(&String::from_utf8_lossy(&file.content)).into_keys());
    }
    Ok(names)
}

/// The names of all options, as `CONFIG_X`; `None` when the source is not in the store.
///
/// # Errors
/// [`crate::error::Kind::Io`] when it cannot be read.
pub fn known(source: &Digest, store: &Store) -> Result<Option<BTreeSet<String>>> {
    if !store.contains(source) {
        return Ok(None);
    }
    let path = store.path(source);
    let failed = |error| Error::io(&path, "read", error);
    let mut archive = tar::Archive::new(File::open(&path).map_err(failed)?);
    let mut names = BTreeSet::new();
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if !name.starts_with(b"Kconfig") || !entry.header().entry_type().is_file() {
            continue;
        }
        for line in BufReader::new(entry).split(b'\n') {
            names.extend(option(&line.map_err(failed)?));
        }
    }
    Ok(Some(names))
}

/// The option that a line of a Kconfig file defines.
fn option(line: &[u8]) -> Option<String> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let keyword = words.next()?;
    let name = words.next().filter(|_| [b"config".as_slice(), b"menuconfig"].contains(&keyword))?;
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (plain && words.next().is_none_or(|rest| rest.starts_with(b"#")))
        .then(|| format!("CONFIG_{}", String::from_utf8_lossy(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::SourceChange;
    use crate::tarball::{Attributes, Writer};

    /// A kernel's source in the store, with this Kconfig file.
    fn kernel(store: &Store, kconfig: &str) -> State {
        let plain = Attributes { mode: 0o644, mtime: 1, owner: 0 };
        let mut tar = Writer::new(Vec::new());
        for (path, text) in [("linux/README", "config NO_OPTION\n"), ("linux/drivers/Kconfig.x", kconfig)] {
            tar.file(path.as_bytes(), plain, text.len() as u64, &mut text.as_bytes()).unwrap();
        }
        let digest = store.put(&tar.finish().unwrap()).unwrap();
        State { version: "1".into(), pin: String::new(), url: None, reference: None, digest: Some(digest) }
    }

    #[test]
    fn what_came_and_went_is_counted_and_what_fragments_name_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let fragment = folder.path().join("images/kernel/config/host.config");
        crate::store::files::write_whole(&fragment, b"CONFIG_GONE=y\n# CONFIG_COME is not set\nCONFIG_SAME=m\n")
            .unwrap();
        crate::store::files::make_folder(&folder.path().join("releases")).unwrap();
        let project = Project::find(folder.path()).unwrap();
        let (old, new) = ("config GONE\nconfig SAME\nconfig OLD\n", "config SAME\nconfig COME\nmenuconfig NEW\n");
        let (old, new) = (kernel(&store, old), kernel(&store, new));
        let change = |component, folder: &str, old: &State| SourceChange {
            component,
            folder: folder.into(),
            old: Some(old.clone()),
            new: Some(new.clone()),
            submodules: Vec::new(),
            commits: None,
        };
        let sources = vec![
            change(Component::KernelHost, "linux", &old),
            change(Component::KernelGuest, "linux", &new),
            change(Component::Qemu, "qemu", &old),
        ];
        let mut difference = Difference { sources, ..Difference::default() };
        let expected = [
            "kernel-host: 2 options of its configuration have come, 2 are gone",
            "  - CONFIG_GONE, which the fragments name",
            "  + CONFIG_COME, which the fragments name",
        ];
        assert_eq!(moved(&difference, &store, &project).unwrap(), expected);
        // Of a source that is not at hand nothing is said.
        let digest = Some(Digest::of(b"elsewhere"));
        difference.sources[0].old = Some(State { digest, ..old });
        assert_eq!(moved(&difference, &store, &project).unwrap(), [""; 0]);
    }

    #[test]
    fn lines_that_define_options() {
        let found = |line: &str| option(line.as_bytes());
        assert_eq!(found("config KVM_AMD_SEV").as_deref(), Some("CONFIG_KVM_AMD_SEV"));
        assert_eq!(found("\tmenuconfig  64BIT # wide").as_deref(), Some("CONFIG_64BIT"));
        for line in ["", "\tbool \"config X\"", "\t  config X or so", "endmenu", "configs X", "config $(X)", "config"] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
