//! `backhaul policy`: the rules, from the same table that the broker asks and the page shows.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use config::Config;
use policy::parameters::parameters;
use policy::rule::{RULES, Stage};
use serde_json::json;

use crate::data_folder::{read_config, rule_docs};
use crate::{Outcome, settings};

/// What to do with the policy.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// List every rule in the order in which rules are asked: state, parameters, meaning
    Rules(Rules),
}

/// Options of `policy rules`.
#[derive(Args, Clone)]
pub struct Rules {
    /// Configuration file; without one, the defaults are listed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Rules(arguments) => list(&arguments),
    }
}

fn list(arguments: &Rules) -> Outcome {
    let config = match &arguments.config {
        Some(path) => read_config(path)?,
        None => Config::default(&rule_docs()),
    };
    let settings = settings::policy(&config);
    let mut out = std::io::stdout().lock();
    for rule in RULES {
        let state = settings.state(rule.id).word();
        let parameters = parameters(&settings, rule.id);
        if arguments.json {
            let stage = match rule.stage {
                Stage::Uplink => "uplink",
                Stage::Release => "release",
            };
            let values: serde_json::Map<_, _> =
                parameters.into_iter().map(|p| (p.key.to_owned(), p.value.into())).collect();
            let line = json!({ "id": rule.name, "stage": stage, "state": state, "parameters": values, "doc": rule.doc });
            writeln!(out, "{line}")?;
            continue;
        }
        writeln!(out, "{:<18} {:<8} {}", rule.name, state, rule.doc)?;
        for parameter in parameters {
            writeln!(out, "{:<28}{} = {}", "", parameter.key, parameter.value)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
