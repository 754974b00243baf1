//! The one layer of an image, from packages: a pure function of their bytes and the definition. Nothing of this
//! machine, no clock and no number of threads is in it; nothing is configured or run.
//!
//! # The layer's form
//! Part of the meaning of `lock::FORMAT`: a change here is a change of every image's identity.
//!
//! - A tar of the dialect of [`crate::tarball`]. Every path occurs once, folders before what they hold; there is no
//!   entry for the root itself.
//! - First the frame: folders and empty files of the contract and the links of merged /usr (bin, sbin, lib; lib32, lib64
//!   and libx32 appear with the first path below them).
//! - Then the packages by name, but a package that `Replaces` another's files before that one; of a path that both
//!   have, the first stays. Two packages with one path and no such right are refused, as dpkg refuses them.
//! - Within a package its members in the package's order, then copies of its hard links (by target), then its files of
//!   the package database (by path).
//! - Then what depends on all packages: account tables, the definition's links, the rest of the package database.
//! - Last, what an image of a registry below the packages fills in, if the definition names one (`base`).
//! - Times are those of the package, but not after the epoch; folders and what this tool makes have the epoch.
//!   Everything belongs to 0:0 but the contract's own folders. Set-id bits are masked.
//! - Left out: what only a running system fills (/run, /tmp, /dev, /proc, /sys, /var/log, /var/cache, ...), what an
//!   engine puts in place (/etc/hosts, ...), and what the definition excludes. Package lists still name it, as dpkg's
//!   own path filters leave them.
//! - There is no ld.so.cache. The linker finds all libraries in its default folders; fakeroot names its own.

mod accounts;
mod assemble;
mod base;
mod database;
mod decode;
mod flow;
mod order;
mod rules;

use crate::cancel::{self, Cancel};
use crate::date::Epoch;
use crate::definition::Root;
use crate::digest::{Digest, Hashing};
use crate::error::{Error, Kind, Result};
use crate::heap;
use crate::oci::Open;
use crate::oci::base::Base;
use crate::report::{Report, Unit};
use assemble::{Assembler, Owner};
use base::Below;
use decode::Event;
use flow::{Flow, Sender};
use rules::Rules;
use std::fs::File;
use std::io::{self, Read, Write};

/// Threads that read packages. Each holds an xz dictionary of 8 MiB; with more of them the one that writes the layer
/// would set the pace.
pub const WORKERS: usize = 3;
/// The same with a base, whose paths and package lists are held meanwhile. With two, a build above 80 000 files took 16 MiB
/// more, for the second decoder and what both read ahead, and passed what commands may hold.
const WORKERS_ABOVE: usize = 1;

/// A package that goes into a layer. Its bytes must be what the lock says: that is the caller's to check.
pub struct Package {
    /// Package name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Its bytes.
    pub open: Open,
}

impl Package {
    /// The file name a pool would have it under, for messages.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version, self.architecture)
    }
}

/// What the build contract wants of every root.
#[derive(Clone, Copy, Debug)]
pub struct Contract<'a> {
    /// Folders at the top that must be there.
    pub folders: &'a [&'a str],
    /// Those of them that belong to the user of builds.
    pub owned: &'a [&'a str],
    /// User and group id of builds.
    pub id: u32,
    /// That user's name.
    pub user: &'a str,
    /// That user's home.
    pub home: &'a str,
}

/// What a layer is made after, besides its packages.
#[derive(Clone, Copy)]
pub struct Recipe<'a> {
    /// The definition's root.
    pub root: &'a Root,
    /// An image whose files fill in what the packages do not hold.
    pub base: Option<&'a Base>,
    /// The date of everything.
    pub epoch: Epoch,
    /// The build contract.
    pub contract: Contract<'a>,
}

/// A written layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The number of its entries.
    pub entries: usize,
}

/// Writes the layer of `packages`, given in any order, to `out`, which has nothing in it yet. Reads with `workers` threads,
/// but not more than [`WORKERS`], with a base with one; `scratch` is overwritten with what they read ahead of the writer.
///
/// # Errors
/// [`Kind::Trust`] for a damaged or hostile package, [`Kind::Resolve`] for packages that cannot be together,
/// [`Kind::Lock`] for a package that is there twice, [`Kind::Document`] for a link of the definition that is in the
/// way of a package and for packages without merged /usr on a base that has it, [`Kind::Io`] when reading or writing
/// fails, [`Kind::Interrupted`].
pub fn build(
    packages: &[Package],
    recipe: &Recipe<'_>,
    workers: usize,
    scratch: &File,
    out: &mut dyn Hashing,
    report: &dyn Report,
    cancel: &Cancel,
) -> Result<Layer> {
    const TASK: &str = "image layer";
    report.begin(TASK, Some(packages.len() as u64), Unit::Steps);
    let workers = workers.clamp(1, if recipe.base.is_some() { WORKERS_ABOVE } else { WORKERS });
    let (packages, claims) = order::sorted(packages, workers)?;
    let rules = Rules::of(recipe.root);
    let names: Vec<(&str, &str)> =
        packages.iter().map(|package| (package.name.as_str(), package.architecture.as_str())).collect();
    let below = Below::of(recipe, &rules, &names, &|| cancel::check(cancel, TASK))?;
    let flow = Flow::new(packages.len(), workers, scratch);
    // Small writes gather before they are hashed and stored.
    let out = io::BufWriter::with_capacity(256 * 1024, out);
    let mut assembler = Assembler::new(out, &claims, recipe.epoch.0);
    let layer = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(at) = flow.take() {
                    decode::unpack(packages[at], &rules, &mut Sender::new(&flow, at));
                }
            });
        }
        let progress = |done| {
            report.progress(TASK, done);
            cancel::check(cancel, TASK)
        };
        let _stop = flow.stopper();
        let whole = Whole { recipe, rules: &rules, below: below.as_ref(), flow: &flow, packages: packages.len() };
        whole.write(&mut assembler, &progress)
    });
    layer?;
    let entries = assembler.entries();
    let out = assembler.finish()?.into_inner().map_err(|error| assemble::failed(error.into_error()))?;
    let (diff_id, size) = out.so_far();
    report.end(TASK, format!("{entries} entries, {size} bytes, sha256 {diff_id}"));
    Ok(Layer { diff_id, size, entries })
}

/// All that a layer is made of.
struct Whole<'a> {
    recipe: &'a Recipe<'a>,
    rules: &'a Rules<'a>,
    below: Option<&'a Below<'a>>,
    flow: &'a Flow<'a>,
    packages: usize,
}

impl Whole<'_> {
    /// Writes everything: frame, packages, what depends on all of them, and what the base fills in.
    fn write<W: Write>(&self, assembler: &mut Assembler<'_, W>, progress: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let recipe = self.recipe;
        frame(assembler, recipe)?;
        let mut database = database::Database::default();
        let mut captured = Vec::new();
        for at in 0..self.packages {
            progress(at as u64)?;
            let mut unpacked = package(assembler, self.flow, at)?;
            captured.append(&mut unpacked.captured);
            let lost = assembler.lost();
            let is_lost =
                |path: &[u8]| !lost.is_empty() && self.rules.place(path).is_some_and(|path| lost.contains(&path));
            for (path, mode, content) in database.add(unpacked, &is_lost) {
                assembler.made(&path, mode, &content)?;
            }
        }
        let base = self.below.map_or_else(accounts::Tables::default, Below::tables);
        for (path, content) in accounts::tables(&recipe.contract, &captured, base) {
            assembler.made(path, 0o644, &content)?;
        }
        links(assembler, recipe.root)?;
        for folder in database::FOLDERS {
            assembler.folder(format!("{}/{folder}", database::FOLDER).as_bytes(), 0o755, 0, Owner::Tool)?;
        }
        let written = || progress(self.packages as u64);
        let lists = match self.below {
            Some(below) => below.describe(&mut database, &|path| assembler.is_taken(path), &written)?,
            None => Vec::new(),
        };
        for (path, mode, content) in lists.into_iter().chain(database.finish()) {
            assembler.made(&path, mode, &content)?;
        }
        if let Some(below) = self.below {
            self.flow.let_go();
            heap::give_back();
            below.fill(assembler, &written)?;
        }
        written()
    }
}

/// What every root has before any package.
fn frame<W: Write>(assembler: &mut Assembler<'_, W>, recipe: &Recipe<'_>) -> Result<()> {
    let contract = &recipe.contract;
    for folder in contract.folders {
        let id = if contract.owned.contains(folder) { contract.id } else { 0 };
        assembler.folder(folder.as_bytes(), 0o755, id, Owner::Tool)?;
    }
    for (folder, mode) in
        [("dev", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777), ("var/tmp", 0o1777)]
    {
        assembler.folder(folder.as_bytes(), mode, 0, Owner::Tool)?;
    }
    // Engines bind over them, which needs a file in place.
    for file in ["etc/hostname", "etc/hosts", "etc/resolv.conf"] {
        assembler.made(file, 0o644, b"")?;
    }
    if recipe.root.merged_usr {
        for name in rules::always_linked() {
            top_link(assembler, name)?;
        }
    }
    Ok(())
}

fn top_link<W: Write>(assembler: &mut Assembler<'_, W>, name: &str) -> Result<()> {
    let target = format!("usr/{name}");
    assembler.folder(target.as_bytes(), 0o755, 0, Owner::Tool)?;
    if assembler.holds(name.as_bytes()) {
        return Ok(());
    }
    assembler.symlink(name.as_bytes(), target.as_bytes(), u64::MAX, Owner::Tool)
}

/// Writes the entries of one package.
fn package<W: Write>(assembler: &mut Assembler<'_, W>, flow: &Flow<'_>, at: usize) -> Result<decode::Unpacked> {
    let owner = Owner::Package(at);
    loop {
        match flow.receive(at) {
            Event::TopLink(name) => top_link(assembler, name)?,
            Event::Folder { path, mode } => assembler.folder(&path, mode, 0, owner)?,
            Event::Symlink { path, target, mtime } => assembler.symlink(&path, &target, mtime, owner)?,
            Event::File { path, mode, mtime, size, first } => {
                let mut content = Content { flow, package: at, chunk: first, read: 0, left: size };
                assembler.file(&path, (mode, mtime), size, &mut content, owner)?;
            }
            Event::End(unpacked) => return Ok(*unpacked),
            Event::Failed(error) => return Err(error),
            Event::Chunk(_) => return Err(Error::new(Kind::Io, "image layer", "content without a file")),
        }
    }
}

/// The content of a file, from its chunks.
struct Content<'a> {
    flow: &'a Flow<'a>,
    package: usize,
    chunk: Vec<u8>,
    read: usize,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        while self.read == self.chunk.len() {
            match self.flow.receive(self.package) {
                Event::Chunk(chunk) => {
                    self.flow.recycle(std::mem::replace(&mut self.chunk, chunk));
                    self.read = 0;
                }
                // It travels inside and is taken out again where writing fails.
                Event::Failed(error) => return Err(io::Error::other(error)),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.chunk.len() - self.read);
        buffer[..count].copy_from_slice(&self.chunk[self.read..self.read + count]);
        self.read += count;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Drop for Content<'_> {
    fn drop(&mut self) {
        self.flow.recycle(std::mem::take(&mut self.chunk));
    }
}

/// The definition's links: what configuring would have made.
fn links<W: Write>(assembler: &mut Assembler<'_, W>, root: &Root) -> Result<()> {
    for (path, target) in &root.links {
        let path = path.trim_start_matches('/');
        if assembler.holds(path.as_bytes()) {
            return Err(Error::new(Kind::Document, "image definition", format!("root.links: /{path} is in a package"))
                .remedy("remove it from root.links"));
        }
        assembler.symlink(path.as_bytes(), target.as_bytes(), u64::MAX, Owner::Tool)?;
    }
    Ok(())
}
