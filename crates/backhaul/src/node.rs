//! `backhaul node`: which nodes are doubtful, and which are in quarantine. Marks come from the history, so that this works
//! while the server runs and when it does not.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Directory, GatewayId, WatchCommand};
use directory_store::Store;
use history::{Filter, Reader};
use policy::memory::mark::Mark;
use query::{Condition, Test};
use record::Reception;
use serde_json::json;

use crate::clock::{self, unix_ms};
use crate::log::open_history;
use crate::{Outcome, data_folder};

/// Who the audit says it was.
const ACTOR: &str = "command line";
/// Receptions read at a time, and in all: what is older than that is not looked at, and said so.
const PAGE: usize = 5_000;
const RECEPTIONS_MAX: usize = 500_000;
const SINCE_MS: i64 = 24 * 3_600_000;

/// What to do with nodes.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Record what a node sends, and pass nothing of it on
    Quarantine(Quarantine),
    /// Pass on again what a node sends
    Release(Named),
    /// Show a node's marks and whether it is in quarantine
    Show(Looked),
    /// List nodes with marks and nodes in quarantine
    List(Listed),
}

/// Options of `node quarantine`.
#[derive(Args, Clone)]
pub struct Quarantine {
    #[command(flatten)]
    named: Named,
    /// Why, for you and other operators
    #[arg(long, default_value = "")]
    reason: String,
}

/// A node.
#[derive(Args, Clone)]
pub struct Named {
    /// The node's id, in single quotes: '!7c5a0b02'
    #[arg(value_name = "NODE_ID")]
    id: GatewayId,
    #[command(flatten)]
    installation: data_folder::Installation,
}

/// Options of `node show`.
#[derive(Args, Clone)]
pub struct Looked {
    /// The node's id, in single quotes: '!7c5a0b02'
    #[arg(value_name = "NODE_ID")]
    id: GatewayId,
    #[command(flatten)]
    listed: Listed,
}

/// Options of `node list` that `node show` has too.
#[derive(Args, Clone)]
pub struct Listed {
    /// Marks since then: a time back (`6h`, `7d`) or a moment [default: 1 day]
    #[arg(long, value_name = "WHEN", value_parser = clock::parse_moment)]
    since: Option<i64>,
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Quarantine(Quarantine { named, reason }) => {
            let command = WatchCommand::Quarantine { node: named.id, reason };
            decide(
                &named.installation,
                command,
                "A running broker records what it sends and passes nothing on.",
            )
        }
        Command::Release(named) => {
            decide(&named.installation, WatchCommand::Release(named.id), "What it sends is passed on again.")
        }
        Command::Show(looked) => show(&looked),
        Command::List(listed) => list(&listed),
    }
}

/// `backhaul gateway review`: the gateway is where it belongs.
pub fn review(id: GatewayId, installation: &data_folder::Installation) -> Outcome {
    decide(
        installation,
        WatchCommand::Review(id),
        "If it was held back for having moved, it gets downlink again.",
    )
}

fn decide(installation: &data_folder::Installation, command: WatchCommand, then: &str) -> Outcome {
    let mut store = installation.open_present(&installation.config()?)?;
    let applied = store.apply_watch(command, ACTOR, unix_ms())?;
    let mut letters = applied.event.chars();
    let event: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    writeln!(std::io::stdout(), "{event}. {then}")?;
    Ok(ExitCode::SUCCESS)
}

/// The marks of one kind on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Marked {
    times: u64,
    last_ms: i64,
    gateway: Option<u32>,
    packet_id: u32,
}

type Marks = BTreeMap<u32, BTreeMap<Mark, Marked>>;

fn list(listed: &Listed) -> Outcome {
    let directory = open_directory(listed)?;
    let (marks, is_cut) = read_marks(&open_history(&listed.data)?, since(listed), None)?;
    let mut out = std::io::stdout().lock();
    if listed.json {
        let nodes: Vec<_> =
            everyone(&directory, &marks).map(|node| to_json(&directory, &marks, node)).collect();
        writeln!(out, "{:#}", json!({ "nodes": nodes, "is_cut": is_cut }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut is_empty = true;
    for node in everyone(&directory, &marks) {
        is_empty = false;
        writeln!(
            out,
            "{}{}",
            GatewayId(node),
            if is_inside(&directory, node) { "  in quarantine" } else { "" }
        )?;
        for (mark, marked) in marks.get(&node).into_iter().flatten() {
            writeln!(out, "  {:<18} {}", mark.rule().name(), tell(marked))?;
        }
    }
    if is_empty {
        writeln!(out, "no node is marked or in quarantine")?;
    }
    write_cut(&mut out, is_cut)
}

fn show(looked: &Looked) -> Outcome {
    let (node, directory) = (looked.id.0, open_directory(&looked.listed)?);
    let (marks, is_cut) = read_marks(&open_history(&looked.listed.data)?, since(&looked.listed), Some(node))?;
    let mut out = std::io::stdout().lock();
    if looked.listed.json {
        writeln!(out, "{:#}", to_json(&directory, &marks, node))?;
        return Ok(ExitCode::SUCCESS);
    }
    match directory.watch().quarantine(looked.id) {
        Some(kept) if kept.reason.is_empty() => {
            writeln!(out, "{}  in quarantine since {}", looked.id, clock::utc(kept.since_ms))?;
        }
        Some(kept) => {
            writeln!(
                out,
                "{}  in quarantine since {}: {}",
                looked.id,
                clock::utc(kept.since_ms),
                kept.reason
            )?;
        }
        None => writeln!(out, "{}  not in quarantine", looked.id)?,
    }
    let Some(found) = marks.get(&node) else {
        writeln!(out, "no marks")?;
        return write_cut(&mut out, is_cut);
    };
    for (mark, marked) in found {
        writeln!(out, "{:<18} {}", mark.rule().name(), tell(marked))?;
        writeln!(out, "{:<18} {}", "", mark.rule().info().doc)?;
    }
    write_cut(&mut out, is_cut)
}

fn tell(marked: &Marked) -> String {
    let gateway =
        marked.gateway.map_or_else(|| "an unknown gateway".to_owned(), |g| GatewayId(g).to_string());
    let times = if marked.times == 1 { "once".to_owned() } else { format!("{} times", marked.times) };
    let last = clock::utc(marked.last_ms);
    match marked.packet_id {
        0 => format!("{times}, last {last} by {gateway}"),
        id => format!("{times}, last {last} by {gateway}: packet {id}"),
    }
}

fn write_cut(out: &mut impl Write, is_cut: bool) -> Outcome {
    if is_cut {
        writeln!(
            out,
            "only the newest {RECEPTIONS_MAX} receptions were looked at; --since says a shorter time"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(directory: &Directory, marks: &Marks, node: u32) -> serde_json::Value {
    let of_node: Vec<_> = marks
        .get(&node)
        .into_iter()
        .flatten()
        .map(|(mark, marked)| {
            json!({
                "mark": mark.rule().name(), "times": marked.times, "last": clock::utc(marked.last_ms),
                "gateway": marked.gateway.map(|g| GatewayId(g).to_string()), "packet": marked.packet_id,
            })
        })
        .collect();
    let kept = directory.watch().quarantine(GatewayId(node));
    let kept = kept.map(|kept| json!({ "since": clock::utc(kept.since_ms), "reason": kept.reason }));
    json!({ "node": GatewayId(node).to_string(), "quarantine": kept, "marks": of_node })
}

fn everyone<'a>(directory: &'a Directory, marks: &'a Marks) -> impl Iterator<Item = u32> + 'a {
    let inside = directory.watch().quarantined.keys().map(|id| id.0);
    let mut all: Vec<u32> = inside.chain(marks.keys().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}

fn is_inside(directory: &Directory, node: u32) -> bool {
    directory.watch().quarantine(GatewayId(node)).is_some()
}

fn since(listed: &Listed) -> i64 {
    listed.since.unwrap_or_else(|| unix_ms() - SINCE_MS)
}

fn open_directory(listed: &Listed) -> Result<Directory, Box<dyn std::error::Error>> {
    Ok(Store::open(&listed.data)?.load()?)
}

/// Marks on receptions since a moment, of one sender or of all; and whether there were too many to look at.
fn read_marks(reader: &Reader, since_ms: i64, node: Option<u32>) -> Result<(Marks, bool), history::Error> {
    let (mut marks, mut before_seq, mut looked_at) = (Marks::new(), None, 0);
    loop {
        let condition = node.map_or(Condition::ALWAYS, |node| Condition::Is(Test::From(vec![node])));
        let filter = Filter { since_ms: Some(since_ms), before_seq, limit: PAGE, ..Filter::of(condition) };
        let page = reader.log(&filter)?;
        page.iter().for_each(|reception| add(&mut marks, reception, node));
        looked_at += page.len();
        let Some(oldest) = page.last().filter(|_| page.len() == PAGE) else { return Ok((marks, false)) };
        if looked_at >= RECEPTIONS_MAX {
            return Ok((marks, true));
        }
        before_seq = Some(oldest.seq);
    }
}

fn add(marks: &mut Marks, reception: &Reception, of: Option<u32>) {
    let Some(packet) = reception.packet.filter(|packet| of.is_none_or(|of| of == packet.from)) else {
        return;
    };
    for mark in Mark::of(&reception.decision) {
        let latest = || Marked {
            times: 0,
            last_ms: reception.at_ms,
            gateway: reception.gateway,
            packet_id: packet.id,
        };
        // Receptions come newest first, so the first one is the latest.
        marks.entry(packet.from).or_default().entry(mark).or_insert_with(latest).times += 1;
    }
}
