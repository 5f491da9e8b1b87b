//! What the writer and the recorder promise: exact bytes, whole batches, nothing lost, clear refusals.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use history::{Dimension, Error, Filter, Reader, Recorder, RecorderOptions, Writer};
use made_up::{Maker, NOON_MS, shown};
use policy::decision::Outcome;
use policy::downlink::details::CopyDetails;
use policy::rule::{RuleId, RuleSet};
use proptest::prelude::*;
use query::{Condition, CopyFate, Test};
use record::{PacketSummary, ReceiverKind, Reception, Record, Release, ReleasedCopy};
use rusqlite::Connection;

const DAY_MS: i64 = 86_400_000;

fn everything(folder: &Path) -> Vec<Reception> {
    let filter = Filter { after_seq: Some(0), limit: usize::MAX, ..Filter::default() };
    Reader::open(folder).unwrap().log(&filter).unwrap()
}

fn seqs(folder: &Path) -> Vec<u64> {
    everything(folder).iter().map(|r| r.seq).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
    names.sort();
    names
}

fn file_of_today(folder: &Path) -> PathBuf {
    folder.join("2026-11-23.db")
}

fn receptions(maker: &mut Maker, count: usize) -> Vec<Record> {
    (0..count).map(|_| Record::Reception(maker.reception())).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(3);
    maker.step_ms = 40_000;
    let mut batch: Vec<Record> = (0..3_000).flat_map(|_| maker.records()).collect();
    for index in [5, 50, 500] {
        batch.insert(index, maker.connection());
    }
    let mut writer = Writer::open(folder.path()).unwrap();
    batch.chunks(700).for_each(|part| writer.append(part).unwrap());
    assert_eq!(writer.last_seq(), 3_000);
    assert_eq!(files(folder.path()), ["2026-11-23.db", "2026-11-24.db"]);

    let reader = Reader::open(folder.path()).unwrap();
    let stored = everything(folder.path());
    let given = batch.iter().filter_map(|r| if let Record::Reception(r) = r { Some(shown(r)) } else { None });
    assert!(stored.iter().map(shown).eq(given));
    for record in &batch {
        if let Record::Release(release) = record {
            let reception = &stored[release.reception_seq as usize - 1];
            let found = reader.release_of(reception).unwrap().unwrap();
            assert_eq!(format!("{found:?}"), format!("{release:?}"));
        }
    }
    let refused = stored.iter().find(|r| r.decision.verdict.word() == "refuse").unwrap();
    assert!(reader.release_of(refused).unwrap().is_none());
    let events: i64 = (files(folder.path()).iter())
        .map(|file| count(&folder.path().join(file), "SELECT count(*) FROM connection"))
        .sum();
    assert_eq!(events, 3);
}

fn count(file: &Path, query: &str) -> i64 {
    Connection::open(file).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a client publishes, and whatever was seen in it.
    #[test]
    fn any_reception_comes_back_exactly(
        payloads in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>(), any::<[u32; 4]>()), 1..8
        ),
        topic in "\\PC{0,30}",
        port in any::<Option<u32>>(),
        flags in any::<u64>(),
        airtime_us in any::<Option<u32>>(),
        frame_bytes in any::<Option<u16>>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut maker = Maker::new(1);
        let mut batch = Vec::new();
        for (bytes, is_enveloped, has_packet, [from, to, id, rx_time]) in payloads {
            let mut r = (*maker.reception()).clone();
            let packet = PacketSummary {
                from, to, id, rx_time, rx_snr: Some(f32::from_bits(rx_time)), rx_rssi: Some(to as i32),
                ..PacketSummary::default()
            };
            let enveloped = made_up::envelope(&packet, &bytes, "LongFast", "!7c5a0a01");
            r.payload = if is_enveloped { enveloped } else { bytes }.into();
            r.packet = has_packet.then_some(packet);
            r.topic = topic.as_str().into();
            (r.port, r.flags, r.airtime_us, r.frame_bytes) = (port, flags, airtime_us, frame_bytes);
            batch.push(Record::Reception(Arc::new(r)));
        }
        Writer::open(folder.path()).unwrap().append(&batch).unwrap();
        let stored = everything(folder.path());
        prop_assert_eq!(stored.len(), batch.len());
        for (stored, given) in stored.iter().zip(&batch) {
            let Record::Reception(given) = given else { unreachable!("only receptions were made") };
            prop_assert_eq!(&stored.payload, &given.payload);
            prop_assert_eq!(shown(stored), shown(given));
        }
    }
}

#[test]
fn copies_of_a_packet_share_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(4);
    let batch = receptions(&mut maker, 300);
    Writer::open(folder.path()).unwrap().append(&batch).unwrap();
    assert_eq!(count(&file_of_today(folder.path()), "SELECT count(*) FROM body"), 100);
}

#[test]
fn a_batch_may_be_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(5);
    let mut batch: Vec<Record> = (0..50).flat_map(|_| maker.records()).collect();
    batch.push(maker.connection());
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.append(&batch).unwrap();
    let before = everything(folder.path());
    writer.append(&batch).unwrap();
    Writer::open(folder.path()).unwrap().append(&batch).unwrap();
    assert!(everything(folder.path()).iter().map(shown).eq(before.iter().map(shown)));
    assert_eq!(count(&file_of_today(folder.path()), "SELECT count(*) FROM connection"), 1);
}

#[test]
fn a_release_stands_with_its_reception_also_around_midnight() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(6);
    maker.at_ms = NOON_MS + DAY_MS / 2 - 10;
    maker.step_ms = 9;
    let (before, after) = (maker.reception(), maker.reception());
    let release = |r: &Arc<Reception>, late_ms| {
        let release = Release { reception_seq: r.seq, at_ms: r.at_ms + late_ms, copies: Vec::new() };
        Record::Release(Arc::new(release))
    };
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.append(&[Record::Reception(before.clone()), Record::Reception(after.clone())]).unwrap();
    writer.append(&[release(&before, 20), release(&after, -8)]).unwrap();
    assert_eq!(files(folder.path()), ["2026-11-23.db", "2026-11-24.db"]);
    let reader = Reader::open(folder.path()).unwrap();
    for r in [&before, &after] {
        assert_eq!(reader.release_of(r).unwrap().map(|release| release.reception_seq), Some(r.seq));
    }
    for file in files(folder.path()) {
        let query = "SELECT count(*) FROM release JOIN reception USING (seq)";
        assert_eq!(count(&folder.path().join(&file), query), 1, "{file}");
    }
}

#[test]
fn a_release_that_comes_first_goes_to_the_day_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let release = Release { reception_seq: 9, at_ms: NOON_MS, copies: Vec::new() };
    Writer::open(folder.path()).unwrap().append(&[Record::Release(Arc::new(release))]).unwrap();
    assert_eq!(files(folder.path()), ["2026-11-23.db"]);
    assert_eq!(
        Writer::open(folder.path()).unwrap().last_seq(),
        9,
        "the shed reception's number is not used again"
    );
}

#[test]
fn a_clock_put_back_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(7);
    let mut writer = Writer::open(folder.path()).unwrap();
    // Ten seconds over midnight and back, then two hours back, then a week back.
    for at_ms in [NOON_MS + DAY_MS / 2 + 5_000, NOON_MS + DAY_MS / 2 - 5_000, NOON_MS, NOON_MS - 7 * DAY_MS] {
        maker.at_ms = at_ms;
        writer.append(&receptions(&mut maker, 20)).unwrap();
    }
    assert_eq!(files(folder.path()), ["2026-11-16.db", "2026-11-23.db", "2026-11-24.db"]);
    let reader = Reader::open(folder.path()).unwrap();
    let between = |since_ms, until_ms| {
        let (since_ms, until_ms) = (Some(since_ms), Some(until_ms));
        reader.log(&Filter { since_ms, until_ms, limit: 1_000, ..Filter::default() }).unwrap().len()
    };
    let midnight = NOON_MS + DAY_MS / 2;
    assert_eq!(between(midnight, midnight + 60_000), 20);
    assert_eq!(between(midnight - 60_000, midnight), 20);
    assert_eq!(between(NOON_MS, NOON_MS + 60_000), 20);
    assert_eq!(between(NOON_MS - 7 * DAY_MS, NOON_MS), 20);
    let mut all = seqs(folder.path());
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=80));
    assert_eq!(Writer::open(folder.path()).unwrap().last_seq(), 80);
}

#[test]
fn a_clock_put_back_within_a_day_is_no_hindrance_to_finding_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(8);
    let mut writer = Writer::open(folder.path()).unwrap();
    for at_ms in [NOON_MS + 7_200_000, NOON_MS, NOON_MS + 3_600_000] {
        maker.at_ms = at_ms;
        writer.append(&receptions(&mut maker, 50)).unwrap();
    }
    let reader = Reader::open(folder.path()).unwrap();
    for (since, until, expected) in
        [(7_200_000, 9_000_000, 1..=50), (0, 60_000, 51..=100), (3_600_000, 3_660_000, 101..=150)]
    {
        let (since_ms, until_ms) = (Some(NOON_MS + since), Some(NOON_MS + until));
        let filter = Filter { since_ms, until_ms, after_seq: Some(0), limit: 1_000, ..Filter::default() };
        assert!(reader.log(&filter).unwrap().iter().map(|r| r.seq).eq(expected));
    }
}

#[test]
fn a_file_from_a_newer_program_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_of_today(folder.path());
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("CREATE TABLE unheard (of); PRAGMA user_version = 7").unwrap();
    drop(connection);
    let before = std::fs::read(&file).unwrap();
    for error in [Writer::open(folder.path()).unwrap_err(), Reader::open(folder.path()).unwrap_err()] {
        assert!(matches!(error, Error::Newer { found: 7, known: 2, .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("2026-11-23.db") && text.contains("schema 7") && text.contains("up to 2"),
            "{text}"
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // Also when it comes while the writer runs.
    let other = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(other.path()).unwrap();
    std::fs::copy(&file, file_of_today(other.path())).unwrap();
    let error = writer.append(&receptions(&mut Maker::new(1), 1)).unwrap_err();
    assert!(matches!(error, Error::Newer { .. }), "{error}");
    assert_eq!(std::fs::read(file_of_today(other.path())).unwrap(), before);
}

#[test]
fn a_file_that_is_no_history_is_refused_in_plain_words() {
    for content in [&b"this is a text file and no database at all, not even nearly one"[..], &[0xff; 8192]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file_of_today(folder.path()), content).unwrap();
        for error in [Writer::open(folder.path()).unwrap_err(), Reader::open(folder.path()).unwrap_err()] {
            let text = error.to_string();
            assert!(
                text.contains("2026-11-23.db") && text.contains("damaged or not a history file"),
                "{text}"
            );
        }
        assert_eq!(std::fs::read(file_of_today(folder.path())).unwrap(), content);
    }
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(file_of_today(folder.path())).unwrap();
    connection.execute_batch("CREATE TABLE recipes (id)").unwrap();
    for error in [Writer::open(folder.path()).unwrap_err(), Reader::open(folder.path()).unwrap_err()] {
        assert!(
            matches!(error, Error::Foreign(_)) && error.to_string().contains("another program"),
            "{error}"
        );
    }
}

#[test]
fn damage_within_a_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(10);
    Writer::open(folder.path()).unwrap().append(&receptions(&mut maker, 2_000)).unwrap();
    let file = file_of_today(folder.path());
    let good = std::fs::read(&file).unwrap();
    for start in (4096..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[start..].iter_mut().take(3_000).for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&file, bad).unwrap();
        let Ok(reader) = Reader::open(folder.path()) else { continue };
        if let Ok(found) = reader.log(&Filter { limit: 10_000, ..Filter::default() }) {
            assert!(found.len() <= 2_000);
        }
        let _ = reader.totals(0, NOON_MS * 2, 10).map(|totals| totals.receptions);
    }
}

/// The fixture was written by the first program with this schema. It is never written again: files like it are on
/// people's disks.
#[test]
fn files_of_schema_1_are_read() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    // A copy: reading makes files beside it.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixture.join("2026-11-23.db"), file_of_today(folder.path())).unwrap();
    let expected = std::fs::read_to_string(fixture.join("expected.txt")).unwrap();
    let found: Vec<String> = everything(folder.path()).iter().map(|r| told(folder.path(), r)).collect();
    assert!(found.iter().map(String::as_str).eq(expected.lines()), "{found:#?}");
    let mut writer = Writer::open(folder.path()).unwrap();
    assert_eq!(writer.last_seq(), 40);
    let mut maker = Maker::new(2);
    maker.seq = 40;
    writer.append(&receptions(&mut maker, 5)).unwrap();
    assert!(seqs(folder.path()).into_iter().eq(1..=45));
    // Writing made it a file of today's schema, with everything that was in it.
    let after: Vec<String> = everything(folder.path()).iter().map(|r| told(folder.path(), r)).collect();
    assert!(after[..40].iter().map(String::as_str).eq(expected.lines()));
    let version = Connection::open(file_of_today(folder.path())).unwrap();
    let version: i64 = version.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.tallies(Dimension::All, 0, NOON_MS + DAY_MS).unwrap()[0].1.receptions(), 45);
    let withheld = Filter::of(Condition::Is(Test::Copy(CopyFate::Withheld)));
    let expected: Vec<u64> = (expected.lines())
        .filter(|line| line.contains("Withheld"))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(!expected.is_empty());
    assert!(reader.log(&withheld).unwrap().iter().map(|r| r.seq).eq(expected.into_iter().rev()));
}

/// A reception and its release in one line that depends on nothing but what was stored.
fn told(folder: &Path, r: &Reception) -> String {
    let p = r.packet.unwrap();
    let d = &r.decision;
    let hex: String = r.payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let release = Reader::open(folder).unwrap().release_of(r).unwrap();
    let copies = release.iter().flat_map(|release| &release.copies).map(|copy| {
        format!(" | {} {} {:?} {:x}", copy.receiver, copy.kind.word(), copy.outcome, copy.observed.0)
    });
    format!(
        "{} {} {} {:?} {:?} {} {:?} {:?} {} {} {:x} {:?} {:?} {} {} {} {:?} {:x} {:x} {} {:?} {} {} {}{}",
        r.seq,
        r.at_ms,
        r.client_id,
        r.username,
        r.gateway,
        r.topic,
        r.channel,
        r.port,
        r.consent.word(),
        r.key_class.word(),
        r.flags,
        r.frame_bytes,
        r.airtime_us,
        r.qos,
        r.retain,
        d.verdict.word(),
        d.rule.map(|rule| rule.code()),
        d.observed.0,
        d.off.0,
        d.sentence,
        p.hops_away,
        p.request_id,
        p.want_ack,
        hex,
        copies.collect::<String>(),
    )
}

#[test]
fn the_recorder_stores_what_it_took_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (told, durable) = channel();
    let options = RecorderOptions { commit_interval: Duration::from_secs(60), ..RecorderOptions::default() };
    let recorder = Recorder::start(folder.path(), options, move |batch| told.send(batch).unwrap()).unwrap();
    let (mut give, health) = (recorder.sender(), recorder.health());
    let mut maker = Maker::new(11);
    assert!(receptions(&mut maker, 4_500).into_iter().all(&mut give));
    drop(recorder);
    let told: Vec<Record> = durable.iter().flatten().collect();
    let told = told.iter().map(|r| if let Record::Reception(r) = r { r.seq } else { 0 });
    assert!(told.eq(1..=4_500));
    assert!(seqs(folder.path()).into_iter().eq(1..=4_500));
    assert_eq!((health.stored.load(Relaxed), health.queued.load(Relaxed)), (4_500, 0));
    assert!(!give(Record::Reception(maker.reception())), "nobody takes records any more");
    assert_eq!(health.shed.load(Relaxed), 1);
}

#[test]
fn a_full_queue_sheds_and_counts_and_never_waits() {
    let folder = tempfile::tempdir().unwrap();
    // The disk takes nothing: a folder stands where the file should.
    let (told, durable) = channel();
    let options = RecorderOptions { queue_max: 100, queue_bytes_max: 1 << 20, ..RecorderOptions::default() };
    let recorder =
        Recorder::start(folder.path(), options, move |batch| told.send(batch.len()).unwrap()).unwrap();
    std::fs::create_dir(file_of_today(folder.path())).unwrap();
    let (mut give, health) = (recorder.sender(), recorder.health());
    let mut maker = Maker::new(12);
    assert!(give(Record::Reception(maker.reception())));
    wait_until(|| health.is_stalled.load(Relaxed));
    let taken = receptions(&mut maker, 300).into_iter().filter(|record| give(record.clone())).count();
    assert_eq!(taken, 100);
    assert_eq!((health.shed.load(Relaxed), health.queued.load(Relaxed)), (200, 101));
    assert!(health.last_error().unwrap().contains("2026-11-23.db"));
    assert!(health.stalled_for().is_some());
    let mut huge = (*maker.reception()).clone();
    huge.payload = vec![0; 2 << 20].into();
    assert!(!give(Record::Reception(Arc::new(huge))), "a queue is bounded by bytes too");

    std::fs::remove_dir(file_of_today(folder.path())).unwrap();
    wait_until(|| !health.is_stalled.load(Relaxed));
    drop(recorder);
    assert_eq!(durable.iter().sum::<usize>(), 101);
    assert!(seqs(folder.path()).into_iter().eq(1..=101));
    assert_eq!(health.last_error(), None);
}

#[test]
fn a_stop_gives_up_on_a_disk_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = RecorderOptions { batch_max: 10, ..RecorderOptions::default() };
    let recorder = Recorder::start(folder.path(), options, |_| {}).unwrap();
    std::fs::create_dir(file_of_today(folder.path())).unwrap();
    let (mut give, health) = (recorder.sender(), recorder.health());
    assert!(receptions(&mut Maker::new(13), 200).into_iter().all(&mut give));
    let began = Instant::now();
    drop(recorder);
    assert!(began.elapsed() < Duration::from_secs(20), "not five seconds for each of twenty batches");
    assert_eq!((health.shed.load(Relaxed), health.stored.load(Relaxed)), (200, 0));
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::yield_now();
    }
}

/// Where the child that is killed writes; unset in an ordinary run.
const CHILD_FOLDER: &str = "HISTORY_TEST_CHILD_FOLDER";

/// The child: says each number on standard output once it is durable, until it is killed.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let options = RecorderOptions { commit_interval: Duration::from_millis(1), ..RecorderOptions::default() };
    let recorder = Recorder::start(Path::new(&folder), options, |batch| {
        for record in batch {
            if let Record::Reception(reception) = record {
                println!("\ndurable {}", reception.seq);
            }
        }
    })
    .unwrap();
    let mut give = recorder.sender();
    let mut maker = Maker::new(14);
    maker.seq = recorder.last_seq();
    loop {
        // Near midnight, so that some die between two files.
        maker.at_ms = NOON_MS + DAY_MS / 2 - 5_000 + maker.seq as i64;
        maker.records().into_iter().for_each(|record| while !give(record.clone()) {});
    }
}

#[test]
fn kill_9_loses_nothing_that_was_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut durable_before = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut durable: Vec<u64> = Vec::new();
        // Killed in the middle of its work: SIGKILL, as `kill -9`.
        while durable.len() < 700 + 450 * round {
            let line = lines.next().expect("the child lives until it is killed").unwrap();
            durable.extend(line.strip_prefix("durable ").map(|seq| seq.parse::<u64>().unwrap()));
        }
        child.kill().unwrap();
        // What it had said before it died counts as well; its last line may be cut.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        durable.extend(rest[..whole].iter().filter_map(|l| l.strip_prefix("durable ")?.parse::<u64>().ok()));
        child.wait().unwrap();
        let stored = numbers(folder.path());
        assert!(durable.iter().all(|seq| stored.binary_search(seq).is_ok()), "round {round}");
        assert_eq!(durable.first(), Some(&(durable_before + 1)), "numbers go on where they stood");
        durable_before = Writer::open(folder.path()).unwrap().last_seq();
        assert!(stored.iter().copied().eq(1..=durable_before), "no holes");
    }
    assert_eq!(files(folder.path()).len(), 2, "midnight was passed");
    // What was found is whole.
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(
        reader.log(&Filter { limit: 10_000, ..Filter::default() }).unwrap().len(),
        10_000.min(durable_before as usize)
    );
}

fn numbers(folder: &Path) -> Vec<u64> {
    let mut all = Vec::new();
    for file in files(folder) {
        let connection = Connection::open(folder.join(file)).unwrap();
        // The writer may have been killed before it made the tables.
        if !connection.table_exists(None, "reception").unwrap() {
            continue;
        }
        let mut query = connection.prepare("SELECT seq FROM reception ORDER BY seq").unwrap();
        all.extend(query.query_map([], |row| row.get::<_, u64>(0)).unwrap().map(Result::unwrap));
    }
    all.sort_unstable();
    all
}

/// Every way in which the end of the journal can be torn: what was stored before is there, whole, and nothing of the
/// transaction that was cut.
#[test]
fn a_torn_journal_loses_no_more_than_the_transaction_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(31);
    let mut writer = Writer::open(folder.path()).unwrap();
    writer.append(&receptions(&mut maker, 50)).unwrap();
    let file = file_of_today(folder.path());
    let journal = folder.path().join("2026-11-23.db-wal");
    let after_first = std::fs::read(&journal).unwrap().len();
    writer.append(&receptions(&mut maker, 50)).unwrap();
    let (stored, whole) = (std::fs::read(&file).unwrap(), std::fs::read(&journal).unwrap());
    assert!(whole.len() > after_first + 3);
    for step in 0..12 {
        let at = after_first + (whole.len() - 1 - after_first) * step / 11;
        for is_cut in [true, false] {
            let mut torn = whole.clone();
            if is_cut {
                torn.truncate(at)
            } else {
                torn[at] ^= 0x40
            }
            let copy = tempfile::tempdir().unwrap();
            std::fs::write(file_of_today(copy.path()), &stored).unwrap();
            std::fs::write(copy.path().join("2026-11-23.db-wal"), torn).unwrap();
            let mut again = Writer::open(copy.path()).unwrap();
            assert_eq!(again.last_seq(), 50, "{step} {is_cut}");
            assert!(seqs(copy.path()).into_iter().eq(1..=50));
            let mut maker = Maker::new(32);
            maker.seq = 50;
            again.append(&receptions(&mut maker, 5)).unwrap();
            assert!(seqs(copy.path()).into_iter().eq(1..=55));
            history::snapshot::check(&file_of_today(copy.path())).unwrap();
        }
    }
}

#[test]
fn copies_that_waited_are_added_once_to_those_that_did_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(8);
    let reception = maker.reception();
    let copy = |receiver: &str, waited_ms| ReleasedCopy {
        receiver: receiver.into(),
        kind: ReceiverKind::Gateway,
        outcome: Outcome::Delivered,
        observed: RuleSet::default(),
        details: CopyDetails { waited_ms, airtime_us: 256, ..CopyDetails::default() },
    };
    let release = |late_ms, copies: Vec<ReleasedCopy>| {
        let at_ms = reception.at_ms + late_ms;
        Record::Release(Arc::new(Release { reception_seq: reception.seq, at_ms, copies }))
    };
    let mut writer = Writer::open(folder.path()).unwrap();
    let first = release(0, vec![copy("!7c5a0a01", 0)]);
    writer.append(&[Record::Reception(reception.clone()), first.clone()]).unwrap();
    let later =
        [release(3_000, vec![copy("!7c5a0a02", 3_000)]), release(9_000, vec![copy("!7c5a0a03", 9_000)])];
    writer.append(&later).unwrap();
    writer.append(&later).unwrap();
    let mut held_back = copy("!7c5a0a04", 1);
    held_back.outcome = Outcome::Withheld(RuleId::AlreadyHeard);
    writer.append(&[release(9_500, vec![held_back])]).unwrap();
    writer.append(&[first]).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    for test in [Test::Copy(CopyFate::Delivered), Test::WithheldBy(RuleId::AlreadyHeard)] {
        assert_eq!(reader.log(&Filter::of(Condition::Is(test))).unwrap().len(), 1);
    }
    let stored = Reader::open(folder.path()).unwrap().release_of(&reception).unwrap().unwrap();
    assert_eq!(stored.at_ms, reception.at_ms);
    let copies: Vec<_> = stored.copies.iter().map(|c| (&*c.receiver, c.details.waited_ms)).collect();
    assert_eq!(copies, [("!7c5a0a01", 0), ("!7c5a0a02", 3_000), ("!7c5a0a03", 9_000), ("!7c5a0a04", 1)]);
}
