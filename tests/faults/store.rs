//! What a store must look like after any run, however it ended.

use snpforge::digest::Digest;
use std::path::{Path, PathBuf};

/// The files of a folder by path below it; none where it does not exist.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files = walk.filter(|entry| !entry.file_type().is_dir());
    files.map(|entry| entry.path().strip_prefix(folder).unwrap().to_owned()).collect()
}

/// Asserts that nothing is half-made but the partial files, and gives these with their lengths.
pub fn check(store: &Path) -> Vec<(Digest, u64)> {
    let mut partial = Vec::new();
    for path in files(store) {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let whole = store.join(&path);
        match parts.as_slice() {
            ["blobs", folder, name] => {
                let found = Digest::of(&std::fs::read(&whole).unwrap()).to_string();
                assert_eq!((*folder, *name), (&found[..2], found.as_str()), "a blob under another name");
            }
            ["actions", key] => {
                key.parse::<Digest>().unwrap();
                serde_json::from_slice::<serde_json::Value>(&std::fs::read(&whole).unwrap()).unwrap();
            }
            ["partial", name] => {
                let length = std::fs::metadata(&whole).unwrap().len();
                assert!(length > 0, "an empty partial file stays");
                partial.push((name.parse().unwrap(), length));
            }
            // Who fetches into a repository holds this open; it is empty.
            ["git", name] if name.ends_with(".lock") => assert_eq!(std::fs::metadata(&whole).unwrap().len(), 0),
            ["git", repository, inside @ ..] => {
                let odd = inside.iter().any(|part| part.starts_with("tmp_") || part.ends_with(".lock"));
                assert!(repository.ends_with(".git") && !odd, "{} stays", path.display());
            }
            _ => panic!("{} stays in the store", path.display()),
        }
    }
    partial
}
