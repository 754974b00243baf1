//! One package, from its bytes to the entries of a layer: what each member becomes, before anything is known of
//! other packages. Runs on several threads.

use super::Package;
use super::flow::{Sender, Stopped};
use super::rules::Rules;
use crate::deb::{self, Control, ControlFile, Deb, Stanza};
use crate::error::{Error, Kind, Result};
use crate::tarball::{Body, Member};
use md5::{Digest as _, Md5};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Passes over a package to copy hard links: one for each further link to the same file.
const HARD_LINKS_MAX: usize = 256;
/// Files whose content the layer needs elsewhere: the account tables that base-passwd installs when configured.
pub(super) const CAPTURED: [&str; 2] = ["usr/share/base-passwd/passwd.master", "usr/share/base-passwd/group.master"];
/// Bytes of a captured file.
const CAPTURE_MAX: u64 = 1 << 20;

/// What a package tells the writer.
pub(super) enum Event {
    /// A link at the top of the tree that merged /usr needs for what follows.
    TopLink(&'static str),
    /// A folder.
    Folder { path: Vec<u8>, mode: u32 },
    /// A symbolic link.
    Symlink { path: Vec<u8>, target: Vec<u8>, mtime: u64 },
    /// A file of `size` bytes with the first of them; the others follow as chunks.
    File { path: Vec<u8>, mode: u32, mtime: u64, size: u64, first: Vec<u8> },
    /// More bytes of the file before.
    Chunk(Vec<u8>),
    /// The package is complete.
    End(Box<Unpacked>),
    /// The package cannot be used.
    Failed(Error),
}

/// What is known of a package after all its members.
pub(super) struct Unpacked {
    /// Its control file.
    pub(super) stanza: Stanza,
    /// Its other control files, md5sums made where they are missing.
    pub(super) files: BTreeMap<String, ControlFile>,
    /// The paths of all members in the package's order, the root left out.
    pub(super) list: Vec<Vec<u8>>,
    /// Configuration files in the order the package names them, with the MD5 of their content.
    pub(super) conffiles: Vec<(String, String)>,
    /// Content of files of [`CAPTURED`].
    pub(super) captured: Vec<(&'static str, Vec<u8>)>,
}

impl Event {
    /// The bytes of a file that it carries.
    pub(super) fn content(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Event::File { first: content, .. } | Event::Chunk(content) => Some(content),
            _ => None,
        }
    }

    /// About the memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let content = match self {
            Event::File { first, path, .. } => first.len() + path.len(),
            Event::Chunk(bytes) => bytes.len(),
            Event::Folder { path, .. } => path.len(),
            Event::Symlink { path, target, .. } => path.len() + target.len(),
            Event::End(end) => {
                end.files.values().map(|file| file.content.len()).sum::<usize>()
                    + end.list.iter().map(|path| path.len() + 24).sum::<usize>()
            }
            Event::TopLink(_) | Event::Failed(_) => 0,
        };
        content + std::mem::size_of::<Event>()
    }
}

impl From<Stopped> for Error {
    /// Nobody sees it: whoever stopped the flow has an error of its own.
    fn from(_: Stopped) -> Self {
        Error::new(Kind::Interrupted, "image layer", "stopped")
    }
}

/// Reads a package and sends all there is of it.
pub(super) fn unpack(package: &Package, rules: &Rules<'_>, sender: &mut Sender<'_>) {
    let end = match Unpacking::run(package, rules, sender) {
        Ok(unpacked) => Event::End(Box::new(unpacked)),
        Err(error) => Event::Failed(error),
    };
    // A writer that has stopped does not want it any more.
    let _ = sender.send(end);
}

/// Opens a package and reads its control tar, which must be of the package that was asked for.
pub(super) fn open(package: &Package) -> Result<(Deb<'static>, Control)> {
    let name = package.file_name();
    let input = (package.open)().map_err(|error| deb::failed(&name, error))?;
    let mut deb = Deb::open(&name, input)?;
    let control = deb.control()?;
    for (field, wanted) in
        [("Package", &package.name), ("Version", &package.version), ("Architecture", &package.architecture)]
    {
        let found = control.stanza.get(field).unwrap_or_default();
        if found != wanted {
            return Err(deb::refused(&name, format!("its {field} is `{found}`, not `{wanted}`")));
        }
    }
    Ok((deb, control))
}

/// A package that is being read.
struct Unpacking<'a, 'b> {
    file_name: String,
    rules: &'a Rules<'a>,
    sender: &'a mut Sender<'b>,
    /// Configuration files, with the MD5 of those that were met.
    conffiles: BTreeMap<Vec<u8>, Option<String>>,
    /// md5sums, if the package comes without, which `dpkg --audit` would miss.
    sums: Option<Vec<u8>>,
    list: Vec<Vec<u8>>,
    links: BTreeMap<Vec<u8>, Vec<Link>>,
    captured: Vec<(&'static str, Vec<u8>)>,
    top_links: BTreeSet<&'static str>,
}

/// A hard link that becomes a copy.
struct Link {
    path: Vec<u8>,
    mode: u32,
    mtime: u64,
}

impl Unpacking<'_, '_> {
    fn run(package: &Package, rules: &Rules<'_>, sender: &mut Sender<'_>) -> Result<Unpacked> {
        let (deb, Control { stanza, mut files }) = open(package)?;
        let order = conffile_names(files.get("conffiles"));
        let mut unpacking = Unpacking {
            file_name: package.file_name(),
            rules,
            sender,
            conffiles: order.iter().map(|path| (path.trim_start_matches('/').into(), None)).collect(),
            sums: (!files.contains_key("md5sums")).then(Vec::new),
            list: Vec::new(),
            links: BTreeMap::new(),
            captured: Vec::new(),
            top_links: BTreeSet::new(),
        };
        deb.members(&mut |member| unpacking.member(member))?;
        unpacking.copies(package)?;
        let Unpacking { list, mut conffiles, sums, captured, .. } = unpacking;
        if let Some(content) = sums {
            files.insert("md5sums".into(), ControlFile { mode: 0o644, content });
        }
        let sum = |path: String| Some((conffiles.get_mut(path.trim_start_matches('/').as_bytes())?.take()?, path));
        let conffiles = order.into_iter().filter_map(sum).map(|(sum, path)| (path, sum)).collect();
        Ok(Unpacked { stanza, files, list, conffiles, captured })
    }

    fn member(&mut self, member: Member<'_>) -> Result<()> {
        let Member { path, mode, mtime, body } = member;
        if path.is_empty() {
            return Ok(());
        }
        self.list.push(path.clone());
        match body {
            Body::File { size, content } => self.file(path, mode, mtime, size, content)?,
            Body::HardLink(target) => {
                let links = self.links.entry(target).or_default();
                if links.len() == HARD_LINKS_MAX {
                    let cause = format!("has more than {HARD_LINKS_MAX} hard links to one file");
                    return Err(deb::refused(&self.file_name, cause));
                }
                links.push(Link { path, mode, mtime });
            }
            Body::Symlink(target) if self.rules.superfluous(&path, &target) => {
                // A distribution that ships the link itself: it is this tool's all the same.
                if let Some(link) = self.rules.top_link(&path).filter(|link| link.as_bytes() == path) {
                    self.top(link)?;
                }
            }
            Body::Symlink(target) => {
                if let Some(path) = self.placed(&path)? {
                    self.sender.send(Event::Symlink { path, target, mtime })?;
                }
            }
            Body::Folder => {
                if let Some(path) = self.placed(&path)? {
                    self.sender.send(Event::Folder { path, mode: mode & 0o1777 })?;
                }
            }
        }
        Ok(())
    }

    /// Sends a file, and takes its checksum or content on the way where somebody needs it.
    fn file(&mut self, path: Vec<u8>, mode: u32, mtime: u64, size: u64, content: &mut dyn Read) -> Result<()> {
        let conffile = self.conffiles.contains_key(&path);
        let mut sum = (conffile || self.sums.is_some()).then(Md5::new);
        let mut captured = Vec::new();
        let capture = CAPTURED.into_iter().find(|wanted| wanted.as_bytes() == path && size <= CAPTURE_MAX);
        let placed = self.placed(&path)?;
        if placed.is_none() && sum.is_none() && capture.is_none() {
            return Ok(());
        }
        let kept = placed.is_some();
        let mut head = placed.map(|path| (path, mode & 0o777, mtime));
        let mut left = size;
        while left > 0 || head.is_some() {
            let mut chunk = self.sender.chunk(left);
            content.read_exact(&mut chunk).map_err(|error| deb::failed(&self.file_name, error))?;
            left -= chunk.len() as u64;
            if let Some(sum) = &mut sum {
                sum.update(&chunk);
            }
            if capture.is_some() {
                captured.extend_from_slice(&chunk);
            }
            match head.take() {
                Some((path, mode, mtime)) => {
                    self.sender.send(Event::File { path, mode, mtime, size, first: chunk })?;
                }
                None if kept => self.sender.send(Event::Chunk(chunk))?,
                None => {}
            }
        }
        self.captured.extend(capture.map(|name| (name, captured)));
        if let Some(sum) = sum {
            self.note_sum(path, hex::encode(sum.finalize()));
        }
        Ok(())
    }

    fn note_sum(&mut self, path: Vec<u8>, sum: String) {
        match (self.conffiles.get_mut(&path), &mut self.sums) {
            (Some(known), _) => *known = Some(sum),
            (None, Some(sums)) => {
                // The form of md5sum(1); configuration files stand in the status file instead.
                sums.extend_from_slice(sum.as_bytes());
                sums.extend_from_slice(b"  ");
                sums.extend_from_slice(&path);
                sums.push(b'\n');
            }
            (None, None) => {}
        }
    }

    /// Writes hard links as copies. Their targets have gone by already, so the package is read again: once, unless a
    /// file has several links. Packages rarely have any.
    fn copies(&mut self, package: &Package) -> Result<()> {
        let mut links = std::mem::take(&mut self.links);
        while !links.is_empty() {
            let (deb, _) = open(package)?;
            deb.members(&mut |member| {
                let Body::File { size, content } = member.body else { return Ok(()) };
                match links.get_mut(&member.path).filter(|links| !links.is_empty()) {
                    Some(links) => {
                        let link = links.remove(0);
                        self.file(link.path, link.mode, link.mtime, size, content)
                    }
                    None => Ok(()),
                }
            })?;
            links.retain(|_, links| !links.is_empty());
        }
        Ok(())
    }

    /// Where a path goes, if anywhere; the link it needs at the top of the tree is sent before.
    fn placed(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let placed = self.rules.place(path);
        if let Some(link) = self.rules.top_link(path).filter(|_| placed.is_some()) {
            self.top(link)?;
        }
        Ok(placed)
    }

    fn top(&mut self, link: &'static str) -> Result<()> {
        if self.top_links.insert(link) {
            self.sender.send(Event::TopLink(link))?;
        }
        Ok(())
    }
}

/// The paths a conffiles file names, without those that are only to be removed on an upgrade.
fn conffile_names(file: Option<&ControlFile>) -> Vec<String> {
    let text = file.map(|file| String::from_utf8_lossy(&file.content)).unwrap_or_default();
    text.lines().map(str::trim_end).filter(|line| line.starts_with('/')).map(str::to_owned).collect()
}
