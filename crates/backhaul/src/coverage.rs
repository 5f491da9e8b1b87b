//! `backhaul coverage`, `links` and `compare`: who hears whom and where, from the files; works while the server runs.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use history::{Effort, Everything, Reader};
use insight::coverage::{COARSEST, FINEST, Wanted, hexagons};
use insight::{Link, LinkKey, Source, Survey, compare, geojson};
use mesh::node::NodeNum;
use query::{Condition, Test};
use serde_json::{Value as Json, json};

use crate::log::find;
use crate::{Outcome, clock};

/// Looked at when nothing is said, ms.
const USUAL_MS: i64 = 86_400_000;

/// Where and when.
#[derive(Args)]
pub struct Place {
    /// How far back: an age such as 6h or 7d, or a moment
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Until when: an age or a moment; now if not said
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Configuration file, for the keys that open positions on the operator's channels
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// One JSON object a line; the same as --format json
    #[arg(long)]
    json: bool,
}

/// How to print it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Text,
    /// One JSON object a line
    Json,
    /// One GeoJSON document, for maps
    Geojson,
}

/// Options of `coverage`.
#[derive(Args)]
pub struct CoverageArguments {
    #[command(flatten)]
    place: Place,
    /// Only what this gateway heard
    #[arg(long, value_name = "!ID", value_parser = node)]
    gateway: Option<u32>,
    /// Only what this node sent
    #[arg(long, value_name = "!ID", value_parser = node)]
    node: Option<u32>,
    /// Size of the hexagons: resolution of H3
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(i64::from(COARSEST)..=i64::from(FINEST)))]
    size: u8,
}

/// Options of `links`.
#[derive(Args)]
pub struct LinksArguments {
    #[command(flatten)]
    place: Place,
    /// Only links of this node
    #[arg(long, value_name = "!ID", value_parser = node)]
    node: Option<u32>,
    /// Only links known so: direct, traceroute or neighbour
    #[arg(long, value_parser = source)]
    source: Option<Source>,
}

/// Options of `compare`.
#[derive(Args)]
pub struct CompareArguments {
    #[command(flatten)]
    place: Place,
    /// Two gateways; without them the time is compared with the time before
    #[arg(num_args = 2, value_names = ["!ID", "!ID"], value_parser = node)]
    gateways: Vec<u32>,
}

impl Place {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// The reader, and the window in Unix ms.
    fn open(&self) -> Result<(Reader, i64, i64), Box<dyn std::error::Error>> {
        let mut filter = vec![format!("since {}", self.since)];
        filter.extend(self.until.iter().map(|until| format!("until {until}")));
        let (reader, condition) = find(&filter, &self.data, self.config.as_deref())?;
        let now_ms = clock::unix_ms();
        let (mut since_ms, mut until_ms) = (now_ms - USUAL_MS, now_ms + 1);
        times(&condition, &mut since_ms, &mut until_ms);
        if since_ms >= until_ms {
            return Err("the time ends before it begins".into());
        }
        Ok((reader, since_ms, until_ms))
    }
}

fn times(condition: &Condition, since_ms: &mut i64, until_ms: &mut i64) {
    match condition {
        Condition::All(parts) => parts.iter().for_each(|part| times(part, since_ms, until_ms)),
        Condition::Is(Test::Since(at)) => *since_ms = *at,
        Condition::Is(Test::Until(at)) => *until_ms = *at,
        _ => {}
    }
}

fn node(text: &str) -> Result<u32, String> {
    NodeNum::parse(text).map(|node| node.0).ok_or_else(|| "a node is written like !7c5a0a01".to_owned())
}

fn source(text: &str) -> Result<Source, String> {
    Source::from_word(text).ok_or_else(|| "direct, traceroute or neighbour".to_owned())
}

/// Runs `backhaul coverage`.
pub fn coverage(arguments: &CoverageArguments) -> Outcome {
    let (reader, since_ms, until_ms) = arguments.place.open()?;
    let (survey, _) = reader.survey(since_ms, until_ms, Effort::UNBOUNDED, &Everything)?;
    let wanted = Wanted { resolution: arguments.size, gateway: arguments.gateway, node: arguments.node };
    let found = hexagons(&survey, wanted);
    let features = geojson::hexagons(&found);
    if print_json(arguments.place.format(), &features)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    for (cell, hexagon) in &found {
        let (latitude, longitude) = geojson::middle(*cell);
        let only = hexagon.single().map_or(String::new(), |gateway| format!("  only {}", NodeNum(gateway)));
        writeln!(
            out,
            "{cell}  {latitude:>9.4} {longitude:>9.4}  best {}  {} gateways  {} nodes  {} receptions{only}",
            snr(hexagon.best_snr()),
            hexagon.gateways.len(),
            hexagon.nodes.len(),
            hexagon.count
        )?;
    }
    if found.is_empty() {
        eprintln!("nobody whose place is known was heard directly");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `backhaul links`.
pub fn links(arguments: &LinksArguments) -> Outcome {
    let (reader, since_ms, until_ms) = arguments.place.open()?;
    let (survey, _) = reader.survey(since_ms, until_ms, Effort::UNBOUNDED, &Everything)?;
    let mut found = survey.links();
    found.retain(|key, _| {
        arguments.source.is_none_or(|source| key.source == source)
            && arguments.node.is_none_or(|node| key.from == node || key.to == node)
    });
    let mut rows: Vec<(&LinkKey, &Link)> = found.iter().collect();
    rows.sort_by(|a, b| {
        let metres = |row: &(&LinkKey, &Link)| survey.distance_m(row.0).unwrap_or(-1.0);
        metres(b).total_cmp(&metres(a)).then(a.0.cmp(b.0))
    });
    match arguments.place.format() {
        Format::Geojson => {
            print_json(Format::Geojson, &geojson::links(&survey, &found))?;
        }
        Format::Json => {
            let lines: Vec<Json> = rows.iter().map(|(key, link)| geojson::link(&survey, key, link)).collect();
            print_lines(&lines)?;
        }
        Format::Text => {
            let mut out = std::io::stdout().lock();
            for (key, link) in rows {
                writeln!(out, "{}", in_words(&survey, key, link))?;
            }
            if found.is_empty() {
                eprintln!("no links in this time");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(survey: &Survey, key: &LinkKey, link: &Link) -> String {
    let far = survey.distance_m(key).map_or("-".to_owned(), |metres| format!("{:.1} km", metres / 1000.0));
    let (from, to) = (NodeNum(key.from), NodeNum(key.to));
    let (best, count, known_by) = (snr(link.best_snr()), link.count, key.source.word());
    format!("{from} heard by {to}  {far:>9}  best {best}  {count} times  {known_by}")
}

/// Runs `backhaul compare`.
pub fn compare(arguments: &CompareArguments) -> Outcome {
    let (reader, since_ms, until_ms) = arguments.place.open()?;
    if arguments.place.format() == Format::Geojson {
        return Err("a comparison has no places; use --json".into());
    }
    let is_json = arguments.place.format() == Format::Json;
    let mut out = std::io::stdout().lock();
    if let [a, b] = *arguments.gateways.as_slice() {
        let (gateways, _) =
            reader.compare_gateways((a, b), since_ms, until_ms, Effort::UNBOUNDED, &Everything)?;
        let (all, by_node) = gateways.sums();
        let rows = std::iter::once(("all".to_owned(), &all))
            .chain(by_node.iter().map(|(node, sides)| (geojson::id(*node), sides)));
        for (of, sides) in rows {
            if is_json {
                let line = json!({ "of": of, "both": sides.both, "only_a": sides.only_a, "only_b": sides.only_b, "a_better_by_db": sides.difference_db() });
                writeln!(out, "{line}")?;
                continue;
            }
            let (both, only_a, only_b) = (sides.both, sides.only_a, sides.only_b);
            let better =
                sides.difference_db().map_or(String::new(), |by| format!("  first better by {by:.1} dB"));
            writeln!(
                out,
                "{of:<10} both {both:>7}  only first {only_a:>7}  only second {only_b:>7}{better}"
            )?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let before_ms = since_ms - (until_ms - since_ms);
    let (earlier, _) = reader.survey(before_ms, since_ms, Effort::UNBOUNDED, &Everything)?;
    let (later, _) = reader.survey(since_ms, until_ms, Effort::UNBOUNDED, &Everything)?;
    let change = compare::windows(&earlier, &later);
    let told = |what: &str, key: &LinkKey, by: Option<f64>| {
        if is_json {
            let (from, to, source) = (geojson::id(key.from), geojson::id(key.to), key.source.word());
            json!({ "change": what, "from": from, "to": to, "source": source, "mean_snr_by_db": by })
                .to_string()
        } else {
            let by = by.map_or(String::new(), |by| format!("  {by:+.1} dB"));
            format!("{what:<7} {} heard by {}  {}{by}", NodeNum(key.from), NodeNum(key.to), key.source.word())
        }
    };
    for node in &change.orphaned {
        let line = json!({ "change": "orphaned", "node": geojson::id(*node) }).to_string();
        let words = format!("orphaned {}", NodeNum(*node));
        writeln!(out, "{}", if is_json { line } else { words })?;
    }
    change.gained.iter().try_for_each(|key| writeln!(out, "{}", told("gained", key, None)))?;
    change.lost.iter().try_for_each(|key| writeln!(out, "{}", told("lost", key, None)))?;
    change.margin.iter().try_for_each(|(key, by)| writeln!(out, "{}", told("margin", key, Some(*by))))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints features as lines or as one document; `false` when they are wanted for reading.
fn print_json(format: Format, features: &[Json]) -> Result<bool, std::io::Error> {
    match format {
        Format::Text => return Ok(false),
        Format::Json => {
            let properties: Vec<Json> =
                features.iter().map(|feature| feature["properties"].clone()).collect();
            print_lines(&properties)?;
        }
        Format::Geojson => print_lines(&[geojson::collection(features.to_vec())])?,
    }
    Ok(true)
}

fn print_lines(lines: &[Json]) -> Result<(), std::io::Error> {
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn snr(snr: Option<f64>) -> String {
    snr.map_or("-".to_owned(), |snr| format!("{snr:.1} dB"))
}
