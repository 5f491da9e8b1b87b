//! Gateways that misbehave: one that floods its broker, one that closes a loop, one that moves, one that lies.

use std::cmp::Reverse;

use mesh::compose::{Content, Packet};
use mesh::node::NodeNum;

use crate::letter::{Key, Kind, Letter};
use crate::plan::{ABUSE_PER_SECOND, Plan};
use crate::simulation::{City, Event};

/// How a gateway behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As the firmware does.
    Honest,
    /// It publishes hundreds of packets a second.
    Abuser,
    /// It uplinks again what came down.
    Bridge,
    /// It moves to another island.
    Mobile,
    /// It uplinks packets under the ids of others.
    Spoofer,
}

/// Time between two packets of the spoofer, ms.
const SPOOF_INTERVAL_MS: u64 = 120_000;

impl Manner {
    /// How each gateway of a plan behaves.
    pub(crate) fn of_gateways(plan: &Plan) -> Vec<Self> {
        let there = [Self::Abuser, Self::Bridge, Self::Mobile, Self::Spoofer];
        let there = if plan.misfits.are_there { &there[..] } else { &[] };
        let honest = plan.gateways.saturating_sub(there.len());
        let mut manners = vec![Self::Honest; honest];
        manners.extend(there);
        manners.truncate(plan.gateways);
        manners.resize(plan.nodes.max(plan.gateways), Self::Honest);
        manners
    }
}

impl City {
    pub(crate) fn plan_misfits(&mut self) {
        let misfits = self.plan.misfits.clone();
        for (node, manner) in self.manners.clone().into_iter().enumerate() {
            let first = match manner {
                Manner::Honest | Manner::Bridge => None,
                Manner::Abuser => misfits.abuser_ms.as_ref().map(|r| (r.start, Event::Abuse(0))),
                Manner::Mobile => misfits.mobile_at_ms.map(|at| (at, Event::Move(node))),
                Manner::Spoofer => misfits.has_spoofer.then_some((SPOOF_INTERVAL_MS, Event::Spoof(node))),
            };
            self.agenda.extend(first.map(Reverse));
        }
    }

    /// A turn of the abuser: one packet of its own, a text and telemetry by turns, never on the air.
    pub(crate) fn abuse(&mut self, turn: u64) {
        let Some(node) = self.manners.iter().position(|m| *m == Manner::Abuser) else { return };
        let Some(time) = self.plan.misfits.abuser_ms.clone() else { return };
        let next = time.start + (turn + 1) * 1000 / ABUSE_PER_SECOND;
        if next < time.end {
            self.agenda.push(Reverse((next, Event::Abuse(turn + 1))));
        }
        let content = if turn.is_multiple_of(2) {
            mesh::compose::text("FREE COINS !!! visit us now")
        } else {
            mesh::compose::device_telemetry(self.now_s(), 101, 4.2, 1.0, 1.0, self.now_s())
        };
        let num = self.residents[node].num;
        self.forge(node, num, content.0.0, content.1);
    }

    /// A packet that somebody else is said to have sent: a text or a place.
    pub(crate) fn spoof(&mut self, node: usize) {
        self.agenda.push(Reverse((self.now_ms + SPOOF_INTERVAL_MS, Event::Spoof(node))));
        let (count, now_s) = (self.residents.len(), self.now_s());
        let rng = self.luck(node);
        let (victim, is_text) = (rng.usize(0..count), rng.bool());
        let victim = self.residents[victim].clone();
        let (port, payload) = if is_text {
            mesh::compose::text("This is not me")
        } else {
            mesh::compose::position(victim.latitude_i + 2_000_000, victim.longitude_i, 250, now_s, 32)
        };
        self.forge(node, victim.num, port.0, payload);
    }

    fn forge(&mut self, node: usize, from: NodeNum, port: u32, payload: Vec<u8>) {
        let is_own = self.residents[node].num == from;
        let packet = Packet {
            from,
            to: NodeNum::BROADCAST,
            id: self.luck(node).u32(1..),
            hop_limit: 3,
            hop_start: 3,
            ..Packet::default()
        };
        let content = Content { port, payload, bitfield: Some(1), ..Content::default() };
        let letter = Letter {
            kind: Kind::Forged,
            content,
            is_sealed: false,
            maker: node,
            island: self.residents[node].island,
            born_ms: self.now_ms,
            // What a victim wants cannot be seen in a forged packet; the bit says yes.
            consents: true,
            answers: None,
            reached: Vec::new(),
            acknowledged_ms: None,
            packet,
        };
        let heard = Packet { rx_time: self.now_s(), ..letter.packet.clone() };
        let copy = match is_own {
            true => heard,
            false => Packet { hop_limit: 2, rx_snr: 5.5, rx_rssi: -88, relay_node: 7, transport: 1, ..heard },
        };
        let bytes = letter.envelope(&copy, &self.key, self.residents[node].num);
        let topic = self.topic(letter.channel(), node);
        self.publish(node, topic, bytes, letter.key());
        self.letters.insert(letter.key(), letter);
    }

    /// The bridge uplinks what came down as if it had heard it. What it uplinked itself it knows by its own id.
    pub(crate) fn uplink_again(&mut self, node: usize, key: Key, hop_limit: u32) {
        let Some(letter) = self.letters.get(&key) else { return };
        let copy = Packet {
            hop_limit,
            rx_time: self.now_s(),
            rx_snr: 6.0,
            rx_rssi: -80,
            transport: 1,
            ..letter.packet.clone()
        };
        let bytes = letter.envelope(&copy, &self.key, self.residents[node].num);
        let topic = self.topic(letter.channel(), node);
        self.publish(node, topic, bytes, key);
    }

    /// The mobile gateway drives to the next island.
    pub(crate) fn move_away(&mut self, node: usize) {
        let islands = self.plan.islands.max(1);
        let next = (self.residents[node].island + 1) % islands;
        let Some(there) = self.residents.iter().position(|r| r.island == next) else { return };
        let (latitude_i, longitude_i) = (self.residents[there].latitude_i, self.residents[there].longitude_i);
        let resident = &mut self.residents[node];
        resident.island = next;
        resident.latitude_i = latitude_i + 50_000;
        resident.longitude_i = longitude_i + 50_000;
        self.rewire();
    }
}
