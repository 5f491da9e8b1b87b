//! `backhaul retention`: how long what is recorded is kept, what is due, and deleting it now.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use history::retention::{self, Purged};
use serde_json::json;

use crate::data_folder::Installation;
use crate::{Outcome, clock, settings};

/// What to do about retention.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Say what is kept for how long, the oldest day, the last purge, and what the next one would delete
    Show(Arguments),
    /// Delete what is due now; a running server does it every hour
    Run(Arguments),
}

/// Options of both.
#[derive(Args, Clone)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let (arguments, is_run) = match &command {
        Command::Show(arguments) => (arguments, false),
        Command::Run(arguments) => (arguments, true),
    };
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let (keep, now_ms) = (settings::keep(&config), clock::unix_ms());
    let folder = data.join("history");
    // A folder without a directory has no incidents, and looking makes none.
    let pinned = match data.join("directory.db").exists() {
        true => arguments.installation.open_present(&config)?.pinned_spans()?,
        false => Vec::new(),
    };
    let is_pinned = |day| retention::is_in(&pinned, day);
    if is_run {
        let purged = retention::purge(&folder, keep, now_ms, is_pinned, || ())?;
        retention::note_purge(data, now_ms, purged)?;
    }
    let due = retention::due(&folder, keep, now_ms, is_pinned)?;
    let oldest =
        history::Reader::open(&folder)?.kept_days()?.first().map(|day| history::statement::date(*day));
    let last = retention::last_purge(data);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let line = json!({ "keep": keep, "oldest_day": oldest, "due": due, "last_purge": last });
        writeln!(out, "{line}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let days = |days: Option<u32>| days.map_or("for ever".to_owned(), |days| format!("{days} days"));
    writeln!(out, "kept         {}", days(keep.days))?;
    writeln!(out, "connections  {}", days(keep.connection_days.or(keep.days)))?;
    writeln!(out, "oldest day   {}", oldest.as_deref().unwrap_or("none"))?;
    match last.as_ref() {
        Some(last) => {
            writeln!(out, "last purge   {} UTC: {}", clock::utc(last.at_ms), in_words(&last.purged))?
        }
        None => writeln!(out, "last purge   none yet")?,
    }
    writeln!(out, "due now      {}", in_words(&due))?;
    Ok(ExitCode::SUCCESS)
}

fn in_words(purged: &Purged) -> String {
    if *purged == Purged::default() {
        return "nothing".to_owned();
    }
    let Purged { days, receptions, connections } = purged;
    format!("{days} days with {receptions} receptions, {connections} connection events")
}
