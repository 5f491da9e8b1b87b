//! The round trip that proves downlink: who is asked, when, what counts as an answer, and what the others get.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

mod peers;

use std::sync::Arc;

use broker::{Limits, Options};
use directory::{Command, Directory, DownlinkCommand, GatewayId, Token, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, Route, envelope, text, traceroute};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::portnum::PortNum;
use mqtt::Version;
use mqtt::publish::PublishOut;
use mqtt::server_packet::{self, ServerPacket};
use peers::{Hall, Peer};
use policy::decision::Outcome;
use policy::downlink::details::Why;
use policy::rule::{RuleId, RuleState};
use policy::settings::Settings;
use record::Record;

const EAST: u32 = 0x7c5a_0a01;
const WEST: u32 = 0x7c5a_0c03;
const FIELD: u32 = 0x4b00_0001;
const OWN: u32 = 0x5e00_0007;

fn hall() -> Hall {
    let mut settings = Settings::default();
    settings.set_state(RuleId::DownlinkVerified, RuleState::Enforce);
    let mut hall = Hall::with(Options {
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
    });
    hall.broker.set_own_node(OWN);
    hall
}

fn gateway(hall: &mut Hall, node: u32, filter: &str) -> Peer {
    let peer = hall.connect(&NodeNum(node).to_string(), Version::V311, &[]);
    hall.subscribe(peer, filter, 1);
    peer
}

fn uplink(hall: &mut Hall, peer: Peer, by: u32, packet: &Packet, content: &Content) {
    let key = ChannelKey::default_key();
    let payload = &envelope(packet, content, "LongFast", Closed::Encrypted(&key), NodeNum(by));
    let topic = &format!("msh/US/2/e/LongFast/{}", NodeNum(by));
    let mut out = Vec::new();
    PublishOut { topic, payload, ..PublishOut::default() }.encode(&mut out, peer.version);
    hall.send(peer, &out);
}

fn say(hall: &mut Hall, peer: Peer, by: u32, id: u32) {
    let (port, payload) = text("hello");
    let packet = Packet {
        from: NodeNum(FIELD),
        to: NodeNum::BROADCAST,
        id,
        hop_limit: 2,
        hop_start: 3,
        rx_rssi: -90,
        ..Packet::default()
    };
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    uplink(hall, peer, by, &packet, &content);
}

/// Answers as firmware does, heard by `by`.
fn answer(hall: &mut Hall, peer: Peer, by: u32, gateway: u32, request_id: u32) {
    let (port, payload) = traceroute(Route::default(), Route::default());
    let rx_rssi = if by == gateway { 0 } else { -70 };
    let packet = Packet {
        from: NodeNum(gateway),
        to: NodeNum(OWN),
        id: request_id ^ 0x55,
        hop_limit: 2,
        hop_start: 2,
        rx_rssi,
        ..Packet::default()
    };
    let content = Content { port: port.0, payload, request_id, bitfield: Some(1), ..Content::default() };
    uplink(hall, peer, by, &packet, &content);
}

/// The packets that came down: sender, id and port.
fn came_down(hall: &mut Hall, peer: Peer) -> Vec<(u32, u32, u32)> {
    let packets = hall.received(peer).into_iter().filter(|packet| packet[0] >> 4 == 3);
    packets
        .map(|bytes| {
            let frame = mqtt::frame::split(&bytes, u32::MAX).unwrap().unwrap();
            let ServerPacket::Publish(publish) = server_packet::decode(&frame, peer.version).unwrap() else {
                unreachable!("only PUBLISH packets are asked for")
            };
            let (keyring, mut scratch) = (Keyring::default(), Scratch::default());
            let facts = observe(publish.topic, publish.payload, &keyring, &mut scratch);
            let packet = facts.packet.unwrap();
            if packet.from.0 == OWN {
                assert!(facts.data.unwrap().want_response && packet.to.is_node());
            }
            (packet.from.0, packet.id, facts.port.unwrap().0)
        })
        .collect()
}

#[test]
fn a_gateway_gets_packets_once_it_has_answered() {
    let mut hall = hall();
    let east = gateway(&mut hall, EAST, "msh/US/2/e/LongFast/+");
    let west = gateway(&mut hall, WEST, "msh/US/2/e/LongFast/+");
    say(&mut hall, east, EAST, 1);
    assert!(came_down(&mut hall, west).is_empty());
    hall.wait(6_000);
    let requests = came_down(&mut hall, west);
    assert_eq!(requests.len(), 1);
    let (from, request_id, port) = requests[0];
    assert_eq!((from, port), (OWN, PortNum::TRACEROUTE.0));
    answer(&mut hall, west, WEST, WEST, request_id ^ 1);
    say(&mut hall, east, EAST, 2);
    assert!(came_down(&mut hall, west).is_empty(), "that was no answer to what was asked");
    answer(&mut hall, west, WEST, WEST, request_id);
    came_down(&mut hall, west);
    say(&mut hall, east, EAST, 3);
    assert_eq!(came_down(&mut hall, west), [(FIELD, 3, 1)]);
    // The east has not answered yet, and got nothing but its own request; the answer itself went down to nobody.
    let east_got = came_down(&mut hall, east);
    assert!(east_got.iter().all(|(from, ..)| *from == OWN), "{east_got:?}");

    let (mut asked, mut outcomes) = (Vec::new(), Vec::new());
    hall.broker.take_records(&mut |record| match record {
        Record::Reception(reception) => {
            asked.extend((&*reception.client_id == "backhaul").then_some(reception.packet.unwrap().to));
        }
        Record::Release(release) => {
            outcomes.extend(release.copies.iter().map(|c| (c.receiver.clone(), c.outcome, c.details)));
        }
        Record::Connection(_) | Record::PolicyChange(_) | Record::Erased(_) => {}
    });
    assert_eq!(asked, [EAST, WEST], "requests are in the history");
    let unverified = Outcome::Withheld(RuleId::DownlinkVerified);
    assert_eq!(outcomes.iter().filter(|(_, outcome, _)| *outcome == unverified).count(), 2);
    let trips: Vec<_> = outcomes.iter().filter(|(.., details)| details.why == Why::RoundTrip).collect();
    assert!(trips.len() == 2 && trips.iter().all(|(.., details)| details.airtime_us > 0));
}

#[test]
fn an_answer_that_another_gateway_heard_counts_and_is_known_to_have_been_on_the_air() {
    let mut hall = hall();
    let east = gateway(&mut hall, EAST, "msh/US/2/e/LongFast/+");
    let west = gateway(&mut hall, WEST, "msh/US/2/e/LongFast/+");
    hall.wait(6_000);
    let request_id = came_down(&mut hall, west)[0].1;
    answer(&mut hall, east, EAST, WEST, request_id);
    say(&mut hall, east, EAST, 1);
    assert_eq!(came_down(&mut hall, west), [(FIELD, 1, 1)]);
}

#[test]
fn who_does_not_answer_is_asked_again_ever_more_rarely() {
    let mut hall = hall();
    let filter = "msh/US/2/e/LongFast/+";
    let west = gateway(&mut hall, WEST, filter);
    let mut asked_at = Vec::new();
    for second in 1..8_000 {
        hall.wait(1_000);
        if second % 20 == 0 {
            hall.send(west, &[0xc0, 0]);
        }
        if came_down(&mut hall, west).iter().any(|(from, ..)| *from == OWN) {
            asked_at.push(second);
        }
    }
    let pauses: Vec<_> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 3, "{asked_at:?}");
    for (pause, expected) in pauses.iter().zip([60, 300, 1_800]) {
        assert!((expected..expected + 3).contains(pause), "{asked_at:?}");
    }
}

#[test]
fn a_reconnect_does_not_hurry_the_schedule_and_the_operator_does() {
    let mut hall = hall();
    let key = TokenKey::new([0; 32]);
    let token = Token::from_random([7; 17]);
    let add = Command::AddGateway { id: GatewayId(WEST), owner: None, note: String::new(), token };
    let known = Directory::default().apply(add, &key, 1).unwrap().directory;
    let filter = "msh/US/2/e/LongFast/+";
    let west = gateway(&mut hall, WEST, filter);
    hall.wait(6_000);
    assert_eq!(came_down(&mut hall, west).len(), 1);
    hall.lose(west);
    let west = gateway(&mut hall, WEST, filter);
    hall.wait(20_000);
    assert!(came_down(&mut hall, west).is_empty());
    let now_ms = u64::try_from(hall.now.unix_ms).unwrap();
    let asked = known.apply_downlink(DownlinkCommand::Verify(GatewayId(WEST)), now_ms).unwrap().directory;
    // Guests leave when there is a credential, so only what was demanded is looked at here.
    let demanded = Directory::default().with_downlink(asked.downlink().clone());
    hall.broker.set_directory(hall.now, Arc::new(demanded));
    hall.wait(1_000);
    assert_eq!(came_down(&mut hall, west).len(), 1);
}

#[test]
fn nobody_is_asked_who_cannot_be_or_may_not_be() {
    let mut hall = hall();
    let everything = gateway(&mut hall, EAST, "msh/#");
    let foreign = gateway(&mut hall, WEST, "msh/US/2/e/Secret/+");
    let observer = hall.connect("observer", Version::V5, &[]);
    hall.subscribe(observer, "msh/US/2/e/LongFast/+", 0);
    hall.wait(10_000);
    for peer in [everything, foreign, observer] {
        assert!(came_down(&mut hall, peer).is_empty());
    }
    let stopped = Directory::default().apply_downlink(DownlinkCommand::Stop(None), 1).unwrap().directory;
    hall.broker.set_directory(hall.now, Arc::new(stopped));
    let west = gateway(&mut hall, WEST, "msh/US/2/e/LongFast/+");
    hall.wait(10_000);
    assert!(came_down(&mut hall, west).is_empty(), "the kill switch stops requests, too");
    hall.broker.set_directory(hall.now, Arc::new(Directory::default()));
    for _ in 0..4 {
        hall.wait(15_000);
        hall.send(west, &[0xc0, 0]);
    }
    assert_eq!(came_down(&mut hall, west).len(), 1);
}
