//! The `stable-commits` file of AMD's build scripts (AMDSEV), and `source-config` in our own bundles, which has the same
//! names: shell assignments that say from which repositories and branches they build. Read, never run.

use super::{Release, Source};
use crate::component::Component;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// The release whose image, extra sources and build options an imported one gets.
pub const TEMPLATE: &str = "amd";

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its repository.
    pub url: String,
    /// Branch, tag or commit.
    pub rev: String,
}

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StableCommits(pub BTreeMap<Component, Origin>);

/// What a variable names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Url,
    Rev,
}

/// The variables. One repository for both kernels is the older form.
const VARIABLES: [(&str, &[Component], Part); 9] = [
    ("KERNEL_GIT_URL", &[Component::KernelHost, Component::KernelGuest], Part::Url),
    ("KERNEL_HOST_GIT_URL", &[Component::KernelHost], Part::Url),
    ("KERNEL_HOST_BRANCH", &[Component::KernelHost], Part::Rev),
    ("KERNEL_GUEST_GIT_URL", &[Component::KernelGuest], Part::Url),
    ("KERNEL_GUEST_BRANCH", &[Component::KernelGuest], Part::Rev),
    ("QEMU_GIT_URL", &[Component::Qemu], Part::Url),
    ("QEMU_BRANCH", &[Component::Qemu], Part::Rev),
    ("OVMF_GIT_URL", &[Component::Ovmf], Part::Url),
    ("OVMF_BRANCH", &[Component::Ovmf], Part::Rev),
];

/// The variables for a component's repository and branch, as newer files name them.
pub fn variables(component: Component) -> (&'static str, &'static str) {
    let name = |part: Part| {
        VARIABLES.iter().find(|(_, of, which)| *of == [component] && *which == part).map_or("", |(name, ..)| *name)
    };
    (name(Part::Url), name(Part::Rev))
}

impl StableCommits {
    /// Reads the file; `name` is shown in errors.
    ///
    /// # Errors
    /// [`Kind::Document`] with the line of what is no plain assignment of a known variable, and for a component of which
    /// only one half is said.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut values: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let refuse = |cause: String, remedy: &str| {
                Err(Error::new(Kind::Document, format!("{name}:{number}"), cause).remedy(remedy))
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((variable, value)) = line.split_once('=') else {
                return refuse(format!("`{line}` is no assignment"), "write NAME=\"VALUE\"");
            };
            let known = VARIABLES.iter().map(|(known, ..)| *known);
            let Some(variable) = known.clone().find(|known| *known == variable) else {
                let all: Vec<&str> = known.collect();
                return refuse(format!("variable `{variable}` is not known"), &format!("it may be {}", all.join(", ")));
            };
            let value = match word(value) {
                Ok(value) => value,
                Err(cause) => return refuse(format!("{variable} {cause}"), "write NAME=\"VALUE\""),
            };
            if let Some((first, _)) = values.get(variable) {
                return refuse(format!("{variable} is set again, after line {first}"), "leave one of the two lines");
            }
            if let Some((cause, remedy)) = odd(variable, &value) {
                return refuse(format!("{variable} is `{value}`, {cause}"), remedy);
            }
            values.insert(variable, (number, value));
        }
        Self::join(name, &values)
    }

    fn join(name: &str, values: &BTreeMap<&str, (usize, String)>) -> Result<Self> {
        let mut made = BTreeMap::new();
        for component in Component::ALL {
            let (url_name, rev_name) = variables(component);
            let of = |variable: &str| values.get(variable).map(|(_, value)| value.clone());
            let shared = if component.role().is_some() { of("KERNEL_GIT_URL") } else { None };
            match (of(url_name).or(shared.clone()), of(rev_name)) {
                (Some(url), Some(rev)) => drop(made.insert(component, Origin { url, rev })),
                // A repository for both kernels, and a branch for one of them.
                (None, None) => {}
                (Some(_), None) if shared.is_some() => {}
                (url, _) => {
                    let missing = if url.is_none() { url_name } else { rev_name };
                    return Err(Error::new(Kind::Document, name, format!("says half of {component}: no {missing}"))
                        .remedy(format!("add {missing}=\"...\"")));
                }
            }
        }
        if made.is_empty() {
            return Err(Error::new(Kind::Document, name, "names no component")
                .remedy("give the stable-commits file of AMDSEV, or the source-config of a bundle"));
        }
        Ok(StableCommits(made))
    }

    /// A release that builds what the file names, and is like `template` in all that the file does not say.
    ///
    /// # Errors
    /// [`Kind::Document`] when the template lacks a named component.
    pub fn release(&self, template: &Release, summary: String) -> Result<Release> {
        let mut made = Release { summary, ..template.clone() };
        for component in Component::ALL {
            let origin = self.0.get(&component);
            let Some(source) = made.source_mut(component) else {
                if origin.is_some() {
                    return Err(Error::new(
                        Kind::Document,
                        format!("releases/{TEMPLATE}.toml"),
                        format!("does not declare {component}"),
                    )
                    .remedy("restore it: imported releases are made after it"));
                }
                continue;
            };
            match origin {
                Some(Origin { url, rev }) => {
                    let without_submodules = match source {
                        Source::Git { without_submodules, .. } => without_submodules.clone(),
                        _ => Vec::new(),
                    };
                    *source = Source::Git { url: url.clone(), rev: rev.clone(), version: None, without_submodules };
                }
                None => made.drop_component(component),
            }
        }
        Ok(made)
    }
}

/// Values that our own source-config has where the source was no git repository.
fn odd(variable: &str, value: &str) -> Option<(&'static str, &'static str)> {
    let recipe = "a bundle's own `recipe/` builds it again: `snpforge build --project recipe --locked --package`, with the \
                  --release and --profile that its manifest.json names";
    if value.is_empty() {
        return Some(("which is nothing", "name a repository or branch, or remove the lines of this component"));
    }
    if variable.ends_with("_URL") {
        let git = value.contains('/') || value.contains('@');
        return (!git).then_some(("which is no git repository", recipe));
    }
    (value.starts_with("sha256:") || value == "UNPINNED").then_some(("which is no git branch or commit", recipe))
}

/// The value of an assignment as a shell reads it, if it needs no shell to know it.
fn word(text: &str) -> std::result::Result<String, String> {
    let mut made = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => loop {
                match rest.next() {
                    Some(inner) if inner == c => break,
                    Some('$' | '`' | '\\') if c == '"' => return Err("is computed by a shell".into()),
                    Some(inner) => made.push(inner),
                    None => return Err("has a quote that does not end".into()),
                }
            },
            '\\' => made.extend(rest.next()),
            '$' | '`' => return Err("is computed by a shell".into()),
            c if c.is_whitespace() => {
                let after = rest.as_str().trim_start();
                return match after.is_empty() || after.starts_with('#') {
                    true => Ok(made),
                    false => Err(format!("is followed by `{after}`")),
                };
            }
            ';' | '&' | '|' | '(' | ')' | '<' | '>' => return Err(format!("is followed by `{c}{}`", rest.as_str())),
            c => made.push(c),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;

    const AMD: &str = include_str!("../../releases/amd.toml");

    /// As AMD's branch snp-latest has it.
    const SEED: &str = "#\n# Repos/Branches for SEV-SNP support\n#\n\n# hypervisor commit\n\
        KERNEL_GIT_URL=\"https://github.com/AMDESE/linux.git\"\nKERNEL_HOST_BRANCH=\"snp-host-latest\"\n\
        KERNEL_GUEST_BRANCH=\"snp-guest-latest\"\n\n# qemu commit\n\
        QEMU_GIT_URL=\"https://github.com/AMDESE/qemu.git\"\nQEMU_BRANCH=\"snp-latest\"\n\n# guest bios\n\
        OVMF_GIT_URL=\"https://github.com/AMDESE/ovmf.git\"\nOVMF_BRANCH=\"snp-latest\"\n";

    fn amd() -> Release {
        Release::parse("amd.toml", AMD).unwrap()
    }

    #[test]
    fn the_seeds_own_file_is_the_release_amd() {
        let read = StableCommits::parse("stable-commits", SEED).unwrap();
        let made = read.release(&amd(), amd().summary).unwrap();
        assert_eq!(made, amd());
        let text = document::render("x", "# head\n", &made).unwrap();
        assert_eq!(Release::parse("x.toml", &text).unwrap(), made, "{text}");
    }

    #[test]
    fn what_is_not_named_is_not_built_and_the_rest_is_as_in_amd() {
        let text = "KERNEL_GIT_URL=https://h/linux.git # both\nKERNEL_GUEST_BRANCH='v6.16'\n\
            OVMF_GIT_URL='http://h/it'\\''s.git'\nOVMF_BRANCH=\"edk2-stable202302\"\n";
        let made = StableCommits::parse("f", text).unwrap().release(&amd(), "s".into()).unwrap();
        assert_eq!(made.components(), [Component::KernelGuest, Component::Ovmf]);
        let ovmf = made.ovmf.unwrap();
        assert_eq!(ovmf.defines, amd().ovmf.unwrap().defines);
        let Source::Git { url, rev, without_submodules, .. } = ovmf.source else { panic!("{:?}", ovmf.source) };
        assert_eq!((url.as_str(), rev.as_str()), ("http://h/it's.git", "edk2-stable202302"));
        assert!(without_submodules.iter().any(|path| path.ends_with("cmocka")));
        assert!(made.preview.is_some());
    }

    #[test]
    fn a_bad_line_is_named() {
        for (line, cause, remedy) in [
            ("nonsense", "`nonsense` is no assignment", "NAME=\"VALUE\""),
            ("MY_BRANCH=\"x\"", "variable `MY_BRANCH` is not known", "KERNEL_HOST_BRANCH"),
            ("export QEMU_BRANCH=\"x\"", "variable `export QEMU_BRANCH` is not known", "QEMU_BRANCH"),
            ("QEMU_BRANCH=\"a\" b", "is followed by `b`", "NAME=\"VALUE\""),
            ("QEMU_BRANCH=a;rm -rf x", "is followed by `;rm -rf x`", "NAME=\"VALUE\""),
            ("QEMU_BRANCH=\"$(date)\"", "is computed by a shell", "NAME=\"VALUE\""),
            ("QEMU_BRANCH=`date`", "is computed by a shell", "NAME=\"VALUE\""),
            ("QEMU_BRANCH=\"a", "quote that does not end", "NAME=\"VALUE\""),
            ("QEMU_BRANCH=", "which is nothing", "remove the lines"),
            ("KERNEL_HOST_BRANCH=x", "set again, after line 7", "leave one"),
            ("QEMU_GIT_URL='debian-13:qemu'", "no git repository", "recipe/"),
            ("QEMU_BRANCH='sha256:00'", "no git branch or commit", "recipe/"),
        ] {
            let text = SEED.lines().filter(|line| !line.starts_with("QEMU")).collect::<Vec<_>>().join("\n");
            let number = text.lines().count() + 1;
            let error = StableCommits::parse("stable-commits", &format!("{text}\n{line}\n")).unwrap_err();
            assert_eq!(
                (error.kind(), error.object()),
                (Kind::Document, &*format!("stable-commits:{number}")),
                "{line}"
            );
            assert!(error.cause().contains(cause), "{line}: {error}");
            assert!(error.remedy_text().unwrap().contains(remedy), "{line}: {error:?}");
        }
    }

    #[test]
    fn half_a_component_and_nothing_at_all() {
        let cause = |text: &str| StableCommits::parse("f", text).unwrap_err().to_string();
        assert_eq!(cause("QEMU_GIT_URL=https://h/q\n"), "f: says half of qemu: no QEMU_BRANCH");
        assert_eq!(cause("KERNEL_HOST_BRANCH=x\n"), "f: says half of kernel-host: no KERNEL_HOST_GIT_URL");
        assert_eq!(cause("# nothing\n"), "f: names no component");
        assert_eq!(cause("KERNEL_GIT_URL=https://h/l\n"), "f: names no component");
    }
}
