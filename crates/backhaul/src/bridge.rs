//! `backhaul bridge`: credentials for other brokers, and what topics become on the way to them.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use config::Config;
use directory::Command as DirectoryCommand;

use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::{Installation, read_config};
use crate::existing_client::{self, Existing};
use crate::{Outcome, settings};

const ROLE: &str = "bridge";

/// What to do with bridges.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let another broker bring packets and take what may leave the community; prints its password
    Add(Add),
    /// Show what a topic becomes on the other side of each bridge in the configuration
    Preview(Preview),
    #[command(flatten)]
    Existing(Existing),
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
