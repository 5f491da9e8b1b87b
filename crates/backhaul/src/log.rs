//! `backhaul log`: what was received and what was decided, from the files; works while the server runs.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use history::{Filter, Reader};
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::decision::Verdict;
use policy::rule::RuleId;
use record::{Consent, Reception};
use serde_json::{Value as Json, json};

use crate::{Outcome, clock};

/// Options of `log`.
#[derive(Args)]
pub struct Arguments {
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Not before: a time back (`90s`, `15m`, `6h`, `7d`) or a moment (`2026-11-23T20:00:00Z`)
    #[arg(long, value_name = "WHEN", value_parser = clock::parse_moment)]
    since: Option<i64>,
    /// Before: as --since
    #[arg(long, value_name = "WHEN", value_parser = clock::parse_moment)]
    until: Option<i64>,
    /// Sender or destination, `!7c5a0a01`
    #[arg(long, value_name = "NODE", value_parser = parse_node)]
    node: Option<NodeNum>,
    /// Uplinking gateway, `!7c5a0a01`
    #[arg(long, value_name = "NODE", value_parser = parse_node)]
    gateway: Option<NodeNum>,
    /// Channel name
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Port: a word (`text`, `position`, `nodeinfo`, `telemetry`, …) or a number
    #[arg(long, value_name = "PORT", value_parser = parse_port)]
    port: Option<PortNum>,
    /// Verdict: accept, rewrite, record-only or refuse
    #[arg(long, value_name = "VERDICT", value_parser = parse_verdict)]
    verdict: Option<Verdict>,
    /// Rule that decided, such as `consent`
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    rule: Option<RuleId>,
    /// Consent: yes, no or unknown
    #[arg(long, value_name = "CONSENT", value_parser = parse_consent)]
    consent: Option<Consent>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on printing what is stored, until interrupted
    #[arg(long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// How often new receptions are looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// Prints the log, newest first; with --follow oldest first and then what comes.
pub fn run(arguments: Arguments) -> Outcome {
    let reader = open_history(&arguments.data)?;
    let filter = Filter {
        since_ms: arguments.since,
        until_ms: arguments.until,
        node: arguments.node.map(|n| n.0),
        gateway: arguments.gateway.map(|n| n.0),
        channel: arguments.channel.clone(),
        port: arguments.port.map(|p| p.0),
        verdict: arguments.verdict,
        rule: arguments.rule,
        consent: arguments.consent,
        limit: arguments.limit,
        ..Filter::default()
    };
    let mut rows = reader.log(&filter)?;
    if arguments.follow {
        rows.reverse();
    }
    let mut printer = Printer { json: arguments.json, printed: 0 };
    rows.iter().try_for_each(|row| printer.print(row))?;
    if !arguments.follow {
        if rows.is_empty() && !arguments.json {
            eprintln!("nothing in the history fulfils this");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut after = rows.last().map_or(0, |row| row.seq);
    if rows.is_empty() {
        // What stands in the files already was not asked for.
        after = reader.log(&Filter { limit: 1, ..Filter::default() })?.first().map_or(0, |row| row.seq);
    }
    loop {
        std::thread::sleep(FOLLOW_EVERY);
        // Older files hold nothing that comes now, and looking into each four times a second would be felt.
        let lately_ms = clock::unix_ms() - FOLLOW_BACK_MS;
        let since_ms = Some(filter.since_ms.map_or(lately_ms, |since| since.max(lately_ms)));
        let newer =
            Filter { after_seq: Some(after), since_ms, until_ms: None, limit: 1_000, ..filter.clone() };
        for row in reader.log(&newer)? {
            after = after.max(row.seq);
            printer.print(&row)?;
        }
    }
}

/// Following looks at receptions of the last two days only.
const FOLLOW_BACK_MS: i64 = 2 * 86_400_000;

/// Opens the history of a data folder; says how to begin when there is none.
pub fn open_history(data: &Path) -> Result<Reader, Box<dyn std::error::Error>> {
    let folder = data.join("history");
    if !folder.exists() {
        return Err(format!(
            "there is no history in `{}`; start `backhaul serve` there, or name the folder with --data",
            data.display()
        )
        .into());
    }
    Ok(Reader::open(&folder)?)
}

struct Printer {
    json: bool,
    printed: usize,
}

impl Printer {
    fn print(&mut self, row: &Reception) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", to_json(row));
        }
        if self.printed == 0 {
            let head = format!(
                "{:<19}  {:<9}  {:<9}  {:<9}  {:<16}  {:<10}  {:>4}  {:>6}  {:<11}  RULE",
                "TIME (UTC)", "FROM", "TO", "GATEWAY", "PORT", "PACKET", "HOPS", "SNR", "VERDICT"
            );
            if out.is_terminal() { writeln!(out, "\x1b[1m{head}\x1b[0m")? } else { writeln!(out, "{head}")? }
        }
        self.printed += 1;
        let p = row.packet;
        let node = |n: Option<u32>| n.map_or("-".to_owned(), |n| NodeNum(n).to_string());
        let to = p.map(|p| p.to).map_or("-".to_owned(), |to| match NodeNum(to) {
            NodeNum::BROADCAST => "all".to_owned(),
            other => other.to_string(),
        });
        let port = row.port.map_or("(closed)".into(), |port| PortNum(port).word());
        writeln!(
            out,
            "{:<19}  {:<9}  {:<9}  {:<9}  {:<16}  {:<10}  {:>4}  {:>6}  {:<11}  {}",
            clock::utc(row.at_ms),
            node(p.map(|p| p.from)),
            to,
            node(row.gateway),
            port,
            p.map_or("-".to_owned(), |p| p.id.to_string()),
            p.and_then(|p| p.hops_away).map_or("-".to_owned(), |h| h.to_string()),
            p.and_then(|p| p.rx_snr).map_or("-".to_owned(), |s| format!("{s:.2}")),
            row.decision.verdict.word(),
            row.decision.rule.map_or("-", RuleId::name),
        )
    }
}

/// One reception as JSON, version 1.
pub fn to_json(row: &Reception) -> Json {
    let node = |n: u32| NodeNum(n).to_string();
    let flags: Vec<&str> = mesh::observe::Flags(row.flags).names().collect();
    json!({
        "v": 1,
        "seq": row.seq,
        "at_ms": row.at_ms,
        "client_id": &*row.client_id,
        "username": row.username.as_deref(),
        "gateway": row.gateway.map(node),
        "topic": &*row.topic,
        "payload_hex": mesh::tree::to_hex(&row.payload),
        "qos": row.qos,
        "retain": row.retain,
        "packet": row.packet.map(|p| json!({
            "from": node(p.from),
            "to": node(p.to),
            "id": p.id,
            "hop_limit": p.hop_limit,
            "hop_start": p.hop_start,
            "hops_away": p.hops_away,
            "rx_rssi_dbm": p.rx_rssi,
            "rx_snr_db": p.rx_snr.map(mesh::tree::float_to_json),
            "rx_time_s": p.rx_time,
            "relay_node": p.relay_node,
            "next_hop": p.next_hop,
            "want_ack": p.want_ack,
            "request_id": p.request_id,
        })),
        "channel": row.channel.as_deref(),
        "port": row.port,
        "port_name": row.port.and_then(|p| PortNum(p).name()),
        "consent": row.consent.word(),
        "key_class": row.key_class.word(),
        "flags": flags,
        "frame_bytes": row.frame_bytes,
        "airtime_ms": row.airtime_us.map(|us| f64::from(us) / 1000.0),
        "verdict": row.decision.verdict.word(),
        "rule": row.decision.rule.map(RuleId::name),
        "sentence": row.decision.sentence,
        "would_have": row.decision.observed.iter().map(RuleId::name).collect::<Vec<_>>(),
    })
}

/// Reads a node id as people write it.
pub fn parse_node(text: &str) -> Result<NodeNum, String> {
    NodeNum::parse(text)
        .ok_or_else(|| format!("a node id is `!` and eight lower-case hexadecimal digits, not `{text}`"))
}

fn parse_port(text: &str) -> Result<PortNum, String> {
    PortNum::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = PortNum::words().map(|(_, word)| word).collect();
        format!("no port is called `{text}`; there are {}, or a number", words.join(", "))
    })
}

fn parse_verdict(text: &str) -> Result<Verdict, String> {
    Verdict::from_word(text).ok_or_else(|| "a verdict is accept, rewrite, record-only or refuse".to_owned())
}

fn parse_rule(text: &str) -> Result<RuleId, String> {
    RuleId::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = policy::rule::RULES.iter().map(|r| r.name).collect();
        format!("no rule is called `{text}`; there are {}", names.join(", "))
    })
}

fn parse_consent(text: &str) -> Result<Consent, String> {
    Consent::from_word(text).ok_or_else(|| "consent is yes, no or unknown".to_owned())
}
