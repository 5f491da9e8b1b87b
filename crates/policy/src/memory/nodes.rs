//! What is remembered of nodes: keys, roles, places, who heard them directly, and the marks they got. Anybody can claim
//! to be a node over the air, so all of this is what was *said*; only a gateway's own uplink is proof (see `profiles`).

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::report::{PUBLIC_KEY_BYTES, UserReport, Utilisation};
use serde::{Deserialize, Serialize};

use super::mark::{Evidence, Finding, Mark};
use super::node_table::NodeTable;
use super::place::Place;
use super::profiles::Sighting;
use crate::now::Now;

/// Gateways remembered that heard a node directly; the latest ones.
pub const HEARD_BY_MAX: usize = 8;
/// How long a node is remembered that is not heard.
const REMEMBERED_MS: i64 = 60 * 24 * 3_600_000;

/// A public key that a node has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySeen {
    /// The x25519 public key.
    pub key: [u8; PUBLIC_KEY_BYTES],
    /// When it was seen first, Unix ms.
    pub first_ms: i64,
    /// When it was seen last, Unix ms.
    pub last_ms: i64,
    /// The gateway that uplinked it last.
    pub gateway: u32,
}

/// A gateway that heard a node directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeardBy {
    /// The gateway; 0 none.
    pub gateway: u32,
    /// When it heard it last, Unix ms.
    pub at_ms: i64,
}

/// What is known of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KnownNode {
    /// Its role, the protocol's number, as NodeInfo says.
    pub role: Option<u8>,
    /// Its public key: the first one it showed, until it was not seen for long.
    pub key: Option<KeySeen>,
    /// Another key that came under its id.
    pub other_key: Option<KeySeen>,
    /// When a signature of it was found valid last, Unix ms; 0 never.
    pub signed_ms: i64,
    /// Where it said it is.
    pub place: Option<Sighting>,
    /// How busy it finds the air: channel and own transmissions in percent, and when it said so, Unix ms.
    pub utilisation: Option<(f32, f32, i64)>,
    heard_by: [HeardBy; HEARD_BY_MAX],
    evidence: [Option<Evidence>; Mark::ALL.len()],
}

impl KnownNode {
    fn forget_gateway(&mut self, gateway: u32) {
        for heard in self.heard_by.iter_mut().filter(|heard| heard.gateway == gateway) {
            *heard = HeardBy::default();
        }
        for slot in &mut self.evidence {
            *slot = slot.filter(|evidence| evidence.gateway != gateway && !evidence.finding.names(gateway));
        }
        for seen in [&mut self.key, &mut self.other_key].into_iter().flatten() {
            if seen.gateway == gateway {
                seen.gateway = 0;
            }
        }
    }

    /// The gateways that heard it directly, in no promised order.
    pub fn heard_by(&self) -> impl Iterator<Item = HeardBy> + '_ {
        self.heard_by.iter().copied().filter(|heard| heard.gateway != 0)
    }

    /// Its marks, in the order of [`Mark::ALL`].
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().flatten()
    }

    fn note_heard(&mut self, gateway: u32, at_ms: i64) {
        let same = self.heard_by.iter().position(|heard| heard.gateway == gateway);
        let oldest = || (0..HEARD_BY_MAX).min_by_key(|at| self.heard_by[*at].at_ms);
        if let Some(at) = same.or_else(oldest) {
            self.heard_by[at] = HeardBy { gateway, at_ms };
        }
    }

    fn note_finding(&mut self, now_ms: i64, gateway: u32, packet_id: u32, finding: Finding) {
        let slot = &mut self.evidence[finding.mark() as usize];
        let (first_ms, times) = slot.map_or((now_ms, 0), |before| (before.first_ms, before.times));
        let times = times.saturating_add(1);
        *slot = Some(Evidence { first_ms, last_ms: now_ms, times, gateway, packet_id, finding });
    }

    /// Takes in a key. What a gateway says of itself is proof; over the air the first one stands until it is `stale`.
    fn note_key(&mut self, seen: KeySeen, is_proof: bool, stale_ms: i64) {
        match &mut self.key {
            Some(known) if known.key == seen.key => {
                (known.last_ms, known.gateway) = (seen.last_ms, seen.gateway);
            }
            Some(known) if !is_proof && seen.last_ms.saturating_sub(known.last_ms) <= stale_ms => {
                let first_ms = self
                    .other_key
                    .filter(|other| other.key == seen.key)
                    .map_or(seen.first_ms, |o| o.first_ms);
                self.other_key = Some(KeySeen { first_ms, ..seen });
            }
            _ => {
                self.key = Some(seen);
                self.other_key = None;
            }
        }
    }
}

/// What is remembered of nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Nodes {
    table: NodeTable<KnownNode>,
    seed: u64,
    /// Whose key it is, by a hash of the key; verified against the table, so that it may be behind.
    #[serde(skip)]
    holders: HashMap<u64, u32, FixedState>,
    nodes_max: usize,
}

/// What is kept of it in a file.
#[derive(Deserialize)]
struct Stored {
    table: NodeTable<KnownNode>,
    seed: u64,
    nodes_max: usize,
}

impl From<Stored> for Nodes {
    fn from(stored: Stored) -> Self {
        let mut nodes = Self { table: stored.table, ..Self::new(stored.nodes_max, stored.seed) };
        let key_of =
            |(node, _, known): (u32, i64, &KnownNode)| known.key.map(|key| (key.first_ms, key.key, node));
        let mut keys: Vec<_> = nodes.table.iter().filter_map(key_of).collect();
        keys.sort_unstable();
        for (_, key, node) in keys {
            let print = nodes.print(&key);
            nodes.holders.entry(print).or_insert(node);
        }
        nodes
    }
}

impl Nodes {
    /// Nobody is known yet.
    pub fn new(nodes_max: usize, seed: u64) -> Self {
        Self {
            table: NodeTable::new(nodes_max, seed),
            seed,
            holders: HashMap::with_hasher(FixedState::with_seed(seed)),
            nodes_max,
        }
    }

    /// Forgets a node, and what it said of others.
    pub fn forget_node(&mut self, node: u32) {
        self.table.remove(node);
        self.holders.retain(|_, holder| *holder != node);
        self.table.values_mut().for_each(|known| known.forget_gateway(node));
    }

    /// What is known of a node.
    pub fn get(&self, node: u32) -> Option<&KnownNode> {
        self.table.get(node)
    }

    /// All nodes: number, when it was heard last (Unix ms), what is known.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64, &KnownNode)> {
        self.table.iter()
    }

    /// The node whose key this is, as far as remembered.
    pub fn holder_of(&self, key: &[u8; PUBLIC_KEY_BYTES]) -> Option<(u32, &KeySeen)> {
        let holder = *self.holders.get(&self.print(key))?;
        let known = self.table.get(holder)?.key.as_ref().filter(|known| known.key == *key)?;
        Some((holder, known))
    }

    /// Learns from one reception what its sender said, and notes the findings against it.
    pub fn learn(
        &mut self,
        now: Now,
        facts: &Facts<'_>,
        gateway: u32,
        findings: impl Iterator<Item = Finding>,
        is_signed: bool,
        key_stale_ms: i64,
    ) {
        let now_ms = now.unix_ms;
        self.table.forget_one(now_ms - REMEMBERED_MS);
        let Some(packet) = facts.packet.as_ref().filter(|packet| packet.from.is_node()) else { return };
        let node = self.table.heard(now_ms, packet.from.0);
        let mut is_elsewhere = false;
        for finding in findings {
            is_elsewhere |= finding.mark() == Mark::ImpossibleTravel;
            node.note_finding(now_ms, gateway, packet.id, finding);
        }
        if is_signed {
            node.signed_ms = now_ms;
        }
        if heard_directly(facts) {
            node.note_heard(gateway, now_ms);
        }
        // What is out of reach is not where it is now; the longer ago the last place was, the farther it may be.
        if let Some(place) = facts.position.as_ref().and_then(Place::of).filter(|_| !is_elsewhere) {
            node.place = Some(Sighting { place, at_ms: now_ms });
        }
        let Some(data) = &facts.data else { return };
        if data.port == PortNum::TELEMETRY
            && let Some(Utilisation { channel, transmitting }) = Utilisation::parse(data.payload)
        {
            node.utilisation = Some((channel, transmitting, now_ms));
        }
        if data.port == PortNum::NODEINFO
            && let Ok(user) = UserReport::parse(data.payload)
        {
            node.role = u8::try_from(user.role).ok();
            if let Some(key) = user.public_key {
                let seen = KeySeen { key, first_ms: now_ms, last_ms: now_ms, gateway };
                node.note_key(seen, facts.is_own_packet(), key_stale_ms);
                self.note_holder(packet.from, &key, key_stale_ms);
            }
        }
    }

    /// A key belongs to the first that showed it, unless the id of another is made from it.
    fn note_holder(&mut self, node: NodeNum, key: &[u8; PUBLIC_KEY_BYTES], stale_ms: i64) {
        let own = self.table.get(node.0).and_then(|known| known.key).filter(|known| known.key == *key);
        let Some(own) = own else { return };
        let is_free = self.holder_of(key).is_none_or(|(holder, known)| {
            holder == node.0
                || node.is_derived_from(key)
                || own.last_ms.saturating_sub(known.last_ms) > stale_ms
        });
        if !is_free {
            return;
        }
        let print = self.print(key);
        if self.holders.len() >= self.nodes_max * 2 {
            let table = &self.table;
            self.holders.retain(|_, holder| table.get(*holder).is_some_and(|known| known.key.is_some()));
            if self.holders.len() >= self.nodes_max * 2 {
                self.holders.clear(); // learned again with the next NodeInfo of each
            }
        }
        self.holders.insert(print, node.0);
    }

    fn print(&self, key: &[u8; PUBLIC_KEY_BYTES]) -> u64 {
        FixedState::with_seed(self.seed).hash_one(key)
    }
}

/// Whether the gateway says that it heard the packet over the air.
pub fn heard_over_the_air(facts: &Facts<'_>) -> bool {
    facts.packet.is_some_and(|packet| packet.rx_rssi != 0 || packet.rx_snr != 0.0)
}

/// Whether the gateway heard the sender itself, not a relay.
pub fn heard_directly(facts: &Facts<'_>) -> bool {
    facts.hops_away == Some(0) && !facts.is_own_packet() && heard_over_the_air(facts)
}
