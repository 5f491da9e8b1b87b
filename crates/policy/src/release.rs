//! The decision on one copy: the release rules, asked for each receiver of an accepted packet.
//!
//! Observers and services cost no airtime and get what was accepted as it came. Copies toward gateways end on the
//! radio, so they pass every rule here.

use crate::decision::Outcome;
use crate::ledger::{PacketKey, SeenPackets};
use crate::principal::Principal;
use crate::rule::{RuleId, RuleSet, RuleState};
use crate::settings::Settings;
use crate::uplink::Permit;

/// What the release rules look at.
pub struct Release<'a> {
    /// Proof that the reception was accepted.
    pub permit: &'a Permit,
    /// Who would get the copy.
    pub receiver: &'a Principal,
    /// The gateway that uplinked it.
    pub uplinked_by: Option<u32>,
    /// Node number of the packet's sender.
    pub from: u32,
    /// Identity of the packet; `None` for packets with id 0.
    pub key: Option<PacketKey>,
    /// Hop limit as received, 0–7.
    pub hop_limit: u8,
    /// Whether the hop limit stands in a byte that can be lowered in place.
    pub can_lower: bool,
    /// Size of the whole MQTT packet toward this receiver.
    pub mqtt_packet_bytes: usize,
    /// Packets seen before.
    pub seen: &'a SeenPackets,
}

/// Decides on one copy. The set holds rules in state `observe` that would have withheld or changed it.
pub fn decide_release(settings: &Settings, release: &Release<'_>) -> (Outcome, RuleSet) {
    let mut observed = RuleSet::default();
    let Some(receiver) = release.receiver.gateway() else { return (Outcome::Delivered, observed) };
    let is_own_echo = release.uplinked_by == Some(receiver) && release.from == receiver;
    if is_own_echo {
        // Its own packet back, unaltered: the firmware takes it as an implicit acknowledgement and never transmits it.
        return (Outcome::Delivered, observed);
    }
    let mut withhold = |rule: RuleId, applies: bool| match settings.state(rule) {
        RuleState::Enforce => applies,
        RuleState::Observe => {
            if applies {
                observed.insert(rule);
            }
            false
        }
        RuleState::Off => false,
    };
    let is_echo = release.uplinked_by == Some(receiver) || release.from == receiver;
    let was_heard = release.key.is_some_and(|key| release.seen.was_heard_by(key, receiver));
    let is_too_large = release.mqtt_packet_bytes > settings.downlink_packet_bytes_max;
    let is_too_far = release.hop_limit > settings.hop_limit_max;
    for (rule, applies) in [
        (RuleId::Echo, is_echo),
        (RuleId::AlreadyHeard, was_heard),
        (RuleId::Duplicate, !release.permit.allows_radio()),
        (RuleId::DownlinkSize, is_too_large),
        // A hop limit that cannot be lowered in place would flood: fail closed toward the radio.
        (RuleId::HopLimit, is_too_far && !release.can_lower),
    ] {
        if withhold(rule, applies) {
            return (Outcome::Withheld(rule), observed);
        }
    }
    if withhold(RuleId::HopLimit, is_too_far) {
        return (Outcome::DeliveredWithHopLimit(settings.hop_limit_max), observed);
    }
    (Outcome::Delivered, observed)
}
