//! Is a release what its signers signed? And signing one, which begins with the same check: what does not hold is never
//! signed.
//!
//! The chain: a list of keys the user has from elsewhere -> signatures over the outer sums file -> the files beside it and
//! the folder's own sums file -> every file of the folder. Files are only looked at when the links before them hold.
//! Whoever holds the medium can replace anything on it, so nothing that comes with a release is believed: no list of
//! signers, no installer, no name.

mod content;
mod place;
mod side;
mod signatures;

pub use content::{Content, Folder};
pub use side::side;
pub use signatures::Signature;

use crate::cancel::Cancel;
use crate::date::Epoch;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::report::Report;
use crate::sign::{self, allowed::Allowed};
use crate::store::files;
use place::{Place, Unfit};
use serde::Serialize;
use signatures::Judged;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// How many problems an error shows; `--json` has them all.
const SHOWN: usize = 8;

/// Who listens, and the wish to stop.
pub struct Hearing<'a> {
    /// Who listens.
    pub report: &'a dyn Report,
    /// The wish to stop.
    pub cancel: &'a Cancel,
}

/// What a release is judged by.
pub enum Trust<'a> {
    /// Signatures by keys of this list.
    Signers {
        /// An allowed_signers file.
        file: &'a Path,
        /// Only lines for this name count.
        identity: Option<&'a str>,
        /// How many distinct keys must have signed.
        threshold: NonZeroUsize,
        /// The time at which keys must be valid.
        now: Epoch,
    },
    /// The sums alone, which show damage and no forgery.
    SumsOnly,
}

/// Something that does not hold.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// What it is about: a file, by its path beside the sums file.
    pub object: String,
    /// What is wrong with it.
    pub cause: String,
}

impl Problem {
    fn new(object: &str, cause: impl Into<String>) -> Self {
        Problem { object: object.to_owned(), cause: cause.into() }
    }

    fn error(&self, place: &Place) -> Error {
        Error::new(Kind::Trust, place.path(&self.object).display(), &self.cause).remedy(REMEDY)
    }
}

const REMEDY: &str = "use nothing of it; get the release and its signatures again from where you trust";

/// What came out.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Whether everything holds.
    pub good: bool,
    /// The release: `snp-release-<DATE>`.
    pub release: String,
    /// The outer sums file, which is what is signed.
    pub sums: PathBuf,
    /// Its digest.
    pub sums_sha256: Digest,
    /// How many distinct keys had to sign; nothing when signatures were not asked for.
    pub threshold: Option<NonZeroUsize>,
    /// How many did.
    pub signers: usize,
    /// Every signature that was looked at.
    pub signatures: Vec<Signature>,
    /// How many more files there are among the signatures than are looked at.
    pub skipped: usize,
    /// What was checked; nothing when the signatures did not suffice.
    pub content: Option<Content>,
    /// What does not hold.
    pub problems: Vec<Problem>,
}

impl Verdict {
    /// An error if something does not hold.
    ///
    /// # Errors
    /// [`Kind::Trust`] naming what.
    pub fn outcome(&self) -> Result<()> {
        holds(self.sums.parent().unwrap_or(Path::new("/")), &self.release, &self.problems)
    }
}

fn holds(base: &Path, release: &str, problems: &[Problem]) -> Result<()> {
    match problems {
        [] => Ok(()),
        [one] => Err(Error::new(Kind::Trust, base.join(&one.object).display(), &one.cause).remedy(REMEDY)),
        all => {
            let lines: Vec<String> =
                all.iter().take(SHOWN).map(|one| format!("\n  {}: {}", one.object, one.cause)).collect();
            let more =
                all.len().checked_sub(SHOWN + 1).map_or(String::new(), |more| format!("\n  and {} more", more + 1));
            let cause = format!("{} things do not hold:{}{more}", all.len(), lines.concat());
            Err(Error::new(Kind::Trust, base.join(release).display(), cause).remedy(REMEDY))
        }
    }
}

/// Verifies the release that `bundle` means.
///
/// # Errors
/// [`Kind::Usage`] when there is no release, [`Kind::Document`] for a list of signers that cannot be understood,
/// [`Kind::Trust`] when a sums file is none, [`Kind::Io`], [`Kind::Interrupted`]. All else that is wrong is in the
/// verdict.
pub fn verify(bundle: &Path, trust: &Trust<'_>, hearing: &Hearing<'_>) -> Result<Verdict> {
    let place = Place::find(bundle)?;
    let bytes = content::outer(&place)?;
    let mut verdict = Verdict {
        good: false,
        release: place.name.clone(),
        sums: place.path(&place.sums()),
        sums_sha256: Digest::of(&bytes),
        threshold: None,
        signers: 0,
        signatures: Vec::new(),
        skipped: 0,
        content: None,
        problems: Vec::new(),
    };
    if let Trust::Signers { file, identity, threshold, now } = trust {
        let allowed = allowed(file)?;
        let judged = signatures::judge(&place, &bytes, &allowed, *identity, *now);
        let problem = (judged.signers < threshold.get()).then(|| too_few(&place, &judged, *threshold));
        verdict.threshold = Some(*threshold);
        Judged { all: verdict.signatures, signers: verdict.signers, skipped: verdict.skipped } = judged;
        if let Some(problem) = problem {
            verdict.problems.push(problem);
            return Ok(verdict);
        }
    }
    let (content, problems) = content::check(&place, &bytes, hearing)?;
    verdict.good = problems.is_empty();
    verdict.content = Some(content);
    verdict.problems = problems;
    Ok(verdict)
}

fn allowed(file: &Path) -> Result<Allowed> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Error::new(Kind::Document, file.display(), "is not UTF-8 text")
            .remedy("give a list in OpenSSH's allowed_signers format: ssh-keygen(1), ALLOWED SIGNERS")
            .because(error),
        _ => Error::io(file, "read the allowed signers", error)
            .also("give a list of keys that you have from elsewhere than the release (README, `Verify`)"),
    })?;
    Allowed::parse(&file.display().to_string(), &text)
}

fn too_few(place: &Place, judged: &Judged, threshold: NonZeroUsize) -> Problem {
    let Judged { all, signers, skipped } = judged;
    let reasons: Vec<String> =
        all.iter().filter_map(|one| Some(format!("\n  {} {}", one.file, one.reason.as_ref()?))).take(SHOWN).collect();
    let more = match (all.len(), skipped) {
        (0, _) => ": no signature stands beside it".to_owned(),
        (_, 0) => String::new(),
        (looked, skipped) => format!(" among the first {looked} signatures by name; {skipped} more were not looked at"),
    };
    let cause = format!("is signed by {signers} of {threshold} distinct keys that may{more}{}", reasons.concat());
    Problem::new(&place.sums(), cause)
}

/// A signature that stands beside its release now.
#[derive(Debug, Serialize)]
pub struct Signed {
    /// The release: `snp-release-<DATE>`.
    pub release: String,
    /// The signature's file.
    pub file: PathBuf,
    /// Fingerprint of the key.
    pub key: String,
    /// Digest of what was signed.
    pub sums_sha256: Digest,
    /// Whether it stood there already, byte for byte.
    pub unchanged: bool,
    /// Whether it took the place of this key's signature over something else.
    pub replaced: bool,
}

/// Signs the release that `bundle` means with the private key in the file `key`, after checking that every file that its
/// sums list is there and fits them.
///
/// # Errors
/// [`Kind::Usage`] when there is no release or the key is not usable, [`Kind::Trust`] when something does not hold,
/// [`Kind::Io`], [`Kind::Interrupted`].
pub fn sign(bundle: &Path, key: &Path, hearing: &Hearing<'_>) -> Result<Signed> {
    let place = Place::find(bundle)?;
    let sums = place.path(&place.sums());
    let signer = sign::read(key, &sums)?;
    let bytes = content::outer(&place)?;
    let (content, mut problems) = content::check(&place, &bytes, hearing)?;
    problems
        .extend(content.absent.iter().map(|file| Problem::new(file, "is not there, and a signature vouches for it")));
    holds(&place.base, &place.name, &problems)?;
    let text = signer.sign(&bytes)?;
    let folder = place.signatures();
    if std::fs::symlink_metadata(&folder).is_ok_and(|about| !about.is_dir()) {
        return Err(Error::new(Kind::Trust, folder.display(), "is no folder").remedy("remove it"));
    }
    let file = folder.join(format!("{}.sig", signer.key().digest()));
    let old = match place::read(&file, text.len() as u64) {
        Ok(old) => Some(old),
        Err(Unfit::Absent) => None,
        Err(Unfit::Odd(_)) => Some(Vec::new()),
        Err(Unfit::Unreadable(error)) => return Err(error),
    };
    let unchanged = old.as_deref() == Some(text.as_bytes());
    if !unchanged {
        files::write_whole(&file, text.as_bytes())?;
    }
    Ok(Signed {
        release: place.name,
        key: signer.key().to_string(),
        sums_sha256: Digest::of(&bytes),
        file,
        unchanged,
        replaced: old.is_some() && !unchanged,
    })
}
