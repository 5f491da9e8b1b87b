//! `$SYS`: what is told, when, to whom.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use std::collections::BTreeMap;

use broker::Limits;
use mqtt::Version;
use peers::{Got, Hall, Peer};

fn told(got: &[Got]) -> BTreeMap<&str, &str> {
    got.iter().map(|got| (got.topic.as_str(), got.payload.as_str())).collect()
}

fn limits() -> Limits {
    Limits { sys_interval_s: 10, ..Limits::default() }
}

/// Lets an interval pass without anybody's keep-alive ending.
fn interval(hall: &mut Hall, peers: &[Peer]) {
    for peer in peers {
        hall.send(*peer, &[0xc0, 0]);
    }
    hall.wait(10_500);
}

#[test]
fn a_subscriber_gets_everything_once_and_then_what_changes() {
    let mut hall = Hall::new(limits());
    let (reader, writer) = (hall.connect_kept("reader"), hall.connect_kept("writer"));
    interval(&mut hall, &[reader, writer]);
    hall.publish(writer, "a", "12345", 0);
    hall.received(reader);
    interval(&mut hall, &[reader, writer]);
    let mut out = Vec::new();
    mqtt::subscribe::encode_subscribe(&mut out, Version::V5, 9, &[("$SYS/#", Default::default())], &[]);
    hall.send(reader, &out);
    let first = hall.got(reader);
    assert!(first.iter().all(|got| got.retain));
    let values = told(&first);
    for (topic, value) in [
        ("$SYS/broker/clients/connected", "2"),
        ("$SYS/broker/clients/maximum", "2"),
        ("$SYS/broker/clients/disconnected", "0"),
        ("$SYS/broker/publish/messages/received", "1"),
        ("$SYS/broker/publish/bytes/received", "5"),
        ("$SYS/broker/retained messages/count", "0"),
        ("$SYS/broker/subscriptions/count", "0"),
        ("$SYS/broker/store/messages/count", "0"),
        ("$SYS/backhaul/sign-ins/refused", "0"),
    ] {
        assert_eq!(values.get(topic), Some(&value), "{topic}");
    }
    assert!(values["$SYS/broker/version"].starts_with("Backhaul "));
    assert!(values["$SYS/broker/uptime"].ends_with(" seconds"));
    assert!(values["$SYS/broker/load/publish/received/1min"].parse::<f64>().unwrap() > 0.0);
    hall.subscribe(writer, "$share/g/x", 0);
    hall.received(reader);
    interval(&mut hall, &[reader, writer]);
    let later = hall.got(reader);
    assert!(later.iter().all(|got| !got.retain), "live, not retained");
    let values = told(&later);
    assert_eq!(values.get("$SYS/broker/subscriptions/count"), Some(&"2"));
    assert_eq!(values.get("$SYS/broker/shared_subscriptions/count"), Some(&"1"));
    assert_eq!(values.get("$SYS/broker/version"), None, "only what changed");
}

#[test]
fn what_the_broker_wrote_is_counted_to_the_byte() {
    let mut hall = Hall::new(limits());
    let reader = hall.open(Version::V5);
    let mut taken = peers::connect("reader", Version::V5, &[]).len();
    let mut written = 0;
    hall.send(reader, &peers::connect("reader", Version::V5, &[]));
    for packet in [&[0x82, 7, 0, 1, 0, 0, 1, b'a', 1][..], &[0x32, 7, 0, 1, b'a', 0, 1, 0, b'x'], &[0xc0, 0]]
    {
        hall.send(reader, packet);
        taken += packet.len();
        written += hall.received(reader).iter().map(Vec::len).sum::<usize>();
    }
    let counters = hall.broker.snapshot(hall.now).counters;
    assert_eq!((counters.bytes_in, counters.packets_in), (taken as u64, 4));
    assert_eq!((counters.bytes_out, counters.packets_out), (written as u64, 5));
    assert_eq!((counters.payload_bytes_in, counters.payload_bytes_out), (1, 1));
}

#[test]
fn nobody_writes_there_and_it_takes_no_room_from_others() {
    let mut hall = Hall::new(Limits { retained_max: 1, ..limits() });
    let (reader, writer) = (hall.connect_kept("reader"), hall.connect_kept("writer"));
    interval(&mut hall, &[reader, writer]);
    hall.received(writer);
    hall.publish(writer, "$SYS/broker/uptime", "for ever", 1);
    assert_eq!(hall.received(writer)[0][4], 0x87);
    hall.send(writer, &[0x31, 5, 0, 1, b'a', 0, b'x']);
    assert_eq!(hall.broker.snapshot(hall.now).retained, 1);
    hall.subscribe(reader, "#", 0);
    interval(&mut hall, &[reader, writer]);
    assert!(hall.got(reader).iter().all(|got| !got.topic.starts_with('$')), "[MQTT-4.7.2-1]");
}

#[test]
fn an_interval_of_0_is_silence() {
    let mut hall = Hall::new(Limits { sys_interval_s: 0, ..Limits::default() });
    let reader = hall.connect_kept("reader");
    hall.subscribe(reader, "$SYS/#", 0);
    interval(&mut hall, &[reader]);
    assert!(hall.got(reader).is_empty());
}
