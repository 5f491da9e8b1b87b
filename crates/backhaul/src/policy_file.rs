//! `backhaul policy`: the rules, the policy's file, what it would change, and what changed it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use policy::difference::differences;
use policy::parameters::parameters;
use policy::rule::{RULES, Stage};
use policy::settings::Settings;
use serde_json::json;
use server::PolicySource;

use crate::data_folder::{Installation, parse_policy, policy_path, read_policy, read_policy_text, rule_docs};
use crate::{Outcome, clock, log, policy_test};

/// What to do with the policy.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// List every rule in the order in which rules are asked: state, parameters, meaning
    Rules(Rules),
    /// Print the policy file in force
    Show(Shown),
    /// Check a policy file: every mistake with its line and what is allowed
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say what a policy file would change
    Diff(Proposed),
    /// Ask what a policy file would have done with recorded traffic
    Test(policy_test::Arguments),
    /// Put a policy file in force: copies it to its place, where a running broker takes it over
    Apply(Proposed),
    /// List the changes of the policy: when, by whom, what
    History(History),
    /// Print a commented policy file with every key and its default
    Docs,
    /// Print the policy file's JSON Schema, for editors
    Schema,
}

/// Options of `policy rules`.
#[derive(Args, Clone)]
pub struct Rules {
    #[command(flatten)]
    installation: Installation,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Options of `policy show`.
#[derive(Args, Clone)]
pub struct Shown {
    #[command(flatten)]
    installation: Installation,
}

/// Options of commands on a proposed policy.
#[derive(Args, Clone)]
pub struct Proposed {
    /// The proposed policy file
    file: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `policy history`.
#[derive(Args, Clone)]
pub struct History {
    #[command(flatten)]
    installation: Installation,
    /// How far back, such as 30d
    #[arg(long, value_name = "AGE OR TIME", default_value = "90d", value_parser = clock::parse_moment)]
    since: i64,
    /// Print one JSON object a line, with the whole policy file of each change
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    let mut out = std::io::stdout();
    match command {
        Command::Rules(arguments) => return list(&arguments),
        Command::Show(arguments) => {
            let text = text_in_force(&arguments.installation)?;
            if text.is_empty() {
                writeln!(out, "# Nothing is set: every default holds. `backhaul policy docs` prints them.")?;
            }
            write!(out, "{text}")?;
        }
        Command::Check { file } => {
            read_policy(&file)?;
            writeln!(out, "`{}` is right", file.display())?;
        }
        Command::Diff(arguments) => {
            let old = in_force(&arguments.installation)?;
            write_differences(&mut out, &old, &read_policy(&arguments.file)?)?;
        }
        Command::Test(arguments) => return policy_test::run(&arguments),
        Command::Apply(arguments) => return apply(&mut out, &arguments),
        Command::History(arguments) => return history(&mut out, &arguments),
        Command::Docs => write!(out, "{}", config::policy_document(&rule_docs()))?,
        Command::Schema => write!(out, "{}", config::policy_schema(&rule_docs()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The text in force: what a broker has taken over, else the file.
pub fn text_in_force(installation: &Installation) -> Result<String, Box<dyn std::error::Error>> {
    let config = installation.config()?;
    let data = installation.folder(&config);
    let kept = PolicySource::copy_in_force(data);
    let path = if kept.exists() { kept } else { policy_path(&config, data) };
    if path.exists() { read_policy_text(&path) } else { Ok(String::new()) }
}

/// The policy in force.
pub fn in_force(installation: &Installation) -> Result<Settings, Box<dyn std::error::Error>> {
    Ok(parse_policy(Path::new("the policy in force"), &text_in_force(installation)?)?)
}

fn write_differences(out: &mut impl Write, old: &Settings, new: &Settings) -> std::io::Result<usize> {
    let found = differences(old, new);
    if found.is_empty() {
        writeln!(out, "Nothing would change.")?;
    }
    for difference in &found {
        writeln!(out, "{difference}")?;
    }
    Ok(found.len())
}

/// How long a running broker may take to take a file over.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

fn apply(out: &mut impl Write, arguments: &Proposed) -> Outcome {
    let new = read_policy(&arguments.file)?;
    let text = read_policy_text(&arguments.file)?;
    write_differences(out, &in_force(&arguments.installation)?, &new)?;
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    std::fs::create_dir_all(data)?;
    let user =
        std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".into());
    let user: String = user.chars().filter(|c| !c.is_control()).take(60).collect();
    let note = format!("{user}, on the command line\n{text}");
    write_whole(&PolicySource::note_of_who(data), &note)?;
    let place = policy_path(&config, data);
    write_whole(&place, &text)?;
    let copy = PolicySource::copy_in_force(data);
    let start = Instant::now();
    while start.elapsed() < TAKEN_OVER_WITHIN && copy.exists() {
        if std::fs::read_to_string(&copy).is_ok_and(|in_force| in_force == text) {
            writeln!(out, "In force.")?;
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    writeln!(
        out,
        "Written to `{}`; no running broker has taken it over, so it holds from the next start.",
        place.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Beside its place first, so that nobody reads a part of it.
fn write_whole(path: &Path, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let failed = |error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
    let unfinished = path.with_extension("applying");
    std::fs::write(&unfinished, text).map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)?;
    Ok(())
}

fn history(out: &mut impl Write, arguments: &History) -> Outcome {
    let config = arguments.installation.config()?;
    let reader = log::open_history(arguments.installation.folder(&config))?;
    for change in reader.policy_changes(arguments.since, i64::MAX)? {
        if arguments.json {
            let line = json!({
                "at_ms": change.at_ms, "who": &*change.who, "changes": change.private_changes, "text": &*change.text,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        writeln!(out, "{}  {}", clock::utc(change.at_ms), change.who)?;
        if change.private_changes.is_empty() {
            writeln!(out, "    no rule and no parameter: comments and order only")?;
        }
        for line in &change.private_changes {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(arguments: &Rules) -> Outcome {
    let settings = in_force(&arguments.installation)?;
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
