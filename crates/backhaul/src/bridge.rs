//! `backhaul bridge`: credentials for other brokers, and what topics become on the way to them.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use config::Config;
use directory::Command as DirectoryCommand;
use serde_json::Value as Json;

use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::{Installation, read_config, read_text};
use crate::existing_client::{self, Existing};
use crate::{Outcome, clock, log, settings};

const ROLE: &str = "bridge";
/// The file of the running server is a few hundred bytes for each bridge.
const STATUS_BYTES_MAX: u64 = 1 << 20;

/// What to do with bridges.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let another broker bring packets and take what may leave the community; prints its password
    Add(Add),
    /// Show what a topic becomes on the other side of each bridge in the configuration
    Preview(Preview),
    /// Show how the bridges of the running server are doing
    Status(Status),
    #[command(flatten)]
    Existing(Existing),
}

/// Options of `bridge status`.
#[derive(Args, Clone)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `bridge add`.
#[derive(Args, Clone)]
pub struct Add {
    /// Its username: `a-z 0-9 . _ -`
    #[arg(value_name = "NAME")]
    name: String,
    /// The person answerable for it
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `bridge preview`.
#[derive(Args, Clone)]
pub struct Preview {
    /// A topic, such as `msh/US/KC/2/e/LongFast/!7c5a0a01`
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add(arguments) => run_add(arguments),
        Command::Preview(arguments) => preview(&arguments),
        Command::Status(arguments) => status(&arguments),
        Command::Existing(command) => existing_client::run(command, ROLE),
    }
}

fn run_add(arguments: Add) -> Outcome {
    let mut store = arguments.installation.open_or_make(&arguments.installation.config()?)?;
    let owner = owner(arguments.owner, arguments.about.contact);
    let (name, note) = (arguments.name, arguments.about.note);
    let (applied, token) = add(&mut store, |token| DirectoryCommand::AddBridge { name, owner, note, token })?;
    write_credential(&mut std::io::stdout().lock(), &applied, &token)?;
    Ok(ExitCode::SUCCESS)
}

fn status(arguments: &Status) -> Outcome {
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let file = data.join(server::BRIDGES_FILE);
    let mut out = std::io::stdout().lock();
    if !file.exists() {
        return Err(format!(
            "no server has worked on `{}` yet, so nothing is known of bridges",
            data.display()
        )
        .into());
    }
    let text = read_text(&file, STATUS_BYTES_MAX)?;
    let told: Json = serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", file.display()))?;
    if arguments.json {
        writeln!(out, "{told}")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !log::is_served(data) {
        let at_ms = told["at_ms"].as_i64().unwrap_or(0);
        writeln!(out, "no server is running; this is how it was at {} UTC", clock::utc(at_ms))?;
    }
    let bridges = told["bridges"].as_array().cloned().unwrap_or_default();
    for bridge in &bridges {
        let word = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let trouble = bridge["trouble"].as_str().map_or(String::new(), |why| format!(": {why}"));
        writeln!(out, "{:<20} {}{trouble}", word(&bridge["name"]), word(&bridge["state"]))?;
        for (name, lane) in [("out", &bridge["out"]), ("in", &bridge["in"])] {
            if !lane["is_open"].as_bool().unwrap_or(false) {
                continue;
            }
            let held = lane["held"].as_object().into_iter().flatten();
            let held: Vec<String> = held.map(|(why, count)| format!("{count} {why}")).collect();
            let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
            let (crossed, waiting) = (&lane["crossed"], &lane["waiting"]);
            let airtime_s = lane["airtime_last_hour_ms"].as_u64().unwrap_or(0) as f64 / 1_000.0;
            writeln!(
                out,
                "  {name:<4} {crossed} crossed, {waiting} waiting, {airtime_s:.1} s of air this hour; held back: {held}"
            )?;
        }
    }
    if bridges.is_empty() {
        writeln!(out, "there is no bridge; `[[bridge]]` in the configuration makes one")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn preview(arguments: &Preview) -> Outcome {
    let config: Config = read_config(&arguments.config)?;
    let mut out = std::io::stdout().lock();
    if config.bridges.is_empty() {
        writeln!(out, "there is no [[bridge]] in `{}`", arguments.config.display())?;
        return Ok(ExitCode::FAILURE);
    }
    for bridge in settings::bridges(&config) {
        let relay = &bridge.relay;
        writeln!(out, "{} ({}:{})", relay.name, bridge.peer.host, bridge.peer.port)?;
        let directions = [
            ("leaves as", relay.outward.is_some(), relay.roots.outward(&arguments.topic), &relay.roots.here),
            ("comes in as", relay.inward.is_some(), relay.roots.inward(&arguments.topic), &relay.roots.there),
        ];
        for (verb, is_open, topic, root) in directions {
            match topic {
                _ if !is_open => writeln!(out, "  {verb:<11} -- (nothing crosses in this direction)")?,
                Some(topic) => writeln!(out, "  {verb:<11} {topic}")?,
                None => writeln!(out, "  {verb:<11} -- (it is not below `{root}`)")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
