//! `backhaul alerts`: rules and targets, whether letters arrive, what was told, and what a rule would have said.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use alerting::send::Sender;
use alerting::store::{Sent, Store};
use alerting::target::{AlertSettings, Way};
use automation::alert::engine::{Engine, Happening};
use automation::alert::letter::{named, trial};
use automation::alert::rule::{Per, Rule, Severity, Trigger};
use automation::alert::sighting;
use clap::{Args, Subcommand};
use config::{ALERTS_BYTES_MAX, Config};
use directory::GatewayId;
use history::{Filter, Reader};
use query::NodeName;

use crate::data_folder::{Installation, read_text};
use crate::{Outcome, alert_settings, clock, settings};

/// What to do with alerts.
#[derive(Subcommand, Clone)]
pub enum Command {
    /// Show the rules and targets in force
    List(Where),
    /// Say everything that is wrong with the alerts' file
    Check(Check),
    /// Send a test to a target, and say whether it arrived
    Test(Test),
    /// Show what happened lately and what became of the messages
    History(Where),
    /// Show what a rule would have said of the past
    Try(Try),
    /// Tell nobody of a rule, or of one node of it, for a while
    Silence(Silence),
    /// Show what is silenced
    Silences(Where),
    /// End a silence before its time
    Unsilence(Unsilence),
    /// Print the alerts' file with every key
    Docs,
    /// Print the rules that come with the program
    Packaged,
    /// Print the alerts' file as JSON Schema
    Schema,
}

/// Options that say which installation is meant.
#[derive(Args, Clone)]
pub struct Where {
    #[command(flatten)]
    installation: Installation,
}

/// Options of `alerts check`.
#[derive(Args, Clone)]
pub struct Check {
    /// The file; that of the installation if not said
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `alerts test`.
#[derive(Args, Clone)]
pub struct Test {
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `alerts try`.
#[derive(Args, Clone)]
pub struct Try {
    /// Name of a rule, or a filter, which tells of every packet that matches
    #[arg(value_name = "RULE")]
    rule: String,
    /// How far back to look, such as 7d or 2026-11-20
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = clock::parse_moment)]
    since: i64,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `alerts silence`.
#[derive(Args, Clone)]
pub struct Silence {
    /// Name of the rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only what is about this node or gateway
    #[arg(long, value_name = "ID")]
    node: Option<GatewayId>,
    /// For how many hours
    #[arg(long, default_value = "8", value_name = "HOURS", value_parser = clap::value_parser!(u16).range(1..=744))]
    hours: u16,
    #[command(flatten)]
    installation: Installation,
}

/// Options of `alerts unsilence`.
#[derive(Args, Clone)]
pub struct Unsilence {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: i64,
    #[command(flatten)]
    installation: Installation,
}

/// Who acts, in the audit.
const ACTOR: &str = "command line";

fn silence(arguments: &Silence) -> Outcome {
    let (config, known) = of_installation(&arguments.installation)?;
    if !known.rules.iter().any(|rule| *rule.name == *arguments.rule) {
        let names: Vec<_> = known.rules.iter().map(|rule| &*rule.name).collect();
        return Err(format!("no rule is called `{}`; there are {}", arguments.rule, names.join(", ")).into());
    }
    let now_ms = clock::unix_ms();
    let until_ms = now_ms + i64::from(arguments.hours) * 3_600_000;
    let mut store = arguments.installation.open_present(&config)?;
    let number = store.silence_alert(&arguments.rule, arguments.node, until_ms, ACTOR, now_ms)?;
    print(&format!(
        "silence {number}: nobody is told of `{}` until {} UTC\n",
        arguments.rule,
        clock::utc(until_ms)
    ))
}

fn show_silences(installation: &Installation) -> Outcome {
    let silences = installation.open_present(&installation.config()?)?.silences(clock::unix_ms())?;
    let mut out = std::io::stdout().lock();
    for one in &silences {
        let node = one.node.map_or(String::new(), |node| format!(" of {node}"));
        writeln!(
            out,
            "{:>4}  {}{node}  until {} UTC, by {}",
            one.number,
            one.rule,
            clock::utc(one.until_ms),
            one.by
        )?;
    }
    if silences.is_empty() {
        writeln!(out, "nothing is silenced")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn unsilence(arguments: &Unsilence) -> Outcome {
    let mut store = arguments.installation.open_present(&arguments.installation.config()?)?;
    store.end_silence(arguments.number, ACTOR, clock::unix_ms())?;
    print(&format!("silence {} has ended\n", arguments.number))
}

/// Runs the subcommand.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List(arguments) => list(&arguments.installation),
        Command::Check(arguments) => check(&arguments),
        Command::Test(arguments) => test(&arguments),
        Command::History(arguments) => show_history(&arguments.installation),
        Command::Try(arguments) => try_rule(&arguments),
        Command::Silence(arguments) => silence(&arguments),
        Command::Silences(arguments) => show_silences(&arguments.installation),
        Command::Unsilence(arguments) => unsilence(&arguments),
        Command::Docs => print(&config::alerts_document()),
        Command::Packaged => print(alert_settings::PACKAGED),
        Command::Schema => print(&config::alerts_schema()),
    }
}

fn print(text: &str) -> Outcome {
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Names that a filter may use come from the last weeks.
const NAMES_SINCE_MS: i64 = 30 * 86_400_000;

fn past(config: &Config, data: &Path) -> (Option<Reader>, Vec<NodeName>) {
    let reader = Reader::open(&data.join("history")).ok();
    let reader = reader.map(|reader| reader.with_keyring(Arc::new(settings::keyring(config))));
    let since_ms = clock::unix_ms() - NAMES_SINCE_MS;
    let names = reader.as_ref().and_then(|reader| reader.names(since_ms).ok()).unwrap_or_default();
    (reader, names)
}

fn load(file: &Path, names: &[NodeName]) -> Result<AlertSettings, Box<dyn std::error::Error>> {
    let text = if file.exists() { read_text(file, ALERTS_BYTES_MAX as u64 + 1)? } else { String::new() };
    alert_settings::parse(file, &text, names).map_err(Into::into)
}

fn of_installation(
    installation: &Installation,
) -> Result<(Config, AlertSettings), Box<dyn std::error::Error>> {
    let config = installation.config()?;
    let data = installation.folder(&config);
    let (_, names) = past(&config, data);
    let settings = load(&alert_settings::path(&config, data), &names)?;
    Ok((config, settings))
}

fn list(installation: &Installation) -> Outcome {
    let (_, settings) = of_installation(installation)?;
    let mut out = std::io::stdout().lock();
    for rule in &settings.rules {
        let targets = if rule.targets.is_empty() { "the page".to_owned() } else { rule.targets.join(", ") };
        writeln!(
            out,
            "{:<9} {:<20} {:<38} tells {targets}",
            rule.severity.word(),
            rule.name,
            waits_for(rule)
        )?;
    }
    writeln!(out)?;
    if settings.targets.is_empty() {
        writeln!(out, "no target: alerts are shown on the page /alerts only")?;
    }
    for target in &settings.targets {
        writeln!(out, "target {:<20} {}", target.name, target.way.word())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn waits_for(rule: &Rule) -> String {
    use automation::alert::engine::span;
    let what = match &rule.trigger {
        Trigger::Match { count: 0..=1, .. } => "a packet".to_owned(),
        Trigger::Match { count, within_ms } => format!("{count} packets in {}", span(*within_ms)),
        Trigger::Absence { for_ms } => format!("nothing for {}", span(*for_ms)),
        Trigger::Threshold { measure, side, limit, .. } => {
            format!("{measure} {} {limit}", format!("{side:?}").to_lowercase())
        }
        Trigger::Change(attribute) => format!("change of {}", format!("{attribute:?}").to_lowercase()),
        Trigger::Crossing { direction, .. } => format!("{} an area", format!("{direction:?}").to_lowercase()),
    };
    let per = match rule.per {
        Per::Mesh => "",
        Per::Node => ", each node",
        Per::Gateway => ", each gateway",
        Per::Channel => ", each channel",
    };
    format!("{what}{per}")
}

fn check(arguments: &Check) -> Outcome {
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let file = arguments.file.clone().unwrap_or_else(|| alert_settings::path(&config, data));
    if arguments.file.is_some() && !file.exists() {
        return Err(format!("there is no file `{}`", file.display()).into());
    }
    let (_, names) = past(&config, data);
    let settings = load(&file, &names)?;
    let (rules, targets) = (settings.rules.len(), settings.targets.len());
    writeln!(std::io::stdout().lock(), "{}: right; {rules} rules, {targets} targets", file.display())?;
    Ok(ExitCode::SUCCESS)
}

fn test(arguments: &Test) -> Outcome {
    let (config, settings) = of_installation(&arguments.installation)?;
    let Some(target) = settings.targets.iter().find(|target| *target.name == arguments.target) else {
        let known: Vec<_> = settings.targets.iter().map(|target| &*target.name).collect();
        let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        return Err(format!("no target is called `{}`; targets: {known}", arguments.target).into());
    };
    if let Way::Mqtt { topic } = &target.way {
        return Err(format!(
            "only the running broker can publish on `{topic}`; use the button on its page /alerts"
        )
        .into());
    }
    match Sender::default().send(&target.way, &trial(&config.mesh.name), clock::unix_ms()) {
        Ok(()) => {
            writeln!(std::io::stdout().lock(), "`{}` has taken the message", target.name)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => Err(format!("`{}` was not told: {why}", target.name).into()),
    }
}

/// Rows of each list.
const SHOWN: u32 = 30;

fn show_history(installation: &Installation) -> Outcome {
    let config = installation.config()?;
    let data = installation.folder(&config);
    let Some(store) = Store::open_to_read(data)? else {
        return Err(format!("no alerts in `{}`: no server has run there yet", data.display()).into());
    };
    let (_, names) = past(&config, data);
    let name_of = |node: u32| name_in(&names, node);
    let mut out = std::io::stdout().lock();
    for noted in store.happened(SHOWN)?.iter().rev() {
        let told = if noted.told { "" } else { " (nobody told)" };
        writeln!(
            out,
            "{}  {:<8} {}: {}: {}{told}",
            clock::utc(noted.at_ms),
            noted.severity.word(),
            noted.rule,
            named(&noted.subject, &name_of),
            noted.detail
        )?;
    }
    let letters = store.letters(SHOWN)?;
    if !letters.is_empty() {
        writeln!(out)?;
    }
    for sent in letters.iter().rev() {
        writeln!(
            out,
            "{}  to {}: {}: {}",
            clock::utc(sent.written_ms),
            sent.target,
            sent.letter.title,
            became_of(sent)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn became_of(sent: &Sent) -> String {
    let problem = sent.problem.as_deref().unwrap_or_default();
    match (sent.sent_ms, sent.next_ms) {
        (Some(_), _) if sent.attempts > 1 => format!("arrived at attempt {}", sent.attempts),
        (Some(_), _) => "arrived".to_owned(),
        (None, Some(_)) if sent.attempts == 0 => "waits".to_owned(),
        (None, Some(next_ms)) => {
            format!("failed {} times, again at {}: {problem}", sent.attempts, clock::utc(next_ms))
        }
        (None, None) => format!("given up after {} attempts: {problem}", sent.attempts),
    }
}

fn name_in(names: &[NodeName], node: u32) -> Option<String> {
    let name = names.binary_search_by_key(&node, |name| name.node).ok().and_then(|at| names.get(at))?;
    (!name.long.is_empty()).then(|| name.long.clone())
}

/// Time in a trial goes on in steps of this between packets, ms.
const STEP_MS: i64 = 60_000;
/// Receptions fetched at a time.
const PAGE: usize = 5_000;

fn try_rule(arguments: &Try) -> Outcome {
    let config = arguments.installation.config()?;
    let data = arguments.installation.folder(&config);
    let (reader, names) = past(&config, data);
    let Some(reader) = reader else {
        return Err(format!("the history in `{}` cannot be read", data.display()).into());
    };
    let (now_ms, since_ms) = (clock::unix_ms(), arguments.since);
    let settings = load(&alert_settings::path(&config, data), &names)?;
    let named_rule = settings.rules.into_iter().find(|rule| *rule.name == arguments.rule);
    let rule = match named_rule {
        Some(rule) => rule,
        None => of_filter(&arguments.rule, &names)?,
    };
    if let Trigger::Threshold { measure, .. } = &rule.trigger
        && !sighting::is_measure(measure)
    {
        return Err(
            format!("`{measure}` is not in the history, so `{}` cannot be tried on it", rule.name).into()
        );
    }
    let (keyring, allowed) = (settings::keyring(&config), settings::automation(&config));
    let mut engine = Engine::new([rule], since_ms);
    let mut out = std::io::stdout().lock();
    let name_of = |node: u32| name_in(&names, node);
    let (mut begun, mut receptions) = (0_u64, 0_u64);
    let mut tell = |happened: Vec<Happening>| -> std::io::Result<()> {
        for happening in happened {
            begun += u64::from(!happening.is_end);
            let state = if happening.is_end { "over" } else { "fires" };
            let subject = named(&happening.subject, &name_of);
            writeln!(out, "{}  {state:<5}  {subject}: {}", clock::utc(happening.at_ms), happening.detail)?;
        }
        Ok(())
    };
    let (mut after, mut clock_ms) = (0, since_ms);
    loop {
        let filter =
            Filter { since_ms: Some(since_ms), after_seq: Some(after), limit: PAGE, ..Filter::default() };
        let page = reader.log(&filter)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for reception in &page {
            receptions += 1;
            while clock_ms + STEP_MS <= reception.at_ms {
                clock_ms += STEP_MS;
                tell(engine.tick(clock_ms))?;
            }
            let sighting = sighting::open(reception, &keyring, &allowed);
            tell(engine.take(reception, &sighting))?;
            // Nothing is kept of a trial.
            drop(engine.take_learned());
        }
    }
    while clock_ms + STEP_MS <= now_ms {
        clock_ms += STEP_MS;
        tell(engine.tick(clock_ms))?;
    }
    let still = engine.firing().len();
    writeln!(out, "\n{receptions} receptions: it would have fired {begun} times, and {still} fire now")?;
    Ok(ExitCode::SUCCESS)
}

/// A rule that tells of every packet that matches, each node by itself.
fn of_filter(filter: &str, names: &[NodeName]) -> Result<Rule, Box<dyn std::error::Error>> {
    Ok(Rule {
        name: "this filter".into(),
        about: "".into(),
        severity: Severity::Info,
        condition: alert_settings::condition("this filter", filter, names)?,
        trigger: Trigger::Match { count: 1, within_ms: 1 },
        per: Per::Node,
        targets: Vec::new(),
        tells_end: true,
        per_hour_max: u32::MAX,
        over_after_ms: 600_000,
    })
}
