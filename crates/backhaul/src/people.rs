//! `backhaul people`: who may sign in to the pages, and what they may do there.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Person, PersonCommand, PersonName, PersonRole};

use crate::Outcome;
use crate::clock::unix_ms;
use crate::data_folder::Installation;

/// What to do with people.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Let somebody set a password and sign in; prints a one-time link
    Add(WithRole),
    /// Show who may sign in
    List(List),
    /// Let somebody do more or less, from their next page on
    Role(WithRole),
    /// End somebody's password and sign-ins; prints a one-time link for another password
    Reset(Named),
    /// Let somebody no longer sign in
    Remove(Named),
}

/// A person and a role.
#[derive(Args, Clone)]
pub struct WithRole {
    #[command(flatten)]
    named: Named,
    /// `observer` (sees everything, changes nothing), `operator` or `admin`
    #[arg(value_name = "ROLE")]
    role: PersonRole,
}

/// A person.
#[derive(Args, Clone)]
pub struct Named {
    /// The name to sign in with: `a-z 0-9 . _ -`
    #[arg(value_name = "NAME")]
    name: PersonName,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `people list`.
#[derive(Args, Clone)]
pub struct List {
    #[command(flatten)]
    installation: Installation,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let (named, command) = match command {
        Command::List(arguments) => return list(&arguments.installation),
        Command::Add(it) => (it.named.clone(), PersonCommand::Add(it.named.name, it.role)),
        Command::Role(it) => (it.named.clone(), PersonCommand::SetRole(it.named.name, it.role)),
        Command::Reset(named) => (named.clone(), PersonCommand::Reset(named.name)),
        Command::Remove(named) => (named.clone(), PersonCommand::Remove(named.name)),
    };
    let config = named.installation.config()?;
    let mut store = named.installation.open_or_make(&config)?;
    let now_ms = u64::try_from(unix_ms()).unwrap_or(0);
    let code = store.apply_person(&command, "command line", now_ms)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Done: {}.", command.event())?;
    if let Some(code) = code {
        let pages = config.web.public_url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let pages = pages.trim_end_matches('/');
        writeln!(out, "\nThis link sets the password. It works once, for a day, and is shown only here:\n")?;
        writeln!(out, "  {pages}/setup#{}", code.reveal())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(installation: &Installation) -> Outcome {
    let store = installation.open_present(&installation.config()?)?;
    let now_ms = unix_ms();
    let mut out = std::io::stdout().lock();
    for person in store.people()? {
        writeln!(out, "{:24} {:9} {}", person.name.as_str(), person.role.word(), standing(&person, now_ms))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn standing(person: &Person, now_ms: i64) -> &'static str {
    match person.invited_until_ms {
        _ if person.has_password => "has a password",
        Some(until_ms) if until_ms > now_ms => "invited",
        _ => "invitation expired",
    }
}
