//! CSV for spreadsheets.

use std::io::{self, Write};

use record::{Reception, Release};

use crate::columns::{COLUMNS, Cell};
use crate::{ExportError, Out};

/// A table in the making.
pub struct Sheet<W: Write>(csv::Writer<W>);

impl<W: Write> Sheet<W> {
    /// Writes the head.
    pub fn begin(out: W) -> Result<Self, ExportError> {
        let mut table = csv::Writer::from_writer(out);
        // Bytes are written as digits, and the head says so.
        table.write_record(COLUMNS.map(|(name, ..)| if name == "payload" { "payload_hex" } else { name }))?;
        Ok(Self(table))
    }
}

impl<W: Write> Out for Sheet<W> {
    fn take(&mut self, row: &Reception, _: Option<&Release>) -> Result<bool, ExportError> {
        self.0.write_record(COLUMNS.map(|(_, _, cell)| written(cell(row))))?;
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.0.flush()?)
    }
}

fn written(cell: Cell) -> String {
    match cell {
        Cell::Whole(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Cell::Number(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Cell::Word(word) => word.unwrap_or_default(),
        Cell::Text(text) => harmless(text.unwrap_or_default()),
        Cell::Bytes(bytes) => mesh::tree::to_hex(&bytes),
    }
}

/// Spreadsheets run what begins like a formula.
fn harmless(chosen: String) -> String {
    if chosen.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{chosen}") } else { chosen }
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
