//! `backhaul consent`: what left the community with whose agreement, day by day, counted from the history.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use history::statement::{self, Day, Statement, Uncheckable};
use history::{ConsentCounts, Reader};
use mesh::node::NodeNum;
use record::ReceiverKind;

use crate::data_folder::Installation;
use crate::log::open_history;
use crate::policy_file::in_force;
use crate::{Outcome, clock};

/// What to do with statements of consent.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Count a day: packets, withheld, unknown, for each gateway, and what receivers outside the community got
    Statement(StatementOf),
    /// Recount a statement from the history, and say whether it agrees
    Check(Check),
}

/// Options of `consent statement`.
#[derive(Args, Clone)]
pub struct StatementOf {
    #[command(flatten)]
    installation: Installation,
    /// The day, as 2026-11-23 (UTC); yesterday unless it is said
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    day: Option<Day>,
    /// Print the statement as the server writes it every day
    #[arg(long)]
    json: bool,
}

/// Options of `consent check`.
#[derive(Args, Clone)]
pub struct Check {
    /// A statement, as the server writes it to `statements` in the data folder
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

/// The statement cannot be checked.
const UNCHECKABLE: u8 = 2;

fn parse_day(text: &str) -> Result<Day, String> {
    statement::parse_day(text).ok_or_else(|| format!("a day is written like 2026-11-23, not `{text}`"))
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Statement(arguments) => print_statement(&arguments),
        Command::Check(arguments) => check(&arguments),
    }
}

/// Exit code 0 when nothing left without consent, 1 when something did.
fn print_statement(arguments: &StatementOf) -> Outcome {
    let (reader, outside) = open(&arguments.installation)?;
    let day = arguments.day.unwrap_or_else(|| statement::day_of(clock::unix_ms()) - 1);
    if !reader.kept_days()?.contains(&day) {
        let date = statement::date(day);
        return Err(format!("the history of {date} is not kept; `--day` names another").into());
    }
    let statement = Statement::of(&reader, day, &outside)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", statement.to_json())?;
    } else {
        tell(&mut out, &statement)?;
    }
    Ok(if statement.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Exit code 0 when the statement agrees with the history and nothing left without consent, 1 when not, 2 when it cannot
/// be checked.
fn check(arguments: &Check) -> Outcome {
    let (reader, outside) = open(&arguments.installation)?;
    let shown = arguments.file.display();
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let recount = match statement::check(&text, &reader) {
        Ok(recount) => recount,
        Err(Uncheckable::History(error)) => return Err(error.into()),
        Err(error) => {
            eprintln!("backhaul: `{shown}`: {error}");
            return Ok(ExitCode::from(UNCHECKABLE));
        }
    };
    let mut out = std::io::stdout().lock();
    let statement = &recount.statement;
    writeln!(out, "{}", verdict(statement))?;
    let configured = Statement { outside, ..statement.clone() };
    if configured.outside_counts() != statement.outside_counts() {
        writeln!(
            out,
            "The configuration names other receivers outside than this statement ({}): with those, {}",
            list(&statement.outside),
            verdict(&configured),
        )?;
    }
    if recount.differences.is_empty() {
        writeln!(out, "The statement agrees with the history.")?;
    } else {
        writeln!(out, "The statement does not agree with the history:")?;
        recount.differences.iter().try_for_each(|difference| writeln!(out, "  {}", printable(difference)))?;
    }
    let is_good = recount.differences.is_empty() && statement.holds() && configured.holds();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type History = (Reader, Vec<Box<str>>);

fn open(installation: &Installation) -> Result<History, Box<dyn std::error::Error>> {
    let config = installation.config()?;
    let reader = open_history(installation.folder(&config))?;
    Ok((reader, in_force(installation)?.outside.receivers))
}

fn verdict(statement: &Statement) -> String {
    let outside = statement.outside_counts();
    let date = statement::date(statement.day);
    match outside.without_consent {
        0 => format!(
            "{date}: {} copies left the community, none without consent; {} were kept back.",
            outside.delivered, outside.withheld
        ),
        count => format!(
            "{date}: {count} of {} copies left the community WITHOUT consent; {} were kept back.",
            outside.delivered, outside.withheld
        ),
    }
}

fn list(names: &[Box<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { printable(&names.join(", ")) }
}

fn tell(out: &mut impl Write, statement: &Statement) -> std::io::Result<()> {
    writeln!(out, "{}", verdict(statement))?;
    writeln!(out, "Receivers outside: {}", list(&statement.outside))?;
    writeln!(
        out,
        "\n{:<12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "GATEWAY", "RECEPTIONS", "PACKETS", "AGREED", "DECLINED", "UNKNOWN", "WITHHELD"
    )?;
    let mut line = |name: &str, c: &ConsentCounts| {
        writeln!(
            out,
            "{name:<12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            c.receptions, c.packets, c.yes, c.no, c.unknown, c.withheld
        )
    };
    for (gateway, counts) in &statement.counted.by_gateway {
        line(&NodeNum(*gateway).to_string(), counts)?;
    }
    line("all", &statement.counted.all)?;
    writeln!(
        out,
        "\n{:<24} {:<9} {:<8} {:>10} {:>16} {:>10}",
        "RECEIVER", "KIND", "WHERE", "DELIVERED", "WITHOUT CONSENT", "WITHHELD"
    )?;
    for (kind, name, counts) in
        statement.counted.receivers().filter(|(kind, ..)| *kind != ReceiverKind::Gateway)
    {
        writeln!(
            out,
            "{:<24} {:<9} {:<8} {:>10} {:>16} {:>10}",
            printable(name),
            kind.word(),
            if statement.is_outside(kind, name) { "outside" } else { "inside" },
            counts.delivered,
            counts.without_consent,
            counts.withheld
        )?;
    }
    Ok(())
}

/// Names come from clients, and a terminal obeys control characters.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}
