//! Exports hold what the log holds: all of it, once, in order, whatever the size of a page.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::io::{self, Write};
use std::sync::Arc;

use history::{ExportError, Format, Reader, Writer};
use made_up::Maker;
use query::{Condition, Test};
use record::{Reception, Record};
use tempfile::TempDir;

/// Receptions over several days, more than a page of them.
fn town(count: usize) -> (TempDir, Vec<Arc<Reception>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(5);
    maker.step_ms = 3 * 86_400_000 / count as i64;
    let all: Vec<Arc<Reception>> = (0..count).map(|_| maker.reception()).collect();
    keep(&folder, &all);
    (folder, all)
}

fn keep(folder: &TempDir, receptions: &[Arc<Reception>]) {
    let records: Vec<Record> = receptions.iter().cloned().map(Record::Reception).collect();
    Writer::open(folder.path()).unwrap().append(&records).unwrap();
}

fn exported(folder: &TempDir, condition: &Condition, format: Format) -> (u64, Vec<u8>) {
    let mut out = Vec::new();
    let reader = Reader::open(folder.path()).unwrap();
    let count = reader.export(condition, format, &mut out, |_| {}).unwrap();
    (count, out)
}

fn table(bytes: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(bytes).into_records().map(Result::unwrap).collect()
}

#[test]
fn json_lines_hold_every_reception_once_and_in_order() {
    let (folder, all) = town(4_500);
    let (count, out) = exported(&folder, &Condition::ALWAYS, Format::JsonLines);
    let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
    let expected: Vec<String> = all.iter().map(|row| history::json::reception(row).to_string()).collect();
    assert_eq!(count, 4_500);
    assert!(lines == expected, "the lines are the log's own JSON, oldest first");
}

#[test]
fn the_table_holds_every_reception_with_its_exact_bytes() {
    let (folder, all) = town(4_000);
    let (count, out) = exported(&folder, &Condition::ALWAYS, Format::Csv);
    let rows = table(&out);
    assert_eq!((count, rows.len()), (4_000, 4_000), "two whole pages end, too");
    for (row, reception) in rows.iter().zip(&all) {
        assert_eq!(row[0], reception.seq.to_string());
        assert_eq!(row[25], mesh::tree::to_hex(&reception.payload));
    }
}

#[test]
fn only_what_fulfils_the_condition_is_exported() {
    let (folder, all) = town(600);
    let middle = all[300].at_ms;
    let (count, out) = exported(&folder, &Condition::Is(Test::Since(middle)), Format::Csv);
    let numbers: Vec<String> = table(&out).iter().map(|row| row[0].to_owned()).collect();
    let expected: Vec<String> = all[300..].iter().map(|row| row.seq.to_string()).collect();
    assert_eq!((count, numbers), (300, expected));
}

#[test]
fn what_a_spreadsheet_would_run_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Maker::new(1).reception();
    let chosen = Reception { channel: Some("=1+1,\"x\"".into()), ..(*plain).clone() };
    keep(&folder, &[Arc::new(chosen)]);
    let (_, out) = exported(&folder, &Condition::ALWAYS, Format::Csv);
    assert_eq!(&table(&out)[0][6], "'=1+1,\"x\"");
}

#[test]
fn an_empty_history_is_a_table_with_a_head() {
    let folder = tempfile::tempdir().unwrap();
    let (count, out) = exported(&folder, &Condition::ALWAYS, Format::Csv);
    assert_eq!(count, 0);
    assert!(out.starts_with(b"seq,at_ms,") && table(&out).is_empty());
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told() {
    let (folder, _) = town(50);
    let reader = Reader::open(folder.path()).unwrap();
    for format in [Format::Csv, Format::JsonLines] {
        let failed = reader.export(&Condition::ALWAYS, format, Full(900), |_| {}).unwrap_err();
        let ExportError::Write(error) = failed else { panic!("not a failure to write: {failed}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
