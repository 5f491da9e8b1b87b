//! `backhaul observer`: which clients may read.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::Command as DirectoryCommand;

use crate::Outcome;
use crate::credential_edit::{About, add, owner, write_credential};
use crate::data_folder::Installation;
use crate::existing_client::{self, Existing};

const ROLE: &str = "observer";

/// What to do with observers.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let a client read; prints its password
    Add(Add),
    #[command(flatten)]
    Existing(Existing),
}

/// Options of `observer add`.
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
    let (name, note) = (arguments.name, arguments.about.note);
    let (applied, token) =
        add(&mut store, |token| DirectoryCommand::AddObserver { name, owner, note, token })?;
    write_credential(&mut std::io::stdout().lock(), &applied, &token)?;
    Ok(ExitCode::SUCCESS)
}
