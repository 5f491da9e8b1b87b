//! What policy remembers between packets: one ledger for each subject, each bounded and forgetting by age.

pub mod airtime;
pub mod islands;
pub mod keep;
pub mod proof;
pub mod reach;
pub mod reports;
pub mod seen;

use mesh::airtime::ModemPreset;
use mesh::observe::Facts;

use crate::decision::{Decision, Verdict};
use crate::now::Now;
use crate::settings::Settings;
use crate::uplink::origin::shows_radio;
use crate::uplink::{Publish, heard_by, packet_key};
use airtime::Airtime;
use islands::{COMMON_WITHIN_MS, Islands};
use proof::Proofs;
use reach::Reach;
use reports::Reports;
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
    /// Which gateways hear the same.
    pub islands: Islands,
    /// Which gateways hear whom.
    pub reach: Reach,
    /// What nodes report of the radio around them.
    pub reports: Reports,
    /// What was charged on the air.
    pub airtime: Airtime,
}

impl Memory {
    /// Nothing remembered yet. `seed` makes hashing unpredictable to those who choose packet ids.
    pub fn new(settings: &Settings, limits: MemoryLimits, seed: u64) -> Self {
        Self {
            seen: SeenPackets::new(settings.duplicate_window_ms, limits.seen_packets_max, seed),
            proofs: Proofs::default(),
            islands: Islands::new(settings.islands.clone(), seed),
            reach: Reach::new(seed),
            reports: Reports::new(seed),
            airtime: Airtime::new(seed),
        }
    }

    /// Learns from one reception, after it was decided. What was refused teaches nothing about the mesh.
    pub fn learn(&mut self, now: Now, publish: &Publish<'_>, decision: &Decision) {
        let facts = publish.facts;
        if decision.verdict == Verdict::Refuse {
            return;
        }
        let (Some(packet), Some(gateway)) = (&facts.packet, heard_by(facts)) else { return };
        if facts.is_own_packet() || shows_radio(packet) {
            self.learn_heard(now, facts, gateway);
        }
        if let Some(key) = packet_key(facts) {
            self.seen.note_heard(now.mono_ms, key, gateway);
        }
        self.reports.note(now.mono_ms, gateway, facts);
        self.learn_answer(now, facts);
    }

    /// A gateway heard a packet over the radio, or sent it.
    fn learn_heard(&mut self, now: Now, facts: &Facts<'_>, gateway: u32) {
        let Some(packet) = &facts.packet else { return };
        if !facts.is_own_packet() {
            self.reach.note_heard(now.mono_ms, packet.from.0, gateway, facts.hops_away);
        }
        let Some(key) = packet_key(facts) else { return };
        let others = self.seen.heard_by(now.mono_ms, key, COMMON_WITHIN_MS);
        // The first and the last two are enough to hold an island together, however many hear a packet.
        let near = others.iter().take(1).chain(others.iter().skip(1).rev().take(2));
        self.islands.note_heard(now.mono_ms, gateway, near.copied());
        let Some(island) = self.islands.island_of(gateway) else { return };
        let is_first_here =
            !self.seen.was_heard_where(key, |other| self.islands.island_of(other) == Some(island));
        if is_first_here && let Some(bytes) = facts.frame_bytes {
            let preset = self.reports.preset(gateway).unwrap_or(ModemPreset::LongFast);
            self.airtime.note_heard(now.mono_ms, island, preset.time_on_air_us(usize::from(bytes)));
        }
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
