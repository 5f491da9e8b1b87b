//! What goes down to gateways, and when: the queue, the second look, the kill switch, and what the history is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use std::sync::Arc;

use broker::{Head, Kept, KeptCopy, KeptSession, Limits, Message, Options, Queued, SessionKey};
use directory::{Directory, DownlinkCommand, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, device_telemetry, envelope, position, text};
use mesh::envelope::EnvelopeView;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use mqtt::Version;
use mqtt::publish::{AckKind, PublishOut};
use mqtt::server_packet::{self, ServerPacket};
use peers::{Hall, Peer};
use policy::decision::Outcome;
use policy::downlink::details::Why;
use policy::principal::Principal;
use policy::rule::RuleId;
use policy::settings::Settings;
use record::{Record, ReleasedCopy};

const EAST: u32 = 0x7c5a_0a01;
const WEST: u32 = 0x7c5a_0c03;
const FIELD: u32 = 0x4b00_0001;

fn hall(change: impl FnOnce(&mut Settings)) -> Hall {
    let mut settings = Settings::default();
    // The round trip has tests of its own.
    settings.set_state(RuleId::DownlinkVerified, policy::rule::RuleState::Off);
    change(&mut settings);
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

/// A gateway as firmware connects, with its subscription.
fn gateway(hall: &mut Hall, node: u32) -> Peer {
    let peer = hall.connect(&NodeNum(node).to_string(), Version::V311, &[]);
    hall.subscribe(peer, "msh/US/2/e/LongFast/+", 1);
    peer
}

/// One packet as a gateway hands it on.
fn uplink(by: u32, from: u32, id: u32, (port, payload): (PortNum, Vec<u8>)) -> (String, Vec<u8>) {
    let packet = Packet {
        from: NodeNum(from),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 2,
        hop_start: 3,
        rx_rssi: -90,
        rx_snr: 4.0,
        ..Packet::default()
    };
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let key = ChannelKey::default_key();
    let bytes = envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), NodeNum(by));
    (format!("msh/US/2/e/LongFast/{}", NodeNum(by)), bytes)
}

fn publish(hall: &mut Hall, peer: Peer, qos: u8, (topic, payload): &(String, Vec<u8>)) {
    let packet_id = if qos > 0 { 7 } else { 0 };
    let publish = PublishOut { topic, payload, qos, packet_id, ..PublishOut::default() };
    let mut out = Vec::new();
    publish.encode(&mut out, peer.version);
    hall.send(peer, &out);
}

/// Packet id, hop limit and Packet Identifier of what came down since the last call.
fn came_down(hall: &mut Hall, peer: Peer) -> Vec<(u32, u32, u16)> {
    let packets = hall.received(peer).into_iter().filter(|packet| packet[0] >> 4 == 3);
    packets
        .map(|bytes| {
            let frame = mqtt::frame::split(&bytes, u32::MAX).unwrap().unwrap();
            let ServerPacket::Publish(publish) = server_packet::decode(&frame, peer.version).unwrap() else {
                unreachable!("only PUBLISH packets are asked for")
            };
            let header = EnvelopeView::parse(publish.payload).unwrap().packet.unwrap().header;
            (header.id, header.hop_limit, publish.packet_id)
        })
        .collect()
}

fn ids(hall: &mut Hall, peer: Peer) -> Vec<u32> {
    came_down(hall, peer).into_iter().map(|(id, ..)| id).collect()
}

/// What became of copies toward a gateway, as the history is told.
fn told(hall: &mut Hall, gateway: u32) -> Vec<(u64, ReleasedCopy)> {
    let mut told = Vec::new();
    hall.broker.take_records(&mut |record| {
        if let Record::Release(release) = record {
            let copies = release.copies.iter().filter(|c| *c.receiver == *NodeNum(gateway).to_string());
            told.extend(copies.map(|copy| (release.reception_seq, copy.clone())));
        }
    });
    told
}

#[test]
fn a_copy_within_pace_leaves_in_the_same_turn() {
    let mut hall = hall(|_| ());
    let (east, west) = (gateway(&mut hall, EAST), gateway(&mut hall, WEST));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 5, text("hello")));
    assert_eq!(came_down(&mut hall, west), [(5, 1, 0)]);
    assert!(ids(&mut hall, east).is_empty());
    let told = told(&mut hall, WEST);
    assert_eq!(told.len(), 1);
    let copy = &told[0].1;
    assert_eq!((copy.outcome, copy.details.why), (Outcome::DeliveredWithHopLimit(1), Why::None));
    assert!(copy.details.airtime_us > 100_000 && copy.details.waited_ms == 0, "{:?}", copy.details);
}

#[test]
fn a_burst_is_spread_out_texts_first_and_observers_get_it_at_once() {
    let mut hall = hall(|_| ());
    let (east, west) = (gateway(&mut hall, EAST), gateway(&mut hall, WEST));
    let observer = hall.connect("observer", Version::V5, &[]);
    hall.subscribe(observer, "msh/#", 0);
    for id in 1..=8 {
        publish(
            &mut hall,
            east,
            0,
            &uplink(EAST, FIELD + id, id, device_telemetry(1, 90, 4.0, 5.0, 1.0, 60)),
        );
    }
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 9, text("hello")));
    assert_eq!(ids(&mut hall, observer).len(), 9);
    assert_eq!(ids(&mut hall, west), [1, 2, 3, 4]);
    let mut later = Vec::new();
    for _ in 0..4 {
        hall.wait(600);
        let now = ids(&mut hall, west);
        assert!(now.len() <= 6, "{now:?} in 600 ms");
        later.extend(now);
    }
    assert_eq!(later, [9, 5, 6, 7, 8]);
    let waited: Vec<_> = told(&mut hall, WEST).into_iter().filter(|(_, c)| c.details.waited_ms > 0).collect();
    assert_eq!(waited.len(), 5);
    assert!(waited.iter().all(|(seq, copy)| *seq > 4 && copy.details.why == Why::Pace));
}

#[test]
fn the_radio_has_the_first_chance_and_then_policy_is_asked_again() {
    let mut hall = hall(|_| ());
    let (east, west) = (gateway(&mut hall, EAST), gateway(&mut hall, WEST));
    publish(&mut hall, west, 0, &uplink(WEST, FIELD, 1, text("heard in the west")));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 2, text("heard in both")));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 3, text("heard in the east only")));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD + 1, 4, text("never heard in the west")));
    assert_eq!(ids(&mut hall, west), [4], "what the radio never brings does not wait");
    hall.wait(1_000);
    publish(&mut hall, west, 0, &uplink(WEST, FIELD, 2, text("heard in both")));
    hall.wait(1_000);
    assert!(ids(&mut hall, west).is_empty());
    hall.wait(2_000);
    assert_eq!(ids(&mut hall, west), [3]);
    let told: Vec<_> = told(&mut hall, WEST)
        .into_iter()
        .filter(|(_, copy)| copy.details.why == Why::RadioFirst)
        .map(|(_, copy)| (copy.outcome, copy.details.waited_ms >= 3_000))
        .collect();
    let withheld = Outcome::Withheld(RuleId::AlreadyHeard);
    assert_eq!(told, [(withheld, true), (Outcome::DeliveredWithHopLimit(1), true)]);
}

#[test]
fn the_kill_switch_works_before_the_next_copy_and_on_those_that_wait() {
    let mut hall = hall(|_| ());
    let (east, west) = (gateway(&mut hall, EAST), gateway(&mut hall, WEST));
    let observer = hall.connect("observer", Version::V5, &[]);
    hall.subscribe(observer, "msh/#", 0);
    for id in 1..=6 {
        publish(&mut hall, east, 0, &uplink(EAST, FIELD, id, text("hello")));
    }
    assert_eq!(ids(&mut hall, west).len(), 4);
    let directory = Directory::default();
    let stopped = directory.apply_downlink(DownlinkCommand::Stop(None), 1).unwrap().directory;
    hall.broker.set_directory(hall.now, Arc::new(stopped));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 7, text("hello")));
    hall.wait(2_000);
    assert!(ids(&mut hall, west).is_empty());
    assert_eq!(ids(&mut hall, observer).len(), 7, "who costs no airtime is not stopped");
    let outcomes: Vec<_> = told(&mut hall, WEST).into_iter().map(|(_, copy)| copy.outcome).collect();
    assert_eq!(outcomes[4..], [Outcome::Withheld(RuleId::DownlinkStopped); 3]);
    assert!(hall.broker.snapshot(hall.now).downlink.is_stopped_anywhere());
    hall.broker.set_directory(hall.now, Arc::new(directory));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 8, text("hello")));
    assert_eq!(ids(&mut hall, west), [8]);
}

#[test]
fn a_gateway_that_was_away_gets_what_is_still_of_use() {
    let mut hall = hall(|_| ());
    let east = gateway(&mut hall, EAST);
    let name = NodeNum(WEST).to_string();
    let west = hall.connect_kept(&name);
    hall.subscribe(west, "msh/US/2/e/LongFast/+", 1);
    hall.lose(west);
    let place = |latitude| position(latitude, -945_000_000, 250, 1, 13);
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 1, place(391_000_000)));
    hall.wait(100_000);
    let east = gateway(&mut hall, EAST);
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 2, text("hello")));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 3, place(392_000_000)));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD + 1, 4, place(391_000_000)));
    publish(&mut hall, east, 0, &uplink(EAST, FIELD + 1, 5, device_telemetry(1, 90, 4.0, 5.0, 1.0, 60)));
    hall.wait(119_000);
    let east = gateway(&mut hall, EAST);
    publish(&mut hall, east, 0, &uplink(EAST, FIELD, 6, place(393_000_000)));
    hall.wait(2_000);
    let west = hall.connect_kept(&name);
    assert_eq!(ids(&mut hall, west), [2, 6]);
    let outcomes: Vec<_> = told(&mut hall, WEST)
        .into_iter()
        .map(|(seq, copy)| (seq, copy.outcome, copy.details.why))
        .filter(|(_, outcome, _)| matches!(outcome, Outcome::Withheld(_)))
        .collect();
    assert_eq!(
        outcomes,
        [
            (1, Outcome::Withheld(RuleId::NewestOnly), Why::Newer),
            (3, Outcome::Withheld(RuleId::NewestOnly), Why::Newer),
            (4, Outcome::Withheld(RuleId::DownlinkAge), Why::TooOld),
            (5, Outcome::Withheld(RuleId::DownlinkAge), Why::TooOld),
        ]
    );
}

#[test]
fn few_messages_are_in_flight_and_a_silent_gateway_is_not_waited_for_for_ever() {
    let mut hall = hall(|settings| settings.queue.in_flight_max = 2);
    let (east, west) = (gateway(&mut hall, EAST), gateway(&mut hall, WEST));
    for id in 1..=5 {
        publish(&mut hall, east, 1, &uplink(EAST, FIELD, id, text("hello")));
    }
    let first = came_down(&mut hall, west);
    assert_eq!(first.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 2]);
    hall.wait(2_000);
    assert!(ids(&mut hall, west).is_empty());
    hall.acknowledge(west, AckKind::Puback, first[0].2);
    assert_eq!(ids(&mut hall, west), [3], "an acknowledgement makes room at once");
    hall.wait(21_000);
    assert_eq!(ids(&mut hall, west), [4, 5], "nobody acknowledges what he could not take");
    let counters = hall.broker.snapshot(hall.now).counters;
    assert_eq!(counters.downlink_unacknowledged, 2);
}

#[test]
fn after_a_reconnect_only_what_is_still_of_use_is_sent_again() {
    let mut hall = hall(|_| ());
    let east = gateway(&mut hall, EAST);
    let name = NodeNum(WEST).to_string();
    let west = hall.connect_kept(&name);
    hall.subscribe(west, "msh/US/2/e/LongFast/+", 1);
    publish(&mut hall, east, 1, &uplink(EAST, FIELD, 1, position(391_000_000, -945_000_000, 250, 1, 13)));
    publish(&mut hall, east, 1, &uplink(EAST, FIELD, 2, text("hello")));
    assert_eq!(ids(&mut hall, west), [1, 2]);
    hall.lose(west);
    hall.wait(200_000);
    let west = hall.connect_kept(&name);
    assert_eq!(ids(&mut hall, west), [2]);
    hall.lose(west);
    hall.wait(399_000);
    hall.wait(2_000);
    let west = hall.connect_kept(&name);
    assert!(ids(&mut hall, west).is_empty());
}

#[test]
fn a_restart_forgets_packets_toward_a_radio_and_keeps_other_messages() {
    let name: Arc<str> = NodeNum(WEST).to_string().into();
    let principal = Principal::Guest { gateway: Some(WEST) };
    let head = Head {
        client_id: name,
        principal,
        generation: None,
        expiry_ms: 600_000,
        receive_maximum: 9,
        will: None,
    };
    let mut session = KeptSession::new(head);
    for (order, topic) in [(1, "msh/US/2/e/LongFast/!7c5a0a01"), (2, "home/lights")] {
        let message = Arc::new(Message {
            topic: topic.into(),
            payload: [1].into(),
            qos: 1,
            retain: false,
            properties: None,
            expires_at_ms: None,
            hop_limit_at: None,
        });
        let copy = Queued {
            order,
            message,
            qos: 1,
            retain: false,
            hop_limit: None,
            identifiers: Default::default(),
            group: None,
            stale_at_ms: None,
        };
        session.copies.insert(order, KeptCopy::Message(copy));
    }
    let mut kept = Kept::default();
    kept.sessions.insert(SessionKey(1), session);
    let mut hall = hall(|_| ());
    hall.broker.restore(hall.now, kept.clone());
    let after = hall.broker.worth_keeping();
    assert!(after.sessions[&SessionKey(1)].copies.keys().eq([&2]));
    kept.apply(&hall.broker.take_changes(hall.now).unwrap());
    assert!(kept.sessions[&SessionKey(1)].copies.keys().eq([&2]), "the store is told");
}

#[test]
fn what_waits_for_a_session_that_ends_is_lost_and_said_to_be() {
    let mut hall = hall(|_| ());
    let (east, west) = (gateway(&mut hall, EAST), hall.connect(&NodeNum(WEST).to_string(), Version::V5, &[]));
    hall.subscribe(west, "msh/US/2/e/LongFast/+", 1);
    for id in 1..=6 {
        publish(&mut hall, east, 0, &uplink(EAST, FIELD, id, text("hello")));
    }
    hall.lose(west);
    let told = told(&mut hall, WEST);
    let lost: Vec<_> = told.iter().filter(|(_, copy)| copy.details.why == Why::Gone).collect();
    assert_eq!((told.len(), lost.len()), (6, 2));
    assert!(lost.iter().all(|(_, copy)| copy.outcome == Outcome::Dropped));
}
