//! Cities with a broker each, joined by bridges: what crosses, and that nothing goes round.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bridge::contract::Contract;
use bridge::link::LinkSettings;
use bridge::relay::Settings as RelaySettings;
use bridge::root::{Roots, filters};
use bridge::{End, Held, Relay};
use broker::{Broker, ConnectionId, Limits, Now, Options, Origin};
use directory::{Command, Directory, GatewayId, Token, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, device_telemetry, envelope, text};
use mesh::envelope::EnvelopeView;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::portnum::PortNum;
use mqtt::connect::Connect;
use mqtt::property::Properties;
use mqtt::publish::PublishOut;
use mqtt::server_packet::{self, ServerPacket};
use mqtt::subscribe::encode_subscribe;
use mqtt::{Version, frame};
use policy::rule::{RuleId, RuleState};

const FIELD: u32 = 0x4b00_0001;
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn token() -> Token {
    Token::from_random([7; directory::TOKEN_RANDOM_BYTES])
}

fn key() -> TokenKey {
    TokenKey::new([0; 32])
}

struct City {
    broker: Broker,
    /// The one gateway that publishes, and the one that listens.
    talker: ConnectionId,
    listener: ConnectionId,
    talkers_id: u32,
    heard: Vec<u8>,
}

/// A bridge with its two connections.
struct Span {
    relay: Relay,
    ends: [(usize, Option<ConnectionId>); 2],
}

struct World {
    now: Now,
    cities: Vec<City>,
    spans: Vec<Span>,
}

fn root(city: usize) -> String {
    format!("msh/US/C{city}")
}

impl City {
    fn new(number: usize, now: Now) -> Self {
        let gateways = [0x7c5a_0000 + 0x10 * number as u32, 0x7c5a_0001 + 0x10 * number as u32];
        let mut directory = Directory::default();
        for id in gateways {
            let add =
                Command::AddGateway { id: GatewayId(id), owner: None, note: String::new(), token: token() };
            directory = directory.apply(add, &key(), 0).unwrap().directory;
        }
        let add = Command::AddBridge {
            name: "other-city".into(),
            owner: None,
            note: String::new(),
            token: token(),
        };
        directory = directory.apply(add, &key(), 0).unwrap().directory;
        let mut policy = policy::settings::Settings::default();
        policy.set_state(RuleId::DownlinkVerified, RuleState::Off);
        let mut broker = Broker::new(Options {
            lab: false,
            limits: Limits::default(),
            policy: Arc::new(policy),
            keyring: Keyring::default(),
            preset: ModemPreset::LongFast,
            directory: Arc::new(directory),
            token_key: key(),
            last_seq: 0,
            acknowledge_when_durable: false,
            seed: 1,
        });
        let [talker, listener] = gateways.map(|id| {
            let connection = broker.open(now, HOME).unwrap();
            let (name, password) = (format!("gw-{id:08x}"), token().reveal().to_owned());
            let connect = Connect {
                version: Version::V311,
                clean_start: true,
                keep_alive_s: 0,
                client_id: &NodeNum(id).to_string(),
                will: None,
                username: Some(&name),
                password: Some(password.as_bytes()),
                properties: Properties::default(),
            };
            let mut out = Vec::new();
            connect.encode(&mut out, &[], &[]);
            let filter = format!("{}/2/e/LongFast/+", root(number));
            encode_subscribe(&mut out, Version::V311, 1, &[(&filter, Default::default())], &[]);
            broker.receive(now, connection, &out);
            connection
        });
        Self { broker, talker, listener, talkers_id: gateways[0], heard: Vec::new() }
    }
}

impl World {
    fn new(cities: usize) -> Self {
        let now = Now { mono_ms: 1_000_000, unix_ms: 1_795_000_000_000 };
        let cities = (0..cities).map(|number| City::new(number, now)).collect();
        Self { now, cities, spans: Vec::new() }
    }

    /// A bridge that `here` runs to `there`.
    fn span(&mut self, here: usize, there: usize, change: impl FnOnce(&mut RelaySettings)) {
        let version = Version::V5;
        let link = |city: usize| LinkSettings {
            version,
            client_id: format!("bridge-{here}-{there}").into(),
            username: None,
            password: None,
            keep_alive_s: 60,
            filters: filters(&root(city), &[], false),
        };
        let mut settings = RelaySettings {
            name: format!("to-{there}").into(),
            own_id: format!("city-{here}").into(),
            roots: Roots { here: root(here).into(), there: root(there).into() },
            outward: Some(Contract::default()),
            inward: Some(Contract { needs_consent: true, ..Contract::default() }),
            here: link(here),
            there: LinkSettings {
                username: Some("other-city".into()),
                password: Some(token().reveal().as_bytes().into()),
                ..link(there)
            },
            waiting_max: 100,
            stale_ms: 60_000,
            preset: ModemPreset::LongFast,
            keyring: Keyring::default(),
        };
        change(&mut settings);
        let relay = Relay::new(settings, self.now.mono_ms);
        self.spans.push(Span { relay, ends: [(here, None), (there, None)] });
        let span = self.spans.len() - 1;
        self.connect(span, End::Here);
        self.connect(span, End::There);
        self.run();
        assert!([End::Here, End::There].iter().all(|end| self.spans[span].relay.is_up(*end)));
    }

    fn connect(&mut self, span: usize, end: End) {
        let Span { relay, ends } = &mut self.spans[span];
        let (city, connection) = &mut ends[end as usize];
        let bridge = (end == End::Here).then(|| format!("to-{city}").into());
        let origin = Origin { address: HOME, listener: 0, certificate_name: None, bridge };
        *connection = self.cities[*city].broker.open(self.now, origin);
        relay.connected(self.now.mono_ms, end);
    }

    fn lose(&mut self, span: usize, end: End) {
        let Span { relay, ends } = &mut self.spans[span];
        let (city, connection) = &mut ends[end as usize];
        self.cities[*city].broker.closed(self.now, connection.take().unwrap(), "lost");
        relay.lost(self.now.mono_ms, end, Some("the network is gone"));
    }

    /// Moves bytes until nobody has any.
    fn run(&mut self) {
        for _ in 0..1_000 {
            let mut moved = false;
            for Span { relay, ends } in &mut self.spans {
                for end in [End::Here, End::There] {
                    let (city, Some(connection)) = ends[end as usize] else { continue };
                    let broker = &mut self.cities[city].broker;
                    let up = relay.unsent(end).to_vec();
                    relay.advance(end, up.len());
                    broker.receive(self.now, connection, &up);
                    let down = broker.outbox(connection).map(|outbox| {
                        let bytes = outbox.unsent().to_vec();
                        outbox.advance(bytes.len());
                        bytes
                    });
                    let down = down.unwrap_or_default();
                    relay.receive(self.now.mono_ms, end, &down).unwrap();
                    moved |= !up.is_empty() || !down.is_empty();
                }
            }
            if !moved {
                return;
            }
        }
        panic!("messages go round for ever");
    }

    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 500 {
            self.now.mono_ms += 500;
            self.now.unix_ms += 500;
            self.cities.iter_mut().for_each(|city| city.broker.tick(self.now));
            for span in &mut self.spans {
                span.relay.tick(self.now.mono_ms, End::Here).unwrap();
                span.relay.tick(self.now.mono_ms, End::There).unwrap();
            }
            self.run();
        }
    }

    /// A node's packet, as a city's gateway uplinks it.
    fn uplink(&mut self, city: usize, from: u32, id: u32, (port, payload): (PortNum, Vec<u8>), agrees: bool) {
        let packet = Packet {
            from: NodeNum(from),
            to: NodeNum::BROADCAST,
            id,
            hop_limit: 3,
            hop_start: 4,
            rx_rssi: -90,
            rx_snr: 4.0,
            ..Packet::default()
        };
        let content =
            Content { port: port.0, payload, bitfield: Some(u32::from(agrees)), ..Content::default() };
        let channel_key = ChannelKey::default_key();
        let by = NodeNum(self.cities[city].talkers_id);
        let bytes = envelope(&packet, &content, "LongFast", Closed::Encrypted(&channel_key), by);
        let topic = format!("{}/2/e/LongFast/{by}", root(city));
        let mut out = Vec::new();
        PublishOut { topic: &topic, payload: &bytes, ..PublishOut::default() }
            .encode(&mut out, Version::V311);
        let City { broker, talker, .. } = &mut self.cities[city];
        broker.receive(self.now, *talker, &out);
        self.run();
    }

    /// Packet ids that came down to a city's listener, each with how often.
    fn heard(&mut self, city: usize) -> BTreeMap<u32, usize> {
        let City { broker, listener, heard, .. } = &mut self.cities[city];
        if let Some(outbox) = broker.outbox(*listener) {
            heard.extend_from_slice(outbox.unsent());
            outbox.advance(outbox.unsent().len());
        }
        let (mut ids, mut rest) = (BTreeMap::new(), &heard[..]);
        while let Some(found) = frame::split(rest, u32::MAX).unwrap() {
            if let ServerPacket::Publish(publish) = server_packet::decode(&found, Version::V311).unwrap() {
                let packet = EnvelopeView::parse(publish.payload).unwrap().packet.unwrap();
                *ids.entry(packet.header.id).or_default() += 1;
            }
            rest = &rest[found.len..];
        }
        ids
    }
}

#[test]
fn texts_cross_both_ways_once_and_with_consent_only() {
    let mut world = World::new(2);
    world.span(0, 1, |_| ());
    world.uplink(0, FIELD, 1, text("hello Topeka"), true);
    world.uplink(1, FIELD + 1, 2, text("hello Kansas City"), true);
    world.uplink(0, FIELD, 3, text("for the neighbours"), false);
    world.wait(5_000);
    assert_eq!(world.heard(1), BTreeMap::from([(1, 1), (2, 1)]));
    assert_eq!(world.heard(0), BTreeMap::from([(1, 1), (2, 1)]));
    let status = world.spans[0].relay.status(world.now.mono_ms);
    assert_eq!((status.outward.crossed, status.inward.crossed), (1, 1));
    assert!(status.outward.airtime_ms > 0);
}

#[test]
fn a_ring_of_cities_brings_everything_everywhere_once() {
    let mut world = World::new(3);
    world.span(0, 1, |_| ());
    world.span(1, 2, |_| ());
    world.span(2, 0, |_| ());
    for id in 1..=3 {
        world.uplink(id as usize - 1, FIELD + id, id, text("round and round"), true);
        world.wait(3_000);
    }
    world.wait(10_000);
    for city in 0..3 {
        assert_eq!(world.heard(city), BTreeMap::from([(1, 1), (2, 1), (3, 1)]), "city {city}");
    }
}

#[test]
fn two_bridges_between_the_same_cities_are_as_good_as_one() {
    let mut world = World::new(2);
    world.span(0, 1, |_| ());
    world.span(1, 0, |_| ());
    world.uplink(0, FIELD, 1, text("twice as much wire"), true);
    world.wait(5_000);
    assert_eq!(world.heard(1), BTreeMap::from([(1, 1)]));
    assert_eq!(world.heard(0), BTreeMap::from([(1, 1)]));
}

#[test]
fn a_text_contract_lets_texts_through_and_nothing_else() {
    let mut world = World::new(2);
    world.span(0, 1, |settings| {
        settings.outward = Some(Contract { ports: Contract::TEXT.to_vec(), ..Contract::default() });
        settings.inward = None;
    });
    world.uplink(0, FIELD, 1, device_telemetry(1, 90, 4.0, 5.0, 1.0, 60), true);
    world.uplink(0, FIELD, 2, text("only this"), true);
    world.uplink(1, FIELD + 1, 3, text("not this way"), true);
    world.wait(5_000);
    assert_eq!(world.heard(1), BTreeMap::from([(2, 1), (3, 1)]));
    assert!(!world.heard(0).contains_key(&3));
    let status = world.spans[0].relay.status(world.now.mono_ms);
    assert_eq!(status.outward.held, BTreeMap::from([(Held::Port, 1)]));
    assert!(!status.inward.is_open);
}

#[test]
fn what_waited_for_a_lost_connection_crosses_when_it_is_back() {
    let mut world = World::new(2);
    world.span(0, 1, |_| ());
    world.lose(0, End::There);
    world.uplink(0, FIELD, 1, text("patience"), true);
    let status = world.spans[0].relay.status(world.now.mono_ms);
    assert_eq!((status.outward.waiting, status.there.word()), (1, "down"));
    assert_eq!(status.trouble.as_deref(), Some("the network is gone"));
    world.wait(2_000);
    world.connect(0, End::There);
    world.wait(5_000);
    assert_eq!(world.heard(1), BTreeMap::from([(1, 1)]));
    assert_eq!(world.spans[0].relay.status(world.now.mono_ms).trouble, None);
}

#[test]
fn what_is_too_old_when_the_connection_is_back_stays_here() {
    let mut world = World::new(2);
    world.span(0, 1, |settings| settings.stale_ms = 5_000);
    world.lose(0, End::There);
    world.uplink(0, FIELD, 1, text("yesterday's news"), true);
    world.wait(10_000);
    world.connect(0, End::There);
    world.wait(5_000);
    assert!(world.heard(1).is_empty());
    let status = world.spans[0].relay.status(world.now.mono_ms);
    assert_eq!(status.outward.held, BTreeMap::from([(Held::Stale, 1)]));
}

#[test]
fn hop_limits_come_down_to_what_was_agreed() {
    let mut world = World::new(2);
    world.span(0, 1, |settings| {
        settings.outward = Some(Contract { hop_limit_max: Some(0), ..Contract::default() });
    });
    world.uplink(0, FIELD, 1, text("phones only"), true);
    world.wait(5_000);
    world.heard(1);
    let (mut rest, mut limits) = (&world.cities[1].heard[..], Vec::new());
    while let Some(found) = frame::split(rest, u32::MAX).unwrap() {
        if let ServerPacket::Publish(publish) = server_packet::decode(&found, Version::V311).unwrap() {
            limits.push(EnvelopeView::parse(publish.payload).unwrap().packet.unwrap().header.hop_limit);
        }
        rest = &rest[found.len..];
    }
    assert_eq!(limits, [0]);
}
