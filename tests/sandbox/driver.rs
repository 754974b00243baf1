//! This program as somebody else's process: a driver that is killed, that was started in bad surroundings, or that
//! only measures.

use crate::bench::{Bench, sources};
use snpforge::cancel::Cancel;
use snpforge::date::Epoch;
use snpforge::digest::HashWriter;
use snpforge::engine::embedded::Embedded;
use snpforge::engine::{Engine, Spec};
use snpforge::oci::Image;
use snpforge::tarball::Writer;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Does what the first argument says, if it names one of these.
pub fn drive() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["drive-sleep", mark] => sleep(mark),
        ["drive-inside", ..] => return Some(inside(&words[1..])),
        ["drive-probe", folder] => return Some(probe(folder)),
        ["time-root", folder, script] => root(folder.as_ref(), script),
        ["time", count] => time(count.parse().unwrap()),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Says where its store is and runs until it is killed.
fn sleep(mark: &str) {
    let bench = Bench::new();
    println!("{}", bench.folder.path().display());
    let script = format!("setsid sleep {mark} & sleep {mark}");
    let id = bench.create(&["/bin/sh", "-c", &script]);
    bench.run(&id);
}

/// Runs the script of assertions and prints what it prints.
fn inside(words: &[&str]) -> ExitCode {
    let bench = Bench::new();
    let mut command = vec!["/bin/sh", "/src/inside.sh", "--env", "SOURCE_DATE_EPOCH"];
    command.extend(words);
    let mut spec: Spec = Bench::spec(&command);
    spec.environment.insert("SOURCE_DATE_EPOCH".into(), "1700000000".into());
    let id = bench.engine.create(&bench.image, &spec).unwrap();
    let tar = sources(&[("inside.sh", include_str!("../inside.sh"))]);
    bench.engine.upload(&id, &mut tar.as_slice(), &Cancel::new()).unwrap();
    let (outcome, log) = bench.run(&id);
    bench.engine.remove(&id).unwrap();
    print!("{log}");
    ExitCode::from(u8::try_from(outcome.code).unwrap())
}

fn probe(folder: &str) -> ExitCode {
    match Embedded::new(folder.into()).probe() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}; {}", error.remedy_text().unwrap_or_default());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Makes a layer of a folder, and tells how long packing, loading, loading again and creating take, in seconds; then
/// runs a script in it.
fn root(folder: &Path, script: &str) {
    let mut bench = Bench::new();
    let start = Instant::now();
    let layer = bench.folder.path().join("large.tar");
    let file = std::fs::File::options().create(true).truncate(true).write(true).open(&layer).unwrap();
    let mut writer = Writer::new(HashWriter::new(BufWriter::with_capacity(1 << 20, file)));
    snpforge::tree::pack(folder, "", Epoch(1_700_000_000), &mut writer).unwrap();
    let (_, digest, size) = writer.finish().unwrap().finish();
    println!("packed {size} bytes: {:.2}", start.elapsed().as_secs_f64());
    bench.image = Image { diff_id: digest, layer, layer_size: size, ..bench.image };
    for what in ["loaded", "loaded again"] {
        let start = Instant::now();
        bench.engine.load(&bench.image, &Cancel::new()).unwrap();
        println!("{what}: {:.2}", start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    let id = bench.create(&["/bin/sh", "-c", script]);
    println!("created: {:.2}", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let outcome = bench.engine.run(&id, &mut std::io::stdout(), &Cancel::new()).unwrap();
    println!("ran: {:.2} with status {}", start.elapsed().as_secs_f64(), outcome.code);
    bench.engine.remove(&id).unwrap();
}

fn time(count: usize) {
    let bench = Bench::new();
    let id = bench.create(&["/bin/true"]);
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(bench.run(&id).0.code, 0);
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:.2} {:.2} {:.2}", times[count / 2], times[0], times[count - 1]);
    bench.engine.remove(&id).unwrap();
}
