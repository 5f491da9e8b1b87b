//! Apache Parquet: the table in typed columns, for programs that count over many receptions.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use record::{Reception, Release};

use crate::columns::{COLUMNS, Cell, Kind};
use crate::{ExportError, Out};

/// Receptions of one group of rows: held in memory until they are written column by column.
const GROUP_ROWS: usize = 20_000;

/// A file in the making.
pub struct ColumnFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Values>,
    rows: usize,
}

/// A column's values that wait for their group, each with whether it is there.
enum Values {
    Whole(Vec<i64>, Vec<i16>),
    Number(Vec<f64>, Vec<i16>),
    Bytes(Vec<ByteArray>, Vec<i16>),
}

impl<W: Write + Send> ColumnFile<W> {
    /// Writes the head.
    pub fn begin(out: W) -> Result<Self, ExportError> {
        let mut schema = "message reception {\n".to_owned();
        for (name, kind, _) in COLUMNS {
            schema += &match kind {
                Kind::Whole => format!("optional int64 {name};\n"),
                Kind::Number => format!("optional double {name};\n"),
                Kind::Text => format!("optional binary {name} (UTF8);\n"),
                Kind::Bytes => format!("optional binary {name};\n"),
            };
        }
        schema += "}";
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let schema = Arc::new(parse_message_type(&schema)?);
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
        let columns = COLUMNS.iter().map(|(_, kind, _)| Values::of(*kind)).collect();
        Ok(Self { file, columns, rows: 0 })
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let (Some(mut column), Some(values)) = (group.next_column()?, columns.next()) {
            values.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Values {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Whole => Self::Whole(Vec::new(), Vec::new()),
            Kind::Number => Self::Number(Vec::new(), Vec::new()),
            Kind::Text | Kind::Bytes => Self::Bytes(Vec::new(), Vec::new()),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Whole(values, there), Cell::Whole(value)) => put(values, there, value),
            (Self::Number(values, there), Cell::Number(value)) => put(values, there, value),
            (Self::Bytes(values, there), Cell::Word(value) | Cell::Text(value)) => {
                put(values, there, value.map(|text| text.into_bytes().into()));
            }
            (Self::Bytes(values, there), Cell::Bytes(value)) => put(values, there, Some(value.into())),
            // A column has one kind of cell.
            _ => debug_assert!(false, "a column with two kinds of cells"),
        }
    }

    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Whole(values, there) => {
                column.typed::<Int64Type>().write_batch(values, Some(there), None)?;
                values.clear();
                there.clear();
            }
            Self::Number(values, there) => {
                column.typed::<DoubleType>().write_batch(values, Some(there), None)?;
                values.clear();
                there.clear();
            }
            Self::Bytes(values, there) => {
                column.typed::<ByteArrayType>().write_batch(values, Some(there), None)?;
                values.clear();
                there.clear();
            }
        }
        Ok(())
    }
}

fn put<T>(values: &mut Vec<T>, there: &mut Vec<i16>, value: Option<T>) {
    there.push(i16::from(value.is_some()));
    values.extend(value);
}

impl<W: Write + Send> Out for ColumnFile<W> {
    fn take(&mut self, row: &Reception, _: Option<&Release>) -> Result<bool, ExportError> {
        for (values, (_, _, cell)) in self.columns.iter_mut().zip(COLUMNS) {
            values.push(cell(row));
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS {
            self.write_group()?;
        }
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.write_group()?;
        self.file.finish()?;
        Ok(self.file.inner_mut().flush()?)
    }
}

impl From<ParquetError> for ExportError {
    fn from(error: ParquetError) -> Self {
        // Taken out of its wrapping, so that a full disk and a closed pipe are known for what they are.
        Self::Write(match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(other) => io::Error::other(other.to_string()),
            },
            other => io::Error::other(other.to_string()),
        })
    }
}
