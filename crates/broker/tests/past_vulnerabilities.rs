//! Classes of vulnerability that MQTT brokers have had, each with the test that shows that this one does not have it. The
//! table in docs/limits.md names these tests and those elsewhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod signed_in;

use std::sync::Arc;

use broker::Limits;
use directory::Command;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{ReasonCode, Version};

use signed_in::{Client, HOME, World, client, code, key};

fn with_will(client: &Client, topic: &str, will_delay_s: u32) -> Vec<u8> {
    let will =
        ConnectWill { topic, payload: b"gone", qos: 1, retain: true, properties: Properties::default() };
    let connect = Connect {
        version: Version::V5,
        clean_start: false,
        keep_alive_s: 0,
        client_id: &client.client_id,
        will: Some(will),
        username: Some(client.name),
        password: Some(client.password.reveal().as_bytes()),
        properties: Properties::default(),
    };
    let mut out = Vec::new();
    let expiry = [(id::SESSION_EXPIRY, Value::FourBytes(client.expiry_s))];
    connect.encode(&mut out, &expiry, &[(id::WILL_DELAY, Value::FourBytes(will_delay_s))]);
    out
}

fn has_publish(packets: &[Vec<u8>]) -> bool {
    packets.iter().any(|packet| packet[0] >> 4 == 3)
}

#[test]
fn a_will_is_judged_when_it_is_published() {
    let mut world = World::new(Limits::default());
    let reader = world.join(&client("b", "reader"));
    world.subscribe(reader, "#", 1);
    let id = world.open(HOME).unwrap();
    world.send(id, &with_will(&client("a", "1"), "not/mine", 0));
    assert_eq!(code(&world.read(id)[0]), 0);
    world.lose(id);
    assert!(!has_publish(&world.read(reader)), "`a` may publish below `t` only");
    assert_eq!(world.broker.holdings().retained, 0);
}

#[test]
fn a_will_that_waits_goes_with_the_credential() {
    let mut world = World::new(Limits::default());
    let reader = world.join(&client("b", "reader"));
    world.subscribe(reader, "#", 1);
    let id = world.open(HOME).unwrap();
    world.send(id, &with_will(&client("a", "1"), "t/will", 5));
    world.lose(id);
    let disable = Command::Disable { username: "a".into() };
    world.directory = world.directory.apply(disable, &key(), 0).unwrap().directory;
    world.broker.set_directory(world.now, Arc::new(world.directory.clone()));
    world.wait(10_000);
    assert!(!has_publish(&world.read(reader)));
    assert_eq!(world.broker.holdings().sessions, 1, "the session of `a` is gone too");
}

#[test]
fn a_revoked_client_is_cut_off_and_what_waited_for_it_is_forgotten() {
    let mut world = World::new(Limits::default());
    let (reader, writer) = (world.join(&client("a", "1")), world.join(&client("b", "2")));
    world.subscribe(reader, "t", 1);
    world.publish(writer, "t", 1, false, 10);
    let disable = Command::Disable { username: "a".into() };
    world.directory = world.directory.apply(disable, &key(), 0).unwrap().directory;
    world.broker.set_directory(world.now, Arc::new(world.directory.clone()));
    world.publish(reader, "t/after", 0, true, 10);
    assert_eq!(world.carry_out().len(), 1);
    let holdings = world.broker.holdings();
    assert_eq!((holdings.sessions, holdings.queued_messages, holdings.retained), (1, 0, 0));
    let (_, connack) = world.hello(HOME, &client("a", "1"));
    assert_eq!(code(&connack), ReasonCode::BadUserNameOrPassword.code());
}

#[test]
fn a_session_is_not_given_to_another_users_client() {
    let mut world = World::new(Limits::default());
    let owner = world.join(&client("a", "mine"));
    world.subscribe(owner, "t", 1);
    let (_, connack) = world.hello(HOME, &client("b", "mine"));
    assert_eq!(code(&connack), ReasonCode::ClientIdentifierNotValid.code());
    assert!(world.carry_out().iter().all(|(id, _)| *id != owner), "and its owner stays connected");
    world.lose(owner);
    let (_, connack) = world.hello(HOME, &client("b", "mine"));
    assert_eq!(code(&connack), ReasonCode::ClientIdentifierNotValid.code(), "nor while the owner is away");
}

#[test]
fn wildcards_do_not_match_topics_of_the_broker() {
    let mut world = World::new(Limits { sys_interval_s: 1, ..Limits::default() });
    let reader = world.join(&client("a", "1"));
    for filter in ["#", "+/#", "+/broker/version"] {
        world.subscribe(reader, filter, 0);
    }
    for _ in 0..5 {
        world.wait(2_000);
        assert!(!has_publish(&world.read(reader)));
    }
    world.subscribe(reader, "$SYS/#", 0);
    world.wait(2_000);
    world.publish(reader, "$SYS/broker/version", 0, true, 3);
    assert_eq!(world.broker.holdings().retained, 0, "nor may a client write there");
}

#[test]
fn every_mixture_of_wildcards_that_matches_gives_one_copy() {
    let mut world = World::new(Limits::default());
    let (reader, writer) = (world.join(&client("a", "1")), world.join(&client("b", "2")));
    for mixture in 0..128_u32 {
        let levels: Vec<&str> = (0..7).map(|bit| if mixture >> bit & 1 == 1 { "+" } else { "t" }).collect();
        world.subscribe(reader, &levels.join("/"), 0);
    }
    world.publish(writer, "t/t/t/t/t/t/t", 0, false, 10);
    assert_eq!(world.read(reader).len(), 1);
}

#[test]
fn a_subscribe_with_thousands_of_filters_is_answered_filter_by_filter() {
    let mut world = World::new(Limits { subscriptions_max: 10, ..Limits::default() });
    let id = world.join(&client("a", "1"));
    let filters: Vec<String> = (0..3_000).map(|n| format!("t/{n}")).collect();
    let filters: Vec<(&str, Options)> = filters.iter().map(|f| (f.as_str(), Options::default())).collect();
    let mut out = Vec::new();
    encode_subscribe(&mut out, Version::V5, 1, &filters, &[]);
    world.send(id, &out);
    let suback = world.read(id).remove(0);
    assert_eq!(suback.iter().rev().take(3_000).filter(|code| **code == 0).count(), 10);
    assert_eq!(world.broker.holdings().subscriptions, 10);
}

#[test]
fn properties_that_stand_twice_or_where_they_may_not_end_the_connection_and_leave_nothing() {
    // Property sections: Session Expiry twice, Receive Maximum 0, a PUBLISH property, cut off, longer than the packet.
    for section in [
        &[10, 0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1][..],
        &[3, 0x21, 0, 0],
        &[2, 0x01, 0],
        &[5, 0x11, 0, 0],
        &[0x7f],
    ] {
        let mut world = World::new(Limits::default());
        let id = world.open(HOME).unwrap();
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x3c".to_vec();
        body.extend(section);
        body.extend(b"\x00\x01x");
        let mut packet = vec![0x10, body.len() as u8];
        packet.extend(body);
        world.send(id, &packet);
        assert_eq!(world.carry_out().len(), 1, "{section:?}");
        assert_eq!(world.broker.holdings(), broker::Holdings::default(), "{section:?}");
    }
}
