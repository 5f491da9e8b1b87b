//! A node that was erased: what it sends, what is for it and what tells of it goes nowhere, and what was here of it is gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use std::sync::Arc;

use broker::{ErasedHere, Limits, Options};
use directory::{Directory, TokenKey, Tombstones};
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
use record::{ErasedNode, Record};

const EAST: u32 = 0x7c5a_0a01;
const FIELD: u32 = 0x4b00_0001;
const OTHER: u32 = 0x4b00_0002;
const TOPIC: &str = "msh/US/2/e/LongFast/!7c5a0a01";

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

fn keep_out(hall: &mut Hall, node: u32) {
    let print = TokenKey::new([0; 32]).print_of(node);
    let directory = Directory::default().with_tombstones(Tombstones::of([print]));
    hall.broker.set_directory(hall.now, Arc::new(directory));
}

fn packet(id: u32, from: u32, to: u32, port_and_payload: Option<(u32, Vec<u8>)>) -> Vec<u8> {
    let packet = Packet {
        from: NodeNum(from),
        to: NodeNum(to),
        id,
        hop_limit: 2,
        hop_start: 3,
        rx_rssi: -90,
        ..Packet::default()
    };
    let (text_port, words) = text("hello");
    let (port, payload) = port_and_payload.unwrap_or((text_port.0, words));
    let content = Content { port, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::default_key();
    envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), NodeNum(EAST))
}

fn publish(hall: &mut Hall, peer: Peer, topic: &str, payload: &[u8], qos: u8, retain: bool) {
    let publish = PublishOut {
        topic,
        payload,
        qos,
        packet_id: u16::from(qos > 0) * 7,
        retain,
        ..PublishOut::default()
    };
    let mut out = Vec::new();
    publish.encode(&mut out, peer.version);
    hall.send(peer, &out);
}

fn records(hall: &mut Hall) -> Vec<Record> {
    let mut found = Vec::new();
    hall.broker.take_records(&mut |record| found.push(record));
    found.retain(|record| !matches!(record, Record::Connection(_) | Record::PolicyChange(_)));
    found
}

#[test]
fn nothing_from_for_or_about_it_is_recorded_or_passed_on_and_its_publisher_is_answered() {
    let mut hall = hall();
    let east = hall.connect("east", Version::V5, &[]);
    let wall = hall.connect("wall", Version::V311, &[]);
    hall.subscribe(wall, "msh/#", 0);
    let broadcast = u32::MAX;
    // RouteDiscovery: route, packed.
    let mut route = Vec::new();
    mesh::wire::put_bytes(&mut route, 1, &[OTHER.to_le_bytes(), FIELD.to_le_bytes()].concat());
    // NeighborInfo of somebody else, with the node as a neighbour.
    let (mut neighbour, mut neighbours) = (Vec::new(), Vec::new());
    mesh::wire::put_uint(&mut neighbour, 1, FIELD.into());
    mesh::wire::put_uint(&mut neighbours, 1, OTHER.into());
    mesh::wire::put_bytes(&mut neighbours, 4, &neighbour);
    let about_it = |id: u32| {
        [
            packet(id, FIELD, broadcast, None),
            packet(id + 1, OTHER, FIELD, None),
            packet(id + 2, OTHER, broadcast, Some((70, route.clone()))),
            packet(id + 3, OTHER, broadcast, Some((71, neighbours.clone()))),
        ]
    };
    for payload in about_it(10) {
        publish(&mut hall, east, TOPIC, &payload, 0, false);
    }
    assert_eq!((hall.received(wall).len(), records(&mut hall).len() >= 4), (4, true), "before");

    keep_out(&mut hall, FIELD);
    for payload in about_it(20) {
        publish(&mut hall, east, TOPIC, &payload, 1, false);
        assert_eq!(hall.received(east).len(), 1, "its publisher gets PUBACK");
    }
    assert!(hall.received(wall).is_empty() && records(&mut hall).is_empty());
    assert_eq!(hall.broker.snapshot(hall.now).counters.erased, 4);
    publish(&mut hall, east, TOPIC, &packet(30, OTHER, broadcast, None), 0, false);
    assert_eq!((hall.received(wall).len(), records(&mut hall).is_empty()), (1, false), "others go on");
    // What an erased gateway brings is not taken either.
    publish(&mut hall, east, "msh/US/2/e/LongFast/!4b000001", &packet(31, OTHER, broadcast, None), 0, false);
    assert!(hall.received(wall).is_empty());
    // Nor that it connects.
    hall.connect("!4b000001", Version::V311, &[]);
    let mut events = 0;
    hall.broker.take_records(&mut |record| events += usize::from(matches!(record, Record::Connection(_))));
    assert_eq!(events, 0);
}

#[test]
fn what_is_retained_and_waits_goes_and_who_learned_of_it_is_told() {
    let mut hall = hall();
    let service = hall.connect("service", Version::V311, &[]);
    publish(&mut hall, service, "home/backhaul_4b000001/state", b"on", 0, true);
    publish(&mut hall, service, "home/another/state", b"on", 0, true);
    let ears = hall.connect("ears", Version::V311, &[]);
    hall.subscribe(ears, "home/#", 0);
    hall.received(ears);
    let kept = hall.connect_kept("kept");
    hall.subscribe(kept, "msh/#", 1);
    hall.lose(kept);
    publish(&mut hall, service, TOPIC, &packet(1, FIELD, u32::MAX, None), 1, false);
    publish(&mut hall, service, TOPIC, &packet(2, OTHER, u32::MAX, None), 1, false);
    assert_eq!(hall.broker.holdings().queued_messages, 2);
    records(&mut hall);

    keep_out(&mut hall, FIELD);
    let here = hall.broker.erase(hall.now, FIELD);
    assert_eq!(here, ErasedHere { retained: 1, queued: 1, in_flight: 0 });
    hall.drain();
    let holdings = hall.broker.holdings();
    assert_eq!((holdings.retained, holdings.queued_messages), (1, 1));
    assert_eq!(hall.received(ears).len(), 1, "the topic's subscribers are told that it is empty");
    let told = records(&mut hall);
    assert!(
        matches!(told[..], [Record::Erased(ErasedNode { node: FIELD, .. })]),
        "those who learn from records forget: {told:?}"
    );
    assert_eq!(hall.broker.erase(hall.now, FIELD), ErasedHere::default(), "again");
}
