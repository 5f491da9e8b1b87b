//! A publisher, a broker that may crash at any moment, and a subscriber whose session is kept: every message whose
//! acknowledgement the publisher got arrives, in order, and QoS 2 exactly once. Both clients keep to the specification;
//! the store lags behind as far as it likes, and what it has not kept is gone after a crash.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Batch, Broker, ConnectionId, Kept, Limits, Now, Options};
use directory::{Directory, TokenKey};
use mqtt::connect::Connect;
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::ServerPacket;
use mqtt::subscribe::{Options as Wanted, encode_subscribe};
use mqtt::{ReasonCode, Version, frame, server_packet};
use proptest::prelude::*;

const NOW: Now = Now { mono_ms: 1, unix_ms: 1_795_000_000_000 };
const V5: Version = Version::V5;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    /// The publisher has something to say.
    Publish { qos: u8, retain: bool },
    /// The broker hears that many bytes of what a client has sent.
    BrokerReads { is_publisher: bool, bytes: usize },
    /// A client hears what the broker has sent.
    ClientReads { is_publisher: bool },
    /// The store keeps that many further turns.
    Keep(usize),
    /// A connection is lost with all that is on its way.
    Lose { is_publisher: bool },
    /// The program dies; what the store has kept is all that is left.
    Crash,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1u8..3, prop::bool::weighted(0.2)).prop_map(|(qos, retain)| Event::Publish { qos, retain }),
        8 => (any::<bool>(), 1usize..60).prop_map(|(is_publisher, bytes)| Event::BrokerReads { is_publisher, bytes }),
        8 => any::<bool>().prop_map(|is_publisher| Event::ClientReads { is_publisher }),
        5 => (1usize..5).prop_map(Event::Keep),
        1 => any::<bool>().prop_map(|is_publisher| Event::Lose { is_publisher }),
        1 => Just(Event::Crash),
    ]
}

/// A client that keeps its session, with the bytes on their way to and from the broker.
#[derive(Default)]
struct Client {
    name: &'static str,
    connection: Option<ConnectionId>,
    /// Whether CONNACK has come.
    is_in: bool,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// Its own messages without an end, in order.
    unfinished: VecDeque<Own>,
    /// Packet Identifiers of QoS 2 messages that it has and that are not released.
    unreleased: BTreeSet<u16>,
    received: Vec<u32>,
    acknowledged: Vec<(u32, u8, bool)>,
    last_packet_id: u16,
    wants: Option<&'static str>,
}

struct Own {
    packet_id: u16,
    number: u32,
    qos: u8,
    retain: bool,
    is_received: bool,
}

impl Client {
    fn lose(&mut self) -> Option<ConnectionId> {
        self.outgoing.clear();
        self.incoming.clear();
        self.is_in = false;
        self.connection.take()
    }

    fn say_hello(&mut self) {
        let connect = Connect {
            version: V5,
            clean_start: false,
            keep_alive_s: 3_600,
            client_id: self.name,
            will: None,
            username: None,
            password: None,
            properties: Properties::default(),
        };
        connect.encode(&mut self.outgoing, &[(id::SESSION_EXPIRY, Value::FourBytes(600))], &[]);
    }

    fn say(&mut self, kind: AckKind, packet_id: u16) {
        Ack { kind, packet_id, reason: ReasonCode::Success }.encode(&mut self.outgoing, V5);
    }

    fn publish(&mut self, number: u32, qos: u8, retain: bool) {
        // Few Packet Identifiers, so that they come round soon.
        loop {
            self.last_packet_id = self.last_packet_id % 9 + 1;
            if self.unfinished.iter().all(|own| own.packet_id != self.last_packet_id) {
                break;
            }
        }
        let own = Own { packet_id: self.last_packet_id, number, qos, retain, is_received: false };
        if self.is_in {
            own.encode(&mut self.outgoing, false);
        }
        self.unfinished.push_back(own);
    }

    fn read(&mut self) {
        let incoming = std::mem::take(&mut self.incoming);
        let mut used = 0;
        while let Some(frame) = frame::split(&incoming[used..], u32::MAX).unwrap() {
            used += frame.len;
            match server_packet::decode(&frame, V5).unwrap() {
                ServerPacket::Connack(connack) => self.on_connack(connack.session_present),
                ServerPacket::Publish(publish) => {
                    let number = u32::from_be_bytes(publish.payload.try_into().unwrap());
                    let is_new = publish.qos < 2 || self.unreleased.insert(publish.packet_id);
                    if is_new {
                        self.received.push(number);
                    }
                    let kind = if publish.qos == 1 { AckKind::Puback } else { AckKind::Pubrec };
                    self.say(kind, publish.packet_id);
                }
                ServerPacket::Ack(ack) => self.on_ack(ack),
                ServerPacket::Suback(..) => self.wants = None,
                other => panic!("{} got {other:?}", self.name),
            }
        }
        assert_eq!(used, incoming.len());
    }

    fn on_connack(&mut self, session_present: bool) {
        self.is_in = true;
        if !session_present {
            self.unreleased.clear();
        }
        if let Some(filter) = self.wants {
            encode_subscribe(
                &mut self.outgoing,
                V5,
                9,
                &[(filter, Wanted { qos: 2, ..Wanted::default() })],
                &[],
            );
        }
        for own in &self.unfinished {
            own.encode(&mut self.outgoing, true);
        }
    }

    fn on_ack(&mut self, ack: Ack) {
        let index = self.unfinished.iter().position(|own| own.packet_id == ack.packet_id);
        match ack.kind {
            AckKind::Pubrel => {
                self.unreleased.remove(&ack.packet_id);
                self.say(AckKind::Pubcomp, ack.packet_id);
            }
            AckKind::Puback | AckKind::Pubcomp => {
                let own = self.unfinished.remove(index.unwrap()).unwrap();
                if ack.kind == AckKind::Puback {
                    self.acknowledged.push((own.number, own.qos, own.retain));
                }
            }
            AckKind::Pubrec => {
                assert!(!ack.reason.is_error());
                let own = &mut self.unfinished[index.unwrap()];
                if !std::mem::replace(&mut own.is_received, true) {
                    self.acknowledged.push((own.number, own.qos, own.retain));
                }
                self.say(AckKind::Pubrel, ack.packet_id);
            }
        }
    }
}

impl Own {
    fn encode(&self, out: &mut Vec<u8>, again: bool) {
        if self.is_received {
            let ack = Ack { kind: AckKind::Pubrel, packet_id: self.packet_id, reason: ReasonCode::Success };
            return ack.encode(out, V5);
        }
        let publish = PublishOut {
            dup: again,
            qos: self.qos,
            retain: self.retain,
            topic: "t",
            packet_id: self.packet_id,
            payload: &self.number.to_be_bytes(),
            ..PublishOut::default()
        };
        publish.encode(out, V5);
    }
}

struct World {
    broker: Broker,
    publisher: Client,
    subscriber: Client,
    kept: Kept,
    unkept: VecDeque<Batch>,
    published: u32,
}

impl World {
    fn new() -> Self {
        let publisher = Client { name: "publisher", ..Client::default() };
        let subscriber = Client { name: "subscriber", wants: Some("t"), ..Client::default() };
        let broker = start(Kept::default());
        let mut world = Self {
            broker,
            publisher,
            subscriber,
            kept: Kept::default(),
            unkept: VecDeque::new(),
            published: 0,
        };
        // Messages are owed to the subscriber once its SUBACK has come.
        while world.subscriber.wants.is_some() {
            world.settle();
        }
        world
    }

    fn client(&mut self, is_publisher: bool) -> &mut Client {
        if is_publisher { &mut self.publisher } else { &mut self.subscriber }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Publish { qos, retain } if self.publisher.unfinished.len() < 5 => {
                self.published += 1;
                // A QoS 1 message that is sent again may lawfully become the retained one after a later one.
                self.publisher.publish(self.published, *qos, *retain && *qos == 2);
            }
            Event::Publish { .. } => {}
            Event::BrokerReads { is_publisher, bytes } => self.broker_reads(*is_publisher, *bytes),
            Event::ClientReads { is_publisher } => self.client(*is_publisher).read(),
            Event::Keep(turns) => (0..*turns).for_each(|_| self.keep()),
            Event::Lose { is_publisher } => {
                if let Some(id) = self.client(*is_publisher).lose() {
                    self.broker.closed(NOW, id, "lost");
                    self.end_turn();
                }
            }
            Event::Crash => {
                self.unkept.clear();
                for client in [&mut self.publisher, &mut self.subscriber] {
                    client.lose();
                }
                self.broker = start(self.kept.clone());
                self.end_turn();
            }
        }
    }

    fn broker_reads(&mut self, is_publisher: bool, count: usize) {
        let connection = self.client(is_publisher).connection;
        let id = connection.unwrap_or_else(|| {
            let id = self.broker.open(NOW, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
            let client = self.client(is_publisher);
            client.connection = Some(id);
            client.say_hello();
            id
        });
        let outgoing = &mut self.client(is_publisher).outgoing;
        let bytes: Vec<u8> = outgoing.drain(..count.min(outgoing.len())).collect();
        self.broker.receive(NOW, id, &bytes);
        self.end_turn();
    }

    /// The store keeps one turn's changes.
    fn keep(&mut self) {
        if let Some(batch) = self.unkept.pop_front() {
            self.kept.apply(&batch);
            // The numbers of a broker that has crashed mean nothing to the next one; `Crash` forgets them.
            self.broker.kept(NOW, batch.last);
            self.end_turn();
        }
    }

    fn end_turn(&mut self) {
        self.unkept.extend(self.broker.take_changes(NOW));
        while let Some(id) = self.broker.next_dirty() {
            let Some(outbox) = self.broker.outbox(id) else { continue };
            let bytes = outbox.unsent().to_vec();
            outbox.advance(bytes.len());
            for client in [&mut self.publisher, &mut self.subscriber] {
                if client.connection == Some(id) {
                    client.incoming.extend(&bytes);
                }
            }
        }
        assert!(self.broker.next_closing().is_none(), "nobody does anything wrong");
        self.unkept.extend(self.broker.take_changes(NOW));
    }

    /// Everything that can happen without a new message happens once.
    fn settle(&mut self) {
        for is_publisher in [true, false] {
            self.broker_reads(is_publisher, usize::MAX);
            while !self.unkept.is_empty() {
                self.keep();
            }
            self.client(is_publisher).read();
        }
    }
}

fn start(kept: Kept) -> Broker {
    let mut broker = Broker::new(Options {
        lab: true,
        limits: Limits { receive_maximum: 6, ..Limits::default() },
        policy: Default::default(),
        keyring: mesh::keyring::Keyring::default(),
        preset: mesh::airtime::ModemPreset::LongFast,
        directory: Arc::new(Directory::default()),
        token_key: TokenKey::new([0; 32]),
        last_seq: 0,
        acknowledge_when_durable: false,
        seed: 1,
    });
    broker.restore(NOW, kept);
    broker.catch_up(NOW);
    broker
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whenever_the_program_dies_what_was_acknowledged_arrives_and_qos_2_once(
        events in prop::collection::vec(event(), 1..250),
    ) {
        let mut world = World::new();
        for event in &events {
            world.take(event);
            let mut acknowledged = world.publisher.acknowledged.iter().rev();
            if let Some((number, ..)) = acknowledged.find(|(.., retain)| *retain) {
                let retained = world.kept.retained.get("t");
                let held = retained.map(|m| u32::from_be_bytes(m.payload[..].try_into().unwrap()));
                prop_assert!(held >= Some(*number), "retained {held:?}, acknowledged {number}");
            }
        }
        (0..30).for_each(|_| world.settle());
        prop_assert!(world.publisher.unfinished.is_empty());
        let received = &world.subscriber.received;
        for (number, qos, _) in &world.publisher.acknowledged {
            let count = received.iter().filter(|n| *n == number).count();
            prop_assert!(count >= 1, "message {number} with QoS {qos} is lost");
            prop_assert!(*qos < 2 || count == 1, "message {number} with QoS 2 came {count} times");
        }
        // Order of first arrivals. [MQTT-4.6.0-6]
        let mut seen = BTreeSet::new();
        let first: Vec<u32> = received.iter().copied().filter(|n| seen.insert(*n)).collect();
        prop_assert!(first.is_sorted(), "{first:?}");
        let kept = world.broker.worth_keeping();
        prop_assert!(kept.sessions.values().all(|s| s.copies.is_empty() && s.incoming_qos2.is_empty()));
        prop_assert_eq!(kept, world.kept);
    }
}
