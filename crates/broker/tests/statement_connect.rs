//! Normative statements of MQTT 5.0 about connecting, sessions and Wills (§ 3.1, § 3.2, § 3.14, § 4.1), each shown by
//! packets. `docs/conformance/mqtt5.tsv` says which test shows which.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use peers::{Hall, Peer};

const KEPT: [(u32, Value<'_>); 1] = [(id::SESSION_EXPIRY, Value::FourBytes(100))];

fn plain(client_id: &str) -> Connect<'_> {
    Connect {
        version: Version::V5,
        clean_start: false,
        keep_alive_s: 30,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

fn with_will(client_id: &str, retain: bool) -> Connect<'_> {
    let properties = Properties::default();
    let will = ConnectWill { topic: "will", payload: b"gone", qos: 1, retain, properties };
    Connect { will: Some(will), ..plain(client_id) }
}

/// Sends a CONNECT and returns what came, CONNACK first.
fn says(
    hall: &mut Hall,
    connect: &Connect<'_>,
    properties: &[(u32, Value<'_>)],
    will: &[(u32, Value<'_>)],
) -> (Peer, Vec<Vec<u8>>) {
    let peer = hall.open(connect.version);
    let mut out = Vec::new();
    connect.encode(&mut out, properties, will);
    hall.send(peer, &out);
    let packets = hall.received(peer);
    (peer, packets)
}

fn session_present(packets: &[Vec<u8>]) -> bool {
    assert_eq!((packets[0][0], packets[0][3]), (0x20, 0), "CONNACK that says yes");
    assert_eq!(packets[0][2] & 0xfe, 0, "reserved Connect Acknowledge Flags");
    packets[0][2] == 1
}

#[test]
fn the_first_packet_is_connect_and_no_other_is() {
    for first in [&[0xc0u8, 0][..], &[0x30, 4, 0, 1, b'a', 0], &[0xe0, 0], &[0xf0, 0], &[0x20, 3, 0, 0, 0]] {
        let mut hall = Hall::new(Limits::default());
        let peer = hall.open(Version::V5);
        hall.send(peer, first);
        assert!(hall.is_closed(peer) && hall.received(peer).is_empty(), "{first:x?}");
    }
    let mut hall = Hall::new(Limits::default());
    let (peer, packets) = says(&mut hall, &plain("a"), &[], &[]);
    assert_eq!(packets.len(), 1, "one CONNACK and nothing before it");
    let mut again = Vec::new();
    plain("a").encode(&mut again, &[], &[]);
    hall.send(peer, &again);
    assert_eq!(hall.received(peer), [peers::disconnect(0x82, "a second CONNECT")]);
    assert!(hall.is_closed(peer));
}

#[test]
fn a_session_goes_on_unless_the_client_begins_anew() {
    let mut hall = Hall::new(Limits::default());
    let clean = |clean_start| Connect { clean_start, ..plain("a") };
    let (first, packets) = says(&mut hall, &clean(false), &KEPT, &[]);
    assert!(!session_present(&packets), "there was none");
    hall.subscribe(first, "x", 1);
    hall.lose(first);
    let writer = hall.connect("writer", Version::V5, &[]);
    hall.publish(writer, "x", "1", 1);
    let (second, packets) = says(&mut hall, &clean(false), &KEPT, &[]);
    assert!(session_present(&packets));
    assert_eq!(packets.len(), 2, "and what waited comes");
    hall.publish(writer, "x", "2", 0);
    assert_eq!(hall.payloads(second), ["2"], "while connected nothing of it is forgotten");
    let (third, packets) = says(&mut hall, &clean(true), &KEPT, &[]);
    assert!(!session_present(&packets));
    hall.publish(writer, "x", "3", 0);
    assert!(hall.payloads(third).is_empty(), "the subscription went with the old session");
}

#[test]
fn a_session_is_kept_for_its_expiry_and_no_longer() {
    let mut hall = Hall::new(Limits::default());
    for (wait_ms, is_there) in [(99_000, true), (101_000, false)] {
        let (peer, _) = says(&mut hall, &plain("a"), &KEPT, &[]);
        hall.lose(peer);
        hall.wait(wait_ms);
        let (back, packets) = says(&mut hall, &plain("a"), &KEPT, &[]);
        assert_eq!(session_present(&packets), is_there, "{wait_ms}");
        hall.lose(back);
        hall.wait(200_000);
    }
    let (peer, _) = says(&mut hall, &plain("b"), &[], &[]);
    hall.lose(peer);
    let (_, packets) = says(&mut hall, &plain("b"), &[], &[]);
    assert!(!session_present(&packets), "no interval is 0");
}

#[test]
fn a_disconnect_changes_the_expiry_but_revives_nothing() {
    let mut hall = Hall::new(Limits::default());
    let (peer, _) = says(&mut hall, &plain("a"), &KEPT, &[]);
    hall.send(peer, &[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]);
    let (peer, packets) = says(&mut hall, &plain("a"), &[], &[]);
    assert!(!session_present(&packets), "it was to end at once");
    hall.send(peer, &[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9]);
    assert_eq!(hall.received(peer)[0][2], 0x82);
}

#[test]
fn a_will_is_published_when_a_connection_is_lost_and_not_after_a_goodbye() {
    for (retain, goodbye, published) in [
        (false, None, true),
        (true, None, true),
        (false, Some([0xe0, 1, 0x04]), true),
        (false, Some([0xe0, 1, 0x00]), false),
    ] {
        let mut hall = Hall::new(Limits::default());
        let reader = hall.connect_kept("reader");
        hall.subscribe(reader, "will", 1);
        let (peer, _) = says(&mut hall, &with_will("a", retain), &[], &[]);
        match goodbye {
            Some(packet) => hall.send(peer, &packet),
            None => hall.lose(peer),
        }
        assert_eq!(hall.payloads(reader).len(), usize::from(published), "{goodbye:?}");
        assert_eq!(hall.broker.snapshot(hall.now).retained, usize::from(retain && published));
        let (again, _) = says(&mut hall, &plain("a"), &[], &[]);
        hall.lose(again);
        assert!(hall.payloads(reader).is_empty(), "it is published once");
    }
}

#[test]
fn a_will_waits_and_is_not_sent_when_its_client_comes_back() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect_kept("reader");
    hall.subscribe(reader, "will", 1);
    let delay = [(id::WILL_DELAY, Value::FourBytes(10))];
    for (comes_back, published) in [(true, 0), (false, 1)] {
        let (peer, _) = says(&mut hall, &with_will("a", false), &KEPT, &delay);
        hall.lose(peer);
        hall.wait(9_000);
        assert!(hall.payloads(reader).is_empty(), "not before its time");
        if comes_back {
            says(&mut hall, &plain("a"), &KEPT, &[]);
        }
        hall.wait(2_000);
        assert_eq!(hall.payloads(reader).len(), published);
    }
    let (peer, _) = says(&mut hall, &with_will("ends", false), &[], &delay);
    hall.lose(peer);
    assert_eq!(hall.payloads(reader), ["gone"], "the session ends first, so it is due");
}

#[test]
fn silence_ends_the_connection_as_if_the_network_had() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect_kept("reader");
    hall.subscribe(reader, "will", 1);
    let (peer, _) = says(&mut hall, &with_will("a", false), &[], &[]);
    hall.wait(29_000);
    hall.send(reader, &[0xc0, 0]);
    hall.send(peer, &[0xc0, 0]);
    assert_eq!(hall.received(peer), [[0xd0, 0]], "PINGREQ is answered and counts");
    hall.wait(44_000);
    assert!(!hall.is_closed(peer), "one and a half times 30 s are not over");
    hall.received(reader);
    hall.send(reader, &[0xc0, 0]);
    hall.wait(2_000);
    assert!(hall.is_closed(peer));
    assert_eq!(hall.received(peer)[0][2], 0x8d);
    assert_eq!(hall.payloads(reader), ["gone"]);
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let mut hall = Hall::new(Limits::default());
    let (first, _) = says(&mut hall, &plain("a"), &KEPT, &[]);
    let (second, packets) = says(&mut hall, &plain("a"), &KEPT, &[]);
    assert!(session_present(&packets));
    assert_eq!(hall.received(first)[0][2], 0x8e);
    assert!(hall.is_closed(first) && !hall.is_closed(second));
}

#[test]
fn names_of_letters_and_digits_are_taken_and_missing_ones_are_made_up() {
    let mut hall = Hall::new(Limits::default());
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for name in [&all[..1], &all[..23], &all[23..46], &all[46..]] {
        session_present(&says(&mut hall, &plain(name), &[], &[]).1);
    }
    let mut made_up = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (_, packets) = says(&mut hall, &plain(""), &KEPT, &[]);
        session_present(&packets);
        let at = packets[0].windows(5).position(|w| w == b"auto-").unwrap();
        let len = usize::from(packets[0][at - 1]);
        let name = String::from_utf8(packets[0][at..at + len].to_vec()).unwrap();
        assert!(hall.broker.snapshot(hall.now).clients.iter().any(|c| *c.client_id == *name));
        assert!(made_up.insert(name), "new each time");
    }
}

#[test]
fn what_follows_a_refused_connect_is_not_looked_at() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect_kept("reader");
    hall.subscribe(reader, "x", 0);
    let peer = hall.open(Version::V311);
    let mut out = Vec::new();
    Connect { version: Version::V311, ..plain("") }.encode(&mut out, &[], &[]);
    out.extend([0x30, 4, 0, 1, b'x', b'!']);
    hall.send(peer, &out);
    assert_eq!(hall.received(peer), [[0x20, 2, 0, 2]], "no Session Present in a refusal");
    assert!(hall.is_closed(peer) && hall.payloads(reader).is_empty());
}

#[test]
fn nothing_is_sent_after_disconnect() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.connect_kept("peer");
    hall.subscribe(peer, "x", 0);
    let writer = hall.connect_kept("writer");
    // A PUBLISH with QoS 3 and a PINGREQ in one piece.
    hall.send(peer, &[0x36, 4, 0, 1, b'x', 0, 0xc0, 0]);
    hall.publish(writer, "x", "1", 0);
    let packets = hall.received(peer);
    assert_eq!((packets.len(), packets[0][0], packets[0][2]), (1, 0xe0, 0x81));
    assert!(hall.is_closed(peer), "and the Network Connection ends");
}
