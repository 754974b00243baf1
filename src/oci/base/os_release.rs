//! os-release(5): variables as a shell would read them.

use std::collections::BTreeMap;

/// The variables of the file. What is no assignment says nothing.
pub(super) fn read(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

fn unquoted(value: &str) -> String {
    let single = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(inner) = single {
        return inner.to_owned();
    }
    let double = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut read = String::new();
    let mut characters = double.unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => read.extend(characters.next()),
            other => read.push(other),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_and_without_quotes() {
        let found = read("# x\nID=ubuntu\nVERSION_ID=\"22.04\"\nNAME='a b'\nHOME=\"a\\\"b\"\n\nno assignment\n");
        let pairs: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("HOME", "a\"b"), ("ID", "ubuntu"), ("NAME", "a b"), ("VERSION_ID", "22.04")]);
    }
}
