//! What is held of a node goes, all of it, from the files' bytes too, and nothing else does.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use history::erasure::{Belonging, Belongings, rewrite};
use history::{Dimension, Filter, Held, Reader, Thing, Tie, Writer};
use made_up::{Maker, NOON_MS, gateway, node};
use mesh::keyring::Keyring;
use proptest::prelude::*;
use query::Condition;
use record::{Reception, Record, Release};

const DAY_MS: i64 = 86_400_000;

fn fill(folder: &Path, seed: u64, packets: usize) -> Maker {
    let mut writer = Writer::open(folder).unwrap();
    let mut maker = Maker::new(seed);
    maker.nodes = 12;
    for day in [-1, 0] {
        maker.at_ms = NOON_MS + day * DAY_MS;
        let mut records = vec![maker.connection(), maker.connection()];
        (0..packets).for_each(|_| records.extend(maker.records()));
        let key = mesh::key::ChannelKey::default_key();
        records.push(maker.said(&key, "LongFast", "the bridge is out at mill creek"));
        records.push(maker.named(node(5), "Mill Creek", "MILL"));
        writer.append(&records).unwrap();
    }
    maker
}

fn everything(folder: &Path) -> BTreeMap<u64, (Reception, Option<Release>)> {
    let reader = Reader::open(folder).unwrap();
    let all = reader.log(&Filter { limit: 10_000, ..Filter::default() }).unwrap();
    all.into_iter()
        .map(|reception| {
            let release = reader.release_of(&reception).unwrap();
            (reception.seq, (reception, release))
        })
        .collect()
}

/// All of a reception and its release, with the node's number in names blackened.
fn shown((reception, release): &(Reception, Option<Release>), id: u32) -> String {
    let mut text = format!("{reception:?} {release:?}");
    while let Some(at) = text.find(&format!("{id:08x}")) {
        let start = text[..at].rfind('"').unwrap();
        let end = at + text[at..].find('"').unwrap();
        text.replace_range(start..end, "\"*");
    }
    while let Some(at) = text.find("erased-") {
        let start = text[..at].rfind('"').unwrap();
        let end = at + text[at..].find('"').unwrap();
        text.replace_range(start..end, "\"*");
    }
    text
}

fn erase(folder: &Path, id: u32) -> Held {
    let keyring = Keyring::default();
    let belongings = Belongings::of(folder, id, &keyring);
    let mut held = Held::default();
    for day in belongings.days().unwrap() {
        let of_day = belongings.erase(day, || ()).unwrap();
        held.add(&of_day);
        rewrite(folder, day).unwrap();
    }
    held
}

/// Where the node's number stands in any file: as text, and as four bytes in both orders.
fn traces(folder: &Path, id: u32) -> Vec<String> {
    let needles = [
        format!("{id:08x}").into_bytes(),
        format!("{id:08X}").into_bytes(),
        id.to_le_bytes().to_vec(),
        id.to_be_bytes().to_vec(),
    ];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        for needle in &needles {
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(format!("{} in {}", mesh::tree::to_hex(needle), file.display()));
            }
        }
    }
    found
}

fn is_about((reception, _): &(Reception, Option<Release>), id: u32) -> bool {
    reception.packet.is_some_and(|packet| packet.from == id || packet.to == id)
        || reception.gateway == Some(id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn after_an_erasure_nothing_of_the_node_is_left_and_all_else_is(
        seed in any::<u64>(),
        of_gateway in any::<bool>(),
        index in 0u32..12,
        // A step is cut short, as by `kill -9`, and the erasure is begun again.
        cut_at in prop::option::of(0usize..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fill(folder, seed, 60);
        let id = if of_gateway { gateway(index) } else { node(index) };
        let before = everything(folder);
        prop_assert!(!traces(folder, id).is_empty());
        let hours = |thing: Thing| Reader::open(folder).unwrap().hours(&thing, 0, i64::MAX).unwrap();
        let sums = hours(Thing::All);
        let keyring = Keyring::default();
        let would = Belongings::of(folder, id, &keyring).count_all().unwrap();
        if let Some(cut_at) = cut_at {
            let belongings = Belongings::of(folder, id, &keyring);
            let mut steps = 0;
            let cut = catch_unwind(AssertUnwindSafe(|| {
                for day in belongings.days().unwrap() {
                    belongings.erase(day, || {
                        assert!(steps < cut_at, "cut short");
                        steps += 1;
                    }).unwrap();
                }
            }));
            prop_assert!(cut.is_ok() || steps == cut_at);
        }
        let erased = erase(folder, id);
        if cut_at.is_none() {
            prop_assert_eq!(erased, would, "what was said to go went");
        }
        prop_assert_eq!(Belongings::of(folder, id, &keyring).count_all().unwrap(), Held::default());
        prop_assert_eq!(traces(folder, id), Vec::<String>::new());
        let after = everything(folder);
        for (seq, row) in &before {
            match after.get(seq) {
                Some(kept) => prop_assert_eq!(shown(kept, id), shown(row, id)),
                None => prop_assert!(is_about(row, id), "{:?}", row),
            }
        }
        prop_assert!(after.values().all(|row| !is_about(row, id)));
        prop_assert_eq!(hours(Thing::All), sums, "sums over everybody stay");
        prop_assert!(hours(Thing::Node(id)).is_empty() && hours(Thing::Gateway(id)).is_empty());
        let tallies = Reader::open(folder).unwrap().tallies(Dimension::Gateway, 0, i64::MAX).unwrap();
        prop_assert!(tallies.iter().all(|(thing, _)| *thing != Thing::Gateway(id)));
        let packet = Condition::Is(query::Test::From([id].into()));
        prop_assert!(Reader::open(folder).unwrap().log(&Filter::of(packet)).unwrap().is_empty());
    }
}

#[test]
fn its_texts_and_names_are_not_found_any_more_and_stand_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fill(folder, 3, 20);
    let words = Condition::Is(query::Test::Text("mill creek".into()));
    let found = || Reader::open(folder).unwrap().log(&Filter::of(words.clone())).unwrap().len();
    assert_eq!(found(), 2);
    let held = erase(folder, node(5));
    assert_eq!((held.texts, held.names), (2, 2));
    assert_eq!(found(), 0);
    let names = Reader::open(folder).unwrap().names(0).unwrap();
    assert!(names.iter().all(|name| name.node != node(5)));
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for text in ["Mill Creek", "MILL", "mill creek"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn a_text_that_others_brought_too_is_still_found_when_its_first_gateway_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut writer = Writer::open(folder).unwrap();
    let mut maker = Maker::new(3);
    let key = mesh::key::ChannelKey::default_key();
    let Record::Reception(first) = maker.said(&key, "LongFast", "net tonight at eight") else {
        unreachable!("it makes one")
    };
    let id = first.gateway.unwrap();
    let other = Reception {
        seq: first.seq + 1,
        gateway: Some(gateway(19)),
        topic: "msh/US/2/e/LongFast/!other".into(),
        client_id: "other".into(),
        username: None,
        payload: replaced(&first.payload, &format!("!{id:08x}"), &format!("!{:08x}", gateway(19))).into(),
        ..(*first).clone()
    };
    assert_ne!(id, gateway(19));
    writer.append(&[Record::Reception(first.clone()), Record::Reception(other.clone().into())]).unwrap();
    let held = erase(folder, id);
    assert_eq!((held.brought, held.sent), (1, 0));
    let words = Condition::Is(query::Test::Text("tonight".into()));
    let found = Reader::open(folder).unwrap().log(&Filter::of(words)).unwrap();
    assert_eq!(found.iter().map(|row| row.seq).collect::<Vec<_>>(), [other.seq]);
    assert_eq!(found[0].payload, other.payload, "byte for byte");
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn who_writes_goes_on_writing_and_uses_no_row_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut writer = Writer::open(folder).unwrap();
    let mut maker = Maker::new(11);
    maker.nodes = 6;
    let mut given = Vec::new();
    let mut write = |writer: &mut Writer, maker: &mut Maker| {
        let records: Vec<Record> = (0..40).flat_map(|_| maker.records()).collect();
        writer.append(&records).unwrap();
        given.extend(records.into_iter().filter_map(|record| match record {
            Record::Reception(reception) => Some(reception.seq),
            Record::Release(_) | Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => None,
        }));
    };
    write(&mut writer, &mut maker);
    let keyring = Keyring::default();
    let id = gateway(3);
    let belongings = Belongings::of(folder, id, &keyring);
    for day in belongings.days().unwrap() {
        belongings.erase(day, || write(&mut writer, &mut maker)).unwrap();
        rewrite(folder, day).unwrap();
    }
    // Sources, words and layouts that the writer knew are gone; it finds out and stores them again.
    write(&mut writer, &mut maker);
    let after = everything(folder);
    let gone: Vec<u64> = given.iter().copied().filter(|seq| !after.contains_key(seq)).collect();
    let tail = given[given.len() - 40..].to_vec();
    assert!(tail.iter().all(|seq| after.contains_key(seq)), "all that was written last is found");
    assert!(!gone.is_empty() && after.len() + gone.len() == given.len());
}

#[test]
fn what_is_held_is_disclosed_with_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fill(folder, 5, 60);
    let keyring = Keyring::default();
    let id = gateway(4);
    let belongings = Belongings::of(folder, id, &keyring);
    let mut shown = Held::default();
    for day in belongings.days().unwrap() {
        belongings
            .each(day, |belonging| match belonging {
                Belonging::Reception(reception, tie, release) => {
                    assert_eq!((reception.gateway, tie), (Some(id), Tie::Brought));
                    shown.brought += 1;
                    shown.releases += u64::from(release.is_some());
                }
                Belonging::Connection(connection) => {
                    assert_eq!(connection.client_id, format!("!{id:08x}"));
                    shown.connections += 1;
                }
                Belonging::Name(..) => shown.names += 1,
            })
            .unwrap();
    }
    let held = belongings.count_all().unwrap();
    assert!(held.brought > 0);
    assert_eq!(
        (shown.brought, shown.releases, shown.connections, shown.names),
        (held.brought, held.releases, held.connections, held.names)
    );
}
