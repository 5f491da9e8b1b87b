//! `backhaul requests`: who wants to connect a gateway or to send more, and the operator's decision.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Request, RequestDecision};
use serde_json::json;

use crate::Outcome;
use crate::clock::unix_ms;
use crate::data_folder::Installation;

/// What to do with requests.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Show the requests that wait; with --all those decided, too
    List(List),
    /// Show all that one request says
    Show(Numbered),
    /// Grant one: its author fetches the credentials with the link they were given
    Approve(Decided),
    /// Ask its author something
    AskBack(Decided),
    /// Do not grant one
    Refuse(Decided),
}

/// Options of `requests list`.
#[derive(Args, Clone)]
pub struct List {
    /// Also those that are decided
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

/// One request.
#[derive(Args, Clone)]
pub struct Numbered {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// A decision about one request.
#[derive(Args, Clone)]
pub struct Decided {
    #[command(flatten)]
    request: Numbered,
    /// What its author is told; asking back and refusing need it
    #[arg(long, default_value = "", value_name = "TEXT")]
    answer: String,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List(arguments) => list(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Approve(arguments) => decide(&arguments, RequestDecision::Approve),
        Command::AskBack(arguments) => decide(&arguments, RequestDecision::AskBack),
        Command::Refuse(arguments) => decide(&arguments, RequestDecision::Refuse),
    }
}

fn list(arguments: &List) -> Outcome {
    let store = arguments.installation.open_present(&arguments.installation.config()?)?;
    let requests = store.requests()?;
    let shown = requests.iter().filter(|request| arguments.all || request.state.is_open());
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let lines: Vec<_> = shown
            .map(|r| {
                json!({ "number": r.number, "node": r.form.node.to_string(), "kind": r.form.kind.word(),
                        "state": r.state.word(), "asked_ms": r.asked_ms, "owner": r.form.owner })
            })
            .collect();
        writeln!(out, "{:#}", json!(lines))?;
        return Ok(ExitCode::SUCCESS);
    }
    for r in shown {
        let (node, kind, state) = (r.form.node.to_string(), r.form.kind.word(), r.state.word());
        writeln!(out, "{:5}  {node}  {kind:12}  {state:10}  {}, {}", r.number, r.form.owner, r.form.place)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &Numbered) -> Outcome {
    let store = arguments.installation.open_present(&arguments.installation.config()?)?;
    let requests = store.requests()?;
    let found = requests.iter().find(|request| request.number == arguments.number);
    let request = found.ok_or_else(|| format!("there is no request {}", arguments.number))?;
    write_request(&mut std::io::stdout().lock(), request)?;
    Ok(ExitCode::SUCCESS)
}

fn write_request(out: &mut impl Write, request: &Request) -> std::io::Result<()> {
    let form = &request.form;
    let yes = |is_so: bool| if is_so { "yes" } else { "no" };
    let channels = form.channels.join(", ");
    let (node, state) = (form.node.to_string(), request.state.word());
    let lines = [
        ("node", node.as_str()),
        ("kind", form.kind.word()),
        ("state", state),
        ("owner", &form.owner),
        ("contact", &form.contact),
        ("place", &form.place),
        ("stays there", yes(form.is_fixed)),
        ("power", &form.power),
        ("height", &form.height),
        ("internet", &form.internet),
        ("channels", &channels),
        ("downlink", yes(form.wants_downlink)),
        ("telemetry", yes(form.wants_telemetry)),
        ("says", &form.reason),
        ("answer", &request.answer),
    ];
    for (name, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
        // Strangers wrote this: nothing of it steers the terminal.
        let safe: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(out, "{name:12}  {safe}")?;
    }
    Ok(())
}

fn decide(arguments: &Decided, decision: RequestDecision) -> Outcome {
    let Numbered { number, installation } = &arguments.request;
    let mut store = installation.open_present(&installation.config()?)?;
    store.decide_request(*number, decision, &arguments.answer, "command line", unix_ms())?;
    let then = match decision {
        RequestDecision::Approve => "Its author fetches the credentials with the link they were given.",
        RequestDecision::AskBack => "Its author sees the question with the link they were given.",
        RequestDecision::Refuse => "Its author sees the answer with the link they were given.",
    };
    writeln!(std::io::stdout(), "Request {number}: {}. {then}", decision.word())?;
    Ok(ExitCode::SUCCESS)
}
