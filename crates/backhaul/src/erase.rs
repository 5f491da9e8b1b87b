//! `backhaul erase`, `backhaul erasures`, `backhaul disclose`: what is held of a node, shown to its owner and deleted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use config::Config;
use directory::{Erasure, ErasureState, GatewayId};
use directory_store::Store;
use history::erasure::Belonging;
use serde_json::{Value as Json, json};
use server::StartError;
use server::erasing::{self, Found, Receipt};

use crate::data_folder::Installation;
use crate::{Outcome, clock, serve, settings};

/// How often it is looked whether an erasure is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Who did it, in the audit.
const ACTOR: &str = "command line";

/// Options of `erase`.
#[derive(Args, Clone)]
pub struct EraseArguments {
    /// The node: `!` and eight hex digits
    #[arg(value_name = "NODE")]
    node: GatewayId,
    /// Delete; without it, only say what would be
    #[arg(long)]
    yes: bool,
    /// Print JSON: what was found, or the receipt
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `disclose`.
#[derive(Args, Clone)]
pub struct DiscloseArguments {
    /// The node: `!` and eight hex digits
    #[arg(value_name = "NODE")]
    node: GatewayId,
    /// Where to write, one JSON object for each line; a summary for people comes beside it as `FILE.txt`
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

/// What to do about erasures.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Show what was asked for, ordered and done
    List(List),
    /// Do what somebody has asked for
    Confirm(Numbered),
    /// Say no to who has asked
    Refuse(Numbered),
    /// Print the receipt of one that is done
    Receipt(Numbered),
    /// Let a node that was erased come in again
    Lift(Lift),
}

/// Options of `erasures list`.
#[derive(Args, Clone)]
pub struct List {
    /// Print one JSON object for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// One erasure.
#[derive(Args, Clone)]
pub struct Numbered {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// One node.
#[derive(Args, Clone)]
pub struct Lift {
    /// The node: `!` and eight hex digits
    #[arg(value_name = "NODE")]
    node: GatewayId,
    #[command(flatten)]
    installation: Installation,
}

/// Deletes everything that is held of a node, or says what it would be.
pub fn erase(arguments: &EraseArguments) -> Outcome {
    let config = arguments.installation.config()?;
    let mut store = arguments.installation.open_present(&config)?;
    let data = arguments.installation.folder(&config).to_owned();
    if !arguments.yes {
        let found = erasing::find(&data, &store, arguments.node, &settings::keyring(&config))?;
        let mut out = std::io::stdout().lock();
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(&found)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "Held of {}:", arguments.node)?;
        tell(&mut out, &found)?;
        writeln!(
            out,
            "\nNothing was deleted. `backhaul erase '{}' --yes` deletes it and keeps the node out. That cannot be undone.",
            arguments.node
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = store.order_erasure(arguments.node, ACTOR, clock::unix_ms())?;
    carry_out(&config, &data, &store, number, arguments.json)
}

/// Shows everything that is held of a node.
pub fn disclose(arguments: &DiscloseArguments) -> Outcome {
    let config = arguments.installation.config()?;
    let store = arguments.installation.open_present(&config)?;
    let (data, keyring) = (arguments.installation.folder(&config), settings::keyring(&config));
    let node = arguments.node;
    let found = erasing::find(data, &store, node, &keyring)?;
    let shown = arguments.output.display().to_string();
    let refused = |error: std::io::Error| format!("cannot write `{shown}`: {error}");
    let mut file = std::io::BufWriter::new(private(&arguments.output).map_err(refused)?);
    let mut problem = None;
    let mut write = |line: Json| {
        if problem.is_none() {
            problem = writeln!(file, "{line}").err();
        }
    };
    write(json!({ "v": 1, "kind": "disclosure", "node": node.to_string(), "at_ms": clock::unix_ms() }));
    for entry in store.entries(node)? {
        write(json!({ "kind": "directory", "entry": entry }));
    }
    let names = erasing::names_of(data, node, &keyring)?;
    if let Some(alerts) = alerting::store::Store::open_to_read(data)? {
        for (at_ms, text) in alerts.lines_of_node(node.0, &names)? {
            write(json!({ "kind": "alert", "at_ms": at_ms, "text": text }));
        }
    }
    erasing::disclose(data, node, &keyring, |archive, belonging| {
        write(line_of(archive, belonging, &keyring));
    })?;
    if let Some(error) = problem {
        return Err(refused(error).into());
    }
    file.flush().map_err(refused)?;
    let summary = PathBuf::from(format!("{shown}.txt"));
    let mut out =
        private(&summary).map_err(|error| format!("cannot write `{}`: {error}", summary.display()))?;
    writeln!(out, "What is held of {node}, {} UTC\n", clock::utc(clock::unix_ms()))?;
    tell(&mut out, &found)?;
    writeln!(out, "\nEach row stands in `{shown}`, one JSON object for each line.")?;
    writeln!(
        out,
        "Beside it the broker remembers, without history: when and where the node was heard last, its public key, its airtime\n\
         of the hour, and retained messages on topics with its number. Erasing deletes these too."
    )?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Held of {node}:")?;
    tell(&mut out, &found)?;
    writeln!(out, "\nWritten to {shown} and {}.", summary.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a subcommand of `erasures`.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List(arguments) => list(&arguments),
        Command::Confirm(arguments) => {
            let config = arguments.installation.config()?;
            let mut store = arguments.installation.open_present(&config)?;
            let data = arguments.installation.folder(&config).to_owned();
            let asked = store.erasure(arguments.number)?.filter(|one| one.state == ErasureState::Asked);
            let node = asked.and_then(|one| one.node).ok_or("no erasure with this number is asked for")?;
            let number = store.order_erasure(node, ACTOR, clock::unix_ms())?;
            carry_out(&config, &data, &store, number, false)
        }
        Command::Refuse(arguments) => {
            let mut store = arguments.installation.open_present(&arguments.installation.config()?)?;
            store.refuse_erasure(arguments.number, ACTOR, clock::unix_ms())?;
            writeln!(std::io::stdout(), "Refused; nothing is kept of who asked.")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Receipt(arguments) => {
            let store = arguments.installation.open_present(&arguments.installation.config()?)?;
            let receipt = store.erasure(arguments.number)?.and_then(|one| one.receipt);
            let receipt = receipt.ok_or("no erasure with this number is done")?;
            writeln!(std::io::stdout(), "{receipt}")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lift(arguments) => {
            let mut store = arguments.installation.open_present(&arguments.installation.config()?)?;
            store.lift_tombstone(arguments.node, ACTOR, clock::unix_ms())?;
            writeln!(std::io::stdout(), "{} may come in again; what was deleted stays so.", arguments.node)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(arguments: &List) -> Outcome {
    let store = arguments.installation.open_present(&arguments.installation.config()?)?;
    let mut out = std::io::stdout().lock();
    for erasure in store.erasures()? {
        if arguments.json {
            writeln!(out, "{}", to_json(&erasure))?;
            continue;
        }
        let whose = erasure.node.map_or_else(|| format!("tombstone {}", erasure.print), |n| n.to_string());
        let problem = erasure.problem.map_or_else(String::new, |problem| format!("; {problem}"));
        writeln!(
            out,
            "{:4}  {:8} {} UTC  {whose}, {}{problem}",
            erasure.number,
            erasure.state.word(),
            clock::utc(erasure.done_ms.unwrap_or(erasure.asked_ms)),
            erasure.asked_by,
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(erasure: &Erasure) -> Json {
    json!({
        "number": erasure.number,
        "state": erasure.state.word(),
        "tombstone": erasure.print.to_string(),
        "node": erasure.node.map(|node| node.to_string()),
        "asked_ms": erasure.asked_ms,
        "asked_by": erasure.asked_by,
        "problem": erasure.problem,
        "done_ms": erasure.done_ms,
        "receipt": erasure.receipt.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok()),
    })
}

/// Waits until an order is done: by the server that runs, or else by one that opens no port and ends with it.
fn carry_out(config: &Config, data: &Path, store: &Store, number: i64, is_json: bool) -> Outcome {
    let quiet = match server::start(serve::quiet_settings(config, data)) {
        Ok(running) => Some(running),
        Err(StartError::FolderInUse(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let done = loop {
        let erasure = store.erasure(number)?.ok_or("the order is gone")?;
        if erasure.state == ErasureState::Done || erasure.problem.is_some() {
            break erasure;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if let Some(running) = quiet {
        running.stop();
    }
    let mut out = std::io::stdout().lock();
    let Some(text) = &done.receipt else {
        let problem = done.problem.unwrap_or_default();
        writeln!(out, "Erasure {number} is not done yet: {problem}")?;
        writeln!(out, "The node is kept out; a running server goes on with it.")?;
        return Ok(ExitCode::FAILURE);
    };
    if is_json {
        let receipt: Json = serde_json::from_str(text)?;
        writeln!(out, "{receipt}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let receipt: Receipt = serde_json::from_str(text)?;
    writeln!(
        out,
        "Erasure {number}: everything is deleted, and the node is kept out (tombstone {}).",
        receipt.tombstone
    )?;
    tell(&mut out, &receipt.found)?;
    writeln!(out, "retained     {} messages, {} that waited for clients", receipt.retained, receipt.queued)?;
    for left in &receipt.left {
        writeln!(out, "left         {left}")?;
    }
    writeln!(
        out,
        "Receipt      {}",
        data.join(erasing::RECEIPTS).join(format!("erasure-{number}.json")).display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut impl Write, found: &Found) -> std::io::Result<()> {
    found.lines().iter().try_for_each(|(place, words)| writeln!(out, "{place:12} {words}"))
}

fn line_of(archive: &str, belonging: Belonging, keyring: &mesh::keyring::Keyring) -> Json {
    let archive = Some(archive).filter(|name| !name.is_empty());
    match belonging {
        Belonging::Reception(reception, tie, release) => json!({
            "kind": "reception",
            "archive": archive,
            "why": tie,
            "text": history::said(&reception, keyring),
            "reception": history::json::reception(&reception),
            "copies": release.map_or(0, |release| release.copies.len()),
        }),
        Belonging::Connection(connection) => json!({
            "kind": "connection",
            "archive": archive,
            "at_ms": connection.at_ms,
            "client_id": connection.client_id,
            "address": connection.address,
            "what": connection.detail,
        }),
        Belonging::Name(day, long, short) => json!({
            "kind": "name",
            "archive": archive,
            "day": history::statement::date(day),
            "long": long,
            "short": short,
        }),
    }
}

/// A file that only its owner may read: it is somebody's data.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
