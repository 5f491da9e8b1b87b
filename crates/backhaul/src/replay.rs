//! `backhaul replay`: puts stretches of the past back on `replay/<number>/…`. The running server does it; this orders and
//! steers.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{ReplayCommand, ReplayOrder, ReplayState, parse_speed};
use directory_store::{Progresses, replay_progress};
use history::archive_name;
use serde_json::json;

use crate::data_folder::Installation;
use crate::incident::window;
use crate::{Outcome, clock, log};

/// Who acts, in the audit.
const ACTOR: &str = "command line";

/// What to do about replays.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Put what a filter finds back on topics of its own; never for gateways
    Start(Start),
    /// List replays and how far they are
    List(List),
    /// Let one wait
    Pause(One),
    /// Let one go on by the clock
    Resume(One),
    /// Let one go on by so many receptions, and wait
    Step(Step),
    /// Another speed
    Speed(Speed),
    /// End one
    Stop(One),
}

/// Options of `replay start`.
#[derive(Args, Clone)]
pub struct Start {
    /// What and when, as in `backhaul log`: 'island:Liberty last 2h'. With --incident, what alone
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// The window and the archive of this incident
    #[arg(long, value_name = "NUMBER")]
    incident: Option<i64>,
    /// Read from this archive
    #[arg(long, value_name = "NAME", value_parser = archive_name, conflicts_with = "incident")]
    archive: Option<String>,
    /// How many times faster than life, 0.1 to 1000
    #[arg(long, default_value = "1", value_name = "TIMES", value_parser = parse_speed)]
    speed: u32,
    /// Also what home automation would have been told, below the same topic
    #[arg(long)]
    json_topics: bool,
    /// Wait for `step` or `resume`
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `replay list`.
#[derive(Args, Clone)]
pub struct List {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// One replay.
#[derive(Args, Clone)]
pub struct One {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `replay step`.
#[derive(Args, Clone)]
pub struct Step {
    #[command(flatten)]
    one: One,
    /// How many receptions
    #[arg(default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

/// Options of `replay speed`.
#[derive(Args, Clone)]
pub struct Speed {
    #[command(flatten)]
    one: One,
    /// How many times faster than life, 0.1 to 1000
    #[arg(value_name = "TIMES", value_parser = parse_speed)]
    speed: u32,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Start(start) => order(&start),
        Command::List(list) => show(&list),
        Command::Pause(one) => steer(&one, ReplayCommand::Pause),
        Command::Resume(one) => steer(&one, ReplayCommand::Resume),
        Command::Step(step) => steer(&step.one, ReplayCommand::Step(step.count)),
        Command::Speed(speed) => steer(&speed.one, ReplayCommand::Speed(speed.speed)),
        Command::Stop(one) => steer(&one, ReplayCommand::Stop),
    }
}

fn order(start: &Start) -> Outcome {
    let config = start.installation.config()?;
    let data = start.installation.folder(&config);
    let mut store = start.installation.open_present(&config)?;
    let filter = start.filter.join(" ");
    let (since_ms, until_ms, archive) = match start.incident {
        Some(number) => {
            let incident = store.incident(number)?.ok_or_else(|| format!("there is no incident {number}"))?;
            (incident.form.since_ms, incident.form.until_ms, incident.archive)
        }
        None => {
            let (since_ms, until_ms) = window(&filter)?;
            (since_ms, until_ms, start.archive.clone())
        }
    };
    // Names and words are looked up by the server; that the rest is right is said here and now.
    log::parse(&filter)?;
    let order = ReplayOrder {
        since_ms,
        until_ms,
        filter,
        archive,
        speed: start.speed,
        with_json: start.json_topics,
        is_paused: start.paused,
    };
    let number = store.order_replay(&order, ACTOR, clock::unix_ms())?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "replay {number}: subscribe to `replay/{number}/#`; `backhaul replay list` says how far it is"
    )?;
    if !log::is_served(data) {
        writeln!(out, "no server works on `{}`: it begins when one does", data.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn steer(one: &One, command: ReplayCommand) -> Outcome {
    let config = one.installation.config()?;
    let replay = one.installation.open_present(&config)?.command_replay(one.number, command)?;
    let speed = f64::from(replay.order.speed) / 1000.0;
    writeln!(std::io::stdout(), "replay {} is {}, {speed} times life", replay.number, replay.state.word())?;
    Ok(ExitCode::SUCCESS)
}

fn show(list: &List) -> Outcome {
    let config = list.installation.config()?;
    let replays = list.installation.open_present(&config)?.replays()?;
    let progresses: Progresses = replay_progress(list.installation.folder(&config));
    let mut out = std::io::stdout().lock();
    for replay in &replays {
        let (order, progress) = (&replay.order, progresses.get(&replay.number).cloned().unwrap_or_default());
        if list.json {
            let line = json!({
                "number": replay.number, "state": replay.state.word(), "since_ms": order.since_ms,
                "until_ms": order.until_ms, "filter": order.filter, "archive": order.archive,
                "speed": f64::from(order.speed) / 1000.0, "json_topics": order.with_json,
                "receptions": progress.receptions, "messages": progress.messages,
                "position_ms": progress.position_ms, "problem": progress.problem,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        let at = if progress.receptions > 0 {
            clock::utc(progress.position_ms)
        } else {
            "the beginning".to_owned()
        };
        let problem = progress.problem.map_or(String::new(), |why| format!("; ended: {why}"));
        writeln!(
            out,
            "{:>4}  {:<7}  {} times life  {} receptions, at {at}{problem}  {}",
            replay.number,
            replay.state.word(),
            f64::from(order.speed) / 1000.0,
            progress.receptions,
            order.filter
        )?;
    }
    if replays.iter().all(|replay| replay.state == ReplayState::Over) && !list.json {
        writeln!(out, "nothing is being replayed")?;
    }
    Ok(ExitCode::SUCCESS)
}
