//! The package database that dpkg would have written: every package `install ok installed`, so that
//! dpkg-query, dpkg-checkbuilddeps and `dpkg --audit` see a complete system although no maintainer script ran.

use super::decode::Unpacked;
use crate::deb::Stanza;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Where the database is.
pub(super) const FOLDER: &str = "var/lib/dpkg";

/// What grows with every package and is written at the end.
#[derive(Default)]
pub(super) struct Database {
    /// Paragraphs of the status file by name and architecture.
    status: BTreeMap<(String, String), String>,
    /// Packages that wait for a file to change, by the lines of `triggers/File`.
    file_triggers: Vec<String>,
    /// Packages that wait for a named event.
    triggers: BTreeMap<String, Vec<String>>,
    /// Paths that were moved aside for another package.
    diversions: String,
}

/// A file of the database: path, mode, content.
pub(super) type Made = (String, u32, Vec<u8>);

impl Database {
    /// Takes a package in and gives the files of its own, sorted by path. `lost` tells which of its listed paths
    /// another package has taken over.
    pub(super) fn add(&mut self, package: Unpacked, lost: &dyn Fn(&[u8]) -> bool) -> Vec<Made> {
        let Unpacked { stanza, files, list, conffiles, .. } = package;
        let field = |name: &str| stanza.get(name).unwrap_or_default();
        let name = stem(&stanza);
        let key = (field("Package").to_owned(), field("Architecture").to_owned());
        self.status.insert(key, paragraph(&stanza, &conffiles));
        if let Some(file) = files.get("triggers") {
            self.interests(&name, &String::from_utf8_lossy(&file.content));
        }
        let mut made: Vec<Made> = files
            .into_iter()
            .map(|(file, content)| (format!("{FOLDER}/info/{name}.{file}"), content.mode, content.content))
            .collect();
        made.push((format!("{FOLDER}/info/{name}.list"), 0o644, listed(&list, lost)));
        made.sort();
        made
    }

    /// Takes a package in that another tool has installed: its paragraph as it is, and what it waits for.
    pub(super) fn keep(&mut self, key: (String, String), paragraph: String, stem: &str, triggers: &str) {
        self.status.insert(key, paragraph);
        self.interests(stem, triggers);
    }

    /// Sets the diversions.
    pub(super) fn divert(&mut self, diversions: String) {
        self.diversions = diversions;
    }

    /// The files of the whole database, sorted by path.
    pub(super) fn finish(self) -> Vec<Made> {
        let text = |name: &str, text: String| (format!("{FOLDER}/{name}"), 0o644, text.into_bytes());
        let mut made = vec![
            text("available", String::new()),
            text("diversions", self.diversions),
            text("info/format", "1\n".into()),
            text("statoverride", String::new()),
            text("status", self.status.into_values().collect()),
            text("triggers/File", self.file_triggers.concat()),
            text("triggers/Unincorp", String::new()),
        ];
        made.extend(self.triggers.into_iter().map(|(name, lines)| text(&format!("triggers/{name}"), lines.concat())));
        made.sort();
        made
    }

    /// deb-triggers(5): what a package wants to be told about. Packages come in a fixed order, so the lines do.
    fn interests(&mut self, package: &str, text: &str) {
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
            let wait = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            if trigger.starts_with('/') {
                self.file_triggers.push(format!("{trigger} {package}{wait}\n"));
            } else if trigger.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') && !trigger.starts_with('.') {
                self.triggers.entry(trigger.to_owned()).or_default().push(format!("{package}{wait}\n"));
            }
        }
    }
}

/// The folders of the database that may stay empty.
pub(super) const FOLDERS: [&str; 5] = ["alternatives", "info", "parts", "triggers", "updates"];

/// The name of a package's own files in the database: one that several architectures can be installed of at once is known
/// by both.
pub(super) fn stem(stanza: &Stanza) -> String {
    let field = |name: &str| stanza.get(name).unwrap_or_default();
    match field("Multi-Arch") {
        "same" => format!("{}:{}", field("Package"), field("Architecture")),
        _ => field("Package").to_owned(),
    }
}

/// A paragraph of the status file, with the empty line after it.
fn paragraph(stanza: &Stanza, conffiles: &[(String, String)]) -> String {
    let mut made = format!("Package: {}\nStatus: install ok installed\n", stanza.get("Package").unwrap_or_default());
    for (name, value) in stanza.fields() {
        // Fields that dpkg alone writes must not come from a package.
        if ["Package", "Status", "Conffiles", "Config-Version"].iter().any(|own| own.eq_ignore_ascii_case(name)) {
            continue;
        }
        let space = if value.is_empty() || value.starts_with('\n') { "" } else { " " };
        let _ = writeln!(made, "{name}:{space}{value}");
    }
    if !conffiles.is_empty() {
        made.push_str("Conffiles:\n");
        for (path, sum) in conffiles {
            let _ = writeln!(made, " {path} {sum}");
        }
    }
    made.push('\n');
    made
}

/// A .list file: paths as the package has them, without those another package keeps.
fn listed(list: &[Vec<u8>], lost: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut made = b"/.\n".to_vec();
    for path in list.iter().filter(|path| !lost(path)) {
        made.push(b'/');
        made.extend_from_slice(path);
        made.push(b'\n');
    }
    made
}
