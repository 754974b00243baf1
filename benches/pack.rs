//! Packing a product: the library's own way (blobs of the store, checked, through its tar writer and parallel gzip, hashed,
//! synced) against `tar | pigz` of the same files with as many threads, in turn, as ratios of the medians.
//!
//!     cargo bench --bench pack [-- FOLDER]        FOLDER: what to pack [default: /usr/lib/gcc]

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark tells what it measured"
)]

use snpforge::build::pack::archive;
use snpforge::build::pack::members::{Member, Members};
use snpforge::date::Epoch;
use snpforge::store::Store;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const ROUNDS: usize = 5;

/// Wall and CPU seconds, and the bytes that came out.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    bytes: u64,
}

/// CPU seconds of this process and of its children that ended, from fields 14 to 17 of proc(5)'s `stat`.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(4);
    // The kernel shows hundredths of a second on every machine that this runs on.
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn measure(work: impl FnOnce() -> u64) -> Cost {
    let (begun, before) = (Instant::now(), cpu());
    let bytes = work();
    Cost { wall: begun.elapsed().as_secs_f64(), cpu: cpu() - before, bytes }
}

/// Takes the folder's files into the store, as collecting the products of a build does.
fn members(folder: &Path, store: &Store) -> Members {
    let files =
        walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let member = |entry: walkdir::DirEntry| {
        let bytes = std::fs::read(entry.path()).unwrap();
        let mode = if entry.metadata().unwrap().permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        let member = Member { sha256: store.put(&bytes).unwrap(), size: bytes.len() as u64, mode };
        (entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), member)
    };
    files.map(member).collect()
}

/// The same files as plain ones, for tar.
fn copy(members: &Members, store: &Store, to: &Path) {
    for (path, member) in members {
        let file = to.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::copy(store.path(&member.sha256), &file).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(member.mode)).unwrap();
    }
}

fn ours(members: &Members, store: &Store, jobs: usize) -> Cost {
    measure(|| archive::write("product", Epoch(1_700_000_000), members, store, jobs).unwrap().1)
}

/// tar with the options that a reproducible tarball needs, and pigz without name and time.
fn theirs(folder: &Path, out: &Path, jobs: usize) -> Cost {
    let script =
        "tar -C \"$1\" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf - . |
        pigz -n -p \"$3\" >\"$2\"";
    measure(|| {
        let jobs = jobs.to_string();
        let status = Command::new("sh").args(["-c", script, "sh"]).args([folder, out]).arg(jobs).status().unwrap();
        assert!(status.success());
        std::fs::metadata(out).unwrap().len()
    })
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let named = std::env::args_os().skip(1).find(|word| !word.to_string_lossy().starts_with("--"));
    let folder = named.map_or_else(|| PathBuf::from("/usr/lib/gcc"), PathBuf::from);
    if !Command::new("pigz").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("pigz is not here (package pigz): nothing to compare with");
        return ExitCode::FAILURE;
    }
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(&scratch.path().join("store")).unwrap();
    let members = members(&folder, &store);
    let (plain, out) = (scratch.path().join("plain"), scratch.path().join("out.tar.gz"));
    copy(&members, &store, &plain);
    // In turn, so that both meet the same machine; the first round warms up.
    let rounds: Vec<(Cost, Cost)> =
        (0..=ROUNDS).map(|_| (ours(&members, &store, jobs), theirs(&plain, &out, jobs))).skip(1).collect();
    let (ours, theirs): (Vec<Cost>, Vec<Cost>) = rounds.into_iter().unzip();
    let bytes: u64 = members.values().map(|member| member.size).sum();
    println!("{}: {} files, {bytes} bytes, {jobs} threads", folder.display(), members.len());
    for (name, costs) in [("snpforge", &ours), ("tar | pigz", &theirs)] {
        let (wall, cpu) = (median(costs, |cost| cost.wall), median(costs, |cost| cost.cpu));
        println!("{name:>10}: wall {wall:.2} s, CPU {cpu:.2} s, {} bytes", costs[0].bytes);
    }
    let ratio = |of: fn(&Cost) -> f64| median(&ours, of) / median(&theirs, of);
    let (wall, cpu, size) = (ratio(|cost| cost.wall), ratio(|cost| cost.cpu), ratio(|cost| cost.bytes as f64));
    println!("snpforge / tar | pigz: wall {wall:.2}, CPU {cpu:.2}, size {size:.3}");
    ExitCode::SUCCESS
}
