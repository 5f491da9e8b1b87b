//! `backhaul service`: which clients have topics of their own, and which may have the broker's own node send something.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Command as DirectoryCommand, SENDING_PER_HOUR_MAX, SendingCommand};
use mesh::node::NodeNum;

use crate::Outcome;
use crate::clock;
use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::Installation;
use crate::existing_client::{self, Existing};

const ROLE: &str = "service";

/// What to do with services.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let a client read, and publish under a topic prefix; prints its password
    Add(Add),
    /// Let a service have the broker's own node send texts and positions, by JSON commands
    Allow(Allow),
    /// End that
    Deny(Deny),
    #[command(flatten)]
    Existing(Existing),
}

/// Options of `service add`.
#[derive(Args, Clone)]
pub struct Add {
    /// Its username: `a-z 0-9 . _ -`
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it may publish, such as homeassistant
    #[arg(long, value_name = "TOPIC")]
    prefix: String,
    /// The person answerable for it
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `service allow`.
#[derive(Args, Clone)]
pub struct Allow {
    /// The service's username
    #[arg(value_name = "NAME")]
    name: String,
    /// A channel that it may send on; several in the order of the index that commands name
    #[arg(long = "channel", value_name = "NAME", required = true)]
    channels: Vec<String>,
    /// Packets within an hour
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(SENDING_PER_HOUR_MAX)))]
    per_hour: u32,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `service deny`.
#[derive(Args, Clone)]
pub struct Deny {
    /// The service's username
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    installation: Installation,
}

/// Who the audit says it was.
const ACTOR: &str = "command line";

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add(arguments) => run_add(arguments),
        Command::Allow(arguments) => allow(arguments),
        Command::Deny(arguments) => deny(arguments),
        Command::Existing(command) => existing_client::run(command, ROLE),
    }
}

fn run_add(arguments: Add) -> Outcome {
    let mut store = arguments.installation.open_or_make(&arguments.installation.config()?)?;
    let owner = owner(arguments.owner, arguments.about.contact);
    let (name, prefix, note) = (arguments.name, arguments.prefix, arguments.about.note);
    let (applied, token) =
        add(&mut store, |token| DirectoryCommand::AddService { name, prefix, owner, note, token })?;
    write_credential(&mut std::io::stdout().lock(), &applied, &token)?;
    Ok(ExitCode::SUCCESS)
}

fn allow(arguments: Allow) -> Outcome {
    let Allow { name, channels, per_hour, installation } = arguments;
    let config = installation.config()?;
    let mut store = installation.open_present(&config)?;
    let command = SendingCommand::Allow { service: name, channels, per_hour };
    let applied = store.apply_sending(command, ACTOR, now_ms())?;
    let own = NodeNum(server::own_node(store.token_key(), &config.mesh.node_name));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", applied.event)?;
    writeln!(out, "The broker's own node, which sends it, is {own}. A command is a message such as")?;
    writeln!(out, "  topic    {}/2/json/mqtt/{own}", config.mesh.root)?;
    writeln!(out, "  payload  {{\"from\": {}, \"type\": \"sendtext\", \"payload\": \"hello\"}}", own.0)?;
    Ok(ExitCode::SUCCESS)
}

fn deny(arguments: Deny) -> Outcome {
    let mut store = arguments.installation.open_present(&arguments.installation.config()?)?;
    let command = SendingCommand::Deny { service: arguments.name };
    let applied = store.apply_sending(command, ACTOR, now_ms())?;
    writeln!(std::io::stdout().lock(), "{}", applied.event)?;
    Ok(ExitCode::SUCCESS)
}

fn now_ms() -> u64 {
    u64::try_from(clock::unix_ms()).unwrap_or(0)
}
