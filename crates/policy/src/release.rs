//! The decision on one copy: the release rules, asked for each receiver of an accepted packet.
//!
//! Observers and services cost no airtime and get what was accepted as it came. Copies toward gateways end on the
//! radio, so they pass every rule here.

use directory::{Directory, IslandNumber};
use mesh::node::NodeNum;
use mesh::observe::Facts;
use mesh::portnum::PortNum;
use mesh::wire::{Content, Fields};

use crate::decision::Outcome;
use crate::downlink::numbers::{budget_for, charge_within, hop_limit_on};
use crate::downlink::target::{Way, way};
use crate::memory::Memory;
use crate::memory::seen::PacketKey;
use crate::now::Now;
use crate::outside::may_leave;
use crate::principal::Principal;
use crate::rule::{RuleId, RuleSet, RuleState};
use crate::settings::Settings;
use crate::uplink::Permit;

/// What gateways are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownlinkSettings {
    /// Highest hop limit of a copy toward a gateway, 0–7. 0: the gateway shows it to its phone and sends nothing by
    /// radio. 1: the gateway transmits once and nobody relays.
    pub hop_limit_max: u8,
    /// Largest MQTT packet sent to a gateway, in bytes (firmware's receive buffer: 1024).
    pub packet_bytes_max: usize,
    /// Gateways of one island that transmit a packet for everybody.
    pub copies_per_island: usize,
}

impl Default for DownlinkSettings {
    fn default() -> Self {
        Self { hop_limit_max: 1, packet_bytes_max: 1024, copies_per_island: 2 }
    }
}

/// A packet that was accepted and is on its way to receivers: what of it the release rules need.
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    /// Proof that the reception was accepted.
    pub permit: &'a Permit,
    /// The gateway that uplinked it.
    pub uplinked_by: Option<u32>,
    /// Node number of the packet's sender.
    pub from: u32,
    /// Node number it is for; `0xffff_ffff` is everyone.
    pub to: u32,
    /// Identity of the packet; `None` for packets with id 0.
    pub key: Option<PacketKey>,
    /// Whether its sender agreed to MQTT: only *yes* counts.
    pub has_consent: bool,
    /// Hop limit as received, 0–7.
    pub hop_limit: u8,
    /// Whether the hop limit stands in a byte that can be lowered in place.
    pub can_lower: bool,
    /// Port number, when it could be opened.
    pub port: Option<u32>,
    /// The packet this answers; 0 none.
    pub request_id: u32,
    /// Channel name, when known.
    pub channel: Option<&'a str>,
    /// Which of the things that its port carries, such as telemetry of the device or of the air; 0 unknown.
    pub variant: u8,
    /// Bytes on the air, LoRa header included.
    pub frame_bytes: Option<u16>,
    /// Time on air in µs on the preset assumed for its channel.
    pub airtime_us: Option<u32>,
    /// Size of the whole MQTT packet toward a gateway.
    pub mqtt_packet_bytes: usize,
}

/// Size of the PUBLISH that carries a message to a gateway: MQTT 3.1.1, QoS 1, as firmware and phones subscribe.
pub fn mqtt_packet_bytes(topic: &str, payload: &[u8]) -> usize {
    let body = 2 + topic.len() + 2 + payload.len();
    1 + match body {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    } + body
}

/// Which of the things that its port carries a packet has: for telemetry the number of what was measured.
pub fn variant(facts: &Facts<'_>) -> u8 {
    let Some(data) = facts.data.as_ref().filter(|data| data.port == PortNum::TELEMETRY) else { return 0 };
    let mut fields = Fields::of(data.payload).map_while(Result::ok);
    let measured = fields.find(|field| matches!(field.content, Content::Bytes(_)));
    measured.and_then(|field| u8::try_from(field.number).ok()).unwrap_or(0)
}

/// What the release rules look at: a packet, one receiver, the time, and what is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// When.
    pub now: Now,
    /// The packet.
    pub passing: &'a Passing<'a>,
    /// Who would get the copy.
    pub receiver: &'a Principal,
    /// What operators have decided.
    pub directory: &'a Directory,
    /// What was learned.
    pub memory: &'a Memory,
}

/// Decides on one copy. The set holds rules in state `observe` that would have withheld or changed it.
pub fn decide_release(settings: &Settings, release: &Release<'_>) -> (Outcome, RuleSet) {
    let mut observed = RuleSet::default();
    let passing = release.passing;
    let leaves = settings.outside.holds(release.receiver);
    match settings.state(RuleId::OutsideConsent) {
        RuleState::Enforce if leaves && !may_leave(passing) => {
            return (Outcome::Withheld(RuleId::OutsideConsent), observed);
        }
        RuleState::Observe if leaves && !may_leave(passing) => observed.insert(RuleId::OutsideConsent),
        _ => {}
    }
    let Some(receiver) = release.receiver.gateway() else { return (Outcome::Delivered, observed) };
    let is_own_echo = passing.uplinked_by == Some(receiver) && passing.from == receiver;
    if is_own_echo {
        // Its own packet back, unaltered: the firmware takes it as an implicit acknowledgement and never transmits it.
        return (Outcome::Delivered, observed);
    }
    let (memory, now) = (release.memory, release.now);
    let known_island = memory.islands.island_of(receiver);
    let island = known_island.unwrap_or(receiver);
    let hop_limit = hop_limit_on(settings, passing, known_island);
    let hop_limit_max = hop_limit.unwrap_or(0);
    let is_stopped = || release.directory.downlink().is_stopped_for(Some(IslandNumber(island)));
    let own_node = memory.proofs.own_node();
    let is_for_us = || own_node != 0 && passing.to == own_node;
    let grant = || release.directory.grant(receiver, now.unix_ms);
    let has_no_grant = || !grant().is_some_and(|grant| grant.downlink);
    let is_other_channel = || grant().is_some_and(|grant| !grant.allows_down(passing.channel));
    let is_unproved = || !memory.proofs.is_valid(receiver, now, &settings.proof);
    let is_echo = || passing.uplinked_by == Some(receiver) || passing.from == receiver;
    let was_heard = || passing.key.is_some_and(|key| memory.seen.was_heard_by(key, receiver));
    let is_here = |gateway: u32| memory.islands.island_of(gateway) == Some(island);
    // A gateway that is asked for by number gets its packet, whatever its neighbours heard.
    let island_heard =
        || passing.to != receiver && passing.key.is_some_and(|key| memory.seen.was_heard_where(key, is_here));
    let island_has_enough = || {
        let copies = passing.key.map_or(0, |key| memory.seen.copies_on(key, island));
        let is_for_all = passing.to == NodeNum::BROADCAST.0;
        is_for_all && hop_limit_max > 0 && copies >= settings.downlink.copies_per_island
    };
    let way = || way(&settings.target, memory, now, passing, receiver);
    let is_too_far = passing.hop_limit > hop_limit_max;
    let has_moved = || memory.movement.may_have_downlink(release.directory, receiver).is_err();
    let is_over_budget = || {
        let charge = charge_within(settings, memory, passing, (receiver, island), hop_limit);
        !budget_for(settings, memory, release.directory, now, &charge).1
    };
    // Most copies are withheld by one of the first rules, so each is looked into only when its turn comes.
    macro_rules! withhold_by {
        ($($rule:ident: $applies:expr;)*) => {
            $(if applies(settings, &mut observed, RuleId::$rule, $applies) {
                return (Outcome::Withheld(RuleId::$rule), observed);
            })*
        };
    }
    withhold_by! {
        DownlinkStopped: is_stopped;
        OwnNode: is_for_us;
        Echo: is_echo;
        Moved: has_moved;
        AlreadyHeard: was_heard;
        Duplicate: || !passing.permit.allows_radio();
        IslandHeard: island_heard;
        IslandOnce: island_has_enough;
        DirectTarget: || matches!(way(), Way::Better | Way::Elsewhere);
        UnknownDestination: || way() == Way::Unknown;
        DownlinkModel: || hop_limit.is_err();
        DownlinkGrant: has_no_grant;
        DownlinkChannel: is_other_channel;
        DownlinkVerified: is_unproved;
        DownlinkSize: || passing.mqtt_packet_bytes > settings.downlink.packet_bytes_max;
        // A hop limit that cannot be lowered in place would flood: fail closed toward the radio.
        HopLimit: || is_too_far && !passing.can_lower;
        AirtimeBudget: is_over_budget;
    }
    if applies(settings, &mut observed, RuleId::HopLimit, || is_too_far) {
        return (Outcome::DeliveredWithHopLimit(hop_limit_max), observed);
    }
    (Outcome::Delivered, observed)
}

/// Whether a rule says so and its word counts; where it only watches, what it would have said is noted.
#[inline]
fn applies(
    settings: &Settings,
    observed: &mut RuleSet,
    rule: RuleId,
    says_so: impl FnOnce() -> bool,
) -> bool {
    match settings.state(rule) {
        RuleState::Enforce => says_so(),
        RuleState::Observe => {
            if says_so() {
                observed.insert(rule);
            }
            false
        }
        RuleState::Off => false,
    }
}
