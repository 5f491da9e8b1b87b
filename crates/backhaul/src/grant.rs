//! `backhaul grant`: what was agreed with the owners of single gateways. `backhaul hold`: who is held for sending too much.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{GatewayId, Grant, GrantCommand, in_words};
use mesh::portnum::PortNum;
use policy::memory::holds::{Held, Hold};
use serde_json::json;

use crate::data_folder::Installation;
use crate::downlink::remembered;
use crate::{Outcome, clock};

/// Who acts, in the audit.
const ACTOR: &str = "command line";
const DAY_MS: i64 = 86_400_000;

/// What to do about grants.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Allow a gateway more than is ordinary, in place of what it was allowed before; nobody has to reconnect
    Set(Set),
    /// Allow it nothing beyond the ordinary any more
    End(One),
    /// List all grants
    List(List),
}

/// What to do about holds.
#[derive(Subcommand, Clone)]
pub enum HoldCommand {
    /// End whatever hold a gateway or node is under
    Release(One),
    /// List who is held or was, with the evidence, as of the last half minute
    List(List),
}

/// Options of `grant set`.
#[derive(Args, Clone)]
pub struct Set {
    /// The gateway, in single quotes: '!7c5a0a01'
    #[arg(value_name = "GATEWAY")]
    gateway: GatewayId,
    /// A channel that it uplinks; may be repeated. Without any, all are allowed
    #[arg(long = "channel", value_name = "NAME")]
    channels: Vec<String>,
    /// Packets may go down to it
    #[arg(long)]
    downlink: bool,
    /// A channel of which packets may go down to it; may be repeated. Without any, all are
    #[arg(long = "downlink-channel", value_name = "NAME", requires = "downlink")]
    downlink_channels: Vec<String>,
    /// Airtime that what goes down may take up, in seconds an hour; without it, as much as for every gateway
    #[arg(long, value_name = "SECONDS", requires = "downlink", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    downlink_airtime: Option<u32>,
    /// Measurements and positions may come more often than is ordinary
    #[arg(long)]
    telemetry: bool,
    /// Airtime that those may take up, in seconds an hour; without it, there is no limit
    #[arg(long, value_name = "SECONDS", requires = "telemetry", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    telemetry_airtime: Option<u32>,
    /// A kind of bulk that it may uplink, such as `range test`, or a port number; may be repeated
    #[arg(long = "port", value_name = "KIND", value_parser = port)]
    ports: Vec<PortNum>,
    /// For so many days; without it, until it is ended
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    days: Option<u16>,
    /// Who agreed to it
    #[arg(long, default_value = "operator")]
    by: String,
    /// What for
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    installation: Installation,
}

/// A gateway or node.
#[derive(Args, Clone)]
pub struct One {
    /// Its id, in single quotes: '!7c5a0a01'
    #[arg(value_name = "ID")]
    id: GatewayId,
    #[command(flatten)]
    installation: Installation,
}

/// Options of the lists.
#[derive(Args, Clone)]
pub struct List {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

fn port(text: &str) -> Result<PortNum, String> {
    PortNum::from_word(text).ok_or_else(|| format!("no kind of packet is called `{text}`"))
}

/// Runs `backhaul grant`.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Set(set) => {
            let until_ms = set.days.map(|days| clock::unix_ms() + i64::from(days) * DAY_MS);
            let grant = Grant {
                channels: set.channels.into_iter().collect(),
                downlink: set.downlink,
                downlink_channels: set.downlink_channels.into_iter().collect(),
                downlink_ms: set.downlink_airtime.map(|seconds| seconds * 1_000),
                telemetry: set.telemetry,
                telemetry_ms: set.telemetry_airtime.map(|seconds| seconds * 1_000),
                ports: set.ports.into_iter().map(|port| port.0).collect(),
                until_ms: until_ms.and_then(|at| u64::try_from(at).ok()),
                by: set.by,
                note: set.note,
                ..Grant::default()
            };
            apply(&set.installation, GrantCommand::Set(set.gateway, grant))
        }
        Command::End(one) => apply(&one.installation, GrantCommand::End(one.id)),
        Command::List(list) => grants(&list),
    }
}

/// Runs `backhaul hold`.
pub fn run_hold(command: HoldCommand) -> Outcome {
    match command {
        HoldCommand::Release(one) => apply(&one.installation, GrantCommand::ReleaseHold(one.id.0)),
        HoldCommand::List(list) => holds(&list),
    }
}

fn apply(installation: &Installation, command: GrantCommand) -> Outcome {
    let config = installation.config()?;
    let mut store = installation.open_present(&config)?;
    let now_ms = u64::try_from(clock::unix_ms()).unwrap_or_default();
    let applied = store.apply_grant(command, ACTOR, now_ms)?;
    writeln!(std::io::stdout(), "{}", applied.event)?;
    Ok(ExitCode::SUCCESS)
}

fn grants(list: &List) -> Outcome {
    let config = list.installation.config()?;
    let directory = list.installation.open_present(&config)?.load()?;
    let now_ms = clock::unix_ms();
    let mut out = std::io::stdout().lock();
    for (gateway, grant) in &directory.grants().gateways {
        let until = grant.until_ms.and_then(|at| i64::try_from(at).ok()).map(clock::utc);
        let holds = grant.holds_at(now_ms);
        if list.json {
            let line = json!({
                "gateway": gateway.to_string(), "holds": holds, "until": until, "channels": grant.channels,
                "downlink": grant.downlink, "downlink_channels": grant.downlink_channels,
                "downlink_airtime_ms": grant.downlink_ms, "telemetry": grant.telemetry,
                "telemetry_airtime_ms": grant.telemetry_ms, "ports": grant.ports, "by": grant.by, "note": grant.note,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        let end = match (&until, holds) {
            (None, _) => "until it is ended".to_owned(),
            (Some(until), true) => format!("until {until} UTC"),
            (Some(until), false) => format!("ENDED {until} UTC"),
        };
        writeln!(out, "{gateway}  {}  {end}, by {}", in_words(grant), grant.by)?;
    }
    if directory.grants().gateways.is_empty() && !list.json {
        writeln!(out, "no gateway has a grant: all are allowed what is ordinary")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn holds(list: &List) -> Outcome {
    let config = list.installation.config()?;
    let directory = list.installation.open_present(&config)?.load()?;
    let memory = remembered(list.installation.folder(&config))?;
    let (all, now_ms) = (memory.holds.all(), clock::unix_ms());
    let mut out = std::io::stdout().lock();
    for (held, hold) in &all {
        let (kind, number) = match held {
            Held::Gateway(number) => ("gateway", *number),
            Held::Node(number) => ("node", *number),
        };
        let released = directory.hold_released_ms(number).is_some_and(|at| at >= hold.from_ms);
        let state = match () {
            () if released => "let go",
            () if now_ms >= hold.until_ms => "over",
            () => "HELD",
        };
        if list.json {
            writeln!(out, "{}", in_json(kind, number, state, hold))?;
            continue;
        }
        let (rule, count) = (hold.evidence.rule.name(), hold.evidence.objections);
        let (from, until) = (clock::utc(hold.from_ms), clock::utc(hold.until_ms));
        writeln!(
            out,
            "{kind} {}  {state}  {from} to {until} UTC  number {} in a row: rule {rule}, {count} times",
            GatewayId(number),
            hold.level
        )?;
    }
    if all.is_empty() && !list.json {
        writeln!(out, "nobody is held, and nobody was")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_json(kind: &str, number: u32, state: &str, hold: &Hold) -> serde_json::Value {
    let samples = hold.evidence.samples.iter().flatten();
    json!({
        "kind": kind, "id": GatewayId(number).to_string(), "state": state, "from_ms": hold.from_ms,
        "until_ms": hold.until_ms, "level": hold.level, "rule": hold.evidence.rule.name(),
        "objections": hold.evidence.objections,
        "samples": samples.map(|key| json!([GatewayId(key.from).to_string(), key.id])).collect::<Vec<_>>(),
    })
}
