//! Which packets were seen lately: who has heard them, and whether they were passed on. Bounded and expiring.

use std::collections::VecDeque;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;

/// Identity of a packet: sender and id, never the id alone. Packets with id 0 have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PacketKey {
    /// Sender's node number.
    pub from: u32,
    /// Packet id, not 0.
    pub id: u32,
}

/// Gateways remembered per packet. A packet heard by more gateways than this is heard everywhere; the rest are
/// simply not noted, which can cost one needless copy and never an extra refusal.
const GATEWAYS_PER_PACKET_MAX: usize = 64;

/// Packets seen within a window.
#[derive(Debug)]
pub struct SeenPackets {
    entries: HashMap<PacketKey, Seen, FixedState>,
    order: VecDeque<(u64, PacketKey)>,
    window_ms: u64,
    packets_max: usize,
    /// Entries forgotten early because there were too many.
    pub forgotten_early: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    released: bool,
    heard_by: SmallVec<[u32; 6]>,
    /// Islands whose gateways transmitted it, once for each gateway.
    sent_to: SmallVec<[u32; 4]>,
    /// Gateways that were sent it, whether they transmit it or not.
    given_to: SmallVec<[u32; 6]>,
    first_ms: u64,
}

/// The same as it is kept across a restart: packets in the order in which they came.
#[derive(Debug, Deserialize)]
pub struct KeptPackets(Vec<(u64, PacketKey, Seen)>);

impl Serialize for SeenPackets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seen = |(at, key): &(u64, PacketKey)| Some((*at, *key, self.entries.get(key)?));
        let packets: Vec<_> = self.order.iter().filter_map(seen).collect();
        packets.serialize(serializer)
    }
}

impl SeenPackets {
    /// Takes over what an earlier run knew, the newest as far as there is room.
    pub fn take_over(&mut self, kept: KeptPackets) {
        let too_many = kept.0.len().saturating_sub(self.packets_max);
        self.order.clear();
        self.entries.clear();
        for (at, key, mut seen) in kept.0.into_iter().skip(too_many) {
            seen.heard_by.truncate(GATEWAYS_PER_PACKET_MAX);
            self.order.push_back((at, key));
            self.entries.insert(key, seen);
        }
    }

    /// A ledger that remembers packets for `window_ms` milliseconds, and at most `packets_max` of them.
    /// `seed` makes its hashing unpredictable to those who choose packet ids.
    pub fn new(window_ms: u64, packets_max: usize, seed: u64) -> Self {
        Self {
            entries: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            window_ms,
            packets_max,
            forgotten_early: 0,
        }
    }

    /// Forgets the packets of a node, and that it heard or got any.
    pub fn forget_node(&mut self, node: u32) {
        self.entries.retain(|key, _| key.from != node);
        self.order.retain(|(_, key)| key.from != node);
        for seen in self.entries.values_mut() {
            seen.heard_by.retain(|gateway| *gateway != node);
            seen.given_to.retain(|gateway| *gateway != node);
        }
    }

    /// Another window; what is older is forgotten when the next packet comes.
    pub fn set_window(&mut self, window_ms: u64) {
        self.window_ms = window_ms;
    }

    /// Whether anything of the packet was seen within the window.
    pub fn is_known(&self, key: PacketKey) -> bool {
        self.entries.contains_key(&key)
    }

    /// Whether the packet was passed on to gateways within the window.
    pub fn was_released(&self, key: PacketKey) -> bool {
        self.entries.get(&key).is_some_and(|e| e.released)
    }

    /// Whether that gateway has uplinked the packet within the window.
    pub fn was_heard_by(&self, key: PacketKey, gateway: u32) -> bool {
        self.entries.get(&key).is_some_and(|e| e.heard_by.contains(&gateway))
    }

    /// The gateways that have uplinked the packet, in order, if the first of them did within `within_ms`.
    pub fn heard_by(&self, now_ms: u64, key: PacketKey, within_ms: u64) -> &[u32] {
        let entry = self.entries.get(&key).filter(|e| now_ms.saturating_sub(e.first_ms) <= within_ms);
        entry.map_or(&[], |e| &e.heard_by)
    }

    /// Whether any gateway that this holds for has uplinked the packet within the window.
    pub fn was_heard_where(&self, key: PacketKey, is_there: impl Fn(u32) -> bool) -> bool {
        self.entries.get(&key).is_some_and(|e| e.heard_by.iter().any(|gateway| is_there(*gateway)))
    }

    /// Gateways of an island that transmitted the packet.
    pub fn copies_on(&self, key: PacketKey, island: u32) -> usize {
        self.entries.get(&key).map_or(0, |e| e.sent_to.iter().filter(|to| **to == island).count())
    }

    /// Notes that a gateway of an island was sent the packet and transmits it.
    pub fn note_sent(&mut self, now_ms: u64, key: PacketKey, island: u32) {
        let entry = self.entry(now_ms, key);
        if entry.sent_to.len() < GATEWAYS_PER_PACKET_MAX {
            entry.sent_to.push(island);
        }
    }

    /// Notes that a gateway was sent the packet.
    pub fn note_given(&mut self, now_ms: u64, key: PacketKey, gateway: u32) {
        let entry = self.entry(now_ms, key);
        if entry.given_to.len() < GATEWAYS_PER_PACKET_MAX {
            entry.given_to.push(gateway);
        }
    }

    /// Whether that gateway was sent the packet within the window.
    pub fn was_given_to(&self, key: PacketKey, gateway: u32) -> bool {
        self.entries.get(&key).is_some_and(|e| e.given_to.contains(&gateway))
    }

    /// Notes that a gateway uplinked the packet.
    pub fn note_heard(&mut self, now_ms: u64, key: PacketKey, gateway: u32) {
        let entry = self.entry(now_ms, key);
        if entry.heard_by.len() < GATEWAYS_PER_PACKET_MAX && !entry.heard_by.contains(&gateway) {
            entry.heard_by.push(gateway);
        }
    }

    /// Notes that the packet was passed on to gateways.
    pub fn note_released(&mut self, now_ms: u64, key: PacketKey) {
        self.entry(now_ms, key).released = true;
    }

    /// Number of packets remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, now_ms: u64, key: PacketKey) -> &mut Seen {
        self.forget_old(now_ms);
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= self.packets_max
                && let Some((_, oldest)) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
                self.forgotten_early += 1;
            }
            self.order.push_back((now_ms, key));
        }
        self.entries.entry(key).or_insert_with(|| Seen { first_ms: now_ms, ..Seen::default() })
    }

    fn forget_old(&mut self, now_ms: u64) {
        while let Some((at, key)) = self.order.front().copied()
            && now_ms.saturating_sub(at) > self.window_ms
        {
            self.order.pop_front();
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PacketKey = PacketKey { from: 0x7c5a_0a01, id: 7 };

    #[test]
    fn a_packet_is_forgotten_after_the_window() {
        let mut seen = SeenPackets::new(1000, 10, 0);
        seen.note_released(5, KEY);
        assert!(seen.was_released(KEY));
        seen.note_heard(1006, PacketKey { from: 1, id: 1 }, 9);
        assert!(!seen.was_released(KEY));
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn the_same_id_of_another_sender_is_another_packet() {
        let mut seen = SeenPackets::new(1000, 10, 0);
        seen.note_released(0, KEY);
        assert!(!seen.was_released(PacketKey { from: 1, ..KEY }));
    }

    #[test]
    fn the_number_of_packets_is_bounded() {
        let mut seen = SeenPackets::new(1000, 10, 0);
        for id in 1..=25 {
            seen.note_heard(0, PacketKey { from: 1, id }, 2);
        }
        assert_eq!((seen.len(), seen.forgotten_early), (10, 15));
        assert!(seen.was_heard_by(PacketKey { from: 1, id: 25 }, 2));
        assert!(!seen.was_heard_by(PacketKey { from: 1, id: 15 }, 2));
    }
}
