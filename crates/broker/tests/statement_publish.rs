//! Normative statements of MQTT 5.0 about PUBLISH and its delivery (§ 3.3–3.7, § 4.3–4.6, § 4.9), each shown by packets.
//! `docs/conformance/mqtt5.tsv` says which test shows which.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use mqtt::property::{Properties, Value, id, put};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::ServerPacket;
use mqtt::subscribe::{Options as Wanted, encode_subscribe};
use mqtt::{ReasonCode, frame, server_packet};
use peers::{Hall, Peer};

fn send(hall: &mut Hall, peer: Peer, publish: PublishOut<'_>) {
    let mut out = Vec::new();
    publish.encode(&mut out, peer.version);
    hall.send(peer, &out);
}

fn qos(qos: u8, packet_id: u16) -> PublishOut<'static> {
    PublishOut { topic: "x", payload: b"x", qos, packet_id, ..PublishOut::default() }
}

fn subscribe(hall: &mut Hall, peer: Peer, filter: &str, wanted: Wanted, identifier: Option<u32>) {
    let mut out = Vec::new();
    let properties: Vec<_> =
        identifier.map(|i| (id::SUBSCRIPTION_IDENTIFIER, Value::Variable(i))).into_iter().collect();
    encode_subscribe(&mut out, peer.version, 9, &[(filter, wanted)], &properties);
    hall.send(peer, &out);
}

/// Looks at the properties of the only PUBLISH among the packets.
fn look<T>(packets: &[Vec<u8>], look: impl FnOnce(Properties<'_>) -> T) -> T {
    let publishes: Vec<_> = packets.iter().filter(|p| p[0] >> 4 == 3).collect();
    assert_eq!(publishes.len(), 1);
    let frame = frame::split(publishes[0], u32::MAX).unwrap().unwrap();
    match server_packet::decode(&frame, Version::V5).unwrap() {
        ServerPacket::Publish(publish) => look(publish.properties),
        other => panic!("not a PUBLISH: {other:?}"),
    }
}

#[test]
fn qos_1_is_acknowledged_each_time() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "x", 0);
    for dup in [false, true] {
        send(&mut hall, writer, PublishOut { dup, ..qos(1, 5) });
        assert_eq!(hall.received(writer), [[0x40, 2, 0, 5]]);
    }
    let got = hall.got(reader);
    assert_eq!(got.len(), 2, "after PUBACK the identifier is free: it is a new message");
    assert!(got.iter().all(|g| !g.dup), "DUP is not passed on");
}

#[test]
fn qos_2_is_passed_on_once() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "x", 0);
    for dup in [false, true, true] {
        send(&mut hall, writer, PublishOut { dup, ..qos(2, 5) });
        assert_eq!(hall.received(writer), [[0x50, 2, 0, 5]]);
    }
    assert_eq!(hall.payloads(reader).len(), 1);
    for _ in 0..2 {
        hall.acknowledge(writer, AckKind::Pubrel, 5);
    }
    let answers = hall.received(writer);
    assert_eq!(answers[0], [0x70, 2, 0, 5]);
    assert_eq!((answers[1][0], answers[1][4]), (0x70, 0x92), "it is not known any more");
    send(&mut hall, writer, qos(2, 5));
    assert_eq!(hall.payloads(reader).len(), 1, "after PUBCOMP it is a new message");
    // A refusal ends the exchange as well.
    for _ in 0..2 {
        send(&mut hall, writer, PublishOut { topic: "$SYS/x", ..qos(2, 6) });
        assert_eq!(hall.received(writer).last().unwrap()[4], 0x87);
    }
}

#[test]
fn what_is_not_acknowledged_is_sent_again_as_it_was_and_in_order() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "#", 2);
    for (topic, level) in [("a", 1), ("b", 2), ("c", 1), ("d", 2), ("e", 1)] {
        hall.publish(writer, topic, topic, level);
        hall.acknowledge(writer, AckKind::Pubrel, 7);
    }
    let first = hall.got(reader);
    assert!(first.iter().all(|g| !g.dup));
    let ids: Vec<u16> = first.iter().map(|g| g.packet_id).collect();
    assert!(ids.iter().all(|i| *i > 0 && ids.iter().filter(|o| *o == i).count() == 1), "each its own");
    hall.acknowledge(reader, AckKind::Puback, ids[0]);
    hall.acknowledge(reader, AckKind::Pubrec, ids[1]);
    assert_eq!(hall.received(reader), [vec![0x62, 2, 0, u8::try_from(ids[1]).unwrap()]]);
    let mut refused = Vec::new();
    let reason = ReasonCode::QuotaExceeded;
    Ack { kind: AckKind::Puback, packet_id: ids[2], reason }.encode(&mut refused, Version::V5);
    hall.send(reader, &refused);
    hall.lose(reader);
    let back = hall.connect_kept("reader");
    let packets = hall.received(back);
    let kinds: Vec<u8> = packets.iter().map(|p| p[0]).collect();
    assert_eq!(kinds, [0x62, 0x3c, 0x3a], "PUBREL alone for what was received, the rest with DUP");
    assert_eq!(packets[0][3], u8::try_from(ids[1]).unwrap());
    let topics: Vec<u8> = packets[1..].iter().map(|p| p[4]).collect();
    assert_eq!(topics, *b"de");
    hall.acknowledge(back, AckKind::Pubcomp, ids[1]);
    assert!(hall.received(back).is_empty());
}

#[test]
fn messages_keep_their_order() {
    for level in 0..=2 {
        let mut hall = Hall::new(Limits::default());
        let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
        hall.subscribe(reader, "x", level);
        for number in 0..20 {
            hall.publish(writer, "x", &number.to_string(), level);
            hall.acknowledge(writer, AckKind::Pubrel, 7);
        }
        let got: Vec<u32> = hall.payloads(reader).iter().map(|p| p.parse().unwrap()).collect();
        assert_eq!(got, (0..20).collect::<Vec<_>>(), "QoS {level}");
    }
}

#[test]
fn no_more_is_sent_than_the_client_takes_at_once() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect("reader", Version::V5, &[(id::RECEIVE_MAXIMUM, Value::TwoBytes(2))]);
    hall.subscribe(reader, "x", 1);
    let writer = hall.connect_kept("writer");
    for number in 0..4 {
        hall.publish(writer, "x", &number.to_string(), 1);
    }
    hall.publish(writer, "x", "at once", 0);
    hall.send(reader, &[0xc0, 0]);
    let packets = hall.received(reader);
    assert_eq!(packets.last().unwrap(), &[0xd0, 0], "other packets do not wait");
    assert_eq!(packets.iter().filter(|p| p[0] == 0x32).count(), 2);
    assert_eq!(packets.iter().filter(|p| p[0] == 0x30).count(), 1, "QoS 0 does not count");
    hall.acknowledge(reader, AckKind::Puback, 1);
    assert_eq!(hall.payloads(reader), ["2"]);
}

#[test]
fn a_client_that_sends_more_than_it_may_is_told_and_cut_off() {
    let mut hall = Hall::new(Limits { receive_maximum: 2, ..Limits::default() });
    let writer = hall.connect_kept("writer");
    for packet_id in 1..=3 {
        send(&mut hall, writer, qos(2, packet_id));
    }
    assert_eq!(hall.received(writer).last().unwrap()[2], 0x93);
    assert!(hall.is_closed(writer));
}

#[test]
fn a_packet_that_is_too_large_counts_as_sent() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect("reader", Version::V5, &[(id::MAXIMUM_PACKET_SIZE, Value::FourBytes(30))]);
    hall.subscribe(reader, "x", 1);
    let writer = hall.connect_kept("writer");
    hall.publish(writer, "x", &"long".repeat(10), 1);
    hall.publish(writer, "x", "short", 1);
    let got = hall.got(reader);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].payload, "short");
    assert_eq!(hall.broker.snapshot(hall.now).clients.iter().map(|c| c.queued).sum::<usize>(), 1);
}

#[test]
fn a_retained_message_is_replaced_kept_and_removed() {
    let mut hall = Hall::new(Limits::default());
    let writer = hall.connect_kept("writer");
    let kept = |hall: &mut Hall| {
        let reader = hall.connect("late", Version::V5, &[]);
        subscribe(hall, reader, "x", Wanted::default(), None);
        let got = hall.got(reader);
        hall.lose(reader);
        assert!(got.iter().all(|g| g.retain));
        got.into_iter().map(|g| g.payload).collect::<Vec<_>>()
    };
    let retained =
        |payload: &'static str| PublishOut { retain: true, payload: payload.as_bytes(), ..qos(0, 0) };
    send(&mut hall, writer, retained("1"));
    assert_eq!(kept(&mut hall), ["1"]);
    send(&mut hall, writer, retained("2"));
    hall.publish(writer, "x", "not retained", 0);
    assert_eq!(kept(&mut hall), ["2"]);
    let reader = hall.connect_kept("reader");
    hall.subscribe(reader, "x", 0);
    hall.received(reader);
    send(&mut hall, writer, retained(""));
    assert_eq!(hall.payloads(reader), [""], "it is passed on like any other");
    assert!(kept(&mut hall).is_empty());
}

#[test]
fn retain_handling_and_retain_as_published_are_the_subscribers() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    send(&mut hall, writer, PublishOut { retain: true, ..qos(0, 0) });
    let handling = |retain_handling| Wanted { retain_handling, ..Wanted::default() };
    for (filter, retain_handling, count) in
        [("x", 2, 0), ("+", 1, 1), ("+", 1, 0), ("#", 0, 1), ("#", 0, 1), ("#", 2, 0)]
    {
        subscribe(&mut hall, reader, filter, handling(retain_handling), None);
        assert_eq!(hall.got(reader).len(), count, "{filter} {retain_handling}");
    }
    let reader = hall.connect_kept("other");
    for (retain_as_published, retain, told) in
        [(false, true, false), (true, true, true), (true, false, false)]
    {
        let wanted = Wanted { retain_as_published, retain_handling: 2, ..Wanted::default() };
        subscribe(&mut hall, reader, "x", wanted, None);
        hall.received(reader);
        send(&mut hall, writer, PublishOut { retain, ..qos(0, 0) });
        assert_eq!(hall.got(reader)[0].retain, told);
    }
}

#[test]
fn properties_travel_unaltered_and_in_order() {
    let mut shared = Vec::new();
    put(&mut shared, id::PAYLOAD_FORMAT, Value::Byte(1));
    put(&mut shared, id::CONTENT_TYPE, Value::Text("text/plain"));
    put(&mut shared, id::RESPONSE_TOPIC, Value::Text("answers/to"));
    put(&mut shared, id::CORRELATION_DATA, Value::Binary(&[0, 1, 2]));
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "1")] {
        put(&mut shared, id::USER_PROPERTY, Value::Pair(name, value));
    }
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "x", 0);
    send(&mut hall, writer, PublishOut { shared_properties: &shared, ..qos(0, 0) });
    let packets = hall.received(reader);
    look(&packets, |got| {
        let mut again = Vec::new();
        got.iter().for_each(|(id, value)| put(&mut again, id, value));
        assert_eq!(again, shared);
    });
}

#[test]
fn a_message_expires_while_it_waits_and_says_how_long_it_has_left() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "x", 1);
    hall.lose(reader);
    send(&mut hall, writer, PublishOut { expiry_s: Some(5), ..qos(1, 1) });
    send(&mut hall, writer, PublishOut { expiry_s: Some(20), ..qos(1, 2) });
    hall.wait(8_000);
    let back = hall.connect_kept("reader");
    let packets = hall.received(back);
    look(&packets, |got| assert_eq!(got.number(id::MESSAGE_EXPIRY), Some(12)));
    // What was sent once is sent again although its time is over.
    hall.lose(back);
    hall.wait(20_000);
    let back = hall.connect_kept("reader");
    assert_eq!(hall.got(back).len(), 1);
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_the_highest_qos_and_every_identifier() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    for (filter, level, identifier) in [("x", 0, Some(1)), ("+", 2, Some(300)), ("#", 1, None)] {
        subscribe(&mut hall, reader, filter, Wanted { qos: level, ..Wanted::default() }, identifier);
    }
    hall.received(reader);
    send(&mut hall, writer, qos(2, 1));
    let packets = hall.received(reader);
    assert_eq!(packets[0][0] >> 1 & 3, 2);
    let mut identifiers = look(&packets, |got| {
        let all = got.iter().filter(|(id, _)| *id == id::SUBSCRIPTION_IDENTIFIER);
        all.map(|(_, value)| value)
            .filter_map(|v| if let Value::Variable(i) = v { Some(i) } else { None })
            .collect::<Vec<_>>()
    });
    identifiers.sort_unstable();
    assert_eq!(identifiers, [1, 300]);
    // A client does not send one.
    hall.send(writer, &[0x30, 7, 0, 1, b'x', 2, 0x0b, 1, b'x']);
    assert_eq!(hall.received(writer).last().unwrap()[2], 0x82);
}
