//! `backhaul log`: what was received and what was decided, from the files; works while the server runs.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use history::{Cursor, Effort, Filter, Reader, Search};
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::rule::RuleId;
use query::{Condition, FIELDS, Island, Problem, Query, Surroundings, Test};
use record::Reception;

use crate::airtime::present_islands;
use crate::data_folder::{Installation, read_config};
use crate::{Outcome, clock, settings};

/// Options of `log`.
#[derive(Args)]
pub struct Arguments {
    /// What to look for, in quotes: 'from:!7c5a0a01 port:text hops<2 last 6h'; --fields lists everything
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Configuration file, for the keys that open texts on the operator's channels
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on where an earlier list ended, as it said
    #[arg(long, value_name = "PLACE", conflicts_with = "follow", value_parser = parse_cursor)]
    before: Option<Cursor>,
    /// Go on printing what is stored, until interrupted
    #[arg(long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// List what can be asked, with examples
    #[arg(long)]
    fields: bool,
}

/// How often new receptions are looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// Names are taken from this far back; nodes say theirs every few hours to few days.
const NAMES_SINCE_MS: i64 = 31 * 86_400_000;

/// Prints the log, newest first; with --follow oldest first and then what comes.
pub fn run(arguments: Arguments) -> Outcome {
    if arguments.fields {
        print_fields()?;
        return Ok(ExitCode::SUCCESS);
    }
    let (reader, condition) = find(&arguments.filter, &arguments.data, arguments.config.as_deref())?;
    let search = Search {
        condition: &condition,
        keep: &|_| true,
        before: arguments.before,
        limit: arguments.limit.max(1),
        effort: Effort::UNBOUNDED,
    };
    let mut page = reader.search(&search)?;
    if arguments.follow {
        page.receptions.reverse();
    }
    let mut printer = Printer { json: arguments.json, printed: 0 };
    page.receptions.iter().try_for_each(|row| printer.print(row))?;
    if arguments.follow {
        return follow(&reader, &condition, page.receptions.last(), &mut printer);
    }
    if page.receptions.is_empty() && !arguments.json {
        eprintln!("nothing in the history fulfils this");
    }
    if let Some(next) = page.next {
        eprintln!("there is more; add --before {next}");
    }
    if is_served(&arguments.data) {
        eprintln!("a server is writing this history: what comes now is not in the list");
    }
    Ok(ExitCode::SUCCESS)
}

/// The history of a data folder, with the operator's keys, and what a filter means on it.
pub fn find(
    filter: &[String],
    data: &Path,
    config: Option<&Path>,
) -> Result<(Reader, Condition), Box<dyn std::error::Error>> {
    let text = filter.join(" ");
    // Before anything is opened: whoever mistypes need not have a history.
    let query = Query::parse(&text).map_err(|problems| told(&text, &problems))?;
    let keyring = match config {
        Some(file) => settings::keyring(&read_config(file)?),
        None => Keyring::default(),
    };
    let reader = open_history(data)?.with_keyring(Arc::new(keyring));
    let islands = present_islands(&Installation::at(data, config)).unwrap_or_else(|error| {
        eprintln!("no islands are known, since {error}");
        Vec::new()
    });
    let condition = bind(&reader, &query, &islands).map_err(|error| match error {
        Unbound::Unclear(problem) => told(&text, &[problem]),
        Unbound::Unreadable(error) => error.to_string(),
    })?;
    Ok((reader, condition))
}

/// A filter, if it is written right; names are not looked up.
pub fn parse(text: &str) -> Result<Query, String> {
    Query::parse(text).map_err(|problems| told(text, &problems))
}

/// What a filter says about when; the rest of it is understood without names and left aside.
pub fn when(text: &str) -> Result<Condition, String> {
    let query = parse(text)?.times();
    let surroundings = Surroundings { now_ms: clock::unix_ms(), ..Surroundings::default() };
    query.bind(&surroundings).map_err(|problem| told(text, &[problem]))
}

/// Following looks at receptions of the last two days only.
const FOLLOW_BACK_MS: i64 = 2 * 86_400_000;

fn follow(
    reader: &Reader,
    condition: &Condition,
    last: Option<&Reception>,
    printer: &mut Printer,
) -> Outcome {
    // What stands in the files already was not asked for.
    let newest = Filter { limit: 1, ..Filter::default() };
    let mut after = match last {
        Some(last) => last.seq,
        None => reader.log(&newest)?.first().map_or(0, |row| row.seq),
    };
    let condition = without_ends(condition.clone());
    loop {
        std::thread::sleep(FOLLOW_EVERY);
        // Older files hold nothing that comes now, and looking into each four times a second would be felt.
        let since_ms = Some(clock::unix_ms() - FOLLOW_BACK_MS);
        let newer =
            Filter { after_seq: Some(after), since_ms, limit: 1_000, ..Filter::of(condition.clone()) };
        for row in reader.log(&newer)? {
            after = after.max(row.seq);
            printer.print(&row)?;
        }
    }
}

/// The condition without moments before which something must have come: following is about what comes.
fn without_ends(condition: Condition) -> Condition {
    match condition {
        Condition::All(parts) => Condition::All(parts.into_iter().map(without_ends).collect()),
        Condition::Is(Test::Until(_)) => Condition::ALWAYS,
        other => other,
    }
}

/// Why a filter has no meaning on this history.
enum Unbound {
    Unclear(Problem),
    Unreadable(history::Error),
}

fn bind(reader: &Reader, query: &Query, islands: &[Island]) -> Result<Condition, Unbound> {
    let now_ms = clock::unix_ms();
    let names = reader.names(now_ms - NAMES_SINCE_MS).map_err(Unbound::Unreadable)?;
    let surroundings = Surroundings { now_ms, names: &names, islands };
    query.bind(&surroundings).map_err(Unbound::Unclear)
}

/// What is wrong with a filter, each mistake below its word.
fn told(text: &str, problems: &[Problem]) -> String {
    let told: Vec<String> = problems.iter().map(|problem| problem.pointed_at(text)).collect();
    format!("the filter is not understood\n{}", told.join("\n"))
}

fn print_fields() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = FIELDS.iter().map(|field| field.example.len()).max().unwrap_or(0);
    for field in FIELDS {
        writeln!(out, "  {:width$}  {}", field.example, field.doc)?;
    }
    writeln!(
        out,
        "\nA word by itself is looked for in texts and in names of senders; put several in quotes."
    )?;
    writeln!(
        out,
        "Terms stand side by side and must all hold; `or`, `not`, a minus and parentheses do the rest."
    )
}

/// Whether a server works on the folder: it holds a lock as long as it lives.
pub fn is_served(data: &Path) -> bool {
    let lock = std::fs::File::open(data.join("serving.lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

fn parse_cursor(text: &str) -> Result<Cursor, String> {
    text.parse().map_err(|()| format!("a place reads like 2026-11-23.4711, not `{text}`"))
}

/// Opens the history of a data folder; says how to begin when there is none.
pub fn open_history(data: &Path) -> Result<Reader, Box<dyn std::error::Error>> {
    let folder = data.join("history");
    if !folder.exists() {
        return Err(format!(
            "there is no history in `{}`; start `backhaul serve` there, or name the folder with --data",
            data.display()
        )
        .into());
    }
    Ok(Reader::open(&folder)?)
}

struct Printer {
    json: bool,
    printed: usize,
}

impl Printer {
    fn print(&mut self, row: &Reception) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", history::json::reception(row));
        }
        if self.printed == 0 {
            let head = format!(
                "{:<19}  {:<9}  {:<9}  {:<9}  {:<16}  {:<10}  {:>4}  {:>6}  {:<11}  RULE",
                "TIME (UTC)", "FROM", "TO", "GATEWAY", "PORT", "PACKET", "HOPS", "SNR", "VERDICT"
            );
            if out.is_terminal() { writeln!(out, "\x1b[1m{head}\x1b[0m")? } else { writeln!(out, "{head}")? }
        }
        self.printed += 1;
        let p = row.packet;
        let node = |n: Option<u32>| n.map_or("-".to_owned(), |n| NodeNum(n).to_string());
        let to = p.map(|p| p.to).map_or("-".to_owned(), |to| match NodeNum(to) {
            NodeNum::BROADCAST => "all".to_owned(),
            other => other.to_string(),
        });
        let port = row.port.map_or("(closed)".into(), |port| PortNum(port).word());
        writeln!(
            out,
            "{:<19}  {:<9}  {:<9}  {:<9}  {:<16}  {:<10}  {:>4}  {:>6}  {:<11}  {}",
            clock::utc(row.at_ms),
            node(p.map(|p| p.from)),
            to,
            node(row.gateway),
            port,
            p.map_or("-".to_owned(), |p| p.id.to_string()),
            p.and_then(|p| p.hops_away).map_or("-".to_owned(), |h| h.to_string()),
            p.and_then(|p| p.rx_snr).map_or("-".to_owned(), |s| format!("{s:.2}")),
            row.decision.verdict.word(),
            row.decision.rule.map_or("-", RuleId::name),
        )
    }
}

/// Reads a node id as people write it.
pub fn parse_node(text: &str) -> Result<NodeNum, String> {
    NodeNum::parse(text)
        .ok_or_else(|| format!("a node id is `!` and eight lower-case hexadecimal digits, not `{text}`"))
}
