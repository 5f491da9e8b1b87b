//! A broker value in the plain-broker profile and the peers that talk to it, in packets and without sockets.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use broker::{Broker, ConnectionId, Limits, Now, Options};
use directory::{Directory, TokenKey};
use mqtt::connect::Connect;
use mqtt::property::{Properties, Value, id};
use mqtt::publish::{Ack, AckKind, Publish, PublishOut};
use mqtt::server_packet::ServerPacket;
use mqtt::subscribe::{Options as Wanted, encode_subscribe, encode_unsubscribe};
use mqtt::{ReasonCode, Version, frame, server_packet};

/// The broker, its clock, and what it wrote to each connection.
pub struct Hall {
    pub broker: Broker,
    pub now: Now,
    written: Vec<(ConnectionId, Vec<u8>)>,
    closed: Vec<ConnectionId>,
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub id: ConnectionId,
    pub version: Version,
}

/// A PUBLISH that a peer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub packet_id: u16,
    pub alias: Option<u32>,
}

impl Hall {
    pub fn new(limits: Limits) -> Self {
        Self::with(Options {
            lab: true,
            limits,
            policy: Default::default(),
            keyring: mesh::keyring::Keyring::default(),
            preset: mesh::airtime::ModemPreset::LongFast,
            directory: Arc::new(Directory::default()),
            token_key: TokenKey::new([0; 32]),
            last_seq: 0,
            acknowledge_when_durable: false,
            seed: 1,
        })
    }

    pub fn with(options: Options) -> Self {
        Self {
            broker: Broker::new(options),
            now: Now { mono_ms: 1, unix_ms: 1_795_000_000_000 },
            written: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Opens a connection that has said nothing yet.
    pub fn open(&mut self, version: Version) -> Peer {
        let id = self.broker.open(self.now, IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        self.written.retain(|(other, _)| *other != id);
        self.closed.retain(|other| *other != id);
        Peer { id, version }
    }

    /// Connects and takes the CONNACK away.
    pub fn connect(&mut self, name: &str, version: Version, properties: &[(u32, Value<'_>)]) -> Peer {
        let peer = self.open(version);
        self.send(peer, &connect(name, version, properties));
        let packets = self.received(peer);
        assert_eq!((packets[0][0], packets[0][3]), (0x20, 0), "CONNACK that says yes");
        self.written.push((peer.id, packets[1..].concat()));
        peer
    }

    /// Connects with a session that outlives the connection.
    pub fn connect_kept(&mut self, name: &str) -> Peer {
        self.connect(name, Version::V5, &[(id::SESSION_EXPIRY, Value::FourBytes(600))])
    }

    pub fn send(&mut self, peer: Peer, bytes: &[u8]) {
        self.broker.receive(self.now, peer.id, bytes);
        self.drain();
    }

    pub fn lose(&mut self, peer: Peer) {
        self.broker.closed(self.now, peer.id, "lost");
        self.drain();
    }

    pub fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += i64::try_from(ms).unwrap();
        self.broker.tick(self.now);
        self.drain();
    }

    pub fn subscribe(&mut self, peer: Peer, filter: &str, qos: u8) -> u8 {
        let mut out = Vec::new();
        encode_subscribe(&mut out, peer.version, 9, &[(filter, Wanted { qos, ..Wanted::default() })], &[]);
        self.send(peer, &out);
        let packets = self.received(peer);
        let suback = packets.iter().find(|p| p[0] == 0x90).unwrap();
        *suback.last().unwrap()
    }

    pub fn unsubscribe(&mut self, peer: Peer, filter: &str) {
        let mut out = Vec::new();
        encode_unsubscribe(&mut out, peer.version, 9, &[filter]);
        self.send(peer, &out);
    }

    pub fn publish(&mut self, peer: Peer, topic: &str, payload: &str, qos: u8) {
        let publish = PublishOut {
            topic,
            payload: payload.as_bytes(),
            qos,
            packet_id: if qos > 0 { 7 } else { 0 },
            ..PublishOut::default()
        };
        let mut out = Vec::new();
        publish.encode(&mut out, peer.version);
        self.send(peer, &out);
    }

    pub fn acknowledge(&mut self, peer: Peer, kind: AckKind, packet_id: u16) {
        let mut out = Vec::new();
        Ack { kind, packet_id, reason: ReasonCode::Success }.encode(&mut out, peer.version);
        self.send(peer, &out);
    }

    /// The control packets that came since the last call.
    pub fn received(&mut self, peer: Peer) -> Vec<Vec<u8>> {
        let Some((_, bytes)) = self.written.iter_mut().find(|(id, _)| *id == peer.id) else {
            return Vec::new();
        };
        let bytes = std::mem::take(bytes);
        self.written.retain(|(_, bytes)| !bytes.is_empty());
        let (mut packets, mut used) = (Vec::new(), 0);
        while let Some(frame) = frame::split(&bytes[used..], u32::MAX).unwrap() {
            server_packet::decode(&frame, peer.version).unwrap();
            packets.push(bytes[used..used + frame.len].to_vec());
            used += frame.len;
        }
        assert_eq!(used, bytes.len(), "whole control packets only");
        packets
    }

    /// The PUBLISH packets among what came since the last call.
    pub fn got(&mut self, peer: Peer) -> Vec<Got> {
        let packets = self.received(peer);
        packets.iter().filter(|p| p[0] >> 4 == 3).map(|p| got(p, peer.version)).collect()
    }

    pub fn payloads(&mut self, peer: Peer) -> Vec<String> {
        self.got(peer).into_iter().map(|got| got.payload).collect()
    }

    pub fn is_closed(&self, peer: Peer) -> bool {
        self.closed.contains(&peer.id)
    }

    /// What the shell does after every turn.
    pub fn drain(&mut self) {
        self.write();
        while let Some((id, reason)) = self.broker.next_closing() {
            self.closed.push(id);
            self.broker.closed(self.now, id, reason);
        }
        self.write();
    }

    fn write(&mut self) {
        while let Some(id) = self.broker.next_dirty() {
            let Some(outbox) = self.broker.outbox(id) else { continue };
            let bytes = outbox.unsent().to_vec();
            outbox.advance(bytes.len());
            match self.written.iter_mut().find(|(other, _)| *other == id) {
                Some((_, written)) => written.extend(bytes),
                None => self.written.push((id, bytes)),
            }
        }
    }
}

pub fn connect(name: &str, version: Version, properties: &[(u32, Value<'_>)]) -> Vec<u8> {
    let connect = Connect {
        version,
        clean_start: false,
        keep_alive_s: 30,
        client_id: name,
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    };
    let mut out = Vec::new();
    connect.encode(&mut out, properties, &[]);
    out
}

fn got(packet: &[u8], version: Version) -> Got {
    let frame = frame::split(packet, u32::MAX).unwrap().unwrap();
    let ServerPacket::Publish(Publish { topic, payload, qos, retain, dup, packet_id, properties }) =
        server_packet::decode(&frame, version).unwrap()
    else {
        unreachable!("only PUBLISH packets are asked for")
    };
    Got {
        topic: topic.to_owned(),
        payload: String::from_utf8_lossy(payload).into_owned(),
        qos,
        retain,
        dup,
        packet_id,
        alias: properties.number(id::TOPIC_ALIAS),
    }
}

/// A DISCONNECT as the broker writes it.
pub fn disconnect(code: u8, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    server_packet::encode_disconnect(&mut out, ReasonCode::from_code(code).unwrap(), Some(why));
    out
}
