//! What is stored is found again, byte for byte, and what goes wrong with files is said.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use history::{Error, Filter, Reader, Recorder, RecorderOptions, Writer};
use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use policy::decision::{Decision, Outcome, Verdict};
use policy::rule::{RuleId, RuleSet};
use proptest::prelude::*;
use record::{Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Record, Release, ReleasedCopy};

const START_MS: i64 = 1_795_400_000_000;
const DAY_MS: i64 = 86_400_000;

/// A reception whose every field follows from its number; three in a row are copies of one packet.
fn reception(seq: u64) -> Reception {
    let (port, payload) = text(&format!("message {}", seq / 3));
    let (from, gateway) = (0x4b00_0000 + (seq / 3 % 7) as u32, 0x4b00_0100 + (seq % 3) as u32);
    let id = 1 + (seq / 3) as u32;
    let packet = Packet {
        from: NodeNum(from),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 1,
        hop_start: 3,
        ..Packet::default()
    };
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::default_key();
    let bytes = envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), NodeNum(gateway));
    let verdict = Verdict::ALL[(seq % 4) as usize];
    Reception {
        seq,
        at_ms: START_MS + seq as i64 * 1000,
        client_id: format!("!{gateway:08x}").into(),
        username: Some(format!("gw-{gateway:08x}").into()),
        gateway: Some(gateway),
        topic: format!("msh/US/2/e/LongFast/!{gateway:08x}").into(),
        payload: bytes.into(),
        qos: 1,
        retain: seq.is_multiple_of(5),
        packet: Some(PacketSummary {
            from,
            to: u32::MAX,
            id,
            hop_limit: 1,
            hop_start: 3,
            hops_away: Some(2),
            rx_rssi: Some(-91),
            rx_snr: Some(5.25),
            ..PacketSummary::default()
        }),
        channel: Some("LongFast".into()),
        port: (!seq.is_multiple_of(6)).then_some(1),
        consent: Consent::ALL[(seq % 3) as usize],
        key_class: if seq.is_multiple_of(2) { KeyClass::Default } else { KeyClass::Private },
        flags: seq << 30,
        frame_bytes: Some(40),
        airtime_us: Some(500_000),
        decision: Decision {
            verdict,
            rule: (verdict == Verdict::RecordOnly).then_some(RuleId::Consent),
            sentence: format!("Because of {}.", seq % 4).into(),
            observed: RuleSet(1 << 13),
            off: RuleSet(1 << 8),
        },
    }
}

fn record(reception: Reception) -> Record {
    Record::Reception(Arc::new(reception))
}

fn stored(receptions: Vec<Reception>) -> (tempfile::TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    let batch: Vec<Record> = receptions.into_iter().map(record).collect();
    Writer::open(folder.path()).unwrap().append(&batch).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    (folder, reader)
}

fn all(reader: &Reader) -> Vec<Reception> {
    reader.log(&Filter { after_seq: Some(0), limit: 10_000, ..Filter::default() }).unwrap()
}

fn shown(receptions: impl IntoIterator<Item = Reception>) -> Vec<String> {
    receptions.into_iter().map(|r| format!("{r:?}")).collect()
}

#[test]
fn everything_comes_back_as_it_was() {
    let (_folder, reader) = stored((1..200).map(reception).collect());
    assert_eq!(shown(all(&reader)), shown((1..200).map(reception)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_payload_comes_back_byte_for_byte(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..8)
    ) {
        let numbered = payloads.iter().zip(1..);
        let (_folder, reader) =
            stored(numbered.map(|(p, seq)| Reception { payload: p.as_slice().into(), ..reception(seq) }).collect());
        let found: Vec<Vec<u8>> = all(&reader).iter().map(|r| r.payload.to_vec()).collect();
        prop_assert_eq!(found, payloads);
    }

    #[test]
    fn a_filter_finds_what_looking_at_each_would(
        node in prop::option::of(0x4b00_0000u32..0x4b00_0008),
        gateway in prop::option::of(0x4b00_0100u32..0x4b00_0104),
        verdict in prop::option::of(0u8..4), port in prop::option::of(0u32..2), consent in prop::option::of(0u8..3),
        public_only: bool, since in prop::option::of(0i64..80_000), before in prop::option::of(1u64..80),
        limit in 1usize..90,
    ) {
        let (_folder, reader) = stored((1..80).map(reception).collect());
        let filter = Filter {
            node, gateway, port, public_only, limit, before_seq: before,
            verdict: verdict.and_then(Verdict::from_code), consent: consent.and_then(Consent::from_code),
            since_ms: since.map(|s| START_MS + s), ..Filter::default()
        };
        let fits = |r: &Reception| {
            let passed = matches!(r.decision.verdict, Verdict::Accept | Verdict::Rewrite);
            node.is_none_or(|n| r.packet.is_some_and(|p| p.from == n || p.to == n))
                && gateway.is_none_or(|g| r.gateway == Some(g))
                && port.is_none_or(|p| r.port == Some(p))
                && filter.verdict.is_none_or(|v| r.decision.verdict == v)
                && filter.consent.is_none_or(|c| r.consent == c)
                && (!public_only || (r.consent == Consent::Yes && r.key_class.is_public() && passed))
                && filter.since_ms.is_none_or(|s| r.at_ms >= s)
                && before.is_none_or(|b| r.seq < b)
        };
        let expected: Vec<u64> = (1..80).rev().filter(|seq| fits(&reception(*seq))).take(limit).collect();
        let found: Vec<u64> = reader.log(&filter).unwrap().iter().map(|r| r.seq).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn days_have_their_files_and_the_numbering_goes_on() {
    let day = |seq: u64| Reception { at_ms: START_MS + seq as i64 / 3 * DAY_MS, ..reception(seq) };
    let (folder, reader) = stored((1..7).map(day).collect());
    let files = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert_eq!(files.filter(|f| f.path().extension().is_some_and(|e| e == "db")).count(), 3);
    assert_eq!(Writer::open(folder.path()).unwrap().last_seq(), 6);
    let newest = reader.log(&Filter { limit: 4, ..Filter::default() }).unwrap();
    assert_eq!(newest.iter().map(|r| r.seq).collect::<Vec<_>>(), [6, 5, 4, 3]);
}

#[test]
fn a_packet_is_found_with_all_its_receptions_and_copies() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |receiver: &str, kind, outcome, observed| ReleasedCopy {
        receiver: receiver.into(),
        kind,
        outcome,
        observed: RuleSet(observed),
    };
    let copies = vec![
        copy("!4b000101", ReceiverKind::Gateway, Outcome::DeliveredWithHopLimit(1), 0),
        copy("!4b000102", ReceiverKind::Gateway, Outcome::Withheld(RuleId::Echo), 1 << 22),
        copy("dash", ReceiverKind::Observer, Outcome::Delivered, 0),
    ];
    let release = Release { reception_seq: 3, at_ms: START_MS, copies };
    let batch = [record(reception(3)), Record::Release(Arc::new(release.clone())), record(reception(4))];
    Writer::open(folder.path()).unwrap().append(&batch).unwrap();
    let (from, id) = reception(3).packet.map(|p| (p.from, p.id)).unwrap();
    let story = Reader::open(folder.path()).unwrap().packet(from, id).unwrap();
    assert_eq!(story.iter().map(|(r, _)| r.seq).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(format!("{:?}", story[0].1.as_ref().unwrap()), format!("{release:?}"));
    assert!(story[1].1.is_none());
}

#[test]
fn newer_and_damaged_files_are_refused_in_words() {
    let (folder, _) = stored(vec![reception(1)]);
    let mut files = std::fs::read_dir(folder.path()).unwrap().flatten().map(|f| f.path());
    let file = files.find(|f| f.extension().is_some_and(|e| e == "db")).unwrap();
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = Writer::open(folder.path()).unwrap_err();
    assert!(
        matches!(newer, Error::Newer { found: 99, .. }) && newer.to_string().contains("newer Backhaul"),
        "{newer}"
    );
    assert!(Reader::open(folder.path()).is_err());
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    let damaged = Writer::open(folder.path()).unwrap_err().to_string();
    assert!(damaged.contains("damaged or not a history file"), "{damaged}");
}

#[test]
fn what_is_told_durable_survives_kill_9() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env("HISTORY_FOLDER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let told = line.strip_prefix("durable ").and_then(|seq| seq.parse::<u64>().ok());
            acknowledged = told.unwrap_or(acknowledged);
            if acknowledged > 300 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(acknowledged > 300);
        let found = all(&Reader::open(folder.path()).unwrap());
        assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged}", found.len());
        let kept = found.len() as u64;
        assert_eq!(shown(found), shown((1..=kept).map(reception)), "a hole, or other bytes");
    }
}

/// The process that the test above kills; by itself it has nothing to do.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var("HISTORY_FOLDER") else { return };
    let options = RecorderOptions {
        commit_interval: Duration::from_millis(1),
        batch_max: 50,
        ..RecorderOptions::default()
    };
    let recorder = Recorder::start(folder.as_ref(), options, |batch: Vec<Record>| {
        if let Some(Record::Reception(last)) = batch.last() {
            println!("\ndurable {}", last.seq);
        }
    })
    .unwrap();
    let mut give = recorder.sender();
    for seq in 1..=5_000 {
        assert!(give(record(reception(seq))));
    }
    drop(give);
    drop(recorder);
}

#[test]
fn a_full_queue_sheds_and_counts_and_a_stop_stores_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let (hold, held) = channel::<()>();
    let options = RecorderOptions {
        queue_max: 10,
        batch_max: 1,
        commit_interval: Duration::ZERO,
        ..RecorderOptions::default()
    };
    let recorder = Recorder::start(folder.path(), options, move |batch: Vec<Record>| {
        // The test has what it wants once it lets go; nobody listens after that.
        let _ = tell.send(batch.len());
        // Held up until then: from the other side a stalled disk looks like this.
        let _ = held.recv();
    })
    .unwrap();
    let health = recorder.health();
    let mut give = recorder.sender();
    assert!(give(record(reception(1))));
    told.recv().unwrap();
    let taken = (2..=40).filter(|seq| give(record(reception(*seq)))).count();
    assert_eq!(taken, 10);
    assert_eq!(health.shed.load(Ordering::Relaxed), 29);
    drop((hold, give));
    drop(recorder);
    assert_eq!(all(&Reader::open(folder.path()).unwrap()).len(), 11);
}
