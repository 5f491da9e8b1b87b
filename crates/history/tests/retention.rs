//! What is due goes, all of it and nothing else, and what is pinned stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use history::retention::{Keep, Purged, due, last_purge, note_purge, purge};
use history::{Class, Dimension, Filter, Reader, Thing, Writer};
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
    let keep = Keep { days: Some(3), ..Keep::default() };
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
    let keep = Keep { connection_days: Some(2), ..Keep::default() };
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
    let keep = Keep { days: Some(1), connection_days: Some(1), ..Keep::default() };
    purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap();
    assert_eq!(Reader::open(folder.path()).unwrap().kept_days().unwrap().len(), 2);
}

#[test]
fn the_last_purge_and_the_last_that_took_something_away_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(last_purge(folder.path()), None);
    let some = Purged { days: 1, receptions: 5, connections: 2, ..Purged::default() };
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
        let keep = Keep { days: Some(keep_days), ..Keep::default() };
        purge(folder.path(), keep, NOON_MS, |day| day == today - pinned, || ()).unwrap();
        let after = Reader::open(folder.path()).unwrap().kept_days().unwrap();
        for day in before {
            let stays = !keep.is_due(day, today) || day == today - pinned;
            prop_assert_eq!(after.contains(&day), stays, "day {}", day - today);
        }
    }
}

/// Days, each with packets and a text, and all that is received in them by number.
type Rows = std::collections::BTreeMap<u64, (record::Reception, Option<record::Release>)>;

fn rows(folder: &std::path::Path) -> Rows {
    let reader = Reader::open(folder).unwrap();
    let all = reader.log(&Filter { limit: 10_000, ..Filter::default() }).unwrap();
    all.into_iter().map(|r| (r.seq, (r.clone(), reader.release_of(&r).unwrap()))).collect()
}

/// Everything about a reception but its payload.
fn without_payload(reception: &record::Reception) -> String {
    format!("{:?}", record::Reception { payload: [].into(), ..reception.clone() })
}

fn is_of(class: Class, port: Option<u32>) -> bool {
    match class {
        Class::Bytes => true,
        Class::Text => port == Some(1),
        Class::Position => matches!(port, Some(3 | 73)),
        Class::Telemetry => port == Some(67),
        Class::Decisions | Class::Connections => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn each_class_goes_when_it_is_due_and_all_else_stays(
        days in prop::array::uniform5(prop::option::of(1u32..7)),
        pinned in 0i64..8,
        // A step is cut short, as by `kill -9`, and the purge is begun again.
        cut_at in prop::option::of(0usize..8),
    ) {
        let folder = kept(6, 12);
        let folder = folder.path();
        let mut writer = Writer::open(folder).unwrap();
        let mut maker = Maker::new(41);
        maker.seq = receptions(folder).into_iter().max().unwrap();
        maker.at_ms = NOON_MS - 5 * DAY_MS;
        let key = mesh::key::ChannelKey::default_key();
        writer.append(&[maker.said(&key, "LongFast", "the bridge is out at mill creek")]).unwrap();
        drop(writer);
        let [bytes_days, text_days, position_days, telemetry_days, decision_days] = days;
        let keep =
            Keep { bytes_days, text_days, position_days, telemetry_days, decision_days, ..Keep::default() };
        let today = history::statement::day_of(NOON_MS);
        let is_pinned = |day| day == today - pinned;
        let before = rows(folder);
        let sums = Reader::open(folder).unwrap().hours(&Thing::All, 0, i64::MAX).unwrap();
        let ports = Reader::open(folder).unwrap().tallies(Dimension::Port, 0, i64::MAX).unwrap();
        let would = due(folder, keep, NOON_MS, is_pinned).unwrap();
        if let Some(cut_at) = cut_at {
            let mut steps = 0;
            let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                purge(folder, keep, NOON_MS, is_pinned, || {
                    assert!(steps < cut_at, "cut short");
                    steps += 1;
                })
            }));
            prop_assert!(cut.is_ok() || steps == cut_at);
        }
        let purged = purge(folder, keep, NOON_MS, is_pinned, || ()).unwrap();
        if cut_at.is_none() {
            prop_assert_eq!(&purged, &would, "what was said to go went");
        }
        prop_assert_eq!(due(folder, keep, NOON_MS, is_pinned).unwrap(), Purged::default());
        let after = rows(folder);
        prop_assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        let mut gone = Vec::new();
        for (seq, (was, release)) in &before {
            let (is, released) = &after[seq];
            let day = history::statement::day_of(was.at_ms);
            let goes = |class: Class| keep.is_class_due(class, day, today) && !is_pinned(day);
            prop_assert_eq!(without_payload(is), without_payload(was));
            let is_emptied = Class::ALL.into_iter().any(|class| goes(class) && is_of(class, was.port));
            prop_assert_eq!(is.payload.is_empty(), is_emptied, "{:?}", was);
            if is_emptied {
                gone.push(was.payload.clone());
                let reader = Reader::open(folder).unwrap();
                prop_assert_eq!(reader.bytes_deleted_ms(is).unwrap(), Some(NOON_MS));
            } else {
                prop_assert_eq!(&is.payload, &was.payload);
            }
            let expected = if goes(Class::Decisions) { None } else { release.as_ref() };
            prop_assert_eq!(format!("{:?}", released.as_ref()), format!("{:?}", expected));
        }
        prop_assert_eq!(Reader::open(folder).unwrap().hours(&Thing::All, 0, i64::MAX).unwrap(), sums);
        prop_assert_eq!(Reader::open(folder).unwrap().tallies(Dimension::Port, 0, i64::MAX).unwrap(), ports);
        let words = query::Condition::Is(query::Test::Text("mill creek".into()));
        let found = Reader::open(folder).unwrap().log(&Filter::of(words)).unwrap();
        let said = today - 5;
        let is_kept = is_pinned(said) || !keep.is_class_due(Class::Text, said, today);
        prop_assert_eq!(found.len(), usize::from(is_kept));
        // Bodies stand in the files as they are; copies of one packet share them.
        let left: Vec<Vec<u8>> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        let still_there: Vec<&[u8]> = after.values().map(|(r, _)| &*r.payload).collect();
        for payload in gone.iter().take(12) {
            let body = mesh::envelope::EnvelopeView::parse(payload).unwrap().packet.unwrap();
            let body: &[u8] = match body.variant {
                mesh::packet::Variant::Encrypted(bytes) => bytes,
                _ => continue,
            };
            let is_shared = still_there.iter().any(|other| other.windows(body.len()).any(|w| w == body));
            let is_left = left.iter().any(|file| file.windows(body.len()).any(|w| w == body));
            prop_assert!(is_shared || !is_left, "a body of {} bytes is left", body.len());
        }
    }
}

#[test]
fn the_oldest_day_of_each_class_is_told() {
    let folder = kept(6, 4);
    let keep = Keep { text_days: Some(3), connection_days: Some(4), ..Keep::default() };
    purge(folder.path(), keep, NOON_MS, |_| false, || ()).unwrap();
    let today = history::statement::day_of(NOON_MS);
    let oldest = Reader::open(folder.path()).unwrap().oldest_of_each().unwrap();
    let ago = oldest.map(|day| today - day.unwrap());
    assert_eq!(ago, [5, 2, 5, 5, 5, 3], "bytes, text, position, telemetry, decisions, connections");
}
