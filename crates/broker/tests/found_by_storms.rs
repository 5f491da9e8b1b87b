//! Promises that the simulated storms found broken, each by itself and as small as it can be.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod signed_in;

use broker::{ConnectionId, Limits};
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind};
use mqtt::server_packet::{self, DISCONNECT, ServerPacket};
use mqtt::{ReasonCode, Version, frame};

use signed_in::{HOME, World, client};

/// What a CONNECT of client `1` of service `a` may vary.
#[derive(Default)]
struct Wish {
    expiry_s: u32,
    receive_maximum: Option<u16>,
    packet_bytes_max: Option<u32>,
    has_will: bool,
}

/// Connects without a clean start; returns the connection and whether there was a session.
fn connect(world: &mut World, wish: &Wish) -> (ConnectionId, bool) {
    let service = client("a", "1");
    let will = ConnectWill {
        topic: "t/will",
        payload: b"gone",
        qos: 0,
        retain: false,
        properties: Properties::default(),
    };
    let connect = Connect {
        version: Version::V5,
        clean_start: false,
        keep_alive_s: 0,
        client_id: "1",
        will: wish.has_will.then_some(will),
        username: Some("a"),
        password: Some(service.password.reveal().as_bytes()),
        properties: Properties::default(),
    };
    let mut properties = vec![(id::SESSION_EXPIRY, Value::FourBytes(wish.expiry_s))];
    properties.extend(wish.receive_maximum.map(|n| (id::RECEIVE_MAXIMUM, Value::TwoBytes(n))));
    properties.extend(wish.packet_bytes_max.map(|n| (id::MAXIMUM_PACKET_SIZE, Value::FourBytes(n))));
    let mut out = Vec::new();
    connect.encode(&mut out, &properties, &[]);
    let id = world.open(HOME).unwrap();
    world.send(id, &out);
    // What follows CONNACK stays to be read.
    let unsent = world.broker.outbox(id).unwrap();
    let len = frame::split(unsent.unsent(), u32::MAX).unwrap().unwrap().len;
    let connack = unsent.unsent()[..len].to_vec();
    unsent.advance(len);
    assert_eq!((connack[0], connack[3]), (0x20, 0));
    (id, connack[2] == 1)
}

/// Packet Identifiers of the messages that a client reads.
fn messages(world: &mut World, id: ConnectionId) -> Vec<u16> {
    let packets = world.read(id);
    let packet_id = |packet: &Vec<u8>| {
        let frame = frame::split(packet, u32::MAX).unwrap().unwrap();
        match server_packet::decode(&frame, Version::V5).unwrap() {
            ServerPacket::Publish(publish) => Some(publish.packet_id),
            _ => None,
        }
    };
    packets.iter().filter_map(packet_id).collect()
}

fn puback(world: &mut World, id: ConnectionId, packet_id: u16) {
    let mut out = Vec::new();
    Ack { kind: AckKind::Puback, packet_id, reason: ReasonCode::Success }.encode(&mut out, Version::V5);
    world.send(id, &out);
}

const KEPT: u32 = 600;

#[test]
fn who_said_goodbye_and_is_back_in_the_same_turn_has_no_will() {
    let mut world = World::new(Limits::default());
    let watcher = world.join(&client("b", "watcher"));
    world.subscribe(watcher, "t/will", 0);
    let (id, _) = connect(&mut world, &Wish { expiry_s: KEPT, has_will: true, ..Wish::default() });
    world.send(id, &DISCONNECT);
    connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    world.carry_out();
    assert!(messages(&mut world, watcher).is_empty());
}

#[test]
fn a_session_that_ends_with_its_connection_is_not_there_for_the_next() {
    let mut world = World::new(Limits::default());
    let watcher = world.join(&client("b", "watcher"));
    world.subscribe(watcher, "t/will", 0);
    let (id, _) = connect(&mut world, &Wish { has_will: true, ..Wish::default() });
    world.subscribe(id, "t", 1);
    let (_, is_present) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    assert!(!is_present);
    assert_eq!(world.broker.holdings().subscriptions, 1, "the watcher's");
    assert_eq!(messages(&mut world, watcher).len(), 1, "the Will of the connection that was taken over");
}

#[test]
fn a_smaller_receive_maximum_holds_for_what_is_repeated() {
    let mut world = World::new(Limits::default());
    let writer = world.join(&client("b", "writer"));
    let (id, _) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    world.subscribe(id, "t", 1);
    (0..3).for_each(|_| world.publish(writer, "t", 1, false, 10));
    assert_eq!(messages(&mut world, id), [1, 2, 3]);
    world.lose(id);
    let wish = Wish { expiry_s: KEPT, receive_maximum: Some(1), ..Wish::default() };
    let (id, _) = connect(&mut world, &wish);
    for packet_id in 1..=3 {
        assert_eq!(messages(&mut world, id), [packet_id]);
        puback(&mut world, id, packet_id);
    }
    assert_eq!(world.broker.holdings().queued_messages, 0);
}

#[test]
fn what_is_too_large_for_the_connection_it_is_repeated_on_does_not_block_it() {
    let mut world = World::new(Limits::default());
    let writer = world.join(&client("b", "writer"));
    let (id, _) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    world.subscribe(id, "t", 1);
    world.publish(writer, "t", 1, false, 1_000);
    assert_eq!(messages(&mut world, id), [1]);
    world.lose(id);
    let wish =
        Wish { expiry_s: KEPT, receive_maximum: Some(1), packet_bytes_max: Some(300), ..Wish::default() };
    let (id, _) = connect(&mut world, &wish);
    assert!(messages(&mut world, id).is_empty());
    world.publish(writer, "t", 1, false, 10);
    assert_eq!(messages(&mut world, id).len(), 1);
}

#[test]
fn what_comes_between_goodbye_and_the_end_of_the_connection_waits_for_the_next() {
    let mut world = World::new(Limits::default());
    let writer = world.join(&client("b", "writer"));
    let (id, _) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    world.subscribe(id, "t", 1);
    world.send(id, &DISCONNECT);
    world.publish(writer, "t", 1, false, 10);
    world.carry_out();
    let (id, is_present) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    assert!(is_present);
    assert_eq!(messages(&mut world, id).len(), 1);
}

#[test]
fn a_reader_that_was_full_of_qos_0_gets_the_qos_1_that_waits_once_it_has_read() {
    let mut world = World::new(Limits { queue_bytes_max: 1_000, ..Limits::default() });
    let writer = world.join(&client("b", "writer"));
    let (id, _) = connect(&mut world, &Wish { expiry_s: KEPT, ..Wish::default() });
    world.subscribe(id, "t", 1);
    (0..3).for_each(|_| world.publish(writer, "t", 0, false, 500));
    world.publish(writer, "t", 1, false, 500);
    assert_eq!(
        messages(&mut world, id),
        [0, 0],
        "so many fit, and nothing is in flight that could be acknowledged"
    );
    world.wait(1_000);
    assert_eq!(messages(&mut world, id), [1]);
}
