//! Topic Aliases both ways (§ 3.3.2.3.4), over whole connections.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use broker::Limits;
use mqtt::Version;
use mqtt::property::{Value, id};
use mqtt::publish::PublishOut;
use peers::{Hall, Peer};

const TOPIC: &str = "a/topic/that/is/long";

fn publish(hall: &mut Hall, peer: Peer, topic: &str, alias: u16) {
    let publish = PublishOut { topic, alias: Some(alias), payload: b"x", ..PublishOut::default() };
    let mut out = Vec::new();
    publish.encode(&mut out, Version::V5);
    hall.send(peer, &out);
}

#[test]
fn a_client_may_use_numbers_for_its_topics() {
    let mut hall = Hall::new(Limits::default());
    let (writer, reader) = (hall.connect_kept("writer"), hall.connect_kept("reader"));
    hall.subscribe(reader, "#", 0);
    publish(&mut hall, writer, TOPIC, 16);
    publish(&mut hall, writer, "", 16);
    publish(&mut hall, writer, "b", 16);
    publish(&mut hall, writer, "", 16);
    let topics: Vec<String> = hall.got(reader).into_iter().map(|got| got.topic).collect();
    assert_eq!(topics, [TOPIC, TOPIC, "b", "b"]);
    hall.lose(writer);
    let again = hall.connect_kept("writer");
    publish(&mut hall, again, "", 16);
    assert!(hall.is_closed(again), "aliases end with the Network Connection");
}

#[test]
fn a_number_that_stands_for_nothing_ends_the_connection() {
    for (topic, alias) in [("", 1), ("a", 17), ("a", 0)] {
        let mut hall = Hall::new(Limits::default());
        let writer = hall.connect_kept("writer");
        publish(&mut hall, writer, topic, alias);
        let answer = hall.received(writer).remove(0);
        assert_eq!((answer[0], answer[2]), (0xe0, 0x94), "{topic} {alias}");
        assert!(hall.is_closed(writer));
    }
}

#[test]
fn a_client_that_takes_aliases_gets_each_topic_once() {
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect("reader", Version::V5, &[(id::TOPIC_ALIAS_MAXIMUM, Value::TwoBytes(1))]);
    let plain = hall.connect_kept("plain");
    hall.subscribe(reader, "#", 1);
    hall.subscribe(plain, "#", 1);
    let writer = hall.connect_kept("writer");
    for topic in [TOPIC, TOPIC, "another/topic", TOPIC] {
        hall.publish(writer, topic, "x", 1);
    }
    let told: Vec<_> = hall.got(reader).into_iter().map(|got| (got.topic, got.alias)).collect();
    let expected = [(TOPIC, Some(1)), ("", Some(1)), ("another/topic", None), ("", Some(1))];
    assert_eq!(told, expected.map(|(topic, alias)| (topic.to_owned(), alias)));
    assert!(hall.got(plain).iter().all(|got| got.alias.is_none()), "a client that did not ask gets none");
}

#[test]
fn an_alias_never_makes_a_packet_too_large_for_the_client() {
    // PUBLISH at QoS 0 without alias: 2 + (2 + 20) + 1 + payload.
    let bytes_max = u32::try_from(2 + 2 + TOPIC.len() + 1 + 4).unwrap();
    let mut hall = Hall::new(Limits::default());
    let reader = hall.connect(
        "reader",
        Version::V5,
        &[
            (id::TOPIC_ALIAS_MAXIMUM, Value::TwoBytes(9)),
            (id::MAXIMUM_PACKET_SIZE, Value::FourBytes(bytes_max)),
        ],
    );
    hall.subscribe(reader, "#", 0);
    let writer = hall.connect_kept("writer");
    for payload in ["four", "4", "longer than a topic", "too long whichever way it is put"] {
        hall.publish(writer, TOPIC, payload, 0);
    }
    let told: Vec<_> = hall.got(reader).into_iter().map(|got| (got.payload, got.topic, got.alias)).collect();
    let expected = [("four", TOPIC, None), ("4", TOPIC, Some(1)), ("longer than a topic", "", Some(1))];
    assert_eq!(told, expected.map(|(payload, topic, alias)| (payload.to_owned(), topic.to_owned(), alias)));
}

#[test]
fn what_is_sent_again_uses_the_new_connections_aliases() {
    let mut hall = Hall::new(Limits::default());
    let wants = [(id::TOPIC_ALIAS_MAXIMUM, Value::TwoBytes(9)), (id::SESSION_EXPIRY, Value::FourBytes(600))];
    let reader = hall.connect("reader", Version::V5, &wants);
    hall.subscribe(reader, "#", 1);
    let writer = hall.connect_kept("writer");
    hall.publish(writer, TOPIC, "1", 1);
    hall.publish(writer, TOPIC, "2", 1);
    hall.lose(reader);
    let back = hall.connect("reader", Version::V5, &wants);
    let told: Vec<_> = hall.got(back).into_iter().map(|got| (got.topic, got.alias)).collect();
    assert_eq!(told, [(TOPIC.to_owned(), Some(1)), (String::new(), Some(1))]);
}
