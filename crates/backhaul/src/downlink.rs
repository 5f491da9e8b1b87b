//! `backhaul downlink`: the kill switch, and which gateways have proved that downlink reaches them.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Directory, DownlinkCommand, GatewayId, IslandNumber};
use policy::memory::proof::{Proof, ProofSettings};
use policy::memory::{Memory, MemoryLimits};
use policy::now::Now;
use serde_json::json;

use crate::data_folder::Installation;
use crate::policy_file::in_force;
use crate::{Outcome, clock};

/// Who acts, in the audit.
const ACTOR: &str = "command line";

/// What to do about downlink.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Stop all downlink, or that of one island, before the next copy; gateways still send up
    Stop(Where),
    /// Let it flow again
    Start(Where),
    /// Ask a gateway at once to prove that what is sent down to it arrives
    Verify(Verify),
    /// Show where downlink is stopped and which gateways have proved themselves
    Status(Status),
}

/// Options of `downlink stop` and `start`.
#[derive(Args, Clone)]
pub struct Where {
    /// Only on this island, as `backhaul islands` lists it, in single quotes: '!7c5a0a01'
    #[arg(long, value_name = "ISLAND", value_parser = parse_island)]
    island: Option<IslandNumber>,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `downlink verify`.
#[derive(Args, Clone)]
pub struct Verify {
    /// The gateway, in single quotes: '!7c5a0a01'
    #[arg(value_name = "GATEWAY")]
    gateway: GatewayId,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `downlink status`.
#[derive(Args, Clone)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

fn parse_island(text: &str) -> Result<IslandNumber, String> {
    let number: Result<GatewayId, _> = text.parse();
    number.map(|id| IslandNumber(id.0)).map_err(|error| error.to_string())
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Stop(place) => command_about(&place.installation, DownlinkCommand::Stop(place.island)),
        Command::Start(place) => command_about(&place.installation, DownlinkCommand::Start(place.island)),
        Command::Verify(verify) => {
            let done = command_about(&verify.installation, DownlinkCommand::Verify(verify.gateway))?;
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "It is asked as soon as it is connected; `backhaul downlink status` shows the answer."
            )?;
            Ok(done)
        }
        Command::Status(status) => show(&status),
    }
}

fn command_about(installation: &Installation, command: DownlinkCommand) -> Outcome {
    let config = installation.config()?;
    let mut store = installation.open_present(&config)?;
    let now_ms = u64::try_from(clock::unix_ms()).unwrap_or_default();
    let applied = store.apply_downlink(command, ACTOR, now_ms)?;
    writeln!(std::io::stdout(), "{}", capitalised(&applied.event))?;
    Ok(ExitCode::SUCCESS)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

fn show(status: &Status) -> Outcome {
    let config = status.installation.config()?;
    let directory = status.installation.open_present(&config)?.load()?;
    let memory = remembered(status.installation.folder(&config))?;
    let settings = in_force(&status.installation)?.proof;
    let now = Now { mono_ms: 0, unix_ms: clock::unix_ms() };
    let mut out = std::io::stdout().lock();
    if status.json {
        writeln!(out, "{:#}", to_json(&directory, &memory, &settings, now))?;
        return Ok(ExitCode::SUCCESS);
    }
    let downlink = directory.downlink();
    match downlink.stopped_ms {
        Some(at) => writeln!(out, "ALL DOWNLINK IS STOPPED since {} UTC", utc(at))?,
        None if downlink.stopped_islands.is_empty() => writeln!(out, "downlink flows everywhere")?,
        None => {}
    }
    for (island, at) in &downlink.stopped_islands {
        writeln!(out, "DOWNLINK IS STOPPED on island {island} since {} UTC", utc(*at))?;
    }
    for gateway in gateways(&directory) {
        let proof = memory.proofs.of(gateway.0);
        writeln!(out, "{gateway}  {}", in_words(&proof, &settings, now))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(proof: &Proof, settings: &ProofSettings, now: Now) -> String {
    let air = match proof.heard_ms {
        Some(at) => format!(", last heard over the radio by another gateway {} UTC", clock::utc(at)),
        None => String::new(),
    };
    let asked = match (proof.tries, proof.asked_ms) {
        (0, _) | (_, None) => String::new(),
        (tries, Some(at)) => {
            let next = clock::utc(proof.due_ms(settings));
            format!("; asked {tries} times without an answer, last {} UTC, next {next} UTC", clock::utc(at))
        }
    };
    match proof.proved_ms {
        Some(at) if proof.is_valid(now, settings) => format!("verified {} UTC{air}{asked}", clock::utc(at)),
        Some(at) => format!("not verified, the last answer was {} UTC{asked}", clock::utc(at)),
        None => format!("not verified{asked}"),
    }
}

fn to_json(directory: &Directory, memory: &Memory, settings: &ProofSettings, now: Now) -> serde_json::Value {
    let downlink = directory.downlink();
    let islands = downlink.stopped_islands.iter();
    let islands: serde_json::Map<_, _> = islands.map(|(id, at)| (id.to_string(), json!(at))).collect();
    let gateways: Vec<_> = gateways(directory)
        .map(|gateway| {
            let proof = memory.proofs.of(gateway.0);
            json!({
                "gateway": gateway.to_string(), "verified": proof.is_valid(now, settings),
                "proved_ms": proof.proved_ms, "heard_on_air_ms": proof.heard_ms, "asked_ms": proof.asked_ms,
                "tries": proof.tries,
            })
        })
        .collect();
    json!({ "stopped_ms": downlink.stopped_ms, "stopped_islands": islands, "gateways": gateways })
}

fn gateways(directory: &Directory) -> impl Iterator<Item = GatewayId> {
    directory.credentials().filter_map(|credential| credential.role.gateway_id())
}

/// What the server remembers, as of half a minute ago at most.
fn remembered(folder: &Path) -> Result<Memory, Box<dyn std::error::Error>> {
    let mut memory = Memory::new(
        &policy::settings::Settings::default(),
        MemoryLimits { seen_packets_max: 0, ..MemoryLimits::default() },
        0,
    );
    let path = folder.join(server::MEMORY_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            memory.restore(&bytes).map_err(|error| format!("`{}`: {error}", path.display()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("cannot read `{}`: {error}", path.display()).into()),
    }
    Ok(memory)
}

fn utc(at_ms: u64) -> String {
    clock::utc(i64::try_from(at_ms).unwrap_or(i64::MAX))
}
