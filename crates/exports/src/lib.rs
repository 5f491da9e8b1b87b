//! Receptions written out for other programs, oldest first, a page at a time: memory does not grow with the answer.
//!
//! `columns` is the table that spreadsheets (`sheet`) and column files (`column_file`) share; `capture` has the frames as
//! the radio had them, `places` what can be drawn on a map.

mod capture;
mod column_file;
mod columns;
mod places;
mod sheet;

use std::fmt;
use std::io::{self, Write};

use history::{Error, Reader, Walk, json};
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use query::Condition;
use record::{Reception, Release};

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table with a head, for spreadsheets. Text that a spreadsheet would take for a formula begins with an apostrophe.
    Csv,
    /// One JSON object a line, nothing left out or changed.
    JsonLines,
    /// The same with what became of the copies of each reception, for another history.
    JsonLinesWithCopies,
    /// The same table as CSV, typed, in columns (Apache Parquet).
    Parquet,
    /// Where nodes said they are, as GeoJSON (RFC 7946). Receptions without a place are left out.
    GeoJson,
    /// LoRa frames as the radio would have them (pcapng, LoRaTap). Receptions of which no frame can be made are left out.
    Pcapng,
}

impl Format {
    /// Every format with the ending of its files and how they are called where files are offered.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Csv, "csv", "text/csv; charset=utf-8"),
        (Self::JsonLines, "jsonl", "application/jsonl"),
        (Self::JsonLinesWithCopies, "copies.jsonl", "application/jsonl"),
        (Self::Parquet, "parquet", "application/vnd.apache.parquet"),
        (Self::GeoJson, "geojson", "application/geo+json"),
        (Self::Pcapng, "pcapng", "application/x-pcapng"),
    ];

    /// The format whose files end so.
    pub fn of_ending(ending: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known, _)| *known == ending).map(|(format, ..)| format)
    }
}

/// What frames and places are made with.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// Keys that open packets, and close them as they were on the air.
    pub keyring: Keyring,
    /// How the mesh's radios are set; captures say so. `None` leaves it out.
    pub preset: Option<ModemPreset>,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Receptions looked at that fulfil the condition.
    pub receptions: u64,
    /// Of these, those that the format cannot hold.
    pub left_out: u64,
    /// How much of the time asked for is done, 0 to 1.
    pub share: f64,
}

/// Why an export stopped.
#[derive(Debug)]
pub enum ExportError {
    /// The history cannot be read.
    Read(Error),
    /// What takes the export does not take more.
    Write(io::Error),
}

/// Receptions held in memory at a time.
const PAGE_ROWS: usize = 2_000;

/// One format's writer.
trait Out {
    /// Takes a reception; `false` when the format cannot hold it.
    fn take(&mut self, row: &Reception, release: Option<&Release>) -> Result<bool, ExportError>;

    /// Writes what comes at the end.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// Writes every reception that fulfils the condition and stood in the files when it began. `progress` hears how far it is
/// after each page.
///
/// # Errors
/// When a file cannot be read, or `out` takes no more. What was written until then stands.
pub fn export(
    reader: &Reader,
    condition: &Condition,
    format: Format,
    means: &Means,
    out: impl Write + Send,
    mut progress: impl FnMut(Progress),
) -> Result<Progress, ExportError> {
    let mut walk = Walk::begin(reader, condition.clone())?;
    let until_ms = condition.time_range().1.unwrap_or(i64::MAX).min(walk.newest_ms());
    let mut out: Box<dyn Out + '_> = match format {
        Format::Csv => Box::new(sheet::Sheet::begin(out)?),
        Format::JsonLines | Format::JsonLinesWithCopies => Box::new(Lines(out)),
        Format::Parquet => Box::new(column_file::ColumnFile::begin(out)?),
        Format::GeoJson => Box::new(places::Places::begin(out, &means.keyring)?),
        Format::Pcapng => Box::new(capture::Capture::begin(out, means)?),
    };
    let (mut done, mut first_ms) = (Progress::default(), None);
    loop {
        let rows = walk.next_page(PAGE_ROWS)?;
        let Some(last) = rows.last() else { break };
        for row in &rows {
            let release = match format {
                Format::JsonLinesWithCopies => reader.release_of(row)?,
                _ => None,
            };
            if !out.take(row, release.as_ref())? {
                done.left_out += 1;
            }
        }
        done.receptions += rows.len() as u64;
        let first_ms = *first_ms.get_or_insert_with(|| rows.first().map_or(last.at_ms, |row| row.at_ms));
        done.share = ((last.at_ms - first_ms) as f64 / (until_ms - first_ms).max(1) as f64).clamp(0.0, 1.0);
        progress(done);
    }
    out.finish()?;
    Ok(Progress { share: 1.0, ..done })
}

/// One JSON object a line.
struct Lines<W>(W);

impl<W: Write> Out for Lines<W> {
    fn take(&mut self, row: &Reception, release: Option<&Release>) -> Result<bool, ExportError> {
        let mut line = json::reception(row);
        if let Some(release) = release {
            line["copies"] = json::copies(release);
        }
        writeln!(self.0, "{line}")?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.0.flush()?)
    }
}

impl From<Error> for ExportError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => write!(f, "the export cannot be written: {error}"),
        }
    }
}

impl std::error::Error for ExportError {}
