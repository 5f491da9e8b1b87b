//! `backhaul policy test`: what a proposed policy would have done with recorded traffic, beside the one in force.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use backtest::{Backtest, Heard, Options, Report, Sample, duration, sentences, thousands};
use clap::Args;
use directory_store::Store;
use history::Replayed;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::memory::MemoryLimits;
use serde_json::{Value, json};

use crate::data_folder::{Installation, read_policy};
use crate::policy_file::in_force;
use crate::{Outcome, clock, log, settings};

/// Traffic before the span that fills the ledgers and is not counted: as long as the longest window of a rule.
const WARM_UP_MS: i64 = 3_600_000;

/// Options of `policy test`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// The proposed policy file
    file: PathBuf,
    #[command(flatten)]
    installation: Installation,
    /// From when on: a time back like 7d, or a moment like 2026-11-23T20:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "7d", value_parser = clock::parse_moment)]
    since: i64,
    /// Until when; now if not said
    #[arg(long, value_name = "WHEN", value_parser = clock::parse_moment)]
    until: Option<i64>,
    /// Compare with this policy file and not with the one in force
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Outcome {
    let proposed = read_policy(&arguments.file)?;
    let current = match &arguments.against {
        Some(file) => read_policy(file)?,
        None => in_force(&arguments.installation)?,
    };
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let reader = log::open_history(data)?;
    let directory = Store::open(data)?.load()?;
    let changes: Vec<String> =
        policy::difference::differences(&current, &proposed).iter().map(ToString::to_string).collect();
    let mut backtest = Backtest::new(Options {
        current: Arc::new(current),
        proposed: Arc::new(proposed),
        directory: Arc::new(directory),
        keyring: settings::keyring(&config),
        preset: settings::preset(&config),
        limits: MemoryLimits {
            seen_packets_max: config.mqtt.seen_packets_max as usize,
            ..MemoryLimits::default()
        },
        count_from_ms: arguments.since,
    });
    let started = Instant::now();
    let mut judged = 0u64;
    reader.replay(arguments.since - WARM_UP_MS, arguments.until.unwrap_or(i64::MAX), |replayed| {
        backtest.take(&heard(replayed));
        judged += 1;
        ControlFlow::Continue(())
    })?;
    let took = started.elapsed();
    let report = backtest.finish();
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", to_json(&report, &changes))?;
    } else {
        tell(&mut out, &report, &changes)?;
        let per_second = judged as f64 / took.as_secs_f64().max(1e-9);
        writeln!(
            out,
            "\n{} receptions judged twice in {:.1} s, {per_second:.0} a second",
            thousands(judged),
            took.as_secs_f64()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn heard<'a>(replayed: &Replayed<'a>) -> Heard<'a> {
    let source = replayed.source;
    Heard {
        seq: replayed.seq,
        at_ms: replayed.at_ms,
        client_id: &source.client_id,
        username: source.username.as_ref(),
        topic: &source.topic,
        channel: source.channel.as_ref(),
        payload: replayed.payload,
        receivers: replayed.receivers,
    }
}

fn tell(out: &mut impl Write, report: &Report, changes: &[String]) -> std::io::Result<()> {
    writeln!(out, "The proposed policy differs in:")?;
    if changes.is_empty() {
        writeln!(out, "  nothing")?;
    }
    for change in changes {
        writeln!(out, "  {change}")?;
    }
    writeln!(out)?;
    for sentence in sentences(report) {
        writeln!(out, "{}", sentence.text)?;
    }
    writeln!(out, "\n{:<34}{:>14}{:>14}", "", "in force", "proposed")?;
    for (name, values) in sums(report) {
        writeln!(out, "{name:<34}{:>14}{:>14}", values[0], values[1])?;
    }
    let rules: Vec<_> = report.rules_changed().collect();
    if !rules.is_empty() {
        writeln!(out, "\n{:<20}{:>18}{:>18}{:>18}", "rule", "decided", "withheld", "would have")?;
        for (rule, counts) in rules {
            let pair = |[old, new]: [u64; 2]| {
                if old == new { thousands(old) } else { format!("{} → {}", thousands(old), thousands(new)) }
            };
            let (decided, withheld, observed) =
                (pair(counts.decided), pair(counts.withheld), pair(counts.observed));
            writeln!(out, "{:<20}{decided:>18}{withheld:>18}{observed:>18}", rule.name())?;
        }
    }
    for (title, hits, all) in
        [("nodes", &report.nodes, report.nodes_hit), ("gateways", &report.gateways, report.gateways_hit)]
    {
        if all > 0 {
            writeln!(out, "\n{} {title} hit, the hardest first", thousands(all))?;
        }
        for (number, hit) in hits {
            writeln!(out, "  {}  {} lost, {} gained", NodeNum(*number), hit.lost, hit.gained)?;
        }
    }
    if !report.samples.is_empty() {
        writeln!(out, "\nsamples")?;
    }
    for sample in &report.samples {
        tell_sample(out, sample)?;
    }
    Ok(())
}

fn tell_sample(out: &mut impl Write, sample: &Sample) -> std::io::Result<()> {
    let what = sample.what;
    let packet = what.packet.map_or("no packet".to_owned(), |(from, id)| format!("{} {id}", NodeNum(from)));
    let port = what.port.map_or("opaque".to_owned(), |port| PortNum(port).word().to_string());
    let by = what.gateway.map_or("-".to_owned(), |gateway| NodeNum(gateway).to_string());
    writeln!(out, "  {} {packet} ({port}) by {by}", clock::utc(what.at_ms))?;
    for (side, name) in ["in force", "proposed"].into_iter().enumerate() {
        let rule = sample.rules[side].map_or("no rule", |rule| rule.name());
        let (verdict, copies) = (sample.verdicts[side].word(), sample.copies[side]);
        writeln!(
            out,
            "    {name}: {verdict} ({rule}), {copies} copies to gateways. {}",
            sample.sentences[side]
        )?;
    }
    Ok(())
}

fn sums(report: &Report) -> [(&'static str, [String; 2]); 7] {
    let pair = |of: fn(&backtest::SideReport) -> u64| report.sides.each_ref().map(|side| thousands(of(side)));
    [
        ("receptions passed on", pair(|side| side.passed)),
        ("recorded only", pair(|side| side.recorded_only)),
        ("refused", pair(|side| side.refused)),
        ("copies toward gateways", pair(|side| side.copies_to_gateways)),
        ("copies toward observers, services", pair(|side| side.copies_to_others)),
        ("copies withheld", pair(|side| side.withheld)),
        ("airtime of copies", report.sides.each_ref().map(|side| duration(side.airtime_us))),
    ]
}

fn to_json(report: &Report, changes: &[String]) -> Value {
    let side = |side: &backtest::SideReport| {
        json!({
            "passed": side.passed, "recorded_only": side.recorded_only, "refused": side.refused,
            "copies_to_gateways": side.copies_to_gateways, "copies_to_others": side.copies_to_others,
            "withheld": side.withheld, "airtime_us": side.airtime_us,
        })
    };
    let rules: serde_json::Map<String, Value> = report
        .rules_changed()
        .map(|(rule, counts)| {
            let value = json!({ "decided": counts.decided, "withheld": counts.withheld, "observed": counts.observed });
            (rule.name().to_owned(), value)
        })
        .collect();
    let hits = |hits: &[(u32, backtest::Hit)]| -> Value {
        hits.iter()
            .map(|(number, hit)| json!({ "node": NodeNum(*number).to_string(), "lost": hit.lost, "gained": hit.gained }))
            .collect()
    };
    let samples: Value = report.samples.iter().map(sample_to_json).collect();
    let words: Vec<String> = sentences(report).into_iter().map(|sentence| sentence.text).collect();
    json!({
        "changes": changes, "words": words, "receptions": report.receptions,
        "first_ms": report.first_ms, "last_ms": report.last_ms,
        "changed": report.changed, "lost": report.lost, "gained": report.gained,
        "packets_changed": report.packets_changed, "senders_gone": report.senders_gone,
        "receivers_assumed": report.receivers_assumed,
        "in_force": side(&report.sides[0]), "proposed": side(&report.sides[1]), "rules": rules,
        "nodes_hit": report.nodes_hit, "nodes": hits(&report.nodes),
        "gateways_hit": report.gateways_hit, "gateways": hits(&report.gateways),
        "samples": samples,
    })
}

fn sample_to_json(sample: &Sample) -> Value {
    let side = |side: usize| {
        json!({
            "verdict": sample.verdicts[side].word(), "rule": sample.rules[side].map(|rule| rule.name()),
            "sentence": sample.sentences[side], "copies_to_gateways": sample.copies[side],
        })
    };
    let what = sample.what;
    json!({
        "seq": what.seq, "at_ms": what.at_ms, "from": what.packet.map(|(from, _)| NodeNum(from).to_string()),
        "id": what.packet.map(|(_, id)| id), "gateway": what.gateway.map(|g| NodeNum(g).to_string()),
        "port": what.port, "in_force": side(0), "proposed": side(1),
    })
}
