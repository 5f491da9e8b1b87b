//! What clients are told beside a number: Reason Strings, Response Information, and when they are left out.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::property::{Properties, Value, id};
use mqtt::publish::PublishOut;
use mqtt::server_packet::ServerPacket;
use mqtt::{Version, frame, server_packet};
use peers::{Hall, Peer, connect};

/// The whole CONNACK's code and properties, given to `look`.
fn connack<T>(hall: &mut Hall, peer: Peer, look: impl FnOnce(u8, Properties<'_>) -> T) -> T {
    let packet = hall.received(peer).remove(0);
    let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
    match server_packet::decode(&frame, peer.version).unwrap() {
        ServerPacket::Connack(connack) => look(connack.code, connack.properties),
        other => panic!("not a CONNACK: {other:?}"),
    }
}

fn says(packet: &[u8], text: &str) -> bool {
    packet.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn every_refusal_says_why_unless_the_client_does_not_want_to_know() {
    for wants in [true, false] {
        let mut hall = Hall::new(Limits { subscriptions_max: 1, ..Limits::default() });
        let asks = [(id::REQUEST_PROBLEM_INFORMATION, Value::Byte(u8::from(wants)))];
        let peer = hall.connect("peer", Version::V5, &asks);
        // SUBSCRIBE to `a` and to `b/#/c`, UNSUBSCRIBE from `+a`, PUBREL of nothing, a message to `$SYS`.
        let mut answers = Vec::new();
        hall.send(peer, &[0x82, 15, 0, 1, 0, 0, 1, b'a', 0, 0, 5, b'b', b'/', b'#', b'/', b'c', 0]);
        answers.extend(hall.received(peer));
        hall.send(peer, &[0xa2, 7, 0, 2, 0, 0, 2, b'+', b'a']);
        answers.extend(hall.received(peer));
        hall.send(peer, &[0x62, 2, 0, 3]);
        answers.extend(hall.received(peer));
        hall.publish(peer, "$SYS/broker/uptime", "never", 1);
        answers.extend(hall.received(peer));
        let sentences =
            ["`b/#/c`: a filter", "`+a`: a filter", "No message with this", "belong to the broker"];
        assert_eq!(answers.len(), sentences.len());
        for ((answer, sentence), kind) in answers.iter().zip(sentences).zip([0x90, 0xb0, 0x70, 0x40]) {
            assert_eq!(answer[0], kind);
            assert_eq!(says(answer, sentence), wants, "{sentence}");
        }
        // DISCONNECT says why all the same. [MQTT-3.1.2-29]
        hall.send(peer, &[0x36, 0]);
        assert!(says(&hall.received(peer)[0], "QoS is 3"));
    }
}

#[test]
fn a_sentence_that_does_not_fit_is_left_out() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.connect("peer", Version::V5, &[(id::MAXIMUM_PACKET_SIZE, Value::FourBytes(40))]);
    assert_eq!(hall.subscribe(peer, "b/#/c", 0), 0x8f, "the code alone");
    hall.publish(peer, "$SYS/x", "never", 1);
    assert_eq!(hall.received(peer), [vec![0x40, 3, 0, 7, 0x87]]);
    let tiny = hall.open(Version::V5);
    hall.send(tiny, &connect("tiny", Version::V5, &[(id::MAXIMUM_PACKET_SIZE, Value::FourBytes(4))]));
    assert!(hall.received(tiny).is_empty() && hall.is_closed(tiny), "not even CONNACK fits");
}

#[test]
fn a_connect_that_breaks_a_rule_is_told_which() {
    let mut hall = Hall::new(Limits::default());
    let peer = hall.open(Version::V5);
    let mut bytes = connect("peer", Version::V5, &[(id::RECEIVE_MAXIMUM, Value::TwoBytes(0))]);
    hall.send(peer, &bytes);
    let why = connack(&mut hall, peer, |code, told| (code, told.text(id::REASON_STRING).map(str::to_owned)));
    assert_eq!(why, (0x82, Some("a property is 0 that must not be".to_owned())));
    assert!(hall.is_closed(peer));
    let old = hall.open(Version::V5);
    bytes = connect("old", Version::V311, &[]);
    bytes[8] = 9; // Protocol Version
    hall.send(old, &bytes);
    let (later, answer) = (old, hall.received(old).remove(0));
    assert_eq!((answer[0], answer[3]), (0x20, 0x84), "[MQTT-3.1.2-2] for what comes after 5.0");
    assert!(hall.is_closed(later));
    let old = hall.open(Version::V311);
    bytes[8] = 0x84; // 3.1.1 with a bridge's mark
    hall.send(old, &bytes);
    assert_eq!(hall.received(old), [vec![0x20, 2, 0, 1]]);
}

#[test]
fn a_topic_for_answers_is_told_to_those_who_ask() {
    for (asked, told) in [(None, None), (Some(0), None), (Some(1), Some("$response/a%2Fb"))] {
        let mut hall = Hall::new(Limits::default());
        let peer = hall.open(Version::V5);
        let wants: Vec<_> =
            asked.map(|v| (id::REQUEST_RESPONSE_INFORMATION, Value::Byte(v))).into_iter().collect();
        hall.send(peer, &connect("a/b", Version::V5, &wants));
        let got = connack(&mut hall, peer, |_, told| told.text(id::RESPONSE_INFORMATION).map(str::to_owned));
        assert_eq!(got.as_deref(), told, "{asked:?}");
    }
}

#[test]
fn connack_tells_what_differs_from_what_was_asked_or_is_usual() {
    let limits =
        Limits { retained_max: 0, keep_alive_max_s: 20, session_expiry_max_s: 60, ..Limits::default() };
    let mut hall = Hall::new(limits);
    let peer = hall.open(Version::V5);
    hall.send(peer, &connect("", Version::V5, &[(id::SESSION_EXPIRY, Value::FourBytes(61))]));
    connack(&mut hall, peer, |code, told| {
        assert_eq!(code, 0);
        assert_eq!(told.number(id::SERVER_KEEP_ALIVE), Some(20));
        assert_eq!(told.number(id::SESSION_EXPIRY), Some(60));
        assert_eq!(told.number(id::RECEIVE_MAXIMUM), Some(100));
        assert_eq!(told.number(id::MAXIMUM_PACKET_SIZE), Some(65_536));
        assert_eq!(told.number(id::TOPIC_ALIAS_MAXIMUM), Some(16));
        assert_eq!(told.number(id::RETAIN_AVAILABLE), Some(0));
        assert!(told.text(id::ASSIGNED_CLIENT_IDENTIFIER).is_some_and(|id| id.starts_with("auto-")));
        for usual in [
            id::MAXIMUM_QOS,
            id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            id::SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            id::SHARED_SUBSCRIPTION_AVAILABLE,
        ] {
            assert_eq!(told.number(usual), None, "all of it is available");
        }
    });
    let publish = PublishOut { topic: "a", retain: true, ..PublishOut::default() };
    let mut out = Vec::new();
    publish.encode(&mut out, Version::V5);
    hall.send(peer, &out);
    assert_eq!(hall.received(peer)[0][2], 0x9a, "[MQTT-3.2.2-14]");
}

#[test]
fn a_publisher_learns_that_nobody_wanted_its_message() {
    let mut hall = Hall::new(Limits::default());
    let (peer, reader) = (hall.connect_kept("peer"), hall.connect_kept("reader"));
    let answers = |hall: &mut Hall, topic: &str| {
        hall.publish(peer, topic, "x", 1);
        hall.received(peer).remove(0)
    };
    assert_eq!(answers(&mut hall, "a"), [0x40, 3, 0, 7, 0x10]);
    hall.subscribe(reader, "$share/g/b", 0);
    assert_eq!(answers(&mut hall, "b"), [0x40, 2, 0, 7]);
    hall.subscribe(reader, "a", 0);
    assert_eq!(answers(&mut hall, "a"), [0x40, 2, 0, 7]);
}
