//! What is due goes, all of it and nothing else, and what is pinned stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use history::retention::{Keep, Purged, due, last_purge, note_purge, purge};
use history::{Filter, Reader, Writer};
use made_up::{Maker, NOON_MS};
use proptest::prelude::*;
use record::Record;

const DAY_MS: i64 = 86_400_000;

/// So many days up to noon of the last, with `each` packets and a connection event on each.
fn kept(days: i64, each: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    let mut maker = Maker::new(7);
    for day in 0..days {
        maker.at_ms = NOON_MS - (days - 1 - day) * DAY_MS;
        let mut records = vec![maker.connection()];
        (0..each).for_each(|_| records.extend(maker.records()));
        writer.append(&records).unwrap();
    }
    folder
}

fn receptions(folder: &std::path::Path) -> Vec<u64> {
    let all = Reader::open(folder).unwrap().log(&Filter { limit: 10_000, ..Filter::default() }).unwrap();
    all.iter().map(|reception| reception.seq).collect()
}

fn connections(folder: &std::path::Path) -> i64 {
    let days = Reader::open(folder).unwrap().kept_days().unwrap();
    let of_day = |day| {
        let file = folder.join(format!("{}.db", history::statement::date(day)));
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.query_row("SELECT count(*) FROM connection", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    days.into_iter().map(of_day).sum()
}

/// Whether the bytes of any file hold a text.
fn holds_text(folder: &std::path::Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn whole_days_go_and_their_receptions_are_counted() {
    let folder = kept(10, 4);
    let before = receptions(folder.path());
    let keep = Keep { days: Some(3), connection_days: None };
    let would = due(folder.path(), keep, NOON_MS, |_| false).unwrap();
    assert_eq!(receptions(folder.path()), before, "looking takes nothing away");
    let purged = purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap();
    assert_eq!(purged, would);
    let after = receptions(folder.path());
    assert_eq!((purged.days, purged.receptions), (7, (before.len() - after.len()) as u64));
    assert_eq!(Reader::open(folder.path()).unwrap().kept_days().unwrap().len(), 3);
    assert_eq!(purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap(), Purged::default(), "once");
}

#[test]
fn connections_go_before_everything_else_does_and_leave_no_trace_in_the_file() {
    let folder = kept(6, 2);
    let mut writer = Writer::open(folder.path()).unwrap();
    let mut maker = Maker::new(9);
    maker.at_ms = NOON_MS - 5 * DAY_MS;
    let Record::Connection(event) = maker.connection() else { unreachable!("it makes one") };
    let event = record::ConnectionEvent { address: "203.0.113.77".into(), ..(*event).clone() };
    writer.append(&[Record::Connection(event.into())]).unwrap();
    drop(writer);
    assert!(holds_text(folder.path(), "203.0.113.77"));
    let before = receptions(folder.path());
    let keep = Keep { days: None, connection_days: Some(2) };
    let purged = purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap();
    assert_eq!((purged.days, purged.receptions), (0, 0));
    assert!(purged.connections >= 4, "{purged:?}");
    assert_eq!(connections(folder.path()), 2);
    assert!(!holds_text(folder.path(), "203.0.113.77"));
    assert_eq!(receptions(folder.path()), before);
}

#[test]
fn what_the_writer_may_still_write_to_is_never_touched() {
    let folder = kept(3, 2);
    let keep = Keep { days: Some(1), connection_days: Some(1) };
    purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap();
    assert_eq!(Reader::open(folder.path()).unwrap().kept_days().unwrap().len(), 2);
}

#[test]
fn the_last_purge_and_the_last_that_took_something_away_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(last_purge(folder.path()), None);
    let some = Purged { days: 1, receptions: 5, connections: 2 };
    note_purge(folder.path(), 10, some.clone()).unwrap();
    note_purge(folder.path(), 20, Purged::default()).unwrap();
    let last = last_purge(folder.path()).unwrap();
    assert_eq!((last.at_ms, last.purged, last.latest_loss), (20, Purged::default(), Some((10, some))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever is kept and pinned: nothing due is found afterwards, and nothing else is missing.
    #[test]
    fn exactly_what_is_due_goes(days in 1i64..8, keep_days in 1u32..8, pinned in 0i64..8) {
        let folder = kept(days, 1);
        let today = NOON_MS.div_euclid(DAY_MS);
        let before = Reader::open(folder.path()).unwrap().kept_days().unwrap();
        let keep = Keep { days: Some(keep_days), connection_days: None };
        purge(folder.path(), keep, NOON_MS, |day| day == today - pinned, || ()).unwrap();
        let after = Reader::open(folder.path()).unwrap().kept_days().unwrap();
        for day in before {
            let stays = !keep.is_due(day, today) || day == today - pinned;
            prop_assert_eq!(after.contains(&day), stays, "day {}", day - today);
        }
    }
}
