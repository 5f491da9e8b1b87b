//! What storing and finding cost: `cargo run --release -p history --example store -- 500000`.
//!
//! Stores made-up receptions with their releases in batches of 2,000, then asks what pages ask, and prints the times.
//! A second argument names a folder to keep the files in.

#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::time::{Duration, Instant};

use history::{Filter, Reader, Writer};
use made_up::Maker;
use record::Record;

const BATCH: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(500_000), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let folder = std::env::args().nth(2).map_or_else(|| scratch.path().to_path_buf(), Into::into);
    let mut maker = Maker::new(1);
    // All on one day, the most that one file has to bear.
    maker.at_ms -= 12 * 3_600_000;
    maker.step_ms = (80_000_000 / count as i64).max(1);
    let mut writer = Writer::open(&folder)?;
    let (mut wall, mut cpu, mut stored, mut payload_bytes) = (Duration::ZERO, 0.0, 0, 0);
    while stored < count {
        let mut batch = Vec::with_capacity(2 * BATCH);
        while batch.len() < BATCH {
            batch.extend(maker.records());
        }
        for record in &batch {
            if let Record::Reception(reception) = record {
                stored += 1;
                payload_bytes += reception.payload.len();
            }
        }
        let (started, cpu_before) = (Instant::now(), thread_cpu_s()?);
        writer.append(&batch)?;
        wall += started.elapsed();
        cpu += thread_cpu_s()? - cpu_before;
    }
    drop(writer);
    let bytes: u64 =
        std::fs::read_dir(&folder)?.flatten().filter_map(|e| Some(e.metadata().ok()?.len())).sum();
    println!("{stored} receptions with releases, payloads {} bytes each", payload_bytes / stored);
    println!("{:.0} receptions/s, {cpu:.2} CPU seconds", stored as f64 / wall.as_secs_f64());
    println!("{:.1} bytes on disk each, releases included", bytes as f64 / stored as f64);
    ask(&folder, &mut maker)
}

fn ask(folder: &std::path::Path, maker: &mut Maker) -> Result<(), Box<dyn std::error::Error>> {
    let reader = Reader::open(folder)?;
    let (since_ms, until_ms) = (maker.at_ms - 3_600_000, maker.at_ms);
    let some = || Filter::default();
    let log = |what: &str, filter: Filter| -> Result<(), history::Error> {
        timed(what, || reader.log(&filter).map(|rows| rows.len()))
    };
    log("newest 100", some())?;
    log("newest 100 of a node", Filter { node: Some(made_up::node(77)), ..some() })?;
    log("newest 100 of a node that is not there", Filter { node: Some(1), ..some() })?;
    log("newest 100 of a gateway", Filter { gateway: Some(made_up::gateway(3)), ..some() })?;
    log("newest 100 of a channel that is not there", Filter { channel: Some("none".into()), ..some() })?;
    log("newest 100 on a port that is not there", Filter { port: Some(9), ..some() })?;
    log("newest 100 of the morning", Filter { until_ms: Some(since_ms - 36_000_000), ..some() })?;
    log("newest 100 public", Filter { public_only: true, ..some() })?;
    log("next after the last", Filter { after_seq: Some(maker.seq - 10), ..some() })?;
    let known = reader.log(&Filter { limit: 1, ..some() })?;
    let packet = known.first().and_then(|r| r.packet).ok_or("nothing is stored")?;
    timed("one packet", || reader.packet(packet.from, packet.id).map(|rows| rows.len()))?;
    timed("totals of an hour", || reader.totals(since_ms, until_ms, 60).map(|t| t.buckets.len()))?;
    timed("totals of the day", || {
        reader.totals(since_ms - 82_800_000, until_ms, 60).map(|t| t.buckets.len())
    })?;
    timed("gateways of an hour", || reader.gateways(since_ms).map(|found| found.len()))?;
    timed("gateways of the day", || reader.gateways(since_ms - 82_800_000).map(|found| found.len()))?;
    timed("a node's day", || {
        reader.node(made_up::node(77), 0, false).map(|n| n.map_or(0, |n| n.heard_by.len()))
    })?;
    timed("names of all nodes", || reader.latest_by_node(4, 0, false).map(|found| found.len()))?;
    Ok(())
}

fn timed(what: &str, ask: impl Fn() -> Result<usize, history::Error>) -> Result<(), history::Error> {
    ask()?;
    let started = Instant::now();
    let count = ask()?;
    println!("{what}: {:.2} ms, {count} rows", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// CPU seconds of this process so far, as the kernel counts them.
fn thread_cpu_s() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    let on_cpu_ns = stat.split(' ').next().ok_or("no time in schedstat")?;
    Ok(on_cpu_ns.parse::<f64>()? / 1e9)
}
