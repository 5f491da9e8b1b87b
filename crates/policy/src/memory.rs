//! What policy remembers between packets: one ledger for each subject, each bounded and forgetting by age.

pub mod keep;
pub mod proof;
pub mod seen;

use crate::decision::{Decision, Verdict};
use crate::now::Now;
use crate::uplink::{Publish, heard_by, packet_key};
use proof::Proofs;
use seen::SeenPackets;

/// How much may be remembered.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Packets remembered to recognise further copies.
    pub seen_packets_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { seen_packets_max: 100_000 }
    }
}

/// Everything that rules know beyond the packet in front of them.
#[derive(Debug)]
pub struct Memory {
    /// Packets seen lately.
    pub seen: SeenPackets,
    /// Which gateways have proved that downlink reaches them.
    pub proofs: Proofs,
}

impl Memory {
    /// Nothing remembered yet. `seed` makes hashing unpredictable to those who choose packet ids.
    pub fn new(duplicate_window_ms: u64, limits: MemoryLimits, seed: u64) -> Self {
        Self {
            seen: SeenPackets::new(duplicate_window_ms, limits.seen_packets_max, seed),
            proofs: Proofs::default(),
        }
    }

    /// Learns from one reception, after it was decided. What was refused teaches nothing about the mesh.
    pub fn learn(&mut self, now: Now, publish: &Publish<'_>, decision: &Decision) {
        if decision.verdict == Verdict::Refuse {
            return;
        }
        if let (Some(key), Some(gateway)) = (packet_key(publish.facts), heard_by(publish.facts)) {
            self.seen.note_heard(now.mono_ms, key, gateway);
        }
        self.learn_answer(now, publish.facts);
    }

    /// A packet for the broker's own node may be the answer that proves that a gateway can be reached.
    fn learn_answer(&mut self, now: Now, facts: &mesh::observe::Facts<'_>) {
        let (Some(packet), Some(data), Some(gateway)) = (&facts.packet, &facts.data, heard_by(facts)) else {
            return;
        };
        if packet.to.0 == self.proofs.own_node() && self.proofs.own_node() != 0 {
            self.proofs.note_answer(now, packet.from.0, data.request_id, gateway);
        }
    }
}
