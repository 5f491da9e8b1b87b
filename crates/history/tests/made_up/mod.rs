//! Receptions, releases and connections as a mesh would give them, the same for the same seed. Knows no files.

#![allow(dead_code, reason = "each test and example uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::sync::Arc;

use mesh::key::ChannelKey;
use mesh::node::NodeNum;
use policy::decision::{Decision, Outcome, Verdict};
use policy::downlink::details::CopyDetails;
use policy::rule::{RULES, RuleId, RuleSet, Stage};
use record::{
    ConnectionEvent, ConnectionWhat, Consent, KeyClass, PacketSummary, ReceiverKind, Reception, Record,
    Release, ReleasedCopy,
};

/// 2026-11-23 12:00 UTC.
pub const NOON_MS: i64 = 1_795_435_200_000;
/// Gateways that hear each packet.
pub const COPIES: u64 = 3;

/// Makes records, numbered from 1.
pub struct Maker {
    random: u64,
    /// Number of the last reception.
    pub seq: u64,
    /// Clock of the last reception, Unix ms.
    pub at_ms: i64,
    /// Milliseconds between receptions.
    pub step_ms: i64,
    /// How many nodes send.
    pub nodes: u32,
    packet: Option<(PacketSummary, Vec<u8>, u32)>,
    topics: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    channels: [Arc<str>; 3],
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        let topics = (0..20).map(|index| {
            let id = format!("!{:08x}", gateway(index));
            let topic = format!("msh/US/2/e/LongFast/{id}");
            (format!("gw-{}", &id[1..]).into(), id.as_str().into(), topic.into())
        });
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            seq: 0,
            at_ms: NOON_MS,
            step_ms: 50,
            nodes: 500,
            packet: None,
            topics: topics.collect(),
            channels: ["LongFast".into(), "Kansas City".into(), "PKI".into()],
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    /// The next reception. Each packet is received three times in a row.
    pub fn reception(&mut self) -> Arc<Reception> {
        self.seq += 1;
        self.at_ms += self.step_ms;
        if self.seq % COPIES == 1 || self.packet.is_none() {
            self.packet = Some(self.packet());
        }
        let (mut packet, body, port) = self.packet.clone().unwrap();
        let heard_by = self.below(20) as u32;
        packet.hop_limit = self.below(8) as u8;
        packet.rx_rssi = (self.below(10) > 0).then(|| -130 + self.below(100) as i32);
        packet.rx_snr = packet.rx_rssi.map(|_| self.below(100) as f32 / 4.0 - 12.0);
        packet.rx_time = (self.at_ms / 1000) as u32;
        packet.hops_away = (self.below(50) > 0).then_some(7 - packet.hop_limit);
        packet.relay_node = self.below(256) as u8;
        let channel = self.channels[(packet.from % 3) as usize].clone();
        let (username, id, topic) = self.topics[heard_by as usize].clone();
        let has_port = self.below(5) > 0;
        let decision = self.decision();
        Arc::new(Reception {
            seq: self.seq,
            at_ms: self.at_ms,
            client_id: id.clone(),
            username: (self.below(50) > 0).then_some(username),
            gateway: Some(gateway(heard_by)),
            topic,
            payload: envelope(&packet, &body, &channel, &id).into(),
            qos: u8::from(self.below(20) == 0),
            retain: self.below(50) == 0,
            packet: Some(packet),
            channel: Some(channel),
            port: has_port.then_some(port),
            consent: Consent::ALL[(packet.from % 3) as usize],
            key_class: KeyClass::ALL[(packet.from % 7) as usize],
            flags: 1 << self.below(4),
            frame_bytes: Some(16 + body.len() as u16),
            airtime_us: Some(body.len() as u32 * 8_000),
            decision,
        })
    }

    /// A release of a reception: a few copies of every sort.
    pub fn release(&mut self, reception: &Reception) -> Arc<Release> {
        let count = self.below(5);
        let copies = (0..count).map(|_| self.copy()).collect();
        Arc::new(Release { reception_seq: reception.seq, at_ms: reception.at_ms, copies })
    }

    /// A reception and, when it was accepted, its release, as the broker gives them.
    pub fn records(&mut self) -> Vec<Record> {
        let reception = self.reception();
        let mut records = vec![Record::Reception(reception.clone())];
        if matches!(reception.decision.verdict, Verdict::Accept | Verdict::Rewrite) {
            records.push(Record::Release(self.release(&reception)));
        }
        records
    }

    /// A connection event at the time of the last reception.
    pub fn connection(&mut self) -> Record {
        let index = self.below(20) as u32;
        let (username, client_id, _) = self.topics[index as usize].clone();
        let what = match self.below(3) {
            0 => ConnectionWhat::Connected("3.1.1"),
            1 => ConnectionWhat::Refused("wrong password"),
            _ => ConnectionWhat::Disconnected("keep-alive ran out"),
        };
        Record::Connection(Arc::new(ConnectionEvent {
            at_ms: self.at_ms,
            client_id,
            username: Some(username),
            gateway: Some(gateway(index)),
            address: "192.0.2.7".into(),
            what,
        }))
    }

    /// A text that somebody wrote, heard once.
    pub fn said(&mut self, key: &ChannelKey, channel: &str, text: &str) -> Record {
        self.written(key, channel, node(5), 1, text.as_bytes())
    }

    /// Node information that a node sent, heard once.
    pub fn named(&mut self, from: u32, long: &str, short: &str) -> Record {
        let mut user = Vec::new();
        mesh::wire::put_bytes(&mut user, 2, long.as_bytes());
        mesh::wire::put_bytes(&mut user, 3, short.as_bytes());
        self.written(&ChannelKey::default_key(), "LongFast", from, 4, &user)
    }

    fn written(&mut self, key: &ChannelKey, channel: &str, from: u32, port: u32, payload: &[u8]) -> Record {
        let mut reception = (*self.reception()).clone();
        let mut data = Vec::new();
        mesh::wire::put_uint(&mut data, 1, port.into());
        mesh::wire::put_bytes(&mut data, 2, payload);
        let id = self.below(1 << 31) as u32 * 2;
        mesh::crypto::apply_ctr(key, NodeNum(from), id, &mut data);
        let packet =
            PacketSummary { from, to: u32::MAX, id, hops_away: Some(0), ..reception.packet.unwrap() };
        let gateway = reception.client_id.clone();
        let hash = key.channel_hash(channel, false);
        reception.payload = envelope_with_hash(&packet, &data, channel, &gateway, hash.into()).into();
        reception.topic = format!("msh/US/2/e/{channel}/{gateway}").into();
        reception.channel = Some(channel.into());
        reception.packet = Some(packet);
        reception.port = Some(port);
        Record::Reception(Arc::new(reception))
    }

    fn packet(&mut self) -> (PacketSummary, Vec<u8>, u32) {
        let length = 8 + self.below(90) as usize;
        let body = (0..length).map(|_| self.below(256) as u8).collect();
        let to = if self.below(6) == 0 { node(self.below(self.nodes.into()) as u32) } else { u32::MAX };
        let packet = PacketSummary {
            from: node(self.below(self.nodes.into()) as u32),
            to,
            id: self.below(1 << 31) as u32 * 2 + 1,
            hop_start: 7,
            want_ack: to != u32::MAX,
            request_id: u32::from(self.below(10) == 0) * 77,
            ..PacketSummary::default()
        };
        (packet, body, [1, 3, 4, 67, 73][self.below(5) as usize])
    }

    fn decision(&mut self) -> Decision {
        let verdict =
            [Verdict::Accept, Verdict::Accept, Verdict::Rewrite, Verdict::RecordOnly, Verdict::Refuse]
                [self.below(5) as usize];
        let rules: Vec<RuleId> = RULES.iter().filter(|r| r.stage == Stage::Uplink).map(|r| r.id).collect();
        let rule = match verdict {
            Verdict::Accept => None,
            Verdict::Rewrite => Some(RuleId::HopLimit),
            Verdict::RecordOnly | Verdict::Refuse => Some(rules[self.below(rules.len() as u64) as usize]),
        };
        let mut observed = RuleSet::default();
        if self.below(5) == 0 {
            observed.insert(RuleId::PublicKey);
        }
        let sentence = rule.map_or("no rule objected", |rule| rule.info().doc);
        Decision { verdict, rule, sentence: sentence.into(), observed, off: RuleSet(1 << 63) }
    }

    fn copy(&mut self) -> ReleasedCopy {
        let outcome = match self.below(4) {
            0 => Outcome::Delivered,
            1 => Outcome::DeliveredWithHopLimit(self.below(8) as u8),
            2 => Outcome::Withheld(RuleId::AlreadyHeard),
            _ => Outcome::Dropped,
        };
        let index = self.below(20) as usize;
        let receiver = self.topics[index].1.clone();
        let mut observed = RuleSet::default();
        if self.below(4) == 0 {
            observed.insert(RuleId::DownlinkSize);
        }
        let mut details = CopyDetails::default();
        if self.below(3) == 0 {
            details.airtime_us = self.below(2_000_000) as u32;
            details.waited_ms = self.below(600_000) as u32;
            details.island = (self.below(2) == 0).then_some(gateway(index as u32));
        }
        let kind = ReceiverKind::ALL[self.below(4) as usize];
        ReleasedCopy { receiver, kind, outcome, observed, details }
    }
}

/// Node number of a gateway.
pub fn gateway(index: u32) -> u32 {
    0x7c5a_0a00 + index
}

/// Node number of a node.
pub fn node(index: u32) -> u32 {
    0x9e1c_0d10 + index
}

/// The bytes a gateway publishes.
pub fn envelope(packet: &PacketSummary, body: &[u8], channel: &str, gateway: &str) -> Vec<u8> {
    envelope_with_hash(packet, body, channel, gateway, 8)
}

fn envelope_with_hash(
    packet: &PacketSummary,
    body: &[u8],
    channel: &str,
    gateway: &str,
    hash: u64,
) -> Vec<u8> {
    let mut inner = Vec::new();
    mesh::wire::put_fixed32(&mut inner, 1, packet.from);
    mesh::wire::put_fixed32(&mut inner, 2, packet.to);
    mesh::wire::put_uint(&mut inner, 3, hash);
    mesh::wire::put_bytes(&mut inner, 5, body);
    mesh::wire::put_fixed32(&mut inner, 6, packet.id);
    mesh::wire::put_fixed32(&mut inner, 7, packet.rx_time);
    if let Some(snr) = packet.rx_snr {
        mesh::wire::put_fixed32(&mut inner, 8, snr.to_bits());
    }
    mesh::wire::put_uint(&mut inner, 9, packet.hop_limit.into());
    if packet.want_ack {
        mesh::wire::put_uint(&mut inner, 10, 1);
    }
    if let Some(rssi) = packet.rx_rssi {
        mesh::wire::put_uint(&mut inner, 12, i64::from(rssi) as u64);
    }
    mesh::wire::put_uint(&mut inner, 15, packet.hop_start.into());
    mesh::wire::put_uint(&mut inner, 19, packet.relay_node.into());
    let mut outer = Vec::new();
    mesh::wire::put_bytes(&mut outer, 1, &inner);
    mesh::wire::put_bytes(&mut outer, 2, channel.as_bytes());
    mesh::wire::put_bytes(&mut outer, 3, gateway.as_bytes());
    outer
}

/// Everything a reception says, for comparing.
pub fn shown(reception: &Reception) -> String {
    format!("{reception:?}")
}
