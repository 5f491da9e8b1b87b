//! The broker as one value, driven by anything: several connections, lawful and unlawful packets in any portions, lost
//! connections, time that passes. It must not panic, must answer with control packets only, and must leak nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Broker, ConnectionId, Holdings, Limits, Now, Options};
use directory::{Directory, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mqtt::auth::Auth;
use mqtt::connect::{Connect, ConnectWill};
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::subscribe::{Options as Subscription, encode_subscribe, encode_unsubscribe};
use mqtt::{ReasonCode, Version, frame, server_packet};
use proptest::prelude::*;
use record::Record;

fn broker(lab: bool) -> Broker {
    Broker::new(Options {
        lab,
        limits: Limits {
            queue_messages_max: 20,
            receive_maximum: 5,
            subscriptions_max: 5,
            ..Limits::default()
        },
        policy: Default::default(),
        keyring: Keyring::default(),
        preset: ModemPreset::LongFast,
        directory: Arc::new(Directory::default()),
        token_key: TokenKey::new([0; 32]),
        last_seq: 0,
        acknowledge_when_durable: !lab,
        seed: 1,
    })
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Connect { name: u8, version: bool, clean: bool, expiry: u32, will: bool },
    Subscribe { filter: usize, qos: u8, no_local: bool },
    Unsubscribe(usize),
    Publish { topic: usize, qos: u8, retain: bool, dup: bool, packet_id: u16, size: usize },
    Uplink { from: u32, id: u32, hop_limit: u32, consent: bool },
    Alias { topic: usize, alias: u16 },
    SignIn(usize),
    Auth { reason: usize, data: usize },
    Ack { kind: u8, packet_id: u16, error: bool },
    Raw(Vec<u8>),
    Goodbye,
    Lose,
    Wait(u64),
    Durable,
}

/// What a client may send to sign in by SCRAM, right and wrong.
const DATA: [&[u8]; 4] = [b"n,,n=reader,r=abc", b"c=biws,r=abc,p=AAAA", b"n,,", b"\xff"];

const TOPICS: [&str; 4] = ["a/b", "a", "$SYS/x", "msh/US/2/e/LongFast/!7c5a0a01"];
const FILTERS: [&str; 7] =
    ["a/+", "#", "a/b", "msh/US/2/e/LongFast/+", "$SYS/#", "bad/#/filter", "$share/g/a/#"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Open),
        6 => (0u8..4, any::<bool>(), any::<bool>(), prop_oneof![Just(0u32), Just(5), Just(u32::MAX)], any::<bool>())
            .prop_map(|(name, version, clean, expiry, will)| Step::Connect { name, version, clean, expiry, will }),
        5 => (0usize..7, 0u8..3, any::<bool>()).prop_map(|(filter, qos, no_local)| Step::Subscribe { filter, qos, no_local }),
        1 => (0usize..7).prop_map(Step::Unsubscribe),
        8 => (0usize..4, 0u8..3, any::<bool>(), any::<bool>(), 1u16..8, 0usize..300).prop_map(
            |(topic, qos, retain, dup, packet_id, size)| Step::Publish { topic, qos, retain, dup: dup && qos > 0, packet_id, size }),
        6 => (1u32..4, 0u32..6, 0u32..9, any::<bool>())
            .prop_map(|(from, id, hop_limit, consent)| Step::Uplink { from, id, hop_limit, consent }),
        2 => (0usize..5, 0u16..18).prop_map(|(topic, alias)| Step::Alias { topic, alias }),
        1 => (0usize..DATA.len()).prop_map(Step::SignIn),
        2 => (0usize..3, 0usize..DATA.len()).prop_map(|(reason, data)| Step::Auth { reason, data }),
        6 => (0u8..4, 1u16..8, any::<bool>()).prop_map(|(kind, packet_id, error)| Step::Ack { kind, packet_id, error }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Raw),
        1 => Just(Step::Goodbye),
        2 => Just(Step::Lose),
        2 => prop_oneof![Just(10u64), Just(6_000), Just(100_000)].prop_map(Step::Wait),
        2 => Just(Step::Durable),
    ]
}

/// One connection as its client sees it.
struct Peer {
    id: ConnectionId,
    version: Version,
    received: Vec<u8>,
}

struct World {
    broker: Broker,
    now: Now,
    peers: Vec<Peer>,
    last_seq: u64,
    records: usize,
}

impl World {
    fn bytes_of(&self, step: &Step, version: Version) -> Vec<u8> {
        let mut out = Vec::new();
        match step {
            Step::Connect { name, clean, expiry, will, .. } => {
                let client_id = ["!7c5a0a01", "!7c5a0c03", "reader", ""][usize::from(*name)];
                let connect = Connect {
                    version,
                    clean_start: *clean,
                    keep_alive_s: 30,
                    client_id,
                    will: will.then_some(ConnectWill {
                        topic: "a/will",
                        payload: b"gone",
                        qos: 1,
                        retain: false,
                        properties: Properties::default(),
                    }),
                    username: None,
                    password: None,
                    properties: Properties::default(),
                };
                let aliases = u16::from(*name);
                let wants = [
                    (id::SESSION_EXPIRY, Value::FourBytes(*expiry)),
                    (id::TOPIC_ALIAS_MAXIMUM, Value::TwoBytes(aliases)),
                ];
                connect.encode(&mut out, &wants, &[]);
            }
            Step::Subscribe { filter, qos, no_local } => {
                let options = Subscription { qos: *qos, no_local: *no_local, ..Subscription::default() };
                encode_subscribe(&mut out, version, 9, &[(FILTERS[*filter], options)], &[]);
            }
            Step::Unsubscribe(filter) => encode_unsubscribe(&mut out, version, 9, &[FILTERS[*filter]]),
            Step::Publish { topic, qos, retain, dup, packet_id, size } => {
                let payload = vec![7; *size];
                let publish = PublishOut {
                    dup: *dup,
                    qos: *qos,
                    retain: *retain,
                    topic: TOPICS[*topic],
                    packet_id: if *qos > 0 { *packet_id } else { 0 },
                    payload: &payload,
                    ..PublishOut::default()
                };
                publish.encode(&mut out, version);
            }
            Step::Uplink { from, id, hop_limit, consent } => {
                let (port, payload) = text("hello");
                let gateway = NodeNum(0x7c5a_0a01);
                let packet = Packet {
                    from: NodeNum(0x7c5a_0a00 + *from),
                    to: NodeNum::BROADCAST,
                    id: *id,
                    hop_limit: *hop_limit,
                    hop_start: 7,
                    ..Packet::default()
                };
                let content = Content {
                    port: port.0,
                    payload,
                    bitfield: Some(u32::from(*consent)),
                    ..Content::default()
                };
                let key = ChannelKey::default_key();
                let bytes = envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), gateway);
                let publish = PublishOut { topic: TOPICS[3], payload: &bytes, ..PublishOut::default() };
                publish.encode(&mut out, version);
            }
            Step::Alias { topic, alias } => {
                let topic = TOPICS.get(*topic).copied().unwrap_or_default();
                let publish =
                    PublishOut { topic, alias: Some(*alias), payload: b"x", ..PublishOut::default() };
                publish.encode(&mut out, version);
            }
            Step::SignIn(data) => {
                let connect = Connect {
                    version: Version::V5,
                    clean_start: true,
                    keep_alive_s: 30,
                    client_id: "reader",
                    will: None,
                    username: None,
                    password: None,
                    properties: Properties::default(),
                };
                let wants = [
                    (id::AUTHENTICATION_METHOD, Value::Text("SCRAM-SHA-256")),
                    (id::AUTHENTICATION_DATA, Value::Binary(DATA[*data])),
                ];
                connect.encode(&mut out, &wants, &[]);
            }
            Step::Auth { reason, data } => {
                let reason =
                    [ReasonCode::Success, ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate]
                        [*reason];
                Auth { reason, method: "SCRAM-SHA-256", data: Some(DATA[*data]) }.encode(&mut out);
            }
            Step::Ack { kind, packet_id, error } => {
                let kinds = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp];
                let kind = kinds[usize::from(*kind)];
                let may_fail = *error && matches!(kind, AckKind::Puback | AckKind::Pubrec);
                let reason = if may_fail { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                Ack { kind, packet_id: *packet_id, reason }.encode(&mut out, version);
            }
            Step::Raw(bytes) => out.extend(bytes),
            Step::Goodbye => out.extend(server_packet::DISCONNECT),
            Step::Open | Step::Lose | Step::Wait(_) | Step::Durable => {}
        }
        out
    }

    fn take(&mut self, who: usize, step: &Step, cut: usize) {
        match step {
            Step::Open => {
                let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
                if let Some(id) = self.broker.open(self.now, address) {
                    self.peers.push(Peer { id, version: Version::V311, received: Vec::new() });
                }
            }
            Step::Wait(ms) => {
                self.now.mono_ms += ms;
                self.now.unix_ms += *ms as i64;
                self.broker.tick(self.now);
            }
            Step::Durable => self.broker.durable(self.last_seq),
            Step::Lose if !self.peers.is_empty() => {
                let peer = self.peers.remove(who % self.peers.len());
                self.broker.closed(self.now, peer.id, "lost");
            }
            _ if !self.peers.is_empty() => {
                let index = who % self.peers.len();
                if let Step::Connect { version, .. } = step {
                    self.peers[index].version = if *version { Version::V5 } else { Version::V311 };
                }
                if let Step::SignIn(_) = step {
                    self.peers[index].version = Version::V5;
                }
                let (id, version) = (self.peers[index].id, self.peers[index].version);
                let bytes = self.bytes_of(step, version);
                let (first, rest) = bytes.split_at(cut.min(bytes.len()));
                self.broker.receive(self.now, id, first);
                self.broker.receive(self.now, id, rest);
            }
            _ => {}
        }
        self.drain();
    }

    /// What the shell does after every turn, with a look at what is written.
    fn drain(&mut self) {
        let (mut last_seq, mut count) = (self.last_seq, 0);
        self.broker.take_records(&mut |record| {
            count += 1;
            if let Record::Reception(reception) = record {
                assert_eq!(reception.seq, last_seq + 1, "receptions are numbered without holes");
                last_seq = reception.seq;
            }
        });
        (self.last_seq, self.records) = (last_seq, self.records + count);
        while let Some(id) = self.broker.next_dirty() {
            let Some(outbox) = self.broker.outbox(id) else { continue };
            let bytes = outbox.unsent().to_vec();
            outbox.advance(bytes.len());
            if let Some(peer) = self.peers.iter_mut().find(|p| p.id == id) {
                peer.received.extend(bytes);
                let mut used = 0;
                while let Some(frame) = frame::split(&peer.received[used..], u32::MAX).unwrap() {
                    // Which version holds was decided by the first CONNECT that arrived whole.
                    let is_lawful = |version| server_packet::decode(&frame, version).is_ok();
                    assert!(is_lawful(Version::V311) || is_lawful(Version::V5), "{frame:?}");
                    used += frame.len;
                }
                assert_eq!(used, peer.received.len(), "whole control packets only");
                peer.received.clear();
            }
        }
        while let Some((id, reason)) = self.broker.next_closing() {
            self.peers.retain(|p| p.id != id);
            self.broker.closed(self.now, id, reason);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_comes_the_broker_stands_and_forgets_those_who_left(
        lab: bool,
        steps in prop::collection::vec((step(), 0usize..4, 0usize..60), 1..120),
    ) {
        let mut world = World {
            broker: broker(lab),
            now: Now { mono_ms: 1, unix_ms: 1_795_000_000_000 },
            peers: Vec::new(),
            last_seq: 0,
            records: 0,
        };
        for (step, who, cut) in &steps {
            world.take(*who, step, *cut);
        }
        while !world.peers.is_empty() {
            world.take(0, &Step::Lose, 0);
        }
        // Longer than any session is kept.
        world.take(0, &Step::Wait(u64::from(u32::MAX) * 1000), 0);
        let held = world.broker.holdings();
        let (retained, retained_bytes) = (held.retained, held.retained_bytes);
        prop_assert_eq!(held, Holdings { retained, retained_bytes, ..Holdings::default() });
        prop_assert!(!lab || world.records == 0, "the plain broker keeps nothing");
    }
}
