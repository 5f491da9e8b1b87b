//! Normative statements of MQTT 5.0 about SUBSCRIBE, UNSUBSCRIBE and topics (§ 3.8–3.11, § 4.7), each shown by packets.
//! `docs/conformance/mqtt5.tsv` says which test shows which.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::publish::AckKind;
use mqtt::server_packet::{self, ServerPacket};
use mqtt::subscribe::{Options as Wanted, encode_subscribe, encode_unsubscribe};
use mqtt::{Version, frame};
use peers::Hall;

#[test]
fn a_subscribe_is_answered_filter_by_filter() {
    for (version, codes) in [(Version::V5, [2, 0, 0x8f, 1]), (Version::V311, [2, 0, 0x80, 1])] {
        let mut hall = Hall::new(Limits::default());
        let peer = hall.connect("peer", version, &[]);
        let wanted = [("a", 2), ("b/+", 0), ("b+", 1), ("#", 1)];
        let wanted = wanted.map(|(filter, qos)| (filter, Wanted { qos, ..Wanted::default() }));
        let mut out = Vec::new();
        encode_subscribe(&mut out, version, 0x1234, &wanted, &[]);
        hall.send(peer, &out);
        let packets = hall.received(peer);
        assert_eq!(packets.len(), 1);
        let frame = frame::split(&packets[0], u32::MAX).unwrap().unwrap();
        match server_packet::decode(&frame, version).unwrap() {
            ServerPacket::Suback(id, got) => assert_eq!((id, got), (0x1234, &codes[..]), "{version:?}"),
            other => panic!("not a SUBACK: {other:?}"),
        }
    }
}

#[test]
fn the_lower_qos_counts() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    for (granted, published) in [(0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)] {
        assert_eq!(hall.subscribe(reader, "x", granted), granted, "granted as asked");
        hall.publish(writer, "x", "x", published);
        hall.acknowledge(writer, AckKind::Pubrel, 7);
        let got = hall.got(reader);
        assert_eq!(got[0].qos, granted.min(published));
    }
}

#[test]
fn the_same_filter_again_replaces_and_brings_retained_messages_again() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.send(writer, &[0x31, 5, 0, 1, b'x', 0, b'r']);
    for _ in 0..2 {
        let mut out = Vec::new();
        encode_subscribe(&mut out, Version::V5, 1, &[("x", Wanted::default())], &[]);
        hall.send(reader, &out);
        assert_eq!(hall.payloads(reader), ["r"]);
    }
    hall.publish(writer, "x", "once", 0);
    assert_eq!(hall.payloads(reader), ["once"]);
    assert_eq!(hall.broker.snapshot(hall.now).subscriptions, 1);
}

#[test]
fn unsubscribing_ends_what_matches_to_the_letter_and_finishes_what_began() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    for filter in ["a/+", "A/+", "b"] {
        hall.subscribe(reader, filter, 2);
    }
    hall.publish(writer, "a/x", "before", 2);
    hall.acknowledge(writer, AckKind::Pubrel, 7);
    let packet_id = hall.got(reader)[0].packet_id;
    let mut out = Vec::new();
    encode_unsubscribe(&mut out, Version::V5, 0x1234, &["a/+", "a/x", "b"]);
    hall.send(reader, &out);
    assert_eq!(hall.received(reader), [[0xb0, 6, 0x12, 0x34, 0, 0, 0x11, 0]]);
    hall.acknowledge(reader, AckKind::Pubrec, packet_id);
    assert_eq!(hall.received(reader)[0][0], 0x62, "the delivery that began goes on");
    for topic in ["a/x", "b", "A/x"] {
        hall.publish(writer, topic, topic, 0);
    }
    assert_eq!(hall.payloads(reader), ["A/x"]);
    let old = hall.connect("old", Version::V311, &[]);
    let mut out = Vec::new();
    encode_unsubscribe(&mut out, Version::V311, 7, &["never/had"]);
    hall.send(old, &out);
    assert_eq!(hall.received(old), [[0xb0, 2, 0, 7]]);
}

#[test]
fn topics_are_compared_as_they_are() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    // The same letters composed and decomposed, and a zero width no-break space.
    for filter in ["caf\u{e9}", "/x", "\u{feff}y"] {
        hall.subscribe(reader, filter, 0);
    }
    for topic in ["caf\u{e9}", "cafe\u{301}", "CAF\u{e9}", "/x", "x", "x/", "\u{feff}y", "y"] {
        hall.publish(writer, topic, "", 0);
    }
    let topics: Vec<String> = hall.got(reader).into_iter().map(|g| g.topic).collect();
    assert_eq!(topics, ["caf\u{e9}", "/x", "\u{feff}y"]);
}

#[test]
fn wildcards_do_not_reach_below_a_dollar() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    for filter in ["#", "+/x", "$own/+"] {
        hall.subscribe(reader, filter, 0);
    }
    hall.publish(writer, "$own/x", "1", 0);
    assert_eq!(hall.got(reader).len(), 1, "by the filter that names it alone");
}
