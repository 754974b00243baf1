//! A kernel's resolved configuration as options.

use std::collections::BTreeMap;

/// The options of a `.config`: what is set, by name. `n` stands for `# CONFIG_X is not set`; an option that is not there at
/// all has dependencies that are not met.
pub fn options(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(option).collect()
}

fn option(line: &str) -> Option<(String, String)> {
    if let Some(name) = line.strip_prefix("# CONFIG_").and_then(|rest| rest.strip_suffix(" is not set")) {
        return Some((format!("CONFIG_{name}"), "n".to_owned()));
    }
    let (name, value) = line.split_once('=')?;
    name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
}
