//! `backhaul export`: what a filter finds, all of it, in a file for other programs; works while the server runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use history::{ExportError, Format};

use crate::{Outcome, log};

/// Options of `export`.
#[derive(Args)]
pub struct Arguments {
    /// What to look for, in quotes, as in `backhaul log`; without it everything
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Folder of all state
    #[arg(long, value_name = "DIR", default_value = "backhaul-data")]
    data: PathBuf,
    /// Configuration file, for the keys that open texts on the operator's channels
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File to make; it must not exist. Without it standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write; without it what the file's ending says, else JSON Lines
    #[arg(long, value_enum)]
    format: Option<FormatName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A table for spreadsheets
    Csv,
    /// One JSON object a line
    Jsonl,
    /// The same with what became of copies, for another Backhaul
    JsonlCopies,
}

/// Writes the export and says how many receptions are in it.
pub fn run(arguments: Arguments) -> Outcome {
    let format = match arguments.format {
        Some(FormatName::Csv) => Format::Csv,
        Some(FormatName::Jsonl) => Format::JsonLines,
        Some(FormatName::JsonlCopies) => Format::JsonLinesWithCopies,
        None => format_of(arguments.output.as_deref())?,
    };
    let (reader, condition) = log::find(&arguments.filter, &arguments.data, arguments.config.as_deref())?;
    let is_watched = arguments.output.is_some() && io::stderr().is_terminal();
    let progress = |written: u64| {
        if is_watched {
            eprint!("\r{written} receptions");
        }
    };
    let written = match &arguments.output {
        None => {
            let out = BufWriter::new(io::stdout().lock());
            reader.export(&condition, format, out, progress).map_err(plain)?
        }
        Some(path) => {
            let file = make(path)?;
            let done = reader.export(&condition, format, BufWriter::new(&file), progress);
            let kept = done.map_err(plain).and_then(|written| Ok(file.sync_all().map(|()| written)?));
            if kept.is_err() {
                // Half an export looks like a whole one.
                fs::remove_file(path)?;
            }
            kept?
        }
    };
    if is_watched {
        eprint!("\r");
    }
    eprintln!("{written} receptions exported");
    if log::is_served(&arguments.data) {
        eprintln!("a server is writing this history: what comes now is not in the export");
    }
    Ok(ExitCode::SUCCESS)
}

fn format_of(output: Option<&Path>) -> Result<Format, String> {
    match output.map(|path| path.extension().and_then(|e| e.to_str()).unwrap_or_default()) {
        None | Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
        Some("csv") => Ok(Format::Csv),
        Some(other) => Err(format!("no format is known by the ending `{other}`; add --format csv or jsonl")),
    }
}

/// A file that only its owner reads: texts and positions of others stand in it.
fn make(path: &Path) -> Result<File, String> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| format!("`{}` cannot be made: {error}", path.display()))
}

/// A reader that has read enough closes the pipe; the caller knows that by the error itself.
pub fn plain(error: ExportError) -> Box<dyn std::error::Error> {
    match error {
        ExportError::Write(error) => error.into(),
        ExportError::Read(error) => error.into(),
    }
}
