//! A broker whose clients sign in, driven packet by packet.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::IpAddr;
use std::sync::Arc;

use broker::{Broker, ConnectionId, Limits, Now, Options, Reached};
use directory::{Command, Directory, Token, TokenKey};
use mesh::airtime::ModemPreset;
use mesh::keyring::Keyring;
use mqtt::connect::Connect;
use mqtt::property::{Properties, Value, id};
use mqtt::publish::PublishOut;
use mqtt::subscribe::{Options as Subscription, encode_subscribe};
use mqtt::{Version, frame};

pub const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
pub const THIS_MACHINE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub struct World {
    pub broker: Broker,
    pub now: Now,
    pub directory: Directory,
}

pub fn token(number: u8) -> Token {
    Token::from_random([number; directory::TOKEN_RANDOM_BYTES])
}

pub fn key() -> TokenKey {
    TokenKey::new([0; 32])
}

impl World {
    /// A broker with three services, `a`, `b` and `c`, that may publish anything below `t`.
    pub fn new(limits: Limits) -> Self {
        let mut directory = Directory::default();
        for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
            let command = Command::AddService {
                name: name.into(),
                prefix: "t".into(),
                owner: None,
                note: String::new(),
                token: token(number as u8),
            };
            directory = directory.apply(command, &key(), 0).unwrap().directory;
        }
        let broker = Broker::new(Options {
            lab: false,
            limits,
            policy: Default::default(),
            keyring: Keyring::default(),
            preset: ModemPreset::LongFast,
            directory: Arc::new(directory.clone()),
            token_key: key(),
            last_seq: 0,
            acknowledge_when_durable: false,
            seed: 1,
        });
        Self { broker, now: Now { mono_ms: 1_000_000, unix_ms: 1_795_000_000_000 }, directory }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms as i64;
        self.broker.tick(self.now);
    }

    pub fn reached(&self, reached: Reached) -> u64 {
        self.broker.snapshot(self.now).counters.reached.of(reached)
    }

    pub fn open(&mut self, address: IpAddr) -> Option<ConnectionId> {
        self.broker.open(self.now, address)
    }

    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.broker.receive(self.now, id, bytes);
    }

    /// What the client reads, as the first byte and the length of each packet.
    pub fn read(&mut self, id: ConnectionId) -> Vec<Vec<u8>> {
        let Some(outbox) = self.broker.outbox(id) else { return Vec::new() };
        let bytes = outbox.unsent().to_vec();
        outbox.advance(bytes.len());
        let mut packets = Vec::new();
        let mut rest = &bytes[..];
        while let Some(frame) = frame::split(rest, u32::MAX).unwrap() {
            packets.push(rest[..frame.len].to_vec());
            rest = &rest[frame.len..];
        }
        packets
    }

    /// Closes what the broker wants closed; says which.
    pub fn carry_out(&mut self) -> Vec<(ConnectionId, &'static str)> {
        let mut closed = Vec::new();
        while let Some((id, reason)) = self.broker.next_closing() {
            self.broker.closed(self.now, id, reason);
            closed.push((id, reason));
        }
        closed
    }

    pub fn hello(&mut self, address: IpAddr, client: &Client) -> (ConnectionId, Vec<u8>) {
        let id = self.open(address).unwrap();
        self.send(id, &client.connect());
        let packets = self.read(id);
        let connack = packets.into_iter().next().unwrap_or_default();
        (id, connack)
    }

    /// A client that is let in.
    pub fn join(&mut self, client: &Client) -> ConnectionId {
        let (id, connack) = self.hello(HOME, client);
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:?}");
        id
    }

    pub fn lose(&mut self, id: ConnectionId) {
        self.broker.closed(self.now, id, "lost");
    }

    pub fn subscribe(&mut self, id: ConnectionId, filter: &str, qos: u8) -> u8 {
        let mut out = Vec::new();
        let options = Subscription { qos, ..Subscription::default() };
        encode_subscribe(&mut out, Version::V5, 7, &[(filter, options)], &[]);
        self.send(id, &out);
        let packets = self.read(id);
        let suback = packets.iter().find(|p| p[0] == 0x90).unwrap();
        *suback.last().unwrap()
    }

    pub fn publish(&mut self, id: ConnectionId, topic: &str, qos: u8, retain: bool, bytes: usize) {
        let payload = vec![7; bytes];
        let publish = PublishOut {
            qos,
            retain,
            topic,
            packet_id: u16::from(qos > 0),
            payload: &payload,
            ..PublishOut::default()
        };
        let mut out = Vec::new();
        publish.encode(&mut out, Version::V5);
        self.send(id, &out);
    }
}

pub struct Client {
    pub name: &'static str,
    pub client_id: String,
    pub password: Token,
    pub expiry_s: u32,
}

/// A client of one of the services, whose session lasts a day.
pub fn client(name: &'static str, client_id: impl Into<String>) -> Client {
    let number = name.as_bytes()[0] - b'a';
    Client { name, client_id: client_id.into(), password: token(number), expiry_s: 86_400 }
}

impl Client {
    pub fn guessing(mut self) -> Self {
        self.password = token(99);
        self
    }

    pub fn connect(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let connect = Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive_s: 0,
            client_id: &self.client_id,
            will: None,
            username: Some(self.name),
            password: Some(self.password.reveal().as_bytes()),
            properties: Properties::default(),
        };
        connect.encode(&mut out, &[(id::SESSION_EXPIRY, Value::FourBytes(self.expiry_s))], &[]);
        out
    }
}

pub fn code(connack: &[u8]) -> u8 {
    connack[3]
}
