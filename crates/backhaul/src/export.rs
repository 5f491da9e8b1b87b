//! `backhaul export`: what a filter finds, all of it, in a file for other programs; works while the server runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use exports::{ExportError, Format, Means, Progress};

use crate::{Outcome, data_folder, log, settings};

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
    /// The table in typed columns, for DuckDB, pandas and the like
    Parquet,
    /// Where nodes said they are, for maps
    Geojson,
    /// LoRa frames as the radio had them, for Wireshark
    Pcapng,
}

/// Writes the export and says how many receptions are in it.
pub fn run(arguments: Arguments) -> Outcome {
    let format = match arguments.format {
        Some(FormatName::Csv) => Format::Csv,
        Some(FormatName::Jsonl) => Format::JsonLines,
        Some(FormatName::JsonlCopies) => Format::JsonLinesWithCopies,
        Some(FormatName::Parquet) => Format::Parquet,
        Some(FormatName::Geojson) => Format::GeoJson,
        Some(FormatName::Pcapng) => Format::Pcapng,
        None => format_of(arguments.output.as_deref())?,
    };
    let (reader, condition) = log::find(&arguments.filter, &arguments.data, arguments.config.as_deref())?;
    let config = arguments.config.as_deref().map(data_folder::read_config).transpose()?;
    let means = Means {
        keyring: config.as_ref().map(settings::keyring).unwrap_or_default(),
        preset: config.as_ref().map(settings::preset),
    };
    let is_watched = arguments.output.is_some() && io::stderr().is_terminal();
    let progress = |progress: Progress| {
        if is_watched {
            eprint!("\r{}", bar(progress));
        }
    };
    let done = match &arguments.output {
        None => {
            let out = BufWriter::new(io::stdout());
            exports::export(&reader, &condition, format, &means, out, progress).map_err(plain)?
        }
        Some(path) => {
            let file = make(path)?;
            let done = exports::export(&reader, &condition, format, &means, BufWriter::new(&file), progress);
            let kept = done.map_err(plain).and_then(|done| Ok(file.sync_all().map(|()| done)?));
            if kept.is_err() {
                // Half an export looks like a whole one.
                fs::remove_file(path)?;
            }
            kept?
        }
    };
    if is_watched {
        eprintln!("\r{}", bar(done));
    }
    eprintln!("{} receptions exported", done.receptions - done.left_out);
    if done.left_out > 0 {
        eprintln!("{} are left out: {}", done.left_out, why_left_out(format));
    }
    if log::is_served(&arguments.data) {
        eprintln!("a server is writing this history: what comes now is not in the export");
    }
    Ok(ExitCode::SUCCESS)
}

/// How far it is, as a line of a terminal.
fn bar(progress: Progress) -> String {
    const WIDTH: usize = 30;
    let full = (progress.share * WIDTH as f64) as usize;
    format!(
        "[{}{}] {:3.0} %  {} receptions",
        "#".repeat(full.min(WIDTH)),
        " ".repeat(WIDTH.saturating_sub(full)),
        progress.share * 100.0,
        progress.receptions
    )
}

fn why_left_out(format: Format) -> &'static str {
    match format {
        Format::GeoJson => "they say no place, or no key at hand opens them",
        Format::Pcapng => {
            "they are no frames of a radio, or the key of their channel is not at hand (--config)"
        }
        Format::Csv | Format::JsonLines | Format::JsonLinesWithCopies | Format::Parquet => {
            "the format cannot hold them"
        }
    }
}

fn format_of(output: Option<&Path>) -> Result<Format, String> {
    match output.map(|path| path.extension().and_then(|e| e.to_str()).unwrap_or_default()) {
        None | Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
        Some(ending) => Format::of_ending(ending).ok_or_else(|| {
            format!(
                "no format is known by the ending `{ending}`; add --format csv, jsonl, parquet, geojson or pcapng"
            )
        }),
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
