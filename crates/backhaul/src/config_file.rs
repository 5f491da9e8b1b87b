//! `backhaul config`: checking the configuration file and describing its keys.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::Outcome;
use crate::data_folder::read_config;

/// What to do with the configuration.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Check a file: every mistake with its line and what is allowed
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the file's JSON Schema, for editors
    Schema,
    /// Print a commented file with every key and its default
    Docs,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let mut out = std::io::stdout().lock();
    match command {
        Command::Check { file } => {
            read_config(&file)?;
            writeln!(out, "`{}` is right", file.display())?;
        }
        Command::Schema => write!(out, "{}", config::json_schema())?,
        Command::Docs => write!(out, "{}", config::document())?,
    }
    Ok(ExitCode::SUCCESS)
}
