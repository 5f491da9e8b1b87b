//! What channel keys open and close when they change: every way of asking follows, and what was decided stays.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod made_up;

use std::path::Path;
use std::sync::Arc;

use history::redecode::{Redecode, Reread};
use history::{Dimension, Filter, Reader, Thing, Writer};
use made_up::Maker;
use mesh::compose::{Closed, Content, Packet, envelope};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use query::{Condition, Query, Surroundings, Test};
use record::{Consent, KeyClass, PacketSummary, Reception, Record};

const AT_MS: i64 = 1_787_233_509_000;
const OPS_KEY: [u8; 32] = [7; 32];

fn with_key() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.add("Ops", ChannelKey::from_psk(&OPS_KEY).unwrap());
    keyring
}

/// A reception as a broker with these keys records it.
fn heard(seq: u64, port: PortNum, words: &[u8], channel: &str, keyring: &Keyring) -> Arc<Reception> {
    let key =
        if channel == "Ops" { ChannelKey::from_psk(&OPS_KEY).unwrap() } else { ChannelKey::default_key() };
    let id = 100 + (seq / 2) as u32;
    let packet = Packet {
        from: NodeNum(0x4f21_00aa),
        to: NodeNum(u32::MAX),
        id,
        hop_limit: 3,
        hop_start: 3,
        rx_rssi: -90 - (seq % 2) as i32,
        ..Packet::default()
    };
    let content = Content {
        port: port.0,
        payload: words.to_vec(),
        bitfield: Some(1),
        request_id: 5,
        ..Content::default()
    };
    let payload = envelope(&packet, &content, channel, Closed::Encrypted(&key), NodeNum(1));
    let topic = format!("msh/US/2/e/{channel}/!00000001");
    let mut scratch = mesh::observe::Scratch::default();
    let facts = mesh::observe::observe(&topic, &payload, keyring, &mut scratch);
    let plain = Maker::new(1).reception();
    Arc::new(Reception {
        seq,
        at_ms: AT_MS + seq as i64 * 1_000,
        topic: topic.as_str().into(),
        packet: facts.packet.as_ref().map(|header| PacketSummary::of(header, &facts)),
        channel: Some(channel.into()),
        port: facts.port.map(|port| port.0),
        consent: facts.consent.into(),
        key_class: facts.key_class.into(),
        flags: facts.flags.0,
        payload: payload.as_slice().into(),
        ..(*plain).clone()
    })
}

/// Two receptions of each packet: texts on a channel of the operator's and on the default one, and a name.
fn keep(folder: &Path, keyring: &Keyring) -> Vec<Arc<Reception>> {
    let user = [&[0x12, 5][..], b"Ana h", &[0x1a, 1], b"A"].concat();
    let mut all = Vec::new();
    for packet in 0..40_u64 {
        let (port, words, channel) = match packet % 4 {
            0 => (PortNum::TEXT_MESSAGE, format!("net tonight {packet}").into_bytes(), "Ops"),
            1 => (PortNum::TEXT_MESSAGE, b"hello all".to_vec(), "LongFast"),
            2 => (PortNum::NODEINFO, user.clone(), "Ops"),
            _ => (PortNum::ROUTING, vec![0x18, 0], "Ops"),
        };
        for copy in 0..2 {
            all.push(heard(2 + packet * 2 + copy, port, &words, channel, keyring));
        }
    }
    let records: Vec<Record> = all.iter().cloned().map(Record::Reception).collect();
    Writer::open(folder).unwrap().with_keyring(keyring.clone()).append(&records).unwrap();
    all
}

/// What keys decide about one reception.
type Row = (u64, Option<u32>, Consent, KeyClass, u64, Option<PacketSummary>);

/// All that can be asked and that keys decide about.
#[derive(Debug, PartialEq)]
struct Answers {
    rows: Vec<Row>,
    by_text: Vec<u64>,
    by_port: Vec<u64>,
    names: Vec<String>,
    ports: Vec<(Thing, history::Tally)>,
}

fn answers(folder: &Path, keyring: &Keyring) -> Answers {
    let reader = Reader::open(folder).unwrap().with_keyring(Arc::new(keyring.clone()));
    let asked = |text: &str| {
        let bound =
            Query::parse(text).unwrap().bind(&Surroundings { now_ms: AT_MS, ..Surroundings::default() });
        let filter = Filter { limit: 1_000, ..Filter::of(bound.unwrap()) };
        reader.log(&filter).unwrap()
    };
    let numbers = |rows: Vec<Reception>| rows.into_iter().map(|row| row.seq).collect::<Vec<_>>();
    let mut ports = reader.tallies(Dimension::Port, 0, AT_MS * 2).unwrap();
    ports.sort_by(|a, b| a.0.cmp(&b.0));
    Answers {
        rows: asked("")
            .into_iter()
            .map(|row| (row.seq, row.port, row.consent, row.key_class, row.flags, row.packet))
            .collect(),
        by_text: numbers(asked("text:\"net tonight\"")),
        by_port: numbers(asked("port:text")),
        names: reader.names(0).unwrap().into_iter().map(|name| name.long).collect(),
        ports,
    }
}

fn read_through(folder: &Path, keyring: &Keyring) -> Reread {
    let mut reading = Redecode::begin(folder, keyring, [9; 16]).unwrap();
    while reading.step().unwrap() {}
    reading.came_to()
}

#[test]
fn a_key_that_is_added_opens_what_came_before_as_if_it_had_been_there() {
    let (before, from_the_start) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    keep(before.path(), &Keyring::default());
    keep(from_the_start.path(), &with_key());
    assert_ne!(answers(before.path(), &with_key()), answers(from_the_start.path(), &with_key()));
    let came_to = read_through(before.path(), &with_key());
    assert_eq!(came_to, Reread { looked_at: 60, opened: 60, closed: 0 });
    let opened = answers(before.path(), &with_key());
    assert_eq!(opened, answers(from_the_start.path(), &with_key()));
    assert!(opened.by_text.len() == 20 && opened.names == ["Ana h"], "{opened:?}");
}

#[test]
fn a_key_that_is_taken_away_closes_what_it_opened() {
    let (with, never) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    keep(with.path(), &with_key());
    keep(never.path(), &Keyring::default());
    let came_to = read_through(with.path(), &Keyring::default());
    assert_eq!((came_to.opened, came_to.closed), (0, 60));
    assert_eq!(answers(with.path(), &Keyring::default()), answers(never.path(), &Keyring::default()));
    // Not even the index of words has it: with the key it is found in what is opened anew, not before.
    assert_eq!(answers(with.path(), &with_key()).by_text, [0_u64; 0]);
    read_through(with.path(), &with_key());
    assert_eq!(answers(with.path(), &with_key()).by_text.len(), 20);
}

#[test]
fn what_is_read_once_is_not_read_again_and_a_reading_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    keep(folder.path(), &Keyring::default());
    let half = {
        let mut reading = Redecode::begin(folder.path(), &with_key(), [9; 16]).unwrap();
        assert!(reading.step().unwrap());
        reading.came_to().looked_at
    };
    let rest = read_through(folder.path(), &with_key());
    assert!(half > 0 && rest.looked_at <= 60, "{half} {rest:?}");
    assert_eq!(answers(folder.path(), &with_key()).by_text.len(), 20);
    assert!(Redecode::begin(folder.path(), &with_key(), [1; 16]).unwrap().is_done());
    assert!(!Redecode::begin(folder.path(), &Keyring::default(), [1; 16]).unwrap().is_done());
    // The file beside them holds no key.
    let state = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    assert!(!state.contains("7,7,7,7") && !state.contains("Ops"), "{state}");
}

#[test]
fn recording_goes_on_while_the_past_is_read() {
    let folder = tempfile::tempdir().unwrap();
    keep(folder.path(), &Keyring::default());
    let mut writer = Writer::open(folder.path()).unwrap().with_keyring(with_key());
    let mut reading = Redecode::begin(folder.path(), &with_key(), [9; 16]).unwrap();
    for seq in 0..30 {
        let next = heard(1_000 + seq, PortNum::TEXT_MESSAGE, b"net tonight", "Ops", &with_key());
        writer.append(&[Record::Reception(next)]).unwrap();
        reading.step().unwrap();
    }
    while reading.step().unwrap() {}
    let rows =
        Filter { limit: 1_000, ..Filter::of(Condition::Is(Test::Port(Some(PortNum::TEXT_MESSAGE.0)))) };
    assert_eq!(Reader::open(folder.path()).unwrap().log(&rows).unwrap().len(), 40 + 30);
    assert_eq!(answers(folder.path(), &with_key()).by_text.len(), 20 + 30);
}
