//! A model client: keeps the client's side of MQTT correctly, whatever the network does to it.

use std::collections::{BTreeSet, VecDeque};

use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::{ReasonCode, Version};

use crate::ledger::Note;
use crate::wire::{Hello, Sent};

/// A QoS 1 or 2 message that the client has sent and not finished.
#[derive(Debug)]
struct Unfinished {
    packet_id: u16,
    number: u64,
    qos: u8,
    is_received: bool,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub version: Version,
    /// Rotations of its password that it knows of.
    pub password_turn: u32,
    pub wire: Option<usize>,
    pub hello: Option<Hello>,
    pub is_connected: bool,
    /// Reads nothing while this lasts.
    pub is_frozen: bool,
    pub buffer: Vec<u8>,
    /// Answers it will give when it gets to it, in order. [MQTT-4.6.0-2]
    pub answers: VecDeque<(Vec<u8>, Sent)>,
    unfinished: VecDeque<Unfinished>,
    last_packet_id: u16,
    received: BTreeSet<u16>,
}

impl Client {
    pub fn new(version: Version) -> Self {
        Self {
            version,
            password_turn: 0,
            wire: None,
            hello: None,
            is_connected: false,
            is_frozen: false,
            buffer: Vec::new(),
            answers: VecDeque::new(),
            unfinished: VecDeque::new(),
            last_packet_id: 0,
            received: BTreeSet::new(),
        }
    }

    /// The connection is gone or given up.
    pub fn on_lost(&mut self) {
        self.wire = None;
        self.is_connected = false;
        self.buffer.clear();
        self.answers.clear();
    }

    /// CONNACK said yes; returns what is sent again. [MQTT-4.4.0-1]
    pub fn on_accepted(&mut self, is_present: bool, notes: &[Note]) -> Vec<(Vec<u8>, Sent)> {
        self.is_connected = true;
        if !is_present {
            self.unfinished.clear();
            self.received.clear();
        }
        let again = self.unfinished.iter().map(|u| {
            if u.is_received {
                (self.ack(AckKind::Pubrel, u.packet_id, ReasonCode::Success), Sent::Pubrel(u.packet_id))
            } else {
                self.publish_bytes(u.number, u.packet_id, true, notes)
            }
        });
        again.collect()
    }

    pub fn n_unfinished(&self) -> usize {
        self.unfinished.len()
    }

    pub fn fresh_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if !self.unfinished.iter().any(|u| u.packet_id == self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }

    /// Publishes a noted message.
    pub fn publish(&mut self, number: u64, notes: &[Note]) -> (Vec<u8>, Sent) {
        let qos = notes[index(number)].qos;
        let packet_id = if qos > 0 { self.fresh_packet_id() } else { 0 };
        if qos > 0 {
            self.unfinished.push_back(Unfinished { packet_id, number, qos, is_received: false });
        }
        self.publish_bytes(number, packet_id, false, notes)
    }

    fn publish_bytes(&self, number: u64, packet_id: u16, dup: bool, notes: &[Note]) -> (Vec<u8>, Sent) {
        let note = &notes[index(number)];
        let payload = payload(number, note.payload_len);
        let publish = PublishOut {
            dup,
            qos: note.qos,
            retain: note.retain,
            topic: note.topic,
            packet_id,
            expiry_s: note.expiry_s,
            payload: &payload,
            ..PublishOut::default()
        };
        let mut out = Vec::new();
        publish.encode(&mut out, self.version);
        (out, Sent::Publish { number, packet_id, is_clear: payload.is_empty() })
    }

    fn ack(&self, kind: AckKind, packet_id: u16, reason: ReasonCode) -> Vec<u8> {
        let mut out = Vec::new();
        Ack { kind, packet_id, reason }.encode(&mut out, self.version);
        out
    }

    /// A PUBLISH came. Returns whether the application gets it, which a repeated QoS 2 message does not.
    pub fn on_publish(&mut self, qos: u8, packet_id: u16, refuses: bool) -> bool {
        match qos {
            0 => true,
            1 => {
                let ack = self.ack(AckKind::Puback, packet_id, ReasonCode::Success);
                self.answers.push_back((ack, Sent::Puback(packet_id)));
                true
            }
            _ => {
                let is_known = self.received.contains(&packet_id);
                let is_error = refuses && !is_known && self.version == Version::V5;
                let reason = if is_error { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                let ack = self.ack(AckKind::Pubrec, packet_id, reason);
                self.answers.push_back((ack, Sent::Pubrec { packet_id, is_error }));
                !is_error && self.received.insert(packet_id)
            }
        }
    }

    /// An answer to what it sent, or a PUBREL.
    pub fn on_ack(&mut self, ack: Ack) {
        let packet_id = ack.packet_id;
        let position = |u: &&Unfinished| u.packet_id == packet_id;
        match ack.kind {
            AckKind::Puback => self.unfinished.retain(|u| !(u.packet_id == packet_id && u.qos == 1)),
            AckKind::Pubrec if ack.reason.is_error() => {
                self.unfinished.retain(|u| !(u.packet_id == packet_id && u.qos == 2));
            }
            AckKind::Pubrec => {
                if self.unfinished.iter().find(position).is_some() {
                    self.unfinished
                        .iter_mut()
                        .filter(|u| u.packet_id == packet_id)
                        .for_each(|u| u.is_received = true);
                }
                let release = self.ack(AckKind::Pubrel, packet_id, ReasonCode::Success);
                self.answers.push_back((release, Sent::Pubrel(packet_id)));
            }
            AckKind::Pubrel => {
                self.received.remove(&packet_id);
                let done = self.ack(AckKind::Pubcomp, packet_id, ReasonCode::Success);
                self.answers.push_back((done, Sent::Pubcomp(packet_id)));
            }
            AckKind::Pubcomp => self.unfinished.retain(|u| !(u.packet_id == packet_id && u.is_received)),
        }
    }
}

pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A payload of that length that begins with the message's number.
pub(crate) fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len, 0x5a);
    payload
}
