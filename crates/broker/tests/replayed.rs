//! What was received once and is put back: for observers and services, for no gateway and no other broker.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;
mod signed_in;

use std::sync::Arc;

use broker::{Limits, Options, ReplayedMessage};
use directory::{Directory, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mqtt::Version;
use mqtt::publish::PublishOut;
use peers::{Hall, Peer};
use policy::rule::{RULES, RuleState};
use policy::settings::Settings;
use record::{PolicyChange, Record};
use signed_in::{World, client};

const EAST: u32 = 0x7c5a_0a01;
const WEST: u32 = 0x7c5a_0c03;
const FIELD: u32 = 0x4b00_0001;
const TOPIC: &str = "msh/US/2/e/LongFast/!7c5a0a01";

/// A mesh on which no rule holds anything back.
fn hall() -> Hall {
    let mut settings = Settings::default();
    RULES.iter().for_each(|rule| settings.set_state(rule.id, RuleState::Off));
    Hall::with(Options {
        lab: false,
        limits: Limits::default(),
        policy: Arc::new(settings),
        keyring: Keyring::default(),
        preset: ModemPreset::LongFast,
        directory: Arc::new(Directory::default()),
        token_key: TokenKey::new([0; 32]),
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: 1,
    })
}

fn message(id: u32) -> Vec<u8> {
    let packet = Packet {
        from: NodeNum(FIELD),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 2,
        hop_start: 3,
        rx_rssi: -90,
        ..Packet::default()
    };
    let (port, payload) = text("hello");
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::default_key();
    envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), NodeNum(EAST))
}

fn replayed(topic: &str, payload: &[u8], has_consent: bool) -> ReplayedMessage {
    ReplayedMessage { replay: 3, topic: topic.into(), payload: payload.into(), has_consent }
}

/// Every filter by which a gateway could ask for what is put back.
const ASKED: [&str; 5] =
    ["replay/3/msh/US/2/e/LongFast/+", "msh/US/2/e/LongFast/+", "replay/#", "#", "+/3/msh/US/2/e/LongFast/+"];

#[test]
fn nothing_of_the_past_reaches_a_gateway_whatever_it_asks_for_and_whatever_the_policy_says() {
    let mut hall = hall();
    let east = hall.connect(&NodeNum(EAST).to_string(), Version::V311, &[]);
    let west = hall.connect(&NodeNum(WEST).to_string(), Version::V311, &[]);
    let granted: Vec<u8> = ASKED.iter().map(|filter| hall.subscribe(west, filter, 1)).collect();
    assert_eq!(granted[..2], [1, 1], "as firmware asks, with this root topic");
    let wall = hall.connect("wall", Version::V311, &[]);
    hall.subscribe(wall, "replay/#", 1);

    let bytes = message(5);
    hall.broker.publish_replayed(hall.now, replayed(TOPIC, &bytes, true));
    hall.drain();
    let seen = hall.received(wall);
    assert!(seen.len() == 1 && seen[0].windows(bytes.len()).any(|part| part == bytes), "byte for byte");
    assert!(hall.received(west).is_empty());
    // Neither judged nor recorded.
    let mut recorded = 0;
    hall.broker.take_records(&mut |record| {
        recorded += usize::from(matches!(record, Record::Reception(_) | Record::Release(_)));
    });
    assert_eq!((recorded, hall.broker.snapshot(hall.now).counters.replayed), (0, 1));

    // The same from the mesh does go down: it is not that nothing would.
    publish(&mut hall, east, TOPIC, &bytes);
    assert_eq!(hall.received(west).len(), 1);
    assert!(hall.received(wall).is_empty(), "it is asked for below `replay` only");
}

#[test]
fn nobody_outside_gets_the_past_without_consent_alone_or_in_a_group() {
    let mut world = World::new(Limits::default());
    let mut settings = Settings::default();
    settings.outside.receivers = vec!["b".into()];
    let change = PolicyChange {
        at_ms: 0,
        who: "test".into(),
        changes: Vec::new(),
        private_changes: Vec::new(),
        text: "".into(),
    };
    world.broker.set_policy(world.now, Arc::new(settings), change);
    let (inside, outside) = (world.join(&client("a", "a1")), world.join(&client("b", "b1")));
    for id in [inside, outside] {
        world.subscribe(id, "replay/#", 1);
    }
    let group = world.join(&client("b", "b2"));
    world.subscribe(group, "$share/feed/replay/#", 1);
    let mut put_back = |has_consent| {
        world.broker.publish_replayed(world.now, replayed(TOPIC, &message(6), has_consent));
        [inside, outside, group].map(|id| world.read(id).len())
    };
    assert_eq!(put_back(false), [1, 0, 0]);
    assert_eq!(put_back(true), [1, 1, 1]);
}

#[test]
fn nothing_of_the_past_is_retained() {
    let mut hall = hall();
    hall.broker.publish_replayed(hall.now, replayed(TOPIC, &message(7), true));
    let late = hall.connect("late", Version::V311, &[]);
    hall.subscribe(late, "replay/#", 1);
    assert!(hall.received(late).is_empty());
}

fn publish(hall: &mut Hall, peer: Peer, topic: &str, payload: &[u8]) {
    let publish = PublishOut { topic, payload, qos: 0, packet_id: 0, ..PublishOut::default() };
    let mut out = Vec::new();
    publish.encode(&mut out, peer.version);
    hall.send(peer, &out);
}
