//! Every limit at the limit: exactly there is accepted, one more is refused or shed, and counted by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod signed_in;

use std::net::IpAddr;
use std::sync::Arc;

use broker::{ConnectionId, Limits, Reached};
use directory::Command;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::Properties;
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{self, PINGREQ, ServerPacket};
use mqtt::{ReasonCode, Version, frame};

use signed_in::{ELSEWHERE, HOME, THIS_MACHINE, World, client, code, key, token};

#[test]
fn connections_in_total() {
    let mut world = World::new(Limits { connections_max: 2, ..Limits::default() });
    let first = world.open(HOME).unwrap();
    assert!(world.open(ELSEWHERE).is_some());
    assert!(world.open(THIS_MACHINE).is_none());
    assert_eq!(world.reached(Reached::Connections), 1);
    world.lose(first);
    assert!(world.open(HOME).is_some());
}

#[test]
fn connections_per_address() {
    let mut world = World::new(Limits { connections_per_address_max: 2, ..Limits::default() });
    let first = world.open(HOME).unwrap();
    assert!(world.open(HOME).is_some());
    assert!(world.open(HOME).is_none());
    assert_eq!(world.reached(Reached::ConnectionsPerAddress), 1);
    assert!(world.open(ELSEWHERE).is_some(), "others are not concerned");
    (0..10).for_each(|_| assert!(world.open(THIS_MACHINE).is_some(), "a proxy on this machine is exempt"));
    world.lose(first);
    assert!(world.open(HOME).is_some());
}

#[test]
fn connections_per_credential_and_takeovers_make_room_for_themselves() {
    let mut world = World::new(Limits { connections_per_credential_max: 2, ..Limits::default() });
    let first = world.join(&client("a", "1"));
    world.join(&client("a", "2"));
    let (_, connack) = world.hello(HOME, &client("a", "3"));
    assert_eq!(code(&connack), ReasonCode::QuotaExceeded.code());
    assert_eq!(world.reached(Reached::ConnectionsPerCredential), 1);
    world.join(&client("a", "2"));
    world.join(&client("b", "3"));
    world.lose(first);
    world.join(&client("a", "4"));
}

#[test]
fn connect_rate_of_everybody() {
    let mut world = World::new(Limits { connects_per_second_max: 5, ..Limits::default() });
    let let_in =
        |world: &mut World| (0..50_u8).filter(|n| world.open(IpAddr::from([10, 0, 0, *n])).is_some()).count();
    assert_eq!(let_in(&mut world), 10, "two seconds' worth at once");
    assert_eq!(world.reached(Reached::ConnectRate), 40);
    world.wait(1_000);
    assert_eq!(let_in(&mut world), 5);
}

#[test]
fn connect_rate_of_one_address() {
    let limits = Limits { connects_per_address_per_minute_max: 3, ..Limits::default() };
    let mut world = World::new(limits);
    let come_and_go = |world: &mut World, address| match world.open(address) {
        Some(id) => {
            world.lose(id);
            true
        }
        None => false,
    };
    assert!((0..3).all(|_| come_and_go(&mut world, HOME)));
    assert!(!come_and_go(&mut world, HOME));
    assert_eq!(world.reached(Reached::ConnectRatePerAddress), 1);
    assert!(come_and_go(&mut world, ELSEWHERE));
    assert!((0..100).all(|_| come_and_go(&mut world, THIS_MACHINE)));
    world.wait(20_000);
    assert!(come_and_go(&mut world, HOME));
    assert!(!come_and_go(&mut world, HOME));
}

#[test]
fn time_to_connect() {
    let mut world = World::new(Limits { connect_timeout_ms: 5_000, ..Limits::default() });
    let id = world.open(HOME).unwrap();
    world.send(id, &client("a", "1").connect()[..10]);
    world.wait(5_000);
    assert_eq!(world.carry_out(), []);
    world.wait(1_000);
    assert_eq!(world.carry_out(), [(id, "no CONNECT in time")]);
    assert_eq!(world.broker.snapshot(world.now).counters.timed_out, 1);
}

#[test]
fn half_open_connections_end_with_their_keep_alive() {
    let mut world = World::new(Limits { keep_alive_max_s: 60, ..Limits::default() });
    // Keep Alive 0 is none for the client; the broker holds it to the longest there is.
    let id = world.join(&client("a", "1"));
    world.wait(90_000);
    assert_eq!(world.carry_out(), []);
    world.wait(1_000);
    assert_eq!(world.carry_out(), [(id, "keep-alive time passed")]);
    assert_eq!(world.broker.snapshot(world.now).counters.timed_out, 1);
}

#[test]
fn bytes_before_sign_in_and_after() {
    let connect = client("a", "1").connect();
    let limits = Limits {
        connect_bytes_max: connect.len() as u32,
        packet_bytes_max: 500,
        queue_bytes_max: 10_000,
        ..Limits::default()
    };
    let mut world = World::new(limits);
    let id = world.join(&client("a", "1"));
    world.publish(id, "t", 0, false, 500 - 2 - 1 - 1 - 3);
    assert_eq!(world.carry_out(), []);
    world.publish(id, "t", 0, false, 500 - 2 - 1 - 1 - 3 + 1);
    assert_eq!(world.carry_out().len(), 1);
    let id = world.open(HOME).unwrap();
    world.send(id, &client("a", "12").connect()[..2]);
    assert_eq!(world.carry_out().len(), 1, "refused when its length is known, before it is buffered");
    let other = world.open(HOME).unwrap();
    world.send(other, &[0x30, 0x7f]);
    assert_eq!(world.carry_out().len(), 1, "whoever does not begin with CONNECT is not listened to");
    assert_eq!(world.broker.holdings().partial_bytes, 0);
}

#[test]
fn unfinished_packets_of_everybody_together() {
    let mut world = World::new(Limits { partial_bytes_max: 1_000, ..Limits::default() });
    // CONNECTs that announce 600 bytes and never end.
    let beginning = |bytes: usize| [vec![0x10, 0xd8, 0x04], vec![0; bytes - 3]].concat();
    let (one, two) = (world.open(HOME).unwrap(), world.open(ELSEWHERE).unwrap());
    world.send(one, &beginning(500));
    world.send(two, &beginning(500));
    assert_eq!((world.carry_out().len(), world.broker.holdings().partial_bytes), (0, 1_000));
    world.send(two, &[0]);
    assert_eq!(world.carry_out(), [(two, "too many unfinished packets")]);
    assert_eq!(world.reached(Reached::PartialBytes), 1);
    assert_eq!(world.broker.holdings().partial_bytes, 500);
}

#[test]
fn topics_have_a_length_and_levels() {
    let mut world = World::new(Limits { topic_bytes_max: 20, topic_levels_max: 3, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    for (topic, is_taken) in
        [("t/34567890123456789", true), ("t/345678901234567890a", false), ("t/a/b", true), ("t/a/b/c", false)]
    {
        let id = world.join(&client("a", "1"));
        world.carry_out();
        assert_eq!(world.subscribe(id, topic, 0) < 0x80, is_taken, "{topic}");
        world.publish(id, topic, 0, false, 1);
        assert_eq!(world.carry_out().is_empty(), is_taken, "{topic}");
    }
    assert_eq!(world.reached(Reached::Topic), 4);
    assert!(world.broker.outbox(id).is_none());
}

#[test]
fn a_topic_of_nothing_but_slashes_is_counted_not_walked() {
    let mut world = World::new(Limits { topic_bytes_max: 65_535, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    let deep = "t/".repeat(30_000);
    assert!(world.subscribe(id, &deep, 0) >= 0x80);
    world.publish(id, &deep, 0, false, 1);
    assert_eq!(world.carry_out().len(), 1);
}

#[test]
fn subscriptions_of_one_client_and_of_all() {
    let mut world =
        World::new(Limits { subscriptions_max: 2, subscriptions_total_max: 3, ..Limits::default() });
    let (one, two) = (world.join(&client("a", "1")), world.join(&client("b", "2")));
    assert_eq!([world.subscribe(one, "x", 1), world.subscribe(one, "y", 1)], [1, 1]);
    assert_eq!(world.subscribe(one, "z", 1), ReasonCode::QuotaExceeded.code());
    assert_eq!(world.subscribe(one, "x", 0), 0, "a filter it has already may change");
    assert_eq!(world.subscribe(two, "x", 1), 1);
    assert_eq!(world.subscribe(two, "y", 1), ReasonCode::QuotaExceeded.code());
    assert_eq!(world.reached(Reached::Subscriptions), 2);
}

#[test]
fn sessions_of_connected_and_absent_clients() {
    let mut world = World::new(Limits { sessions_max: 2, ..Limits::default() });
    let gone = world.join(&client("a", "1"));
    world.lose(gone);
    world.join(&client("a", "2"));
    let (_, connack) = world.hello(HOME, &client("a", "3"));
    assert_eq!(code(&connack), ReasonCode::QuotaExceeded.code());
    assert_eq!(world.reached(Reached::Sessions), 1);
    world.join(&client("a", "1"));
}

#[test]
fn messages_that_wait_for_one_client() {
    let mut world = World::new(Limits { queue_messages_max: 3, ..Limits::default() });
    let (reader, writer) = (world.join(&client("a", "1")), world.join(&client("b", "2")));
    world.subscribe(reader, "t", 1);
    world.lose(reader);
    (0..4).for_each(|_| world.publish(writer, "t", 1, false, 10));
    assert_eq!(world.broker.holdings().queued_messages, 3);
    assert_eq!(world.broker.snapshot(world.now).counters.dropped, 1);
}

#[test]
fn bytes_that_wait_for_one_client() {
    let mut world = World::new(Limits { queue_bytes_max: 101, ..Limits::default() });
    let (reader, writer) = (world.join(&client("a", "1")), world.join(&client("b", "2")));
    world.subscribe(reader, "t", 1);
    world.lose(reader);
    world.publish(writer, "t", 1, false, 100);
    assert_eq!(world.broker.holdings().queued_bytes, 101);
    world.publish(writer, "t", 1, false, 1);
    assert_eq!(world.broker.holdings().queued_messages, 1);
    assert_eq!(world.broker.snapshot(world.now).counters.dropped, 1);
}

#[test]
fn incoming_qos2_messages_that_are_not_released() {
    let mut world = World::new(Limits { receive_maximum: 2, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    for packet_id in 1..=3 {
        let publish = PublishOut { qos: 2, topic: "t", packet_id, ..PublishOut::default() };
        let mut out = Vec::new();
        publish.encode(&mut out, Version::V5);
        world.send(id, &out);
        assert_eq!(world.broker.holdings().incoming_qos2, usize::from(packet_id.min(2)));
    }
    assert_eq!(world.carry_out().len(), 1, "Receive Maximum exceeded");
}

#[test]
fn packet_identifiers_that_nobody_sent_leave_nothing_behind() {
    let mut world = World::new(Limits::default());
    let id = world.join(&client("a", "1"));
    for packet_id in 1..=1_000 {
        for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
            let mut out = Vec::new();
            Ack { kind, packet_id, reason: ReasonCode::Success }.encode(&mut out, Version::V5);
            world.send(id, &out);
        }
        world.read(id);
    }
    let holdings = world.broker.holdings();
    assert_eq!((holdings.queued_messages, holdings.incoming_qos2, holdings.outbox_bytes), (0, 0, 0));
}

#[test]
fn retained_messages_and_their_bytes() {
    let mut world = World::new(Limits { retained_max: 2, retained_bytes_max: 206, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    world.publish(id, "t/a", 0, true, 100);
    world.publish(id, "t/b", 0, true, 100);
    assert_eq!(world.broker.holdings().retained_bytes, 206, "exactly at the limit");
    world.publish(id, "t/b", 0, true, 101);
    world.publish(id, "t/c", 0, true, 1);
    assert_eq!((world.broker.holdings().retained, world.broker.holdings().retained_bytes), (2, 206));
    assert_eq!(world.reached(Reached::Retained), 2);
}

#[test]
fn answers_that_are_not_read() {
    let mut world = World::new(Limits { queue_bytes_max: 1_000, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    (0..1_000).for_each(|_| world.send(id, &PINGREQ));
    assert_eq!((world.carry_out().len(), world.broker.holdings().outbox_bytes), (0, 2_000));
    world.send(id, &PINGREQ);
    assert_eq!(world.carry_out(), [(id, "does not read the answers it asks for")]);
    assert_eq!(world.reached(Reached::UnreadAnswers), 1);
}

#[test]
fn memory_in_all_takes_from_the_absent_first_and_the_longest_away_before_others() {
    let mut world = World::new(Limits { memory_bytes_max: 100_000, ..Limits::default() });
    let writer = world.join(&client("b", "writer"));
    for name in ["first", "second"] {
        let id = world.join(&client("a", name));
        world.subscribe(id, "t", 1);
        world.lose(id);
        world.wait(1_000);
    }
    let present = world.join(&client("c", "present"));
    world.subscribe(present, "t", 1);
    for _ in 0..200 {
        world.publish(writer, "t", 1, false, 1_000);
        world.read(writer);
        let mut acks = Vec::new();
        for packet in world.read(present) {
            let frame = frame::split(&packet, u32::MAX).unwrap().unwrap();
            if let ServerPacket::Publish(publish) = server_packet::decode(&frame, Version::V5).unwrap() {
                let reason = ReasonCode::Success;
                Ack { kind: AckKind::Puback, packet_id: publish.packet_id, reason }
                    .encode(&mut acks, Version::V5);
            }
        }
        world.send(present, &acks);
    }
    let snapshot = world.broker.snapshot(world.now);
    let of = |name: &str| snapshot.clients.iter().find(|c| &*c.client_id == name).unwrap().clone();
    assert!(world.broker.holdings().queued_bytes <= 100_000);
    assert!(of("first").queued < of("second").queued, "{} {}", of("first").queued, of("second").queued);
    assert_eq!((of("present").messages_out, of("present").dropped), (200, 0), "who reads loses nothing");
    assert!(world.reached(Reached::MemoryQueued) > 0);
    assert_eq!(world.reached(Reached::MemoryReader), 0);
}

#[test]
fn memory_in_all_then_takes_the_slowest_readers_and_lets_nobody_in() {
    let limits = Limits { memory_bytes_max: 200_000, queue_bytes_max: 150_000, ..Limits::default() };
    let mut world = World::new(limits);
    let writer = world.join(&client("b", "writer"));
    let frozen: Vec<ConnectionId> = (0..4).map(|n| world.join(&client("a", format!("frozen {n}")))).collect();
    let reading = world.join(&client("c", "reading"));
    for id in &frozen {
        world.subscribe(*id, "t", 0);
    }
    world.subscribe(reading, "t", 0);
    let mut delivered = 0;
    for round in 0..500 {
        world.publish(writer, "t", 0, false, 1_000);
        delivered += world.read(reading).len();
        if round % 50 == 0 {
            world.wait(1_000);
        }
        let holdings = world.broker.holdings();
        assert!(holdings.outbox_bytes <= 200_000 + 200_000 / 64 + 10_000, "{holdings:?}");
        world.carry_out();
    }
    assert_eq!(delivered, 500, "who reads loses nothing");
    assert!(world.reached(Reached::MemoryReader) + world.reached(Reached::MemoryQos0) > 0);
}

#[test]
fn memory_in_all_is_bounded_where_clients_read_and_never_acknowledge() {
    let limits = Limits { memory_bytes_max: 200_000, receive_maximum: 2, ..Limits::default() };
    let mut world = World::new(limits);
    let writer = world.join(&client("b", "writer"));
    let silent: Vec<ConnectionId> = (0..4).map(|n| world.join(&client("a", format!("silent {n}")))).collect();
    silent.iter().for_each(|id| assert_eq!(world.subscribe(*id, "t", 1), 1));
    for _ in 0..500 {
        world.publish(writer, "t", 1, false, 1_000);
        world.read(writer);
        silent.iter().for_each(|id| drop(world.read(*id)));
        world.carry_out();
        let holdings = world.broker.holdings();
        assert!(holdings.queued_bytes <= 200_000 + 200_000 / 64 + 5_000, "{holdings:?}");
    }
    assert!(world.reached(Reached::MemoryReader) > 0 && world.reached(Reached::MemoryQueued) > 0);
    assert_eq!(world.broker.holdings().sessions, 5, "nobody's session is gone");
}

#[test]
fn without_memory_nobody_is_let_in_and_nothing_more_is_retained() {
    let limits = Limits { memory_bytes_max: 1_000, ..Limits::default() };
    let mut world = World::new(limits);
    let writer = world.join(&client("b", "writer"));
    (0..100).for_each(|n| world.publish(writer, &format!("t/{n}"), 0, true, 90));
    let holdings = world.broker.holdings();
    assert!(holdings.retained_bytes <= 1_100 && holdings.retained >= 9, "{holdings:?}");
    assert!(world.open(ELSEWHERE).is_none());
    assert!(world.reached(Reached::MemoryRefused) > 1);
    (0..100).for_each(|n| world.publish(writer, &format!("t/{n}"), 0, true, 0));
    world.wait(1_000);
    assert!(world.open(ELSEWHERE).is_some(), "as soon as there is room");
}

#[test]
fn wrong_passwords_make_wait_but_not_the_owner_at_home() {
    let mut world = World::new(Limits { sign_in_free_tries: 3, ..Limits::default() });
    let owner = world.join(&client("a", "1"));
    for _ in 0..3 {
        let (_, connack) = world.hello(ELSEWHERE, &client("a", "2").guessing());
        assert_eq!(code(&connack), ReasonCode::BadUserNameOrPassword.code());
    }
    let (_, connack) = world.hello(ELSEWHERE, &client("a", "2"));
    assert_eq!(code(&connack), ReasonCode::ConnectionRateExceeded.code(), "even the right one has to wait");
    assert_eq!(world.reached(Reached::SignInWait), 1);
    world.lose(owner);
    world.join(&client("a", "1"));
    let (_, connack) = world.hello(ELSEWHERE, &client("b", "3"));
    assert_eq!(code(&connack), ReasonCode::ConnectionRateExceeded.code(), "the address waits for every name");
    world.wait(1_000);
    let (_, connack) = world.hello(ELSEWHERE, &client("a", "2"));
    assert_eq!(code(&connack), 0, "a second later");
}

#[test]
fn connections_without_a_word_count_as_no_try() {
    let mut world = World::new(Limits { sign_in_free_tries: 1, ..Limits::default() });
    for _ in 0..50 {
        let id = world.open(HOME).unwrap();
        world.lose(id);
    }
    world.join(&client("a", "1"));
}

#[test]
fn another_password_from_the_operator_ends_the_wait_of_a_name() {
    let mut world = World::new(Limits { sign_in_free_tries: 2, ..Limits::default() });
    for last in 1..=9 {
        world.hello(IpAddr::from([10, 0, 0, last]), &client("a", "2").guessing());
    }
    let (_, connack) = world.hello(HOME, &client("a", "1"));
    assert_eq!(code(&connack), ReasonCode::ConnectionRateExceeded.code());
    let rotate = Command::Rotate { username: "a".into(), token: token(50) };
    world.directory = world.directory.apply(rotate, &key(), 0).unwrap().directory;
    world.broker.set_directory(world.now, Arc::new(world.directory.clone()));
    let mut renewed = client("a", "1");
    renewed.password = token(50);
    world.join(&renewed);
}

#[test]
fn a_will_does_not_go_around_the_limits_of_topics() {
    let mut world = World::new(Limits { topic_bytes_max: 20, topic_levels_max: 3, ..Limits::default() });
    let service = client("a", "1");
    for topic in ["t/a/b/c/d", "t/345678901234567890a"] {
        let mut out = Vec::new();
        let will =
            ConnectWill { topic, payload: b"x", qos: 0, retain: false, properties: Properties::default() };
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: &service.client_id,
            will: Some(will),
            username: Some(service.name),
            password: Some(service.password.reveal().as_bytes()),
            properties: Properties::default(),
        };
        connect.encode(&mut out, &[], &[]);
        let id = world.open(HOME).unwrap();
        world.send(id, &out);
        let connack = world.read(id).remove(0);
        assert_eq!(code(&connack), ReasonCode::TopicNameInvalid.code(), "{topic}");
    }
}
