//! `backhaul gateway`: which gateways may connect, and what their owners paste.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Command as DirectoryCommand, GatewayId, NodeSetup};
use serde_json::json;

use crate::broker_address::broker_address;
use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::Installation;
use crate::existing_client::{self, Existing};
use crate::{Outcome, settings};

const ROLE: &str = "gateway";

/// What to do with gateways.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let a gateway connect; prints its password and the commands that set the node up
    Add(Add),
    /// Say that a gateway is where it belongs: one that was held back for having moved gets downlink again
    Review(Review),
    #[command(flatten)]
    Existing(Existing),
}

/// Options of `gateway review`.
#[derive(Args, Clone)]
pub struct Review {
    /// The node's id, in single quotes: '!7c5a0a01'
    #[arg(value_name = "NODE_ID")]
    id: GatewayId,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `gateway add`.
#[derive(Args, Clone)]
pub struct Add {
    /// The node's id, in single quotes: '!7c5a0a01'
    #[arg(value_name = "NODE_ID")]
    id: GatewayId,
    /// The person answerable for it
    #[arg(long, value_name = "NAME")]
    owner: String,
    #[command(flatten)]
    about: About,
    /// How gateways reach this broker: HOST or HOST:PORT [default: this machine's name]
    #[arg(long)]
    address: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add(arguments) => run_add(arguments),
        Command::Review(Review { id, installation }) => crate::node::review(id, &installation),
        Command::Existing(command) => existing_client::run(command, ROLE),
    }
}

fn run_add(arguments: Add) -> Outcome {
    let config = arguments.installation.config()?;
    // Checked before anything is stored: a password must not be lost to a wrong option.
    let way_in = settings::way_in_for_gateways(&config);
    let (_, is_tls) = way_in;
    let address = broker_address(arguments.address.as_deref(), way_in)?;
    let mut store = arguments.installation.open_or_make(&config)?;
    let owner = owner(Some(arguments.owner), arguments.about.contact);
    let (applied, token) = add(&mut store, |token| DirectoryCommand::AddGateway {
        id: arguments.id,
        owner,
        note: arguments.about.note,
        token,
    })?;
    let username = applied.username.as_str();
    let root = &config.mesh.root;
    let setup = NodeSetup { address: &address, is_tls, root, username, password: &token };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let printed = json!({
            "username": username, "password": token.reveal(), "gateway": arguments.id.to_string(),
            "address": address, "root": config.mesh.root, "commands": setup.commands(),
        });
        writeln!(out, "{printed:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    write_credential(&mut out, &applied, &token)?;
    writeln!(out, "\nTo set the node up, connect it to a computer by USB and paste:\n")?;
    for command in setup.commands() {
        writeln!(out, "{command}")?;
    }
    if arguments.address.is_none() {
        writeln!(
            out,
            "\n`{address}` is this machine's name; with --address you say another that gateways can reach."
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
