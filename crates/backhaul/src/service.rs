//! `backhaul service`: which clients have topics of their own.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::Command as DirectoryCommand;

use crate::Outcome;
use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::Installation;
use crate::existing_client::{self, Existing};

const ROLE: &str = "service";

/// What to do with services.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let a client read, and publish under a topic prefix; prints its password
    Add(Add),
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

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add(arguments) => run_add(arguments),
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
