//! Git repositories: the other door to the network. A commit is fetched by its hash, its tree read object by object
//! (`git archive` would obey export-subst and export-ignore, which change bytes), submodules follow their gitlinks.
//!
//! The `git` program is called, because users' ssh keys, credentials and proxies live there; nothing else of the
//! machine's configuration is read.

use super::normal::Tree;
use super::{Made, Workshop};
use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::lock::{Pin, SubmoduleLock};
use crate::store::files;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Mode as git writes it: `100644`, `100755`, `120000`, `160000`.
    pub mode: String,
    /// Object hash; for a gitlink the submodule's commit.
    pub object: String,
    /// Path in the tree.
    pub path: Vec<u8>,
}

/// What this project needs of git.
pub trait Git {
    /// The commit that a ref of a repository names now.
    ///
    /// # Errors
    /// [`Kind::Gone`] when there is no such ref, [`Kind::Unavailable`] when the repository does not answer.
    fn resolve(&self, url: &str, reference: &str, cancel: &Cancel) -> Result<String>;
    /// Brings a commit of a repository here; `reference` is tried where a server refuses hashes.
    ///
    /// # Errors
    /// [`Kind::Gone`] when the repository does not have it, [`Kind::Unavailable`] when it does not answer.
    fn fetch(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()>;
    /// Tree hash and date of a commit that was fetched.
    ///
    /// # Errors
    /// [`Kind::Io`] when git cannot tell.
    fn commit(&self, url: &str, commit: &str) -> Result<(String, Epoch)>;
    /// All entries of a commit's tree, folders aside.
    ///
    /// # Errors
    /// [`Kind::Io`] when git cannot tell.
    fn entries(&self, url: &str, commit: &str) -> Result<Vec<Entry>>;
    /// Hands out the content of objects, in order.
    ///
    /// # Errors
    /// [`Kind::Io`] when an object is missing, or what `take` fails with.
    fn contents(
        &self,
        url: &str,
        objects: &[&str],
        take: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>,
    ) -> Result<()>;
}

/// What a lock says of a git source.
pub struct Pinned<'a> {
    /// Where it is.
    pub url: &'a str,
    /// The ref it was resolved from.
    pub reference: Option<&'a str>,
    /// Commit hash.
    pub commit: &'a str,
    /// Tree hash.
    pub tree: &'a str,
    /// Submodules that are part of the source.
    pub submodules: &'a [SubmoduleLock],
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Version and pin of what `rev` names now.
///
/// # Errors
/// As [`Workshop::resolve`].
pub fn pin(workshop: &Workshop<'_>, url: &str, rev: &str, without: &[String]) -> Result<(String, Pin)> {
    let (commit, reference) = if is_commit(rev) {
        (rev.to_ascii_lowercase(), None)
    } else {
        (workshop.git.resolve(url, rev, workshop.cancel)?, Some(rev.to_owned()))
    };
    workshop.git.fetch(url, &commit, reference.as_deref(), workshop.cancel)?;
    let (tree, _) = workshop.git.commit(url, &commit)?;
    let mut submodules = Vec::new();
    find_submodules(workshop, url, &commit, "", without, &mut submodules)?;
    submodules.sort();
    let version = commit.chars().take(12).collect();
    Ok((version, Pin::Git { url: url.to_owned(), reference, commit, tree, submodules }))
}

/// The deepest nesting of submodules that is followed; a cycle is longer than any real tree.
const DEEPEST: usize = 8;

fn find_submodules(
    workshop: &Workshop<'_>,
    url: &str,
    commit: &str,
    at: &str,
    without: &[String],
    found: &mut Vec<SubmoduleLock>,
) -> Result<()> {
    if at.matches('/').count() > DEEPEST * 8 || found.len() > 1000 {
        return Err(Error::new(Kind::Document, url, "its submodules go in a circle")
            .remedy("list the one that closes it in without-submodules"));
    }
    let entries = workshop.git.entries(url, commit)?;
    let links: Vec<&Entry> = entries.iter().filter(|entry| entry.mode == "160000").collect();
    if links.is_empty() {
        return Ok(());
    }
    let modules = entries.iter().find(|entry| entry.path == b".gitmodules");
    let mut text = String::new();
    if let Some(modules) = modules {
        workshop.git.contents(url, &[&modules.object], &mut |_, content| {
            content
                .read_to_string(&mut text)
                .map(drop)
                .map_err(|error| Error::new(Kind::Document, ".gitmodules", error))
        })?;
    }
    for link in links {
        let path = String::from_utf8_lossy(&link.path).into_owned();
        let whole = if at.is_empty() { path.clone() } else { format!("{at}/{path}") };
        if without.contains(&whole) {
            continue;
        }
        let named = submodule_url(&text, &path).ok_or_else(|| {
            Error::new(Kind::Document, format!("submodule {whole} of {url}"), "has no url in .gitmodules")
                .remedy(format!("if the build does not need it, list \"{whole}\" in without-submodules"))
        })?;
        let target = relative(url, &named);
        workshop.git.fetch(&target, &link.object, None, workshop.cancel).map_err(|error| {
            let told = format!(
                "submodule {whole} of {url} cannot be had: commit {} of {target}: {}",
                link.object,
                error.cause()
            );
            Error::new(error.kind(), format!("submodule {whole}"), told)
                .remedy(format!("if the build does not need it, list \"{whole}\" in without-submodules"))
                .because(error)
        })?;
        found.push(SubmoduleLock { path: whole.clone(), url: target.clone(), commit: link.object.clone() });
        find_submodules(workshop, &target, &link.object, &whole, without, found)?;
    }
    Ok(())
}

/// The url that `.gitmodules` gives for a path.
fn submodule_url(text: &str, path: &str) -> Option<String> {
    let mut sections: Vec<(Option<&str>, Option<&str>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections.push((None, None));
        } else if let (Some((key, value)), Some(section)) = (line.split_once('='), sections.last_mut()) {
            match key.trim() {
                "path" => section.0 = Some(value.trim()),
                "url" => section.1 = Some(value.trim()),
                _ => {}
            }
        }
    }
    sections.into_iter().find(|(found, _)| *found == Some(path)).and_then(|(_, url)| url.map(str::to_owned))
}

/// A submodule's url; `./` and `../` start from the repository that holds it (gitmodules(5)).
fn relative(base: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let (mut base, mut rest) = (base.trim_end_matches('/').to_owned(), url);
    loop {
        if let Some(tail) = rest.strip_prefix("./") {
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("../") {
            rest = tail;
            base.truncate(base.rfind(['/', ':']).unwrap_or(0));
        } else {
            return format!("{base}/{rest}");
        }
    }
}

/// Makes the normalised tar of a pinned commit with its submodules.
///
/// # Errors
/// As [`Workshop::resolve`]; [`Kind::Trust`] when the commit's tree is not the one in the lock.
pub fn make(workshop: &Workshop<'_>, folder: &str, pinned: &Pinned<'_>) -> Result<Made> {
    let mut tree = Tree::new(pinned.url, workshop.store)?;
    let epoch = add(workshop, &mut tree, pinned.url, pinned.commit, pinned.reference, "")?;
    let (found, _) = workshop.git.commit(pinned.url, pinned.commit)?;
    if found != pinned.tree {
        return Err(Error::new(
            Kind::Trust,
            format!("commit {} of {}", pinned.commit, pinned.url),
            format!("has tree {found}, the lock says {}", pinned.tree),
        )
        .remedy("run `snpforge lock --update` and look at the difference"));
    }
    for module in pinned.submodules {
        add(workshop, &mut tree, &module.url, &module.commit, None, &module.path)?;
    }
    tree.date(epoch);
    tree.finish(folder, workshop.store)
}

fn add(
    workshop: &Workshop<'_>,
    tree: &mut Tree,
    url: &str,
    commit: &str,
    reference: Option<&str>,
    at: &str,
) -> Result<Epoch> {
    workshop.git.fetch(url, commit, reference, workshop.cancel)?;
    let (_, epoch) = workshop.git.commit(url, commit)?;
    let entries = workshop.git.entries(url, commit)?;
    let place = |path: &[u8]| if at.is_empty() { path.to_vec() } else { [at.as_bytes(), b"/", path].concat() };
    let (links, blobs): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.mode == "160000");
    for link in links {
        tree.folder(&place(&link.path));
    }
    let objects: Vec<&str> = blobs.iter().map(|entry| entry.object.as_str()).collect();
    workshop.git.contents(url, &objects, &mut |index, content| {
        let entry = blobs[index];
        let path = place(&entry.path);
        if entry.mode == "120000" {
            let mut target = Vec::new();
            content.read_to_end(&mut target).map_err(|error| Error::new(Kind::Io, url, error))?;
            tree.link(&path, &target);
            return Ok(());
        }
        tree.file(&path, entry.mode == "100755", content)
    })?;
    Ok(epoch)
}

/// The `git` program with a bare repository per url in the store.
pub struct Program {
    folder: PathBuf,
    variables: Vec<(String, String)>,
    offline: bool,
}

/// Variables of the user's that git may see: where it finds programs, keys, agents, proxies and certificates.
const PASSED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
];

impl Program {
    /// Git with its repositories below `store`; `offline` closes the door to the network.
    pub fn new(store: &Path, environment: &Environment, offline: bool) -> Self {
        let variables = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), environment.get(name)?.to_owned())));
        Program { folder: store.join("git"), variables: variables.collect(), offline }
    }

    fn repository(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.git", Digest::of(url.as_bytes()).short()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(self.variables.iter().cloned());
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
        ]);
        // `ext::` runs programs; everything that only carries bytes is fine.
        command.env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh");
        command.args(["-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", "-c", "protocol.version=2"]);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.command(arguments).output().map_err(|error| {
            Error::new(Kind::Unavailable, "git", format!("cannot be started: {error}")).remedy("install git")
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let told = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(Error::new(Kind::Unavailable, format!("git {}", arguments.join(" ")), told))
    }

    fn inside(&self, url: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let repository = self.repository(url);
        let folder = format!("--git-dir={}", repository.display());
        let whole: Vec<&str> = std::iter::once(folder.as_str()).chain(arguments.iter().copied()).collect();
        self.run(&whole)
    }

    fn has(&self, url: &str, commit: &str) -> bool {
        self.repository(url).is_dir() && self.inside(url, &["cat-file", "-e", &format!("{commit}^{{tree}}")]).is_ok()
    }

    fn door(&self, url: &str) -> Result<()> {
        if url.starts_with('-') {
            return Err(Error::new(Kind::Document, format!("git url `{url}`"), "starts with `-`")
                .remedy("write the repository's url"));
        }
        if self.offline {
            return Err(Error::new(Kind::Unavailable, format!("git repository {url}"), "is not asked with --offline")
                .remedy("run `snpforge fetch` where there is a network"));
        }
        Ok(())
    }
}

impl Git for Program {
    fn resolve(&self, url: &str, reference: &str, _cancel: &Cancel) -> Result<String> {
        self.door(url)?;
        let listed = self.run(&["ls-remote", "--", url])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let wished = ["refs/tags/", "refs/heads/", ""].map(|prefix| format!("{prefix}{reference}"));
        let find = |name: &str| {
            listed.lines().find_map(|line| {
                line.split_once('\t').filter(|(_, found)| *found == name).map(|(hash, _)| hash.to_owned())
            })
        };
        // An annotated tag is listed a second time with the commit it stands for.
        let found = wished.iter().find_map(|name| find(&format!("{name}^{{}}")).or_else(|| find(name)));
        found.ok_or_else(|| {
            Error::new(Kind::Gone, format!("ref {reference} of {url}"), "does not exist")
                .remedy("see `git ls-remote` for what the repository has")
        })
    }

    fn fetch(&self, url: &str, commit: &str, reference: Option<&str>, cancel: &Cancel) -> Result<()> {
        crate::cancel::check(cancel, url)?;
        if self.has(url, commit) {
            return Ok(());
        }
        self.door(url)?;
        let repository = self.repository(url);
        files::make_folder(&self.folder)?;
        self.run(&["init", "--quiet", "--bare", "--", &repository.to_string_lossy()])?;
        let by_hash = self.inside(url, &["fetch", "--quiet", "--no-tags", "--depth=1", "--", url, commit]);
        if by_hash.is_err() {
            // Servers may refuse hashes that no ref names: then the ref as it was recorded, then everything.
            let named = reference.map(|reference| {
                self.inside(url, &["fetch", "--quiet", "--no-tags", "--depth=1", "--", url, reference])
            });
            if !named.is_some_and(|result| result.is_ok() && self.has(url, commit)) {
                self.inside(url, &["fetch", "--quiet", "--tags", "--", url, "+refs/heads/*:refs/heads/*"]).map_err(
                    |error| {
                        Error::new(Kind::Unavailable, format!("git repository {url}"), error.cause())
                            .remedy("check the url and the network")
                    },
                )?;
            }
        }
        if self.has(url, commit) {
            return Ok(());
        }
        let moved = reference.map_or(String::new(), |reference| match self.resolve(url, reference, cancel) {
            Ok(now) => format!("; {reference} is now {now}"),
            Err(_) => format!("; {reference} does not exist any more"),
        });
        Err(Error::new(
            Kind::Gone,
            format!("commit {commit} of {url}"),
            format!("the repository does not have it{moved}"),
        )
        .remedy("run `snpforge lock --update` and look at the difference"))
    }

    fn commit(&self, url: &str, commit: &str) -> Result<(String, Epoch)> {
        let told = self.inside(url, &["show", "--no-patch", "--no-show-signature", "--format=%T %ct", commit])?;
        let told = String::from_utf8_lossy(&told).trim().to_owned();
        let parsed = told.split_once(' ').and_then(|(tree, date)| Some((tree.to_owned(), Epoch(date.parse().ok()?))));
        parsed.ok_or_else(|| Error::new(Kind::Io, format!("commit {commit}"), format!("git tells `{told}` of it")))
    }

    fn entries(&self, url: &str, commit: &str) -> Result<Vec<Entry>> {
        let listed = self.inside(url, &["ls-tree", "-r", "-z", "--full-tree", commit])?;
        let wrong = || Error::new(Kind::Io, format!("tree of {commit}"), "git lists it in an unknown form");
        let lines = listed.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(wrong)?;
                let head = String::from_utf8_lossy(&line[..tab]).into_owned();
                let mut words = head.split(' ');
                let (Some(mode), Some(_), Some(object)) = (words.next(), words.next(), words.next()) else {
                    return Err(wrong());
                };
                Ok(Entry { mode: mode.into(), object: object.into(), path: line[tab + 1..].to_vec() })
            })
            .collect()
    }

    fn contents(
        &self,
        url: &str,
        objects: &[&str],
        take: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let repository = self.repository(url);
        let failed = |error: std::io::Error| Error::new(Kind::Io, format!("objects of {url}"), error);
        let mut command = self.command(&[&format!("--git-dir={}", repository.display()), "cat-file", "--batch"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let (Some(mut ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(Kind::Io, "git cat-file", "has no pipes"));
        };
        let wished: String = objects.iter().map(|object| format!("{object}\n")).collect();
        let asking = std::thread::spawn(move || ask.write_all(wished.as_bytes()));
        let mut answers = BufReader::with_capacity(256 * 1024, answers);
        for (index, object) in objects.iter().enumerate() {
            let mut head = String::new();
            answers.read_line(&mut head).map_err(failed)?;
            let size: u64 = head.trim().rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(|| {
                Error::new(Kind::Io, format!("object {object} of {url}"), format!("git says `{}`", head.trim()))
            })?;
            let mut content = (&mut answers).take(size);
            take(index, &mut content)?;
            std::io::copy(&mut content, &mut std::io::sink()).map_err(failed)?;
            answers.read_exact(&mut [0]).map_err(failed)?;
        }
        let _asked = asking.join();
        child.wait().map(drop).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodule_urls_are_found_and_made_absolute() {
        let text =
            "[submodule \"a\"]\n\tpath = x/a\n\turl = ../a.git\n[submodule \"b\"]\n\turl = https://h/b\n\tpath = b\n";
        assert_eq!(submodule_url(text, "b").as_deref(), Some("https://h/b"));
        assert_eq!(relative("https://h/o/r.git", &submodule_url(text, "x/a").unwrap()), "https://h/o/a.git");
        assert_eq!(relative("git@h:o/r.git", "../a.git"), "git@h:o/a.git");
    }

    #[test]
    fn a_url_that_is_an_option_is_refused() {
        let program = Program::new(Path::new("/nowhere"), &Environment::default(), false);
        let error = program.resolve("--upload-pack=touch /tmp/x", "main", &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Document);
    }
}
