//! What the runs gave: tables of medians with how far they lie apart, ratios within a round, and lines of JSON.

use bench::statistics::Spread;

use crate::case::{Case, Chapter};
use crate::run::Run;

/// One run and where it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Number of the round.
    pub round: usize,
    /// Number of the case.
    pub case: usize,
    /// Number of the broker.
    pub broker: usize,
    /// What it gave.
    pub run: Run,
}

/// Above this, the load generator may be what limits the rate.
const GENERATOR_BUSY_MAX: f64 = 0.9;

/// A column: its heading, its value, how many digits it has.
type Column = (&'static str, fn(&Run) -> f64, usize);

const RATE: Column = ("delivered/s", |r| r.per_s, 0);
const CPU: Column = ("CPU s per 10⁶", |r| r.cpu_s_per_million, 2);
const MEMORY: Column = ("RSS MB", |r| r.rss_mb, 1);
const STORED: Column = ("stored %", |r| r.stored * 100.0, 1);
const DELAYS: [Column; 3] =
    [("p50 µs", |r| r.delay_us[0], 0), ("p99 µs", |r| r.delay_us[1], 0), ("p99.9 µs", |r| r.delay_us[2], 0)];

const fn columns(chapter: Chapter) -> &'static [Column] {
    const THROUGHPUT: &[Column] = &[RATE, CPU, MEMORY];
    const AT_RATE: &[Column] = &[CPU, DELAYS[0], DELAYS[1], DELAYS[2], MEMORY];
    const SCALING: &[Column] = &[RATE, CPU, DELAYS[1], MEMORY];
    const CONNECTIONS: &[Column] = &[("per s", |r| r.per_s, 0), CPU, ("KB each", |r| r.kb_per_connection, 2)];
    const MESH: &[Column] = &[RATE, CPU, DELAYS[0], DELAYS[1], STORED, MEMORY];
    match chapter {
        Chapter::Throughput => THROUGHPUT,
        Chapter::Rate => AT_RATE,
        Chapter::Scaling => SCALING,
        Chapter::Connections => CONNECTIONS,
        Chapter::Mesh => MESH,
    }
}

/// The ratios that are shown: what is divided, by the same of the broker named first.
const RATIOS: [Column; 3] = [RATE, CPU, ("KB each", |r| r.kb_per_connection, 2)];

/// All tables, as Markdown.
pub fn tables(entries: &[Entry], cases: &[Case], brokers: &[String]) -> String {
    let first = brokers.first().map_or("", String::as_str);
    let mut text = String::new();
    for chapter in Chapter::ALL {
        let of_chapter = |entry: &&Entry| cases[entry.case].chapter == chapter;
        if !entries.iter().any(|e| of_chapter(&e)) {
            continue;
        }
        let columns = columns(chapter);
        let ratios: Vec<&Column> = RATIOS.iter().filter(|r| columns.iter().any(|c| c.0 == r.0)).collect();
        text += &format!("### {}\n\n| work | broker |", chapter.heading());
        columns.iter().for_each(|(heading, ..)| text += &format!(" {heading} |"));
        ratios.iter().for_each(|(heading, ..)| text += &format!(" {heading} ÷ {first} |"));
        text += " lost | busy: broker, generator |\n|";
        text += &"---|".repeat(columns.len() + ratios.len() + 4);
        text.push('\n');
        for (case, Case { name, .. }) in cases.iter().enumerate().filter(|(_, c)| c.chapter == chapter) {
            for (broker, broker_name) in brokers.iter().enumerate() {
                let runs = of(entries, case, broker);
                if runs.is_empty() {
                    continue;
                }
                text += &format!("| {name} | {broker_name} |");
                for (_, value, digits) in columns {
                    text += &format!(" {} |", cell(runs.iter().map(|(_, run)| value(run)), *digits));
                }
                for (_, value, _) in &ratios {
                    text += &format!(" {} |", cell(ratio(&runs, &of(entries, case, 0), *value), 2));
                }
                text += &last_cells(&runs);
            }
        }
        text.push('\n');
    }
    text
}

/// Losses, and how busy both sides were.
fn last_cells(runs: &[(usize, Run)]) -> String {
    let lost: u64 = runs.iter().map(|(_, run)| run.lost + run.disordered).sum();
    let lost = if lost == 0 { "0".to_owned() } else { format!("**{lost}**") };
    let busy = |value: fn(&Run) -> f64| Spread::of(runs.iter().map(|(_, run)| value(run)).collect()).median;
    let (broker, generator) = (busy(|r| r.broker_busy), busy(|r| r.generator_busy));
    if broker.is_nan() {
        return format!(" {lost} | – |\n");
    }
    let is_limit = generator > GENERATOR_BUSY_MAX && broker < GENERATOR_BUSY_MAX;
    let mark = if is_limit { " (!)" } else { "" };
    format!(" {lost} | {:.0} %, {:.0} %{mark} |\n", broker * 100.0, generator * 100.0)
}

/// Runs of a case on a broker, with their rounds.
fn of(entries: &[Entry], case: usize, broker: usize) -> Vec<(usize, Run)> {
    let found = entries.iter().filter(|e| (e.case, e.broker) == (case, broker));
    found.map(|e| (e.round, e.run)).collect()
}

/// Ratios within a round, as its runs lie next to each other in time.
fn ratio(runs: &[(usize, Run)], base: &[(usize, Run)], value: fn(&Run) -> f64) -> Vec<f64> {
    let of_round = |round: usize| base.iter().find(|(r, _)| *r == round).map(|(_, run)| run);
    runs.iter().filter_map(|(round, run)| Some(value(run) / value(of_round(*round)?))).collect()
}

fn cell(samples: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let samples: Vec<f64> = samples.into_iter().filter(|sample| sample.is_finite()).collect();
    if samples.is_empty() { "–".to_owned() } else { format!("{:.digits$}", Spread::of(samples)) }
}

/// One run as a line of JSON.
pub fn json(entry: &Entry, cases: &[Case], brokers: &[String]) -> String {
    let run = &entry.run;
    serde_json::json!({
        "round": entry.round,
        "case": cases[entry.case].name,
        "broker": brokers[entry.broker],
        "per_s": run.per_s,
        "cpu_s_per_million": run.cpu_s_per_million,
        "p50_us": run.delay_us[0],
        "p99_us": run.delay_us[1],
        "p999_us": run.delay_us[2],
        "rss_mb": run.rss_mb,
        "kb_per_connection": run.kb_per_connection,
        "lost": run.lost,
        "disordered": run.disordered,
        "stored": run.stored,
        "broker_busy": run.broker_busy,
        "generator_busy": run.generator_busy,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let run = |cpu: f64| Run {
            per_s: 1_000.0,
            cpu_s_per_million: cpu,
            delay_us: [f64::NAN; 3],
            rss_mb: 1.0,
            kb_per_connection: f64::NAN,
            lost: 1,
            disordered: 0,
            stored: f64::NAN,
            broker_busy: 0.5,
            generator_busy: 0.95,
        };
        let cases = crate::case::all();
        let brokers = ["a".to_owned(), "b".to_owned()];
        let entries: Vec<Entry> = [(10.0, 5.0), (20.0, 10.0), (40.0, 10.0)]
            .into_iter()
            .enumerate()
            .flat_map(|(round, (a, b))| {
                [(0, a), (1, b)].map(|(broker, cpu)| Entry { round, case: 0, broker, run: run(cpu) })
            })
            .collect();
        let table = tables(&entries, &cases, &brokers);
        let line = table.lines().find(|l| l.contains("| b |")).unwrap();
        assert!(line.contains("| 10.00 (5.00–10.00) |"), "{line}");
        assert!(line.contains("| 1.00 (1.00–1.00) | 0.50 (0.25–0.50) | **3** | 50 %, 95 % (!) |"), "{line}");
    }
}
