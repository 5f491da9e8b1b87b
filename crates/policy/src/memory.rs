//! What policy remembers between packets: one ledger for each subject, each bounded and forgetting by age.

pub mod airtime;
mod forget;
pub mod hearing;
pub mod holds;
pub mod islands;
pub mod keep;
pub mod mark;
pub mod movement;
pub mod node_table;
pub mod nodes;
pub mod place;
pub mod profiles;
pub mod proof;
pub mod reach;
pub mod reports;
pub mod seen;
pub mod signatures;
pub mod volume;

use mesh::airtime::ModemPreset;
use mesh::observe::Facts;

use crate::decision::{Decision, Verdict};
use crate::now::Now;
use crate::rule::{RuleId, RuleState};
use crate::settings::Settings;
use crate::uplink::identity;
use crate::uplink::origin::shows_radio;
use crate::uplink::volume::{LARGE_BYTES, is_measured, kind_of};
use crate::uplink::{Publish, heard_by, packet_key};
use airtime::{Account, Airtime};
use holds::{Held, Holds};
use islands::{COMMON_WITHIN_MS, Islands};
use mark::Mark;
use movement::Movement;
use nodes::Nodes;
use profiles::Profiles;
use proof::Proofs;
use reach::Reach;
use reports::Reports;
use seen::SeenPackets;
use signatures::{Checked, Signatures};
use volume::Volume;

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
    /// What came up: airtime of gateways and nodes.
    pub uplink: Airtime,
    /// How much comes from whom.
    pub volume: Volume,
    /// Who is held.
    pub holds: Holds,
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
    pub fn new(settings: &Settings, limits: MemoryLimits, seed: u64) -> Self {
        Self {
            seen: SeenPackets::new(settings.duplicate_window_ms, limits.seen_packets_max, seed),
            proofs: Proofs::default(),
            islands: Islands::new(settings.islands.clone(), seed),
            reach: Reach::new(seed),
            reports: Reports::new(seed),
            airtime: Airtime::new(seed),
            uplink: Airtime::new(seed),
            volume: Volume::new(seed),
            holds: Holds::new(seed),
            nodes: Nodes::new(limits.nodes_max, seed),
            profiles: Profiles::new(limits.gateways_max, seed),
            movement: Movement::new(limits.gateways_max, seed),
            signatures: Signatures::new(seed),
        }
    }

    /// Another choice of the operator's, where a ledger goes by it. What was learned stays.
    pub fn set_settings(&mut self, settings: &Settings) {
        self.seen.set_window(settings.duplicate_window_ms);
        self.islands.set_settings(settings.islands.clone());
    }

    /// Learns from one reception, after it was decided. What was refused teaches nothing about the mesh.
    pub fn learn(&mut self, settings: &Settings, now: Now, publish: &Publish<'_>, decision: &Decision) {
        let facts = publish.facts;
        self.learn_volume(settings, now, publish, decision);
        if decision.verdict == Verdict::Refuse {
            return;
        }
        let (Some(packet), Some(gateway)) = (&facts.packet, heard_by(facts)) else { return };
        // Firmware never uplinks what came down, so whoever does has software that closes a loop: it heard nothing, and would
        // make one island of all.
        if packet_key(facts).is_some_and(|key| self.seen.was_given_to(key, gateway)) {
            return;
        }
        // Where it is now nobody has agreed to: it is told what goes on here, and speaks for no island.
        let has_moved = settings.state(RuleId::Moved) == RuleState::Enforce
            && self.movement.may_have_downlink(publish.directory, gateway).is_err();
        if !has_moved && (facts.is_own_packet() || shows_radio(packet)) {
            self.learn_heard(now, facts, gateway);
        }
        if let Some(key) = packet_key(facts) {
            self.seen.note_heard(now.mono_ms, key, gateway);
        }
        self.reports.note(now.mono_ms, gateway, facts);
        self.learn_answer(now, facts);
    }

    /// Counts what came, and what was too much.
    fn learn_volume(&mut self, settings: &Settings, now: Now, publish: &Publish<'_>, decision: &Decision) {
        let facts = publish.facts;
        let Some(gateway) = publish.sender.gateway().or_else(|| heard_by(facts)) else { return };
        let (node, key) = (facts.packet.as_ref().map(|packet| packet.from.0), packet_key(facts));
        let held = match decision.rule {
            Some(RuleId::MessageRate) => Some(Held::Gateway(gateway)),
            Some(RuleId::Stream | RuleId::UplinkAirtime) => node.map(Held::Node),
            _ => None,
        };
        if let (Some(held), Some(rule)) = (held, decision.rule) {
            self.holds.note_objection(&settings.holds, now, held, rule, key);
        }
        if !matches!(decision.rule, Some(RuleId::MessageRate | RuleId::Hold)) {
            self.volume.take_token(now.mono_ms, gateway, settings.volume.rate);
        }
        let (Some(node), Some(bytes)) = (node, facts.frame_bytes) else { return };
        if decision.verdict == Verdict::Refuse {
            return;
        }
        let preset = self.reports.preset(gateway).unwrap_or(ModemPreset::LongFast);
        let airtime_us = preset.time_on_air_us(usize::from(bytes));
        if !facts.is_own_packet() {
            self.uplink.add(now.mono_ms, Account::Gateway(gateway), airtime_us);
        }
        if key.is_some_and(|key| self.seen.is_known(key)) {
            return;
        }
        self.uplink.add(now.mono_ms, Account::Node(node), airtime_us);
        let is_passed = matches!(decision.verdict, Verdict::Accept | Verdict::Rewrite);
        let grant = publish.directory.grant(gateway, now.unix_ms).filter(|grant| grant.telemetry);
        if is_passed && grant.is_some_and(|grant| grant.telemetry_ms.is_some()) && is_measured(facts) {
            self.uplink.add(now.mono_ms, Account::Granted(gateway), airtime_us);
        }
        if let Some(kind) = kind_of(facts) {
            self.volume.note(now.mono_ms, kind, bytes >= LARGE_BYTES, is_passed);
        }
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
        if self.movement.learn(&settings.stationary, now, facts, publish.directory, gateway) {
            self.islands.forget(gateway);
            self.reach.forget_gateway(gateway);
        }
    }
}
