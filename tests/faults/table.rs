//! The list: every fault with how it shows, what is run meanwhile, and what must come of it. What else is true of every row
//! (no panic, a clean store, untouched documents, success once the fault is gone) is in `driver`.

use crate::git::GitFault;
use crate::http::Reply;
use std::time::Duration;

/// One fault.
pub struct Row {
    /// Its name, which is the test's.
    pub name: &'static str,
    /// Who misbehaves, and how.
    pub fault: Fault,
    /// What the user runs.
    pub command: Command,
    /// The exit code while the fault is there.
    pub code: i32,
    /// What the messages must say: object, cause and remedy. `{first}`, `{second}`, `{tls}` and `{git}` stand for URLs,
    /// `{commit}` for the locked commit, `{store}` for the store's folder.
    pub says: &'static [&'static str],
    /// What the store holds afterwards, and what the next run asks for.
    pub after: After,
    /// Seconds that the run may take on a busy machine.
    pub within: u64,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `snpforge lock` without a lock.
    Lock,
    /// `snpforge lock --update` with one.
    Update,
    /// `snpforge fetch`.
    Fetch,
    /// `snpforge build ovmf --locked`, with an engine that goes away (8) once all inputs are had.
    Build,
    /// The same without `--locked`.
    BuildUnlocked,
    /// `snpforge image build`.
    Image,
}

/// What the store holds after the run with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing in part. After a success the next run asks nobody.
    Clean,
    /// As before; and the missing bytes were asked for by range in this very run.
    Resumed,
    /// The file in part, under its digest: the next run asks for the rest only.
    Partial,
    /// What came whole: the next run fetches only the repository of the submodule.
    Outer,
}

/// Who misbehaves.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The first of two mirrors, for files whose path holds the text.
    First(&'static str, Bad),
    /// Both mirrors.
    Both(&'static str, Bad),
    /// The only mirror.
    Alone(&'static str, Bad),
    /// The first mirror stalls once in the middle of such files, the second has lost them.
    StallAndGone(&'static str),
    /// The first mirror takes no connection, the second is well.
    Refusing,
    /// The archive on both mirrors is not what it should be.
    Archive(Lie),
    /// The archive on the first of two mirrors is not what it should be.
    ArchiveOfFirst(Lie),
    /// The server of a tarball.
    Tarball(Bad),
    /// The tarball itself.
    TarballIs(&'static [u8]),
    /// The tarball's URL, which only a proxy reaches.
    Unreachable(&'static str),
    /// The proxy takes no connection, or answers so.
    Proxy(Option<u16>),
    /// The certificate of the tarball's server.
    Certificate(Tls),
    /// A git repository.
    Git(GitFault),
    /// The store's file system holds so many KiB, or cannot be written at all, while the release's source is such.
    Disk(u32, Source),
    /// The program gets a signal in the middle of a file.
    Stopped(i32),
    /// Two runs at once.
    Twice,
}

/// What the release's only source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A source package.
    Debian,
    /// A tarball.
    Tarball,
    /// A git repository with a submodule.
    Git,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Its time is over.
    Expired,
    /// Nobody on this machine vouches for it.
    Unknown,
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// `Valid-Until` is over.
    Expired,
    /// `Date` is a month ahead.
    Ahead,
    /// Signed a month ahead.
    SignedAhead,
    /// Signed by somebody else.
    Stranger,
    /// Changed after it was signed.
    Changed,
    /// InRelease ends in its middle.
    Cut,
    /// InRelease is a page of a hotel's network.
    Portal,
    /// The indexes have another byte.
    IndexOther,
    /// The indexes end in their middle.
    IndexCut,
    /// InRelease promises an .xz that ends in its middle.
    IndexDamaged,
    /// The index promises a .deb that ends in its middle.
    DebDamaged,
    /// The index promises a source tarball that ends in its middle.
    SourceDamaged,
}

/// How a server misbehaves with a file.
#[derive(Clone, Copy, Debug)]
pub enum Bad {
    /// The first answer is cut in its middle.
    CutOnce,
    /// Every answer is cut at the same byte.
    CutAlways,
    /// Another byte in its middle.
    Other,
    /// It ends early, as announced.
    Short,
    /// It goes on, as announced.
    Long,
    /// It is announced with 20 GB.
    Huge,
    /// It redirects to itself.
    Circle,
    /// It redirects so often.
    Hops(usize),
    /// It redirects to the right bytes in a file of this machine.
    ToFile,
    /// It redirects elsewhere.
    To(&'static str),
    /// A status instead.
    Status(u16),
    /// A status so many times, with `Retry-After`.
    Busy(u16, usize, Option<&'static str>),
    /// The answer comes a second later.
    Late,
    /// A byte every 100 ms.
    Drip,
    /// The first answer stalls after so many bytes.
    Stall(usize),
    /// The first answer never begins.
    Silence,
}

/// Where answers are cut.
pub const MIDDLE: usize = 100_000;

impl Bad {
    /// The answer to a request for `bytes` from `start` on that came after `times` others.
    pub fn reply(self, bytes: &[u8], path: &str, start: usize, times: usize, right: &str) -> Reply {
        let to = |url: String| Reply::Status(302, vec![("Location", url)]);
        let well = || Reply::File(bytes.to_vec());
        match self {
            Bad::CutOnce if times == 0 => Reply::Cut(bytes.to_vec(), MIDDLE),
            Bad::CutAlways => Reply::Cut(bytes.to_vec(), MIDDLE.saturating_sub(start)),
            Bad::Other => {
                let mut other = bytes.to_vec();
                other[bytes.len() / 2] ^= 1;
                Reply::File(other)
            }
            Bad::Short => Reply::File(bytes[..MIDDLE.min(bytes.len() / 2)].to_vec()),
            Bad::Long => Reply::File([bytes, b"more"].concat()),
            Bad::Huge => Reply::Announce(20 << 30),
            Bad::Circle => to(format!("/{path}")),
            Bad::Hops(count) => to(format!("/hop/{}/{path}", count - 1)),
            Bad::ToFile => to(format!("file://{right}")),
            Bad::To(url) => to(url.to_owned()),
            Bad::Status(status) => Reply::Status(status, Vec::new()),
            Bad::Busy(status, most, after) if times < most => {
                Reply::Status(status, after.map(|after| ("Retry-After", after.to_owned())).into_iter().collect())
            }
            Bad::Late => Reply::Slow(bytes.to_vec(), Duration::from_secs(1)),
            Bad::Drip => Reply::Drip(bytes.to_vec(), Duration::from_millis(100)),
            Bad::Stall(after) if times == 0 => Reply::StallAfter(bytes.to_vec(), after),
            Bad::Silence if times == 0 => Reply::Silence,
            Bad::CutOnce | Bad::Busy(..) | Bad::Stall(_) | Bad::Silence => well(),
        }
    }
}

/// The upstream tarball of the source package, its only large file.
const ORIG: &str = "edk2_1.orig.tar.xz";
/// The package of the image.
const DEB: &str = "tool_1.0_amd64.deb";
/// Where a run waits for a connection that says nothing for half a minute, or many times between attempts.
const PATIENT: u64 = 100;
/// Where a run has little to wait for.
const SOON: u64 = 60;

fn row(
    name: &'static str,
    fault: Fault,
    command: Command,
    code: i32,
    says: &'static [&'static str],
    after: After,
) -> Row {
    Row { name, fault, command, code, says, after, within: SOON }
}

fn patient(row: Row) -> Row {
    Row { within: PATIENT, ..row }
}

/// All of them.
pub fn rows() -> Vec<Row> {
    [connections(), bytes(), answers(), hosts(), archives(), tarballs(), repositories(), machine()]
        .into_iter()
        .flatten()
        .collect()
}

#[rustfmt::skip]
fn connections() -> Vec<Row> {
    use {After::*, Bad::*, Command::*, Fault::*};
    vec![
        row("cut_once", Alone(ORIG, CutOnce), Fetch, 0, &[], Resumed),
        patient(row("cut_at_the_same_byte_every_time", Alone(ORIG, CutAlways), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: cannot be fetched", "{first}/pool/main/edk2/edk2_1.orig.tar.xz: the connection was cut",
              "(asked 6 times)", "name another mirror, or try again"], Partial)),
        patient(row("cut_always_at_the_first_mirror", First(ORIG, CutAlways), Build, 8, &[crate::engine::END], Resumed)),
        patient(row("a_byte_every_100_ms", First(ORIG, Drip), Fetch, 0, &[], Resumed)),
        patient(row("silence_after_the_headers", First(ORIG, Stall(0)), Fetch, 0, &[], Clean)),
        patient(row("silence_in_the_middle_of_the_only_mirror", Alone(ORIG, Stall(MIDDLE)), Fetch, 0, &[], Resumed)),
        patient(row("silence_in_the_middle_of_the_only_mirror_that_has_it", StallAndGone(ORIG), Fetch, 0, &[], Resumed)),
        row("silence_of_a_mirror_that_never_answered", First("", Silence), Lock, 0, &[], Clean),
    ]
}

#[rustfmt::skip]
fn bytes() -> Vec<Row> {
    use {After::*, Bad::*, Command::*, Fault::*};
    vec![
        row("wrong_bytes_at_one_mirror", First(ORIG, Other), Fetch, 0,
            &["warning: {first}/pool/main/edk2/edk2_1.orig.tar.xz: has other bytes than promised (sha256 ", "thrown away"], Clean),
        row("wrong_bytes_everywhere", Both(ORIG, Other), Build, 5,
            &["error: edk2_1.orig.tar.xz: has other bytes than promised wherever it is served", "{first}/pool", "{second}/pool",
              "name another mirror"], Clean),
        row("a_wrong_package_everywhere", Both(DEB, Other), Image, 5,
            &["error: package tool 1.0: has other bytes than promised", "{first}/pool", "{second}/pool", "name another mirror"], Clean),
        row("too_short_at_one_mirror", First(ORIG, Short), Fetch, 0, &["has only 100000 of ", "kept to go on from elsewhere"], Resumed),
        row("too_short_everywhere", Both(ORIG, Short), Fetch, 5, &["error: edk2_1.orig.tar.xz: ", "has only 100000 of ", "name another mirror"], Clean),
        row("too_long_everywhere", Both(ORIG, Long), Fetch, 5, &["error: edk2_1.orig.tar.xz: ", " bytes instead of ", "name another mirror"], Clean),
    ]
}

#[rustfmt::skip]
fn answers() -> Vec<Row> {
    use {After::*, Bad::*, Command::*, Fault::*};
    vec![
        row("a_redirect_to_itself", Alone(DEB, Circle), Image, 6,
            &["error: package tool 1.0: cannot be fetched", "/tool_1.0_amd64.deb: redirects without end", "name another mirror"], Clean),
        row("ten_redirects", Alone(ORIG, Hops(10)), Fetch, 0, &[], Clean),
        row("eleven_redirects", Alone(ORIG, Hops(11)), Fetch, 6, &["error: edk2_1.orig.tar.xz: ", "redirects without end", "name another mirror"], Clean),
        row("a_redirect_to_a_file_of_this_machine", Alone(ORIG, ToFile), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: ", "redirects to `file:`, which is not followed", "name another mirror"], Clean),
        row("a_redirect_to_another_protocol", Alone(ORIG, To("ftp://127.0.0.1/x")), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: ", "redirects to `ftp:`, which is not followed", "name another mirror"], Clean),
        row("a_redirect_to_a_dead_host", Alone(ORIG, To("http://127.0.0.1:1/x")), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: ", "no connection", "name another mirror"], Clean),
        row("gone_everywhere", Both(ORIG, Status(404)), Build, 12,
            &["error: edk2_1.orig.tar.xz: is gone", "{first}/pool/main/edk2/edk2_1.orig.tar.xz: answers 404",
              "{second}/pool/main/edk2/edk2_1.orig.tar.xz: answers 404", "snpforge lock --release r --update"], Clean),
        row("gone_everywhere_with_nothing_newer", Both(ORIG, Status(410)), BuildUnlocked, 12,
            &["edk2_1.orig.tar.xz: is gone", "answers 410", "help: "], Clean),
        row("a_package_gone_everywhere", Both(DEB, Status(404)), Image, 12, &["error: package tool 1.0: is gone", "snpforge lock"], Clean),
        row("gone_from_one_mirror", First(ORIG, Status(404)), Fetch, 0, &[], Clean),
        row("forbidden_everywhere", Both(ORIG, Status(403)), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: cannot be fetched", "{first}/pool/main/edk2/edk2_1.orig.tar.xz: answers 403", "name another mirror"], Clean),
        row("asked_to_wait_a_second", Alone(ORIG, Busy(429, 1, Some("1"))), Fetch, 0, &[], Clean),
        row("asked_to_wait_an_hour", Alone(ORIG, Busy(429, 1000, Some("3600"))), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: ", "answers 429 and wants to be asked again in 3600 s", "or try again"], Clean),
        row("busy_twice", Alone(ORIG, Busy(503, 2, None)), Fetch, 0, &[], Clean),
        patient(row("busy_for_ever", Alone(ORIG, Busy(503, 1000, None)), Fetch, 6,
            &["error: edk2_1.orig.tar.xz: ", "answers 503 (asked 6 times)", "or try again"], Clean)),
    ]
}

#[rustfmt::skip]
fn hosts() -> Vec<Row> {
    use {After::*, Command::*, Fault::*};
    vec![
        row("a_mirror_that_takes_no_connection", Refusing, Lock, 0, &[], Clean),
        row("a_host_that_takes_no_connection", Unreachable("http://127.0.0.1:1/thing.tar.xz"), Fetch, 6,
            &["error: thing.tar.xz: cannot be fetched", "http://127.0.0.1:1/thing.tar.xz: no connection", "check the network"], Clean),
        row("a_name_that_does_not_resolve", Unreachable("http://nowhere.invalid/thing.tar.xz"), Fetch, 6,
            &["error: thing.tar.xz: cannot be fetched", "http://nowhere.invalid/thing.tar.xz: no connection", "check the network"], Clean),
        row("a_proxy_that_takes_no_connection", Proxy(None), Fetch, 6,
            &["error: package tool 1.0: cannot be fetched", "no connection", "http_proxy"], Clean),
        row("a_proxy_that_refuses", Proxy(Some(403)), Fetch, 6, &["error: package tool 1.0: ", "answers 403", "http_proxy"], Clean),
        row("a_proxy_that_wants_a_password", Proxy(Some(407)), Fetch, 6, &["error: package tool 1.0: ", "answers 407", "http_proxy"], Clean),
        row("a_certificate_that_is_over", Certificate(Tls::Expired), Fetch, 6,
            &["error: thing.tar.xz: ", "{tls}/thing.tar.xz: ", "certificate expired", "SSL_CERT_FILE", "help: "], Clean),
        row("a_certificate_by_nobody_known", Certificate(Tls::Unknown), Fetch, 6,
            &["error: thing.tar.xz: ", "{tls}/thing.tar.xz: ", "UnknownIssuer", "SSL_CERT_FILE", "help: "], Clean),
    ]
}

#[rustfmt::skip]
fn archives() -> Vec<Row> {
    use {After::*, Command::*, Fault::*};
    const INRELEASE: &str = "archive dists/stable/InRelease: ";
    vec![
        row("an_archive_past_its_time", Archive(Lie::Expired), Lock, 5, &[INRELEASE, "was valid until ", "up to date", "clock"], Clean),
        row("an_archive_past_its_time_with_a_lock", Archive(Lie::Expired), Update, 5, &[INRELEASE, "was valid until ", "clock"], Clean),
        row("a_mirror_past_its_time", ArchiveOfFirst(Lie::Expired), Lock, 0, &[], Clean),
        row("an_archive_from_the_future", Archive(Lie::Ahead), Lock, 5, &[INRELEASE, "is dated ", "set this machine's clock"], Clean),
        row("a_signature_from_the_future", Archive(Lie::SignedAhead), Lock, 5, &[INRELEASE, "still to come", "set this machine's clock"], Clean),
        row("a_signature_by_a_stranger", Archive(Lie::Stranger), Lock, 5, &[INRELEASE, "is by a key that is not in the keyring", "`keyring`"], Clean),
        row("a_signature_over_other_bytes", Archive(Lie::Changed), Lock, 5, &[INRELEASE, "does not fit the text", "choose another mirror"], Clean),
        row("a_changed_mirror", ArchiveOfFirst(Lie::Changed), Update, 0, &[], Clean),
        row("an_inrelease_that_ends_early", Archive(Lie::Cut), Lock, 5, &[INRELEASE, "has no signature", "choose another mirror"], Clean),
        row("a_page_instead_of_an_inrelease", Archive(Lie::Portal), Lock, 5,
            &[INRELEASE, "does not begin with a cleartext signed message", "choose another mirror"], Clean),
        row("an_index_that_is_not_the_promised", Archive(Lie::IndexOther), Lock, 5,
            &["error: index main/binary-amd64/Packages.xz of ", "is not what InRelease promises", "choose another mirror"], Clean),
        row("an_index_that_ends_early", Archive(Lie::IndexCut), Lock, 5,
            &["error: index main/binary-amd64/Packages.xz of ", "has only ", "choose another mirror"], Clean),
        row("a_mirror_with_another_index", ArchiveOfFirst(Lie::IndexOther), Lock, 0, &["warning: {first}/dists/stable/main/"], Clean),
        row("an_index_that_is_damaged_as_promised", Archive(Lie::IndexDamaged), Lock, 5,
            &["error: stable/main/binary-amd64/Packages.xz: cannot be unpacked", "choose another mirror"], Clean),
        row("a_package_that_is_damaged_as_promised", Archive(Lie::DebDamaged), Lock, 5,
            &["error: tool_1.0_amd64.deb: ", "is truncated", "do not use this package"], Clean),
        row("a_source_that_is_damaged_as_promised", Archive(Lie::SourceDamaged), Lock, 3,
            &["edk2_1.orig.tar.xz: cannot be read as a tar", "help: "], Clean),
    ]
}

#[rustfmt::skip]
fn tarballs() -> Vec<Row> {
    use {After::*, Command::*, Fault::*};
    vec![
        row("a_tarball_cut_once", Tarball(Bad::CutOnce), Lock, 0, &[], Resumed),
        row("a_tarball_of_20_gb", Tarball(Bad::Huge), Fetch, 5,
            &["error: thing.tar.xz: ", "has 21474836480 bytes, beyond the limit of ", "name another mirror"], Clean),
        row("a_tarball_that_is_none", TarballIs(b"<html>not found</html>\n"), Lock, 3, &["error: thing.tar.xz: ", "tar", "help: "], Clean),
        row("a_tarball_that_is_empty", TarballIs(&[0; 1024]), Lock, 3, &["error: thing.tar.xz: ", "is no tar, or an empty one", "help: "], Clean),
    ]
}

#[rustfmt::skip]
fn repositories() -> Vec<Row> {
    use {After::*, Command::*, Fault::Git, GitFault::*};
    vec![
        row("a_pack_cut_once", Git(PackCut(1)), Fetch, 0, &["the connection was cut; try 2 of 4"], Clean),
        row("a_pack_cut_always", Git(PackCut(100)), Fetch, 6, &["{git}/outer: git cannot reach the repository", "try 4 of 4", "or try again"], Clean),
        row("a_pack_of_a_submodule_cut_always", Git(SubmoduleCut), Fetch, 6, &["error: submodule `lib`: ", "{git}/dep", "without-submodules"], Outer),
        row("a_pack_with_another_byte", Git(PackOther), Fetch, 6, &["{git}/outer", "pack", "help: "], Clean),
        row("a_submodule_in_itself", Git(Circle), Lock, 3, &["error: submodule `lib/other/", "lies too deep", "\"lib/**\" to `without-submodules`"], Clean),
        row("a_dead_submodule_that_is_needed", Git(Dead), Lock, 6, &["error: submodule `lib`: ", "{git}/dep", "add \"lib\" to `without-submodules`"], Clean),
        row("a_dead_submodule_that_is_not_needed", Git(DeadUnneeded), Lock, 0, &[], Clean),
        row("a_branch_that_vanished", Git(BranchGone), Update, 12,
            &["error: `main` of {git}/outer: ", "releases/r.lock has commit {commit}", "rev = \"{commit}\""], Clean),
        row("a_commit_that_vanished", Git(CommitGone), Build, 12, &["{commit}", "{git}/outer", "snpforge lock --release r --update"], Clean),
        row("a_repository_that_vanished", Git(RepositoryGone), Fetch, 6, &["{git}/outer", "not found", "check the url"], Clean),
        row("a_git_proxy_that_takes_no_connection", Git(Proxy), Lock, 6, &["{git}/outer: git cannot reach the repository", "127.0.0.1", "http_proxy"], Clean),
        row("a_mirror_that_is_a_cut_bundle", Git(BundleMirror), Fetch, 0, &["warning: git mirror ", "cannot be read as a git bundle", "trying {git}/outer"], Clean),
        row("a_cut_bundle", Git(Bundle), Fetch, 6, &["outer.bundle: cannot be read as a git bundle", "git bundle create FILE --all"], Clean),
        patient(row("a_git_mirror_that_never_answers", Git(MirrorSilent), Fetch, 0, &["warning: git mirror ", "no answer", "trying {git}/outer"], Clean)),
    ]
}

#[rustfmt::skip]
fn machine() -> Vec<Row> {
    use {After::*, Command::*, Fault::*};
    const FULL: &str = "No space left on device";
    vec![
        row("a_disk_full_of_a_file", Disk(350, Source::Debian), Fetch, 11, &["{store}/partial/", FULL, "free space", "XDG_CACHE_HOME"], Partial),
        row("a_disk_full_of_a_source", Disk(1024, Source::Debian), Fetch, 11, &["{store}", FULL, "free space", "XDG_CACHE_HOME"], Clean),
        row("a_disk_full_of_a_tarball", Disk(350, Source::Tarball), Fetch, 11, &["{store}/partial/", FULL, "free space"], Partial),
        row("a_disk_full_of_a_layer", Disk(1024, Source::Debian), Image, 11, &[FULL, "free space", "XDG_CACHE_HOME"], Clean),
        row("a_disk_full_of_a_repository", Disk(300, Source::Git), Fetch, 11, &["error: copy of {git}/outer: ", FULL, "free space"], Clean),
        row("a_store_that_cannot_be_written", Disk(0, Source::Debian), Fetch, 11, &["{store}", "Read-only file system", "XDG_CACHE_HOME"], Clean),
        row("a_stop_by_the_user", Stopped(libc::SIGINT), Fetch, 130, &["error: download: interrupted", "goes on where this one stopped"], Partial),
        row("a_stop_by_the_system", Stopped(libc::SIGTERM), Build, 130, &["error: download: interrupted", "goes on where this one stopped"], Partial),
        row("a_kill", Stopped(libc::SIGKILL), Fetch, 128 + libc::SIGKILL, &[], Partial),
        row("two_at_once", Twice, Fetch, 0, &[], Clean),
    ]
}
