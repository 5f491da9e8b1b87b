//! `backhaul incident`: windows of time to come back to, and handing them on to another Backhaul.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Incident, IncidentForm};
use exports::{Format, Means};
use history::archive_name;
use history::import::Lines;
use query::{Condition, Test};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::archive::{make, take};
use crate::data_folder::Installation;
use crate::{Outcome, clock, log, settings};

/// Who acts, in the audit.
const ACTOR: &str = "command line";
/// What says what an exported incident is.
const ABOUT_FILE: &str = "incident.json";
/// What was received in its window, a line each.
const RECEPTIONS_FILE: &str = "receptions.jsonl";

/// What to do about incidents.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Mark a window of time
    Mark(Mark),
    /// List the incidents
    List(List),
    /// Show one incident
    Show(One),
    /// Say something else about one
    Change(Change),
    /// Close one
    Close(One),
    /// Open one again
    Reopen(One),
    /// Remove one; what was received stays as long as everything else
    Remove(One),
    /// Write one to a folder that another Backhaul can import
    Export(Export),
    /// Take over one that another Backhaul has exported
    Import(Import),
}

/// Options of `incident mark`.
#[derive(Args, Clone)]
pub struct Mark {
    /// What it was, in one line
    #[arg(value_name = "TITLE")]
    title: String,
    /// When it was: 'last 2h', 'since 2026-11-23T18:00 until 2026-11-23T21:00'
    #[arg(value_name = "WHEN")]
    when: String,
    /// What is to be said about it
    #[arg(long, default_value = "", value_name = "TEXT")]
    notes: String,
    /// Let its days go when others of their age do
    #[arg(long)]
    not_pinned: bool,
    /// Let everybody see title, notes and counts
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `incident list`.
#[derive(Args, Clone)]
pub struct List {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// One incident.
#[derive(Args, Clone)]
pub struct One {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `incident change`; what is not said stays.
#[derive(Args, Clone)]
pub struct Change {
    #[command(flatten)]
    one: One,
    /// Another title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Other notes
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Another window
    #[arg(long, value_name = "WHEN")]
    when: Option<String>,
    /// Whether its days are kept however long others are
    #[arg(long, value_name = "BOOL")]
    pinned: Option<bool>,
    /// Whether everybody sees title, notes and counts
    #[arg(long, value_name = "BOOL")]
    public: Option<bool>,
}

/// Options of `incident export`.
#[derive(Args, Clone)]
pub struct Export {
    #[command(flatten)]
    one: One,
    /// Folder to make; texts and positions of others stand in it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Options of `incident import`.
#[derive(Args, Clone)]
pub struct Import {
    /// Folder that `backhaul incident export` made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Name of the archive that holds its receptions; without it, the folder's
    #[arg(long, value_name = "NAME", value_parser = archive_name)]
    into: Option<String>,
    #[command(flatten)]
    installation: Installation,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Mark(mark) => {
            let config = mark.installation.config()?;
            let (since_ms, until_ms) = window(&mark.when)?;
            let form = IncidentForm {
                title: mark.title,
                notes: mark.notes,
                since_ms,
                until_ms,
                is_pinned: !mark.not_pinned,
                is_public: mark.public,
            };
            let mut store = mark.installation.open_or_make(&config)?;
            let number = store.mark_incident(form, None, ACTOR, clock::unix_ms())?;
            say(&format!("incident {number} is marked"))
        }
        Command::List(list) => show_all(&list),
        Command::Show(one) => show(&one),
        Command::Change(change) => {
            let (mut store, incident) = find(&change.one)?;
            let mut form = incident.form;
            if let Some(when) = &change.when {
                (form.since_ms, form.until_ms) = window(when)?;
            }
            form.title = change.title.unwrap_or(form.title);
            form.notes = change.notes.unwrap_or(form.notes);
            form.is_pinned = change.pinned.unwrap_or(form.is_pinned);
            form.is_public = change.public.unwrap_or(form.is_public);
            store.change_incident(incident.number, form, ACTOR, clock::unix_ms())?;
            say(&format!("incident {} is changed", incident.number))
        }
        Command::Close(one) => close(&one, true),
        Command::Reopen(one) => close(&one, false),
        Command::Remove(one) => {
            find(&one)?.0.remove_incident(one.number, ACTOR, clock::unix_ms())?;
            say(&format!("incident {} is removed; what was received stays", one.number))
        }
        Command::Export(export) => write_out(&export),
        Command::Import(import) => read_in(&import),
    }
}

fn say(line: &str) -> Outcome {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(ExitCode::SUCCESS)
}

/// The window of a filter that says only when.
pub fn window(when: &str) -> Result<(i64, i64), String> {
    let condition = log::when(when)?;
    match condition.time_range() {
        (Some(since_ms), until_ms) => Ok((since_ms, until_ms.unwrap_or_else(clock::unix_ms))),
        (None, _) => {
            Err("say since when: 'last 2h', or 'since 2026-11-23T18:00 until 2026-11-23T21:00'".to_owned())
        }
    }
}

fn find(one: &One) -> Result<(directory_store::Store, Incident), Box<dyn std::error::Error>> {
    let config = one.installation.config()?;
    let store = one.installation.open_present(&config)?;
    let incident = store.incident(one.number)?;
    Ok((store, incident.ok_or_else(|| format!("there is no incident {}", one.number))?))
}

fn close(one: &One, is_closed: bool) -> Outcome {
    find(one)?.0.close_incident(one.number, is_closed, ACTOR, clock::unix_ms())?;
    say(&format!("incident {} is {}", one.number, if is_closed { "closed" } else { "open again" }))
}

fn in_json(incident: &Incident) -> serde_json::Value {
    let form = &incident.form;
    json!({
        "number": incident.number, "title": form.title, "notes": form.notes, "since_ms": form.since_ms,
        "until_ms": form.until_ms, "pinned": form.is_pinned, "public": form.is_public, "closed_ms": incident.closed_ms,
        "made_ms": incident.made_ms, "made_by": incident.made_by, "archive": incident.archive,
    })
}

fn show_all(list: &List) -> Outcome {
    let config = list.installation.config()?;
    let incidents = list.installation.open_present(&config)?.incidents()?;
    let mut out = std::io::stdout().lock();
    for incident in &incidents {
        if list.json {
            writeln!(out, "{}", in_json(incident))?;
            continue;
        }
        let form = &incident.form;
        let state = if incident.closed_ms.is_some() { "closed" } else { "open" };
        let (since, until) = (clock::utc(form.since_ms), clock::utc(form.until_ms));
        writeln!(out, "{:>4}  {since} to {until} UTC  {state}  {}", incident.number, form.title)?;
    }
    if incidents.is_empty() && !list.json {
        writeln!(out, "no incident is marked")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(one: &One) -> Outcome {
    let (_, incident) = find(one)?;
    let form = &incident.form;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", form.title)?;
    writeln!(out, "{} to {} UTC", clock::utc(form.since_ms), clock::utc(form.until_ms))?;
    let state = incident.closed_ms.map_or("open".to_owned(), |at| format!("closed {} UTC", clock::utc(at)));
    let (pinned, public) = (
        if form.is_pinned { "its days are kept" } else { "its days go with the others" },
        if form.is_public { "public" } else { "for operators" },
    );
    writeln!(out, "{state}; {pinned}; {public}")?;
    writeln!(out, "marked {} UTC by {}", clock::utc(incident.made_ms), incident.made_by)?;
    if let Some(archive) = &incident.archive {
        writeln!(out, "its receptions are in the archive `{archive}`")?;
    }
    if !form.notes.is_empty() {
        writeln!(out, "\n{}", form.notes)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What an exported incident says of itself.
#[derive(Serialize, Deserialize)]
struct About {
    v: u32,
    title: String,
    notes: String,
    since_ms: i64,
    until_ms: i64,
    receptions: u64,
}

fn write_out(export: &Export) -> Outcome {
    let (_, incident) = find(&export.one)?;
    let config = export.one.installation.config()?;
    let data = export.one.installation.folder(&config);
    let form = &incident.form;
    let history = history::history_folder(data, incident.archive.as_deref());
    let reader = history::Reader::open(&history)?;
    let condition = Condition::All(vec![
        Condition::Is(Test::Since(form.since_ms)),
        Condition::Is(Test::Until(form.until_ms)),
    ]);
    let folder = &export.folder;
    fs::create_dir(folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
    let filled = fill(folder, form, &reader, &condition);
    if filled.is_err() {
        // Half an export looks like a whole one.
        fs::remove_dir_all(folder)?;
    }
    say(&format!("incident {} with {} receptions is in `{}`", incident.number, filled?, folder.display()))
}

fn fill(
    folder: &Path,
    form: &IncidentForm,
    reader: &history::Reader,
    condition: &Condition,
) -> Result<u64, Box<dyn std::error::Error>> {
    let file = File::create_new(folder.join(RECEPTIONS_FILE))?;
    let (format, means, out) = (Format::JsonLinesWithCopies, Means::default(), BufWriter::new(&file));
    let exported = exports::export(reader, condition, format, &means, out, |_| ());
    let receptions = exported.map_err(crate::export::plain)?.receptions;
    file.sync_all()?;
    let about = About {
        v: 1,
        title: form.title.clone(),
        notes: form.notes.clone(),
        since_ms: form.since_ms,
        until_ms: form.until_ms,
        receptions,
    };
    fs::write(folder.join(ABOUT_FILE), serde_json::to_vec_pretty(&about)?)?;
    Ok(receptions)
}

fn read_in(import: &Import) -> Outcome {
    let config = import.installation.config()?;
    let data = import.installation.folder(&config);
    let folder = &import.folder;
    let about_file = folder.join(ABOUT_FILE);
    let text = crate::data_folder::read_text(&about_file, 1 << 20)?;
    let about: About =
        serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", about_file.display()))?;
    if about.v != 1 {
        return Err(format!("`{}` has version {}, and 1 is known here", about_file.display(), about.v).into());
    }
    let name = match &import.into {
        Some(name) => name.clone(),
        None => {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            archive_name(&name.to_ascii_lowercase())
                .map_err(|why| format!("say with --into what the archive is called; {why}"))?
        }
    };
    let form = IncidentForm {
        title: about.title,
        notes: about.notes,
        since_ms: about.since_ms,
        until_ms: about.until_ms,
        is_pinned: false,
        is_public: false,
    };
    // What is said about it is checked before anything is made.
    let form = form.checked().map_err(|error| format!("`{}`: {error}", about_file.display()))?;
    let receptions = folder.join(RECEPTIONS_FILE);
    let file = File::open(&receptions)
        .map_err(|error| format!("cannot read `{}`: {error}", receptions.display()))?;
    let lines = Lines::new(settings::keyring(&config), settings::preset(&config));
    let taken = make(data, &name, false, |history| {
        let taken = take(BufReader::new(file), lines, history, false)?;
        if taken.receptions != about.receptions {
            let (found, told) = (taken.receptions, about.receptions);
            return Err(format!(
                "`{}` has {found} receptions, and {told} were exported",
                receptions.display()
            )
            .into());
        }
        Ok(taken)
    })?;
    let mut store = import.installation.open_or_make(&config)?;
    let number = store.mark_incident(form, Some(&name), ACTOR, clock::unix_ms())?;
    say(&format!(
        "incident {number} with {} receptions is taken over into the archive `{name}`",
        taken.receptions
    ))
}
