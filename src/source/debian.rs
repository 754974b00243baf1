//! Debian source packages (dpkg-source(1), formats 3.0): the upstream tarball without its top folder, component tarballs
//! in folders of their own, the packaging in `debian/`. Patches are not applied: recipes do that.
//!
//! The signed index names every file with its digest, so the .dsc adds nothing and is not asked for: mirrors were seen
//! that had lost it while the tarballs stood.

use super::members::{self, Members};
use super::spool::Spool;
use super::{Made, Promised, Resolved, Workshop, settle};
use crate::archive::SourcePackage;
use crate::error::{Error, Kind, Result};
use crate::lock::{FileLock, Pin};

/// What one file of a source package is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// `NAME_VERSION.orig.tar.*`
    Upstream,
    /// `NAME_VERSION.orig-COMPONENT.tar.*`
    Component(&'a str),
    /// `NAME_VERSION.debian.tar.*`
    Packaging,
    /// `NAME_VERSION.tar.*`: all of a native package.
    Native,
    /// `NAME_VERSION.diff.gz` of format 1.0.
    Diff,
    /// Signatures and the description itself.
    Unneeded,
    Unknown,
}

fn part(path: &str) -> Part<'_> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.ends_with(".dsc") || name.ends_with(".asc") || name.ends_with(".sig") {
        return Part::Unneeded;
    }
    if name.ends_with(".diff.gz") {
        return Part::Diff;
    }
    let Some((stem, _)) = name.rsplit_once(".tar") else { return Part::Unknown };
    if stem.ends_with(".orig") {
        return Part::Upstream;
    }
    if stem.ends_with(".debian") {
        return Part::Packaging;
    }
    match stem.rsplit_once(".orig-") {
        Some((_, component)) if !component.is_empty() => Part::Component(component),
        _ => Part::Native,
    }
}

/// The files that hold the source, in the order they are unpacked in.
fn parts<'a>(package: &str, files: &'a [FileLock]) -> Result<Vec<(Part<'a>, &'a FileLock)>> {
    let refuse = |cause: String, remedy: &str| {
        Err(Error::new(Kind::Document, format!("source package {package}"), cause).remedy(remedy))
    };
    let mut found: Vec<(Part<'_>, &FileLock)> =
        files.iter().map(|file| (part(&file.path), file)).filter(|(part, _)| *part != Part::Unneeded).collect();
    let order = |part: &Part<'_>| match part {
        Part::Native => 0,
        Part::Upstream => 1,
        Part::Component(_) => 2,
        _ => 3,
    };
    found.sort_by(|(one, a), (other, b)| order(one).cmp(&order(other)).then_with(|| a.path.cmp(&b.path)));
    if let Some((_, file)) = found.iter().find(|(part, _)| *part == Part::Diff) {
        let cause = format!("is of source format 1.0 ({})", file.path);
        return refuse(cause, "only formats 3.0 (quilt) and 3.0 (native) are read");
    }
    if let Some((_, file)) = found.iter().find(|(part, _)| *part == Part::Unknown) {
        return refuse(format!("has a file of unknown use: {}", file.path), "only formats 3.0 are read");
    }
    let count = |wanted: Part<'_>| found.iter().filter(|(part, _)| *part == wanted).count();
    let native = count(Part::Native) == 1 && found.len() == 1;
    let quilt = count(Part::Native) == 0 && count(Part::Upstream) == 1 && count(Part::Packaging) == 1;
    if !native && !quilt {
        let cause = "is neither one tarball nor one upstream tarball with one packaging tarball".into();
        return refuse(cause, "look at its entry in the archive's Sources index");
    }
    Ok(found)
}

impl Workshop<'_> {
    pub(super) fn resolve_debian(&self, folder: &str, archive: &str, found: &SourcePackage) -> Result<Resolved> {
        let package = &found.name;
        let mut files: Vec<FileLock> =
            parts(package, &found.files)?.into_iter().map(|(_, file)| file.clone()).collect();
        files.sort();
        let pin = Pin::Debian { archive: archive.into(), package: package.into(), files: files.clone() };
        let made = self.remembered(folder, &pin, || self.make_debian(folder, archive, package, &files, None))?;
        Ok(Resolved { version: found.version.clone(), epoch: made.epoch, digest: Some(made.digest), pin })
    }

    pub(super) fn make_debian(
        &self,
        folder: &str,
        archive: &str,
        package: &str,
        files: &[FileLock],
        promised: Option<Promised>,
    ) -> Result<Made> {
        let name = format!("source package {package}");
        let parts = parts(package, files)?;
        self.bring(archive, &parts.iter().map(|(_, file)| *file).collect::<Vec<_>>())?;
        let mut spool = Spool::new(self.store, &name)?;
        let mut newest = 0;
        for (part, file) in &parts {
            let read = members::read(&self.store.verified(&file.sha256)?, &file.path, &mut spool, self.cancel)?;
            newest = newest.max(read.newest);
            unpack(part, &file.path, read, &mut spool)?;
        }
        let epoch = settle(&name, newest, promised)?;
        spool.write(folder, epoch, promised)
    }
}

/// Puts one tarball's members where dpkg-source puts them.
fn unpack(part: &Part<'_>, path: &str, read: Members, spool: &mut Spool) -> Result<()> {
    match part {
        Part::Component(component) => {
            let read = read.without_top().check_links(path)?;
            spool.cut(component.as_bytes());
            spool.graft(component.as_bytes(), read.nodes);
        }
        Part::Packaging => {
            let read = read.check_links(path)?;
            let own = |name: &Vec<u8>| name.as_slice() == b"debian" || name.starts_with(b"debian/");
            if let Some(other) = read.nodes.keys().find(|name| !own(name)) {
                let cause = format!("member `{}` lies outside debian/", super::name::shown(other));
                return Err(Error::new(Kind::Document, path, cause));
            }
            spool.cut(b"debian");
            spool.graft(b"", read.nodes);
        }
        _ => spool.graft(b"", read.without_top().check_links(path)?.nodes),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn files(names: &[&str]) -> Vec<FileLock> {
        let lock = |name: &&str| FileLock { path: format!("pool/{name}"), size: 1, sha256: Digest::of(b"x") };
        names.iter().map(lock).collect()
    }

    #[test]
    fn parts_by_name_in_order() {
        let all = files(&[
            "edk2_2025.02-8+deb13u1.debian.tar.xz",
            "edk2_2025.02-8+deb13u1.dsc",
            "edk2_2025.02.orig-ssl.tar.gz",
            "edk2_2025.02.orig.tar.xz",
            "edk2_2025.02.orig.tar.xz.asc",
        ]);
        let found = parts("edk2", &all).unwrap();
        let kinds: Vec<_> = found.into_iter().map(|(part, _)| part).collect();
        assert_eq!(kinds, [Part::Upstream, Part::Component("ssl"), Part::Packaging]);
        assert_eq!(parts("x", &files(&["x_1.tar.xz", "x_1.dsc"])).unwrap()[0].0, Part::Native);
    }

    #[test]
    fn old_and_incomplete_packages_are_refused() {
        for (names, words) in [
            (&["x_1.orig.tar.gz", "x_1-1.diff.gz"][..], "source format 1.0"),
            (&["x_1.orig.tar.gz"], "neither one tarball"),
            (&["x_1.orig.tar.gz", "x_1-1.debian.tar.xz", "x_1.tar.gz"], "neither one tarball"),
            (&["x_1.zip"], "unknown use"),
            (&[], "neither one tarball"),
        ] {
            let error = parts("x", &files(names)).unwrap_err();
            assert_eq!(error.kind(), Kind::Document);
            assert!(error.cause().contains(words), "{error}");
        }
    }
}
