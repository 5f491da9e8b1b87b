//! What the runs counted, side by side: median and spread over the seeds.

use std::collections::BTreeSet;
use std::fmt::Write;

use bench::statistics::Spread;
use serde_json::json;
use trial::{Figures, Outcome, Reach};

use crate::Run;

/// One line of the table: its name, how it is taken from a run, and its decimals.
type Line = (String, Box<dyn Fn(&Figures) -> f64>, usize);

/// The table, in Markdown.
pub fn table(runs: &[Run]) -> String {
    let mut out = String::new();
    for is_abused in [true, false] {
        let runs: Vec<&Run> = runs.iter().filter(|r| r.is_abused == is_abused).collect();
        let head: Vec<&str> = runs.iter().map(|r| r.way.words()).collect();
        let title = if is_abused { "with the abuser" } else { "without the abuser" };
        let _ = writeln!(out, "| {title} | {} |", head.join(" | "));
        let _ = writeln!(out, "| --- |{}", " --- |".repeat(runs.len()));
        for (name, take, digits) in lines(&runs) {
            let cells = runs.iter().map(|run| cell(run, &take, digits));
            let _ = writeln!(out, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        let _ = writeln!(out);
    }
    out
}

fn cell(run: &Run, take: &dyn Fn(&Figures) -> f64, digits: usize) -> String {
    let spread = Spread::of(run.figures.iter().map(take).collect());
    if run.figures.len() == 1 { format!("{:.digits$}", spread.median) } else { format!("{spread:.digits$}") }
}

fn lines(runs: &[&Run]) -> Vec<Line> {
    fn line(name: &str, digits: usize, take: impl Fn(&Figures) -> f64 + 'static) -> Line {
        (name.to_owned(), Box::new(take), digits)
    }
    fn percent(reach: &Reach) -> f64 {
        reach.ratio() * 100.0
    }
    fn seconds(reach: &Reach, share: usize) -> f64 {
        reach.delay_ms(share) as f64 / 1000.0
    }
    let mut lines = Vec::new();
    for island in 0..3 {
        let number = island + 1;
        lines.push(line(&format!("island {number}: airtime of its own packets, s"), 0, move |f| {
            f.islands[island].own_airtime_s
        }));
        lines.push(line(&format!("island {number}: airtime of downlink, s"), 1, move |f| {
            f.islands[island].downlink_airtime_s
        }));
        lines.push(line(&format!("island {number}: channel utilisation, %"), 1, move |f| {
            f.islands[island].utilisation_percent
        }));
        lines.push(line(&format!("island {number}: receptions lost to collisions, %"), 1, move |f| {
            f.islands[island].collided_percent
        }));
    }
    lines.push(line("**airtime of downlink in all, s**", 1, Figures::downlink_airtime_s));
    lines.push(line("**texts to nodes of other islands, % delivered**", 1, |f| percent(&f.texts_across)));
    lines.push(line("their delay, p50, s", 1, |f| seconds(&f.texts_across, 50)));
    lines.push(line("their delay, p95, s", 1, |f| seconds(&f.texts_across, 95)));
    lines.push(line("texts to gateways of other islands, %", 1, |f| percent(&f.texts_at_gateways)));
    lines.push(line("texts within an island, %", 1, |f| percent(&f.texts_within)));
    lines.push(line("direct messages to other islands, % delivered", 1, |f| percent(&f.directs_across)));
    lines.push(line("their acknowledgements, %", 1, |f| percent(&f.acknowledged_across)));
    lines.push(line("traceroutes to other islands, % answered", 1, |f| percent(&f.traceroutes_across)));
    lines.push(line("direct messages within an island, %", 1, |f| percent(&f.directs_within)));
    lines.push(line("envelopes uplinked", 0, |f| f.uplinks as f64));
    lines.push(line("copies sent to gateways", 0, |f| f.copies as f64));
    lines.push(line("of these, of the abuser's packets", 0, |f| f.copies_of_abuse as f64));
    lines.push(line("forged packets received by nodes", 0, |f| f.forged_received as f64));
    let rules: BTreeSet<&'static str> =
        runs.iter().flat_map(|r| &r.figures).flat_map(|f| f.by_rule.keys().copied()).collect();
    for rule in rules {
        lines.push(line(&format!("held by `{rule}`"), 0, move |f| {
            f.by_rule.get(rule).copied().unwrap_or(0) as f64
        }));
    }
    lines
}

/// One run.
pub fn json(seed: u64, hours: u64, run: &Run, outcome: &Outcome) -> serde_json::Value {
    let f = &outcome.figures;
    let reach =
        |r: &Reach| json!({ "due": r.due, "got": r.got, "p50_ms": r.delay_ms(50), "p95_ms": r.delay_ms(95) });
    let islands: Vec<serde_json::Value> = f
        .islands
        .iter()
        .map(|i| {
            json!({
                "own_airtime_s": i.own_airtime_s,
                "downlink_airtime_s": i.downlink_airtime_s,
                "utilisation_percent": i.utilisation_percent,
                "collided_percent": i.collided_percent,
            })
        })
        .collect();
    json!({
        "seed": seed,
        "hours": hours,
        "way": run.way.words(),
        "abuser": run.is_abused,
        "digest": format!("{:016x}", outcome.digest),
        "islands": islands,
        "texts_across": reach(&f.texts_across),
        "texts_at_gateways": reach(&f.texts_at_gateways),
        "texts_within": reach(&f.texts_within),
        "directs_across": reach(&f.directs_across),
        "acknowledged_across": reach(&f.acknowledged_across),
        "traceroutes_across": reach(&f.traceroutes_across),
        "directs_within": reach(&f.directs_within),
        "forged_received": f.forged_received,
        "uplinks": f.uplinks,
        "copies": f.copies,
        "copies_of_abuse": f.copies_of_abuse,
        "held_by_rule": f.by_rule,
        "honest_held_by_rule": f.honest_by_rule,
    })
}
