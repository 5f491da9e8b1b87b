//! What one listener allows holds for its connections and for nobody else's.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::net::IpAddr;
use std::sync::Arc;

use broker::{Broker, ConnectionId, Limits, ListenerRules, Now, Options, Origin};

const START: Now = Now { mono_ms: 1, unix_ms: 1_795_000_000_000 };

fn broker(listeners: Vec<ListenerRules>) -> Broker {
    Broker::new(Options {
        lab: false,
        limits: Limits::default(),
        policy: Default::default(),
        keyring: mesh::keyring::Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        directory: Arc::default(),
        token_key: directory::TokenKey::new([0; 32]),
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: 1,
    })
    .with_listeners(listeners)
}

fn rules(name: &str) -> ListenerRules {
    ListenerRules::of(&Limits::default(), name)
}

fn from(address: &str, listener: u8) -> Origin {
    Origin { address: address.parse::<IpAddr>().unwrap(), listener, certificate_name: None, bridge: None }
}

/// Byte 3 of the CONNACK that answers a CONNECT of 3.1.1 without credentials.
fn connack(broker: &mut Broker, id: ConnectionId) -> u8 {
    broker.receive(START, id, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a");
    broker.outbox(id).unwrap().unsent()[3]
}

#[test]
fn a_full_listener_leaves_the_others_open() {
    let mut broker = broker(vec![rules("wide"), ListenerRules { connections_max: 1, ..rules("narrow") }]);
    let first = broker.open(START, from("10.0.0.1", 1)).unwrap();
    assert!(broker.open(START, from("10.0.0.2", 1)).is_none());
    assert!(broker.open(START, from("10.0.0.2", 0)).is_some());
    broker.closed(START, first, "gone");
    assert!(broker.open(START, from("10.0.0.2", 1)).is_some());
    let listeners = broker.snapshot(START).listeners;
    let seen: Vec<_> = listeners.iter().map(|l| (&*l.name, l.connections, l.opened, l.refused)).collect();
    assert_eq!(seen, [("wide", 1, 1, 0), ("narrow", 1, 2, 1)]);
}

#[test]
fn one_address_has_so_many_connections_and_an_ipv6_network_is_one_address() {
    let limited = ListenerRules { connections_per_address_max: Some(2), ..rules("limited") };
    let mut broker = broker(vec![rules("open"), limited]);
    let ids: Vec<_> = (0..2).map(|_| broker.open(START, from("10.0.0.1", 1)).unwrap()).collect();
    assert!(broker.open(START, from("10.0.0.1", 1)).is_none());
    assert!(broker.open(START, from("10.0.0.2", 1)).is_some());
    assert!(broker.open(START, from("10.0.0.1", 0)).is_some());
    broker.closed(START, ids[0], "gone");
    assert!(broker.open(START, from("10.0.0.1", 1)).is_some());

    assert!(broker.open(START, from("2001:db8::1", 1)).is_some());
    assert!(broker.open(START, from("2001:db8::2", 1)).is_some());
    assert!(broker.open(START, from("2001:db8::3", 1)).is_none());
    assert!(broker.open(START, from("2001:db8:0:1::3", 1)).is_some());
}

#[test]
fn guests_come_only_where_they_are_allowed() {
    let mut broker = broker(vec![rules("local"), ListenerRules { allows_guests: false, ..rules("strict") }]);
    let guest = broker.open(START, from("127.0.0.1", 0)).unwrap();
    assert_eq!(connack(&mut broker, guest), 0);
    let refused = broker.open(START, from("127.0.0.1", 1)).unwrap();
    assert_eq!(connack(&mut broker, refused), 5);
}

#[test]
fn packet_size_and_time_to_connect_are_the_listeners() {
    let strict = ListenerRules { packet_bytes_max: 1_024, connect_timeout_ms: 2_000, ..rules("strict") };
    let mut broker = broker(vec![rules("usual"), strict]);
    for (listener, is_closed) in [(0, false), (1, true)] {
        let id = broker.open(START, from("127.0.0.1", listener)).unwrap();
        assert_eq!(connack(&mut broker, id), 0);
        // The first bytes of a PUBLISH of 2,003 bytes.
        broker.receive(START, id, b"\x30\xd0\x0f");
        let is_closing = std::iter::from_fn(|| broker.next_closing()).any(|(closing, _)| closing == id);
        assert_eq!(is_closing, is_closed, "{listener}");
        broker.closed(START, id, "done");
    }
    let silent = [0, 1].map(|listener| broker.open(START, from("127.0.0.1", listener)).unwrap());
    broker.tick(Now { mono_ms: 4_000, ..START });
    let closing: Vec<_> = std::iter::from_fn(|| broker.next_closing()).collect();
    assert_eq!(closing, [(silent[1], "no CONNECT in time")]);
}
