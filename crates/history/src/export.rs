//! Receptions written out for other programs, oldest first, a page at a time: memory does not grow with the answer.

use std::fmt;
use std::io::{self, Write};

use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use policy::rule::RuleId;
use query::Condition;
use record::{Reception, Release};

use crate::error::Error;
use crate::filter::Filter;
use crate::json;
use crate::reader::Reader;

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table with a head, for spreadsheets. Text that a spreadsheet would take for a formula begins with an apostrophe.
    Csv,
    /// One JSON object a line, nothing left out or changed.
    JsonLines,
    /// The same with what became of the copies of each reception, for another history.
    JsonLinesWithCopies,
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

impl Reader {
    /// Writes every reception that fulfils the condition and stood in the files when it began, and says how many.
    /// `progress` hears how many are written after each page.
    ///
    /// # Errors
    /// When a file cannot be read, or `out` takes no more. What was written until then stands.
    pub fn export(
        &self,
        condition: &Condition,
        format: Format,
        out: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ExportError> {
        let newest = self.log(&Filter { limit: 1, ..Filter::default() })?;
        // A server that writes faster than this reads must not keep it going for ever.
        let end = newest.first().map_or(0, |row| row.seq.saturating_add(1));
        let mut sheet = Sheet::begin(format, out)?;
        let mut page = Filter {
            after_seq: Some(0),
            before_seq: Some(end),
            limit: PAGE_ROWS,
            ..Filter::of(condition.clone())
        };
        let mut written = 0;
        loop {
            let rows = self.log(&page)?;
            let Some(last) = rows.last() else { break };
            page.after_seq = Some(last.seq);
            for row in &rows {
                let release = match format {
                    Format::JsonLinesWithCopies => self.release_of(row)?,
                    Format::Csv | Format::JsonLines => None,
                };
                sheet.write(row, release.as_ref())?;
            }
            written += rows.len() as u64;
            progress(written);
            if rows.len() < PAGE_ROWS {
                break;
            }
        }
        sheet.finish()?;
        Ok(written)
    }
}

enum Sheet<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

impl<W: Write> Sheet<W> {
    fn begin(format: Format, out: W) -> Result<Self, ExportError> {
        Ok(match format {
            Format::JsonLines | Format::JsonLinesWithCopies => Self::JsonLines(out),
            Format::Csv => {
                let mut table = csv::Writer::from_writer(out);
                table.write_record(COLUMNS)?;
                Self::Csv(Box::new(table))
            }
        })
    }

    fn write(&mut self, row: &Reception, release: Option<&Release>) -> Result<(), ExportError> {
        match self {
            Self::JsonLines(out) => {
                let mut line = json::reception(row);
                if let Some(release) = release {
                    line["copies"] = json::copies(release);
                }
                writeln!(out, "{line}")?;
            }
            Self::Csv(table) => table.write_record(cells(row))?,
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::JsonLines(mut out) => out.flush(),
            Self::Csv(mut table) => table.flush(),
        }
    }
}

/// Heads of the table's columns; the words are those of the JSON.
const COLUMNS: [&str; 26] = [
    "seq",
    "at_ms",
    "gateway",
    "client_id",
    "username",
    "topic",
    "channel",
    "from",
    "to",
    "id",
    "hop_start",
    "hop_limit",
    "hops_away",
    "rx_rssi_dbm",
    "rx_snr_db",
    "rx_time_s",
    "port",
    "port_name",
    "consent",
    "key_class",
    "frame_bytes",
    "airtime_ms",
    "verdict",
    "rule",
    "sentence",
    "payload_hex",
];

fn cells(row: &Reception) -> [String; COLUMNS.len()] {
    let packet = row.packet;
    let node = |number: u32| NodeNum(number).to_string();
    [
        row.seq.to_string(),
        row.at_ms.to_string(),
        or_empty(row.gateway.map(node)),
        text(&row.client_id),
        text(row.username.as_deref().unwrap_or_default()),
        text(&row.topic),
        text(row.channel.as_deref().unwrap_or_default()),
        or_empty(packet.map(|p| node(p.from))),
        or_empty(packet.map(|p| node(p.to))),
        or_empty(packet.map(|p| p.id)),
        or_empty(packet.map(|p| p.hop_start)),
        or_empty(packet.map(|p| p.hop_limit)),
        or_empty(packet.and_then(|p| p.hops_away)),
        or_empty(packet.and_then(|p| p.rx_rssi)),
        or_empty(packet.and_then(|p| p.rx_snr)),
        or_empty(packet.map(|p| p.rx_time)),
        or_empty(row.port),
        or_empty(row.port.and_then(|port| PortNum(port).name())),
        row.consent.word().to_owned(),
        row.key_class.word().to_owned(),
        or_empty(row.frame_bytes),
        or_empty(row.airtime_us.map(|us| f64::from(us) / 1000.0)),
        row.decision.verdict.word().to_owned(),
        or_empty(row.decision.rule.map(RuleId::name)),
        text(&row.decision.sentence),
        mesh::tree::to_hex(&row.payload),
    ]
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Text that anyone on the mesh may have chosen. Spreadsheets run what begins like a formula.
fn text(chosen: &str) -> String {
    if chosen.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{chosen}")
    } else {
        chosen.to_owned()
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

impl From<csv::Error> for ExportError {
    fn from(error: csv::Error) -> Self {
        // Taken out of its wrapping, so that a full disk and a closed pipe are known for what they are.
        Self::Write(match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })
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
