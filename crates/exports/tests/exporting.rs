//! Exports hold what the log holds: all of it, once, in order, whatever the size of a page.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

#[path = "../../history/tests/made_up/mod.rs"]
mod made_up;

use std::io::{self, Write};
use std::sync::Arc;

use exports::{ExportError, Format, Means, Progress, export};
use history::{Reader, Writer};
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
    let done = export(&reader, condition, format, &Means::default(), &mut out, |_| {}).unwrap();
    (done.receptions, out)
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
    for (format, ..) in Format::ALL {
        let failed = export(&reader, &Condition::ALWAYS, format, &Means::default(), Full(40), |_| {});
        let failed = failed.unwrap_err();
        let ExportError::Write(error) = failed else { panic!("not a failure to write: {failed}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[test]
fn columns_hold_what_the_table_holds() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let (folder, all) = town(4_500);
    let (count, out) = exported(&folder, &Condition::ALWAYS, Format::Parquet);
    let path = folder.path().join("out.parquet");
    std::fs::write(&path, &out).unwrap();
    let file = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!((count, rows.len()), (4_500, 4_500));
    let names: Vec<String> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((names.len(), names[0].as_str(), names[25].as_str()), (26, "seq", "payload"));
    for (row, reception) in rows.iter().zip(&all) {
        assert_eq!(row.get_long(0).unwrap(), reception.seq as i64);
        assert_eq!(row.get_bytes(25).unwrap().data(), &*reception.payload);
        assert_eq!(row.get_string(5).unwrap().as_str(), &*reception.topic);
        let snr = reception.packet.and_then(|packet| packet.rx_snr);
        assert_eq!(row.get_double(14).ok(), snr.map(f64::from));
    }
}

#[test]
fn progress_rises_to_the_end_and_counts() {
    let (folder, _) = town(4_500);
    let reader = Reader::open(folder.path()).unwrap();
    let mut told: Vec<Progress> = Vec::new();
    let done =
        export(&reader, &Condition::ALWAYS, Format::Csv, &Means::default(), Vec::new(), |p| told.push(p));
    assert_eq!(done.unwrap(), Progress { receptions: 4_500, left_out: 0, share: 1.0 });
    assert!(told.len() >= 3 && told.is_sorted_by(|a, b| a.share <= b.share && a.receptions < b.receptions));
    assert!(told[0].share < 0.7, "{told:?}");
}

#[test]
fn nothing_is_left_out_where_a_clock_was_put_back_to_the_day_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(9);
    let mut all: Vec<Arc<Reception>> = (0..300).map(|_| maker.reception()).collect();
    for (index, reception) in all.iter_mut().enumerate() {
        let back = if (100..200).contains(&index) { 86_400_000 } else { 0 };
        *reception = Arc::new(Reception { at_ms: reception.at_ms - back, ..(**reception).clone() });
    }
    keep(&folder, &all);
    let (count, out) = exported(&folder, &Condition::ALWAYS, Format::Csv);
    let mut numbers: Vec<u64> = table(&out).iter().map(|row| row[0].parse().unwrap()).collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = all.iter().map(|row| row.seq).collect();
    assert_eq!((count, numbers), (300, expected));
}

/// A reception of a packet as a gateway hands it on.
fn heard(at_ms: i64, payload: Vec<u8>) -> Arc<Reception> {
    let packet = record::PacketSummary {
        from: 0x7c5a_0a01,
        to: u32::MAX,
        id: 77,
        rx_rssi: Some(-101),
        rx_snr: Some(-3.25),
        ..Maker::new(3).reception().packet.unwrap_or_default()
    };
    let plain = Maker::new(3).reception();
    Arc::new(Reception {
        seq: at_ms as u64,
        at_ms,
        topic: "msh/US/2/e/LongFast/!7c5a0a02".into(),
        gateway: Some(0x7c5a_0a02),
        packet: Some(packet),
        payload: payload.into(),
        ..(*plain).clone()
    })
}

fn envelope_of(port: mesh::portnum::PortNum, payload: Vec<u8>, channel: &str) -> Vec<u8> {
    use mesh::compose::{Closed, Content, Packet, envelope};
    use mesh::node::NodeNum;
    let packet = Packet {
        from: NodeNum(0x7c5a_0a01),
        to: NodeNum(u32::MAX),
        id: 77,
        hop_limit: 3,
        hop_start: 3,
        rx_rssi: -101,
        rx_snr: -3.25,
        ..Packet::default()
    };
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    envelope(&packet, &content, channel, Closed::Decoded(0), NodeNum(0x7c5a_0a02))
}

#[test]
fn a_capture_has_frames_with_how_they_were_heard() {
    use pcap_file::pcapng::{Block, PcapNgReader};
    let folder = tempfile::tempdir().unwrap();
    let (port, words) = mesh::compose::text("hello");
    let opened = envelope_of(port, words.clone(), "LongFast");
    keep(
        &folder,
        &[
            heard(1_787_233_509_123, opened.clone()),
            heard(1_787_233_509_124, envelope_of(port, words, "Strangers")),
        ],
    );
    let reader = Reader::open(folder.path()).unwrap();
    let means = Means { preset: Some(mesh::airtime::ModemPreset::LongFast), ..Means::default() };
    let mut out = Vec::new();
    let done = export(&reader, &Condition::ALWAYS, Format::Pcapng, &means, &mut out, |_| {}).unwrap();
    assert_eq!((done.receptions, done.left_out), (2, 1));
    let mut capture = PcapNgReader::new(&out[..]).unwrap();
    let mut frames = Vec::new();
    while let Some(block) = capture.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            frames.push((packet.timestamp, packet.data.to_vec()));
        }
    }
    let [(at, frame)] = &frames[..] else { panic!("{} frames", frames.len()) };
    assert_eq!(at.as_millis(), 1_787_233_509_123);
    let header = [0, 0, 0, 15, 0, 0, 0, 0, 2, 11, 38, 38, 38, (-13_i8).cast_unsigned(), 0x2b];
    assert_eq!(frame[..15], header);
    assert_eq!(frame[15..], mesh::frame::on_air(&opened, &means.keyring).unwrap());
}

#[test]
fn places_are_points_east_and_north() {
    let folder = tempfile::tempdir().unwrap();
    let (port, place) = mesh::compose::position(392_466_000, -944_191_000, 270, 1, 32);
    let (text, words) = mesh::compose::text("hello");
    let all = [
        heard(1_000, envelope_of(port, place, "LongFast")),
        heard(2_000, envelope_of(text, words, "LongFast")),
    ];
    keep(&folder, &all);
    let reader = Reader::open(folder.path()).unwrap();
    let mut out = Vec::new();
    let done =
        export(&reader, &Condition::ALWAYS, Format::GeoJson, &Means::default(), &mut out, |_| {}).unwrap();
    assert_eq!((done.receptions, done.left_out), (2, 1));
    let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(read["type"], "FeatureCollection");
    assert_eq!(read["features"].as_array().unwrap().len(), 1);
    let point = &read["features"][0];
    assert_eq!(point["geometry"]["coordinates"], serde_json::json!([-94.4191, 39.2466, 270.0]));
    assert_eq!(
        (&point["properties"]["from"], &point["properties"]["rx_rssi_dbm"]),
        (&"!7c5a0a01".into(), &(-101).into())
    );
    // None at all is a collection, too.
    let (_, none) = exported(&tempfile::tempdir().unwrap(), &Condition::ALWAYS, Format::GeoJson);
    assert!(
        serde_json::from_slice::<serde_json::Value>(&none).unwrap()["features"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}
