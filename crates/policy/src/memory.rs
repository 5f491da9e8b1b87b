//! What policy remembers between packets: one ledger for each subject, each bounded and forgetting by age.

pub mod hearing;
pub mod mark;
pub mod movement;
pub mod node_table;
pub mod nodes;
pub mod place;
pub mod profiles;
pub mod seen;
pub mod signatures;

use crate::decision::{Decision, Verdict};
use crate::now::Now;
use crate::rule::{RuleId, RuleState};
use crate::settings::Settings;
use crate::uplink::identity;
use crate::uplink::{Publish, heard_by, packet_key};
use mark::Mark;
use movement::Movement;
use nodes::Nodes;
use profiles::Profiles;
use seen::SeenPackets;
use signatures::{Checked, Signatures};

/// How much may be remembered.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Packets remembered to recognise further copies.
    pub seen_packets_max: usize,
    /// Nodes remembered with keys, places and marks.
    pub nodes_max: usize,
    /// Gateways remembered with what they say of themselves and where they are.
    pub gateways_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { seen_packets_max: 100_000, nodes_max: 20_000, gateways_max: 2_000 }
    }
}

/// Everything that rules know beyond the packet in front of them.
#[derive(Debug)]
pub struct Memory {
    /// Packets seen lately.
    pub seen: SeenPackets,
    /// What was said by and of nodes.
    pub nodes: Nodes,
    /// What gateways say of themselves.
    pub profiles: Profiles,
    /// Whether gateways stay where they are.
    pub movement: Movement,
    /// Signatures checked lately.
    pub signatures: Signatures,
}

impl Memory {
    /// Nothing remembered yet. `seed` makes hashing unpredictable to those who choose packet ids.
    pub fn new(duplicate_window_ms: u64, limits: MemoryLimits, seed: u64) -> Self {
        Self {
            seen: SeenPackets::new(duplicate_window_ms, limits.seen_packets_max, seed),
            nodes: Nodes::new(limits.nodes_max, seed),
            profiles: Profiles::new(limits.gateways_max, seed),
            movement: Movement::new(limits.gateways_max, seed),
            signatures: Signatures::new(seed),
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
    }

    /// Looks at a reception before it is judged: what takes too long for a rule to do each time it is asked.
    pub fn look(&mut self, settings: &Settings, now: Now, publish: &Publish<'_>) {
        let rules = [RuleId::Signature, RuleId::TwoKeys];
        if rules.into_iter().any(|rule| settings.state(rule) != RuleState::Off) {
            let sender = publish.facts.packet.and_then(|packet| self.nodes.get(packet.from.0));
            self.signatures.look(now, publish.facts, sender);
        }
    }

    /// Learns who and where nodes and gateways are, and what was found against them.
    pub fn learn_who(&mut self, settings: &Settings, now: Now, publish: &Publish<'_>, decision: &Decision) {
        let (facts, Some(gateway)) = (publish.facts, heard_by(publish.facts)) else { return };
        if decision.verdict == Verdict::Refuse {
            return;
        }
        let mut findings = [None; Mark::ALL.len()];
        for mark in Mark::of(decision) {
            findings[mark as usize] = identity::find(mark, &settings.identity, now, facts, self);
        }
        let is_signed = self.signatures.latest() == Some(Checked::Valid);
        let stale_ms = settings.identity.key_stale_ms();
        self.nodes.learn(now, facts, gateway, findings.into_iter().flatten(), is_signed, stale_ms);
        self.profiles.learn(now, facts);
        self.movement.learn(&settings.stationary, now, facts, publish.directory, gateway);
    }
}
