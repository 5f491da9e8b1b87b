//! Normative statements of MQTT 3.1.1 where it differs from 5.0, or asks for more, each shown by packets.
//! `docs/conformance/mqtt311.tsv` says which test shows which.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::Properties;
use mqtt::publish::{AckKind, PublishOut};
use peers::{Hall, Peer};

fn plain(client_id: &str, clean_start: bool) -> Connect<'_> {
    Connect {
        version: Version::V311,
        clean_start,
        keep_alive_s: 30,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

fn says(hall: &mut Hall, connect: &Connect<'_>) -> (Peer, Vec<Vec<u8>>) {
    let peer = hall.open(Version::V311);
    let mut out = Vec::new();
    connect.encode(&mut out, &[], &[]);
    hall.send(peer, &out);
    let packets = hall.received(peer);
    (peer, packets)
}

#[test]
fn clean_session_is_for_the_connection_and_without_it_the_session_stays() {
    let mut hall = Hall::new(Limits::default());
    let (first, packets) = says(&mut hall, &plain("a", false));
    assert_eq!(packets, [[0x20, 2, 0, 0]]);
    hall.subscribe(first, "x/+", 2);
    let (writer, _) = says(&mut hall, &plain("writer", true));
    hall.send(first, &[0xe0, 0]);
    for level in 0..=2 {
        hall.publish(writer, "x/y", &level.to_string(), level);
        hall.acknowledge(writer, AckKind::Pubrel, 7);
    }
    let (second, packets) = says(&mut hall, &plain("a", false));
    assert_eq!(packets[0], [0x20, 2, 1, 0], "Session Present");
    assert_eq!(packets[1..].iter().map(|p| p[0]).collect::<Vec<_>>(), [0x32, 0x34], "QoS 1 and 2 waited");
    hall.send(second, &[0xe0, 0]);
    let (third, packets) = says(&mut hall, &plain("a", true));
    assert_eq!(packets, [[0x20, 2, 0, 0]], "everything of it is gone");
    hall.send(third, &[0xe0, 0]);
    let (_, packets) = says(&mut hall, &plain("a", false));
    assert_eq!(packets, [[0x20, 2, 0, 0]], "and nothing of the clean one stayed");
}

#[test]
fn retained_messages_outlive_the_session() {
    let mut hall = Hall::new(Limits::default());
    let (writer, _) = says(&mut hall, &plain("writer", true));
    let mut out = Vec::new();
    PublishOut { topic: "x", payload: b"r", retain: true, ..PublishOut::default() }
        .encode(&mut out, Version::V311);
    hall.send(writer, &out);
    hall.send(writer, &[0xe0, 0]);
    let (reader, _) = says(&mut hall, &plain("reader", true));
    hall.send(reader, &[0x82, 6, 0, 1, 0, 1, b'x', 1]);
    let got = hall.got(reader);
    assert_eq!((got[0].retain, got[0].qos, got[0].payload.as_str()), (true, 0, "r"));
    let (writer, _) = says(&mut hall, &plain("writer", true));
    hall.send(writer, &out);
    assert!(!hall.got(reader)[0].retain, "an established subscription gets it without RETAIN");
}

#[test]
fn a_will_is_for_connections_that_end_without_disconnect() {
    for (goodbye, retain) in [(false, false), (false, true), (true, false)] {
        let mut hall = Hall::new(Limits::default());
        let (reader, _) = says(&mut hall, &plain("reader", true));
        hall.subscribe(reader, "will", 1);
        let properties = Properties::default();
        let will = ConnectWill { topic: "will", payload: b"gone", qos: 1, retain, properties };
        let (dying, _) = says(&mut hall, &Connect { will: Some(will), ..plain("dying", true) });
        if goodbye {
            hall.send(dying, &[0xe0, 0]);
        } else {
            hall.lose(dying);
        }
        assert_eq!(hall.payloads(reader).len(), usize::from(!goodbye));
        assert_eq!(hall.broker.snapshot(hall.now).retained, usize::from(retain));
    }
}

#[test]
fn refusals_are_return_codes_and_ill_formed_connects_get_none() {
    let mut hall = Hall::new(Limits::default());
    let (peer, packets) = says(&mut hall, &plain("", false));
    assert_eq!(packets, [[0x20, 2, 0, 2]], "Identifier Rejected");
    assert!(hall.is_closed(peer));
    let (_, packets) = says(&mut hall, &plain("", true));
    assert_eq!(packets, [[0x20, 2, 0, 0]], "a name is made up");
    for (at, byte, answer) in [(8, 3, vec![vec![0x20, 2, 0, 1]]), (9, 3, vec![]), (4, b'X', vec![])] {
        let peer = hall.open(Version::V311);
        let mut out = Vec::new();
        plain("a", true).encode(&mut out, &[], &[]);
        out[at] = byte;
        hall.send(peer, &out);
        assert_eq!(hall.received(peer), answer, "byte {at}");
        assert!(hall.is_closed(peer));
    }
}

#[test]
fn a_second_connection_ends_the_first_without_a_word() {
    let mut hall = Hall::new(Limits::default());
    let (first, _) = says(&mut hall, &plain("a", false));
    let (second, packets) = says(&mut hall, &plain("a", false));
    assert_eq!(packets, [[0x20, 2, 1, 0]]);
    assert!(hall.is_closed(first) && hall.received(first).is_empty(), "3.1.1 has no DISCONNECT from servers");
    // A protocol violation ends it as silently: SUBSCRIBE without a filter.
    hall.send(second, &[0x82, 2, 0, 1]);
    assert!(hall.is_closed(second) && hall.received(second).is_empty());
}

#[test]
fn a_message_that_is_refused_is_acknowledged_all_the_same() {
    let mut hall = Hall::new(Limits::default());
    let (writer, _) = says(&mut hall, &plain("writer", true));
    hall.publish(writer, "$SYS/x", "never", 1);
    assert_eq!(hall.received(writer), [[0x40, 2, 0, 7]], "or it would come for ever");
    hall.publish(writer, "$SYS/x", "never", 2);
    assert_eq!(hall.received(writer), [[0x50, 2, 0, 7]]);
}
