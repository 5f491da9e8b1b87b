//! `backhaul retention`: how long what is recorded is kept, what is due, and deleting it now.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use history::Class;
use history::retention::{self, Keep};
use serde_json::json;
use server::retention_keeper;

use crate::data_folder::Installation;
use crate::{Outcome, clock, settings};

/// What to do about retention.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Say what is kept for how long, the oldest day, the last purge, and what the next one would delete
    Show(Arguments),
    /// Delete what is due now; a running server does it every hour
    Run(Arguments),
    /// Say what other times would delete, and delete nothing
    Preview(Preview),
}

/// Other times, in days; what is left out stays as the configuration has it, and 0 is for ever.
#[derive(Args, Clone)]
pub struct Preview {
    /// Everything
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Exact bytes
    #[arg(long, value_name = "DAYS")]
    bytes_days: Option<u32>,
    /// What people wrote
    #[arg(long, value_name = "DAYS")]
    text_days: Option<u32>,
    /// Where nodes were
    #[arg(long, value_name = "DAYS")]
    position_days: Option<u32>,
    /// What nodes measured
    #[arg(long, value_name = "DAYS")]
    telemetry_days: Option<u32>,
    /// What became of each copy
    #[arg(long, value_name = "DAYS")]
    decisions_days: Option<u32>,
    /// Who connected from where
    #[arg(long, value_name = "DAYS")]
    connections_days: Option<u32>,
    /// Requests of owners
    #[arg(long, value_name = "DAYS")]
    owners_days: Option<u32>,
    #[command(flatten)]
    arguments: Arguments,
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
        Command::Preview(preview) => return tell_preview(preview),
    };
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let (keep, now_ms) = (settings::keep(&config), clock::unix_ms());
    if is_run {
        retention_keeper::purge(data, keep, now_ms, || ())?;
    }
    let due = retention_keeper::due(data, keep, now_ms)?;
    let reader = history::Reader::open(&data.join("history"))?;
    let oldest = reader.kept_days()?.first().map(|day| history::statement::date(*day));
    let of_each = reader.oldest_of_each()?;
    let open: Vec<String> = reader.open_days(now_ms)?.into_iter().map(history::statement::date).collect();
    let last = retention::last_purge(data);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let classes: Vec<_> = Class::ALL
            .into_iter()
            .zip(of_each)
            .map(|(class, day)| {
                json!({ "class": class.word(), "days": keep.days_of(class), "oldest_day": day.map(history::statement::date) })
            })
            .collect();
        let line = json!({
            "keep": keep, "oldest_day": oldest, "classes": classes, "being_written": open, "due": due, "last_purge": last,
        });
        writeln!(out, "{line}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "kept         {}", in_days(keep.days))?;
    for (class, day) in Class::ALL.into_iter().zip(of_each) {
        let day = day.map_or("none".to_owned(), history::statement::date);
        writeln!(out, "  {:11}{}, oldest {day}", class.word(), in_days(keep.days_of(class)))?;
    }
    writeln!(out, "  {:11}{}", "owners", in_days([keep.owner_days, keep.days].into_iter().flatten().min()))?;
    writeln!(out, "oldest day   {}", oldest.as_deref().unwrap_or("none"))?;
    if !open.is_empty() {
        writeln!(out, "being written {}: what is read of it is what there is so far", open.join(", "))?;
    }
    match last.as_ref() {
        Some(last) => {
            writeln!(out, "last purge   {} UTC: {}", clock::utc(last.at_ms), last.purged.in_words())?
        }
        None => writeln!(out, "last purge   none yet")?,
    }
    writeln!(out, "due now      {}", due.in_words())?;
    Ok(ExitCode::SUCCESS)
}

fn tell_preview(preview: &Preview) -> Outcome {
    let config = preview.arguments.installation.config()?;
    let data = preview.arguments.installation.folder(&config);
    let (now, now_ms) = (settings::keep(&config), clock::unix_ms());
    let or = |days: Option<u32>, before: Option<u32>| match days {
        None => before,
        Some(0) => None,
        Some(days) => Some(days),
    };
    let keep = Keep {
        days: or(preview.days, now.days),
        connection_days: or(preview.connections_days, now.connection_days),
        bytes_days: or(preview.bytes_days, now.bytes_days),
        text_days: or(preview.text_days, now.text_days),
        position_days: or(preview.position_days, now.position_days),
        telemetry_days: or(preview.telemetry_days, now.telemetry_days),
        decision_days: or(preview.decisions_days, now.decision_days),
        owner_days: or(preview.owners_days, now.owner_days),
    };
    let due = retention_keeper::due(data, keep, now_ms)?;
    let mut out = std::io::stdout().lock();
    if preview.arguments.json {
        writeln!(out, "{}", json!({ "keep": keep, "due": due }))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "With these times the next hour would delete {}.", due.in_words())?;
    writeln!(
        out,
        "Nothing was deleted. The keys are in [history] of the configuration; they hold after a restart."
    )?;
    Ok(ExitCode::SUCCESS)
}

fn in_days(days: Option<u32>) -> String {
    days.map_or("for ever".to_owned(), |days| format!("{days} days"))
}
