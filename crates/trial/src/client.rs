//! A client of the broker: the bytes it writes, and the bytes it has not read yet.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use broker::{Broker, ConnectionId, Now};
use mqtt::connect::Connect;
use mqtt::property::Properties;
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::reason_code::ReasonCode;
use mqtt::server_packet::{self, PINGREQ, ServerPacket};
use mqtt::subscribe::{Options, encode_subscribe};
use mqtt::{Version, frame};

/// What a node's network stack takes before its firmware reads (lwIP's window on ESP32).
const WINDOW_BYTES: usize = 5_744;
/// What others take.
const LARGE_WINDOW_BYTES: usize = 1 << 20;
/// Firmware says something this often at least; its Keep Alive is 15 s.
const PING_MS: u64 = 10_000;

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    id: ConnectionId,
    is_node: bool,
    window: VecDeque<u8>,
    /// Bytes of the broker's outbox that were looked at before.
    looked_at: usize,
    last_sent_ms: u64,
}

/// Who signs in.
pub(crate) struct Login<'a> {
    pub client_id: &'a str,
    pub credential: Option<(&'a str, &'a str)>,
    pub filters: &'a [String],
    pub address: u8,
    pub is_loopback: bool,
    /// Whether it is a node: it reads one packet at a time and its window is small.
    pub is_node: bool,
}

impl Client {
    /// Connects and subscribes as firmware does: MQTT 3.1.1, clean session, QoS 1.
    pub fn new(broker: &mut Broker, now: Now, login: &Login<'_>) -> Option<Self> {
        let first = if login.is_loopback { 127 } else { 10 };
        let id = broker.open(now, IpAddr::V4(Ipv4Addr::new(first, 0, 0, login.address)))?;
        let connect = Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_s: 15,
            client_id: login.client_id,
            will: None,
            username: login.credential.map(|(name, _)| name),
            password: login.credential.map(|(_, password)| password.as_bytes()),
            properties: Properties::default(),
        };
        let mut bytes = Vec::new();
        connect.encode(&mut bytes, &[], &[]);
        for (number, filter) in (1..).zip(login.filters) {
            let options = Options { qos: 1, ..Options::default() };
            encode_subscribe(&mut bytes, Version::V311, number, &[(filter, options)], &[]);
        }
        broker.receive(now, id, &bytes);
        let last_sent_ms = now.mono_ms;
        Some(Self { id, is_node: login.is_node, window: VecDeque::new(), looked_at: 0, last_sent_ms })
    }

    /// Which connection it has.
    pub const fn connection(&self) -> ConnectionId {
        self.id
    }

    /// Publishes with QoS 0, as firmware does.
    pub fn publish(&mut self, broker: &mut Broker, now: Now, topic: &str, payload: &[u8]) {
        let mut bytes = Vec::new();
        PublishOut { topic, payload, ..PublishOut::default() }.encode(&mut bytes, Version::V311);
        broker.receive(now, self.id, &bytes);
        self.last_sent_ms = now.mono_ms;
    }

    /// The payloads of what the broker has written since the last look; the network need not have taken it yet.
    pub fn written(&mut self, broker: &mut Broker) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        let Some(outbox) = broker.outbox(self.id) else { return payloads };
        let mut rest = outbox.unsent().get(self.looked_at..).unwrap_or_default();
        while let Ok(Some(frame)) = frame::split(rest, u32::MAX) {
            if let Ok(ServerPacket::Publish(publish)) = server_packet::decode(&frame, Version::V311) {
                payloads.push(publish.payload.to_vec());
            }
            self.looked_at += frame.len;
            rest = &rest[frame.len..];
        }
        payloads
    }

    /// Takes from the broker what its window has room for.
    pub fn take(&mut self, broker: &mut Broker) {
        let window = if self.is_node { WINDOW_BYTES } else { LARGE_WINDOW_BYTES };
        let Some(outbox) = broker.outbox(self.id) else { return };
        let count = outbox.unsent().len().min(window.saturating_sub(self.window.len()));
        self.window.extend(&outbox.unsent()[..count]);
        outbox.advance(count);
        self.looked_at = self.looked_at.saturating_sub(count);
    }

    /// Reads one packet, acknowledges it when it is to, and returns the payload when it is a PUBLISH.
    pub fn read(&mut self, broker: &mut Broker, now: Now) -> Option<Vec<u8>> {
        if now.mono_ms >= self.last_sent_ms + PING_MS {
            broker.receive(now, self.id, &PINGREQ);
            self.last_sent_ms = now.mono_ms;
        }
        let bytes = self.window.make_contiguous();
        let frame = frame::split(bytes, u32::MAX).ok().flatten()?;
        let (length, mut payload, mut packet_id) = (frame.len, None, 0);
        if let Ok(ServerPacket::Publish(publish)) = server_packet::decode(&frame, Version::V311) {
            payload = Some(publish.payload.to_vec());
            packet_id = publish.packet_id;
        }
        self.window.drain(..length);
        if packet_id != 0 {
            let mut ack = Vec::new();
            Ack { kind: AckKind::Puback, packet_id, reason: ReasonCode::Success }
                .encode(&mut ack, Version::V311);
            broker.receive(now, self.id, &ack);
        }
        payload
    }

    /// Whether there is something to read.
    pub fn has_unread(&self) -> bool {
        !self.window.is_empty()
    }
}
