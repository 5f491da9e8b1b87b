//! What storing and finding cost: `cargo run --release -p history --example store -- 10000000 30`.
//!
//! Stores made-up receptions with their releases in batches of 2,000, spread over so many days, then asks what people and
//! pages ask, and prints the times: first with the files just opened, then the median of eleven further times. A third
//! argument names a folder to keep the files in; when it has files already, they are only asked.

#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::path::Path;
use std::time::{Duration, Instant};

use history::{Dimension, Effort, Filter, Reader, Search, Thing, Writer};
use made_up::Maker;
use mesh::key::ChannelKey;
use query::{Query, Surroundings};
use record::Record;

const BATCH: usize = 2_000;
const DAY_MS: i64 = 86_400_000;
/// What people say now and then; one in fifty receptions is a text.
const TEXTS: [&str; 8] = [
    "good morning from the river market",
    "anyone on tonight?",
    "net starts at eight, check in with your node name",
    "storm spotted west of Olathe, moving north-east",
    "test",
    "copy, loud and clear",
    "battery at the water tower looks low",
    "heading home, back in an hour",
];

/// What is asked for as people write it, and what the time is to stay under, ms.
const QUESTIONS: &[(&str, f64)] = &[
    ("", 100.0),
    ("from:!1000004d", 5.0),
    ("node:!1000004d", 5.0),
    ("from:!00000002", 5.0),
    ("gw:!7c5a0a03 on DAY", 100.0),
    ("channel:LongFast on DAY", 100.0),
    ("channel:none on DAY", 100.0),
    ("port:text on DAY", 100.0),
    ("port:audio on DAY", 100.0),
    ("verdict:refuse rule:via-mqtt on DAY", 100.0),
    ("consent:no verdict:withheld on DAY", 100.0),
    ("copy:dropped not copy:delivered on DAY", 100.0),
    ("hops<2 rssi<-120 on DAY", 100.0),
    ("snr>30 on DAY", 100.0),
    ("hops=0 snr<-11.5 rssi<-128 bytes>110 on DAY", 100.0),
    ("not (port:text or port:position) consent:yes on DAY", 100.0),
    ("from:!1000004d gw:!7c5a0a03 port:text hops<2 on DAY", 100.0),
    ("text:\"water tower\" on DAY", 100.0),
    ("text:\"never said\" on DAY", 100.0),
    ("text:test", 100.0),
    ("text:\"never said\"", 1_000.0),
    ("snr>30", 10_000.0),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(500_000), |text| text.parse())?;
    let days: i64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| scratch.path().to_path_buf(), Into::into);
    let mut maker = Maker::new(1);
    maker.at_ms -= DAY_MS / 2;
    maker.step_ms = ((days * DAY_MS - DAY_MS / 20) / count as i64).max(1);
    if Reader::open(&folder)?.log(&Filter::default())?.is_empty() {
        store(&folder, &mut maker, count)?;
    }
    ask(&folder, days)
}

fn store(folder: &Path, maker: &mut Maker, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let key = ChannelKey::default_key();
    let mut writer = Writer::open(folder)?;
    let (mut wall, mut cpu, mut stored, mut payload_bytes) = (Duration::ZERO, 0.0, 0, 0);
    let mut slowest = Duration::ZERO;
    while stored < count {
        let mut batch = Vec::with_capacity(2 * BATCH);
        while batch.len() < BATCH {
            if batch.len() % 50 == 0 {
                batch.push(maker.said(&key, "LongFast", TEXTS[stored % TEXTS.len()]));
            }
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
        let took = started.elapsed();
        slowest = slowest.max(took);
        wall += took;
        cpu += thread_cpu_s()? - cpu_before;
    }
    drop(writer);
    let bytes: u64 =
        std::fs::read_dir(folder)?.flatten().filter_map(|e| Some(e.metadata().ok()?.len())).sum();
    println!("{stored} receptions with releases, payloads {} bytes each", payload_bytes / stored);
    println!(
        "{:.0} receptions/s, {cpu:.2} CPU seconds, slowest transaction {:.0} ms",
        stored as f64 / wall.as_secs_f64(),
        slowest.as_secs_f64() * 1e3
    );
    println!("{:.1} bytes on disk each, releases included", bytes as f64 / stored as f64);
    Ok(())
}

fn ask(folder: &Path, days: i64) -> Result<(), Box<dyn std::error::Error>> {
    let reader = Reader::open(folder)?;
    let newest = reader.log(&Filter { limit: 1, ..Filter::default() })?;
    let until_ms = newest.first().map_or(0, |newest| newest.at_ms) + 1;
    // A whole day, not the one that is still being written.
    let now_ms = until_ms - if days > 1 { DAY_MS } else { 0 };
    for (question, limit_ms) in QUESTIONS {
        let text = question.replace("DAY", "today");
        let query = Query::parse(&text).map_err(|problems| format!("{text}: {problems:?}"))?;
        let condition = query.bind(&Surroundings { now_ms, ..Surroundings::default() })?;
        let search = Search {
            condition: &condition,
            keep: &|_| true,
            before: None,
            limit: 100,
            effort: Effort::UNBOUNDED,
        };
        timed(if text.is_empty() { "newest" } else { &text }, *limit_ms, || {
            let page = reader.search(&search)?;
            Ok(format!("{} rows, {} looked at", page.receptions.len(), page.looked_at))
        })?;
    }
    let known = newest.first().and_then(|r| r.packet).ok_or("nothing is stored")?;
    timed("one packet", 100.0, || Ok(format!("{} rows", reader.packet(known.from, known.id)?.len())))?;
    let since_ms = until_ms - days * DAY_MS;
    for (what, thing) in [
        ("chart of everything, all days", Thing::All),
        ("chart of a node", Thing::Node(made_up::node(77))),
        ("chart of a port", Thing::Port(Some(67))),
        ("chart of a channel", Thing::Channel("LongFast".into())),
    ] {
        timed(what, 50.0, || Ok(format!("{} hours", reader.hours(&thing, since_ms, until_ms)?.len())))?;
    }
    for dimension in [Dimension::Gateway, Dimension::Node, Dimension::Channel] {
        timed(&format!("tallies by {dimension:?}, all days"), 50.0, || {
            Ok(format!("{} things", reader.tallies(dimension, since_ms, until_ms)?.len()))
        })?;
    }
    timed("totals of an hour", 100.0, || {
        Ok(format!("{} receptions", reader.totals(until_ms - 3_600_000, until_ms, 60)?.receptions))
    })?;
    timed("names of all nodes", 100.0, || Ok(format!("{} names", reader.names(since_ms)?.len())))?;
    Ok(())
}

fn timed(
    what: &str,
    limit_ms: f64,
    ask: impl Fn() -> Result<String, history::Error>,
) -> Result<(), history::Error> {
    let time = || -> Result<(f64, String), history::Error> {
        let started = Instant::now();
        let found = ask()?;
        Ok((started.elapsed().as_secs_f64() * 1e3, found))
    };
    let (first, found) = time()?;
    let mut further: Vec<f64> = (0..11).map(|_| time().map(|t| t.0)).collect::<Result<_, _>>()?;
    further.sort_by(f64::total_cmp);
    let verdict = if further[5] <= limit_ms { "" } else { "  OVER" };
    println!("{:8.2} ms ({first:8.2} ms first)  {what}: {found}{verdict}", further[5]);
    Ok(())
}

/// CPU seconds of this process so far, as the kernel counts them.
fn thread_cpu_s() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    let on_cpu_ns = stat.split(' ').next().ok_or("no time in schedstat")?;
    Ok(on_cpu_ns.parse::<f64>()? / 1e9)
}
