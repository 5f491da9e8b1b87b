//! `backhaul check`: a node's configuration against the checklist, before anybody flips the switch. Nothing leaves this
//! machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use preflight::checks;
use preflight::expected::Expected;
use preflight::markdown::to_markdown;
use preflight::read::{FILE_BYTES_MAX, read};
use preflight::report::{Level, Report, Topic};

use crate::data_folder::read_config;
use crate::{Outcome, settings};

/// Options of `check`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// `meshtastic --export-config` (YAML), a profile from an app (.cfg), or a file with a channel link; `-` reads
    /// standard input
    #[arg(value_name = "FILE", required_unless_present = "channel_link")]
    file: Option<PathBuf>,
    /// A channel link (https://meshtastic.org/e/#…) in place of a file
    #[arg(long, value_name = "LINK", conflicts_with = "file")]
    channel_link: Option<String>,
    /// Configuration of the broker: its root topic, region and preset are what is expected
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Host name of the broker that the node should connect to
    #[arg(long, value_name = "HOST")]
    server: Option<String>,
    /// The operator has agreed to downlink
    #[arg(long)]
    downlink_agreed: bool,
    /// The operator has agreed to more telemetry or sensors
    #[arg(long)]
    telemetry_agreed: bool,
    /// Print the answer for programs
    #[arg(long)]
    json: bool,
    /// Print the whole answer as Markdown, for a wiki
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Show what is as it should be too
    #[arg(long, short)]
    all: bool,
}

/// The file could not be read.
const UNREADABLE: u8 = 2;

/// Checks the file. The exit code is 0 when the node is ready, 1 when something must be changed, 2 when the file is
/// none of a node.
pub fn run(arguments: Arguments) -> Outcome {
    let bytes = match (&arguments.file, &arguments.channel_link) {
        (_, Some(link)) => link.clone().into_bytes(),
        (Some(file), None) => read_input(file)?,
        (None, None) => Vec::new(),
    };
    let config = match read(&bytes) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("backhaul: {error}");
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let report = checks::check(&config, &expected(&arguments)?);
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", report.to_json())?;
    } else if arguments.markdown {
        write!(out, "{}", to_markdown(&report))?;
    } else {
        print(&mut out, &report, arguments.all)?;
    }
    Ok(if report.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads at most one byte more than is looked at, whatever the file is.
fn read_input(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    Ok(bytes)
}

fn expected(arguments: &Arguments) -> Result<Expected, Box<dyn std::error::Error>> {
    let of_mesh = match &arguments.config {
        None => Expected::default(),
        Some(path) => settings::expected(&read_config(path)?),
    };
    Ok(Expected {
        server: arguments.server.clone(),
        has_downlink_grant: arguments.downlink_agreed,
        has_telemetry_grant: arguments.telemetry_agreed,
        ..of_mesh
    })
}

fn print(out: &mut impl Write, report: &Report, all: bool) -> io::Result<()> {
    writeln!(out, "{}", report.sentence())?;
    for remark in &report.remarks {
        writeln!(out, "  Not understood: {remark}")?;
    }
    for topic in Topic::ALL {
        let of_topic = report.findings.iter().filter(|f| f.topic == topic);
        let shown: Vec<_> = of_topic.filter(|f| all || f.level <= Level::Warn).collect();
        if shown.is_empty() {
            continue;
        }
        writeln!(out, "\n{}", topic.heading())?;
        let mut explained = "";
        for finding in shown {
            writeln!(out, "  {:<7} {}", finding.level.word(), finding.evidence)?;
            if finding.level <= Level::Warn && explained != finding.id {
                explained = finding.id;
                writeln!(out, "          {}", finding.why)?;
            }
            for fix in &finding.fixes {
                writeln!(out, "          in the app: {}", fix.app_path)?;
            }
        }
    }
    let unknown = report.count(Level::Unknown);
    if unknown > 0 && !all {
        writeln!(out, "\n{unknown} further points cannot be seen in this file.")?;
    }
    let commands = report.commands();
    if !commands.is_empty() {
        writeln!(out, "\nTo change all of it:")?;
        commands.iter().try_for_each(|command| writeln!(out, "  {command}"))?;
    }
    Ok(())
}
