//! Whether the sender of a packet is who it says: each doubt is a mark on the packet. In state `observe` a marked packet
//! is passed on; in state `enforce` it is recorded only. What the operator has quarantined is recorded only.

use directory::GatewayId;
use mesh::data::DataView;
use mesh::node::NodeNum;
use mesh::observe::{Facts, SignatureState};
use mesh::portnum::PortNum;
use mesh::report::UserReport;
use mesh::signature::SIGNATURE_BYTES;

use super::{Objection, Uplink, heard_by, object};
use crate::decision::Verdict;
use crate::memory::Memory;
use crate::memory::mark::{Finding, Mark};
use crate::memory::nodes::{heard_directly, heard_over_the_air};
use crate::memory::place::Place;
use crate::memory::signatures::Checked;
use crate::now::Now;

/// How much is tolerated before a packet is marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Fastest that anything with a node in it travels, km/h.
    pub travel_kmh_max: u32,
    /// Shorter distances, in km beyond the coarseness of both positions, are never impossible.
    pub travel_km_min: u32,
    /// How long a packet may have been on its way, s: by so much the time between two positions may be wrong.
    pub travel_slack_s: u32,
    /// Distance of two gateways beyond which they do not hear the same node directly, km.
    pub direct_km_max: u32,
    /// Receptions within this time are at once, s.
    pub at_once_s: u32,
    /// How long a public key stands that is not seen, days.
    pub key_days: u32,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            travel_kmh_max: 1_000,
            travel_km_min: 20,
            travel_slack_s: 900,
            direct_km_max: 300,
            at_once_s: 600,
            key_days: 30,
        }
    }
}

impl IdentitySettings {
    /// How long a public key stands that is not seen, ms.
    pub fn key_stale_ms(&self) -> i64 {
        i64::from(self.key_days) * 24 * 3_600_000
    }
}

/// Bytes that a signature adds to a packet, and the largest frame (`Router.cpp`): what has no room is not signed.
const SIGNATURE_ROOM: u16 = 66;
/// How long a node that was found to sign is expected to go on.
const SIGNS_MS: i64 = 7 * 24 * 3_600_000;

pub(super) fn quarantined(up: &Uplink<'_>) -> Option<Objection> {
    let from = up.facts.packet?.from;
    up.directory.watch().quarantine(GatewayId(from.0))?;
    object(
        Verdict::RecordOnly,
        "The operator has quarantined this node: what it sends is recorded and not passed on.",
    )
}

pub(super) fn marked(mark: Mark, settings: &IdentitySettings, up: &Uplink<'_>) -> Option<Objection> {
    object(Verdict::RecordOnly, find(mark, settings, up.now, up.facts, up.memory)?.sentence())
}

/// What there is of that kind against the sender of a packet.
pub fn find(
    mark: Mark,
    settings: &IdentitySettings,
    now: Now,
    facts: &Facts<'_>,
    memory: &Memory,
) -> Option<Finding> {
    match mark {
        Mark::TwoKeys => two_keys(settings, now, facts, memory),
        Mark::SharedKey => shared_key(settings, now, facts, memory),
        Mark::Signature => signature(now, facts, memory),
        Mark::OwnIdHeard => own_id_heard(facts),
        Mark::ImpossibleTravel => impossible_travel(settings, now, facts, memory),
        Mark::TwoIslands => two_islands(settings, now, facts, memory),
    }
}

/// The public key in a NodeInfo.
fn key_in(facts: &Facts<'_>) -> Option<[u8; 32]> {
    let data = facts.data.as_ref().filter(|data| data.port == PortNum::NODEINFO)?;
    UserReport::parse(data.payload).ok()?.public_key
}

fn two_keys(settings: &IdentitySettings, now: Now, facts: &Facts<'_>, memory: &Memory) -> Option<Finding> {
    // Few packets show a key or are signed with one: they are told from the others before anything is looked up.
    let is_signed_with_other = memory.signatures.latest() == Some(Checked::ValidWithOtherKey);
    let shown = key_in(facts);
    if !is_signed_with_other && shown.is_none() {
        return None;
    }
    let known = memory.nodes.get(facts.packet?.from.0)?.key?;
    if is_signed_with_other {
        return Some(Finding::TwoKeys { known_since_ms: known.first_ms });
    }
    let shown = shown?;
    let is_stale = now.unix_ms.saturating_sub(known.last_ms) > settings.key_stale_ms();
    // What a gateway says of itself, signed in as that gateway, is the proof.
    let is_other = shown != known.key && !is_stale && !facts.is_own_packet();
    is_other.then_some(Finding::TwoKeys { known_since_ms: known.first_ms })
}

fn shared_key(settings: &IdentitySettings, now: Now, facts: &Facts<'_>, memory: &Memory) -> Option<Finding> {
    let (from, shown) = (facts.packet?.from, key_in(facts)?);
    let (holder, known) = memory.nodes.holder_of(&shown).filter(|(holder, _)| *holder != from.0)?;
    // Firmware 2.8 makes the number from the key: a node that was updated comes back with another number.
    let is_stale = now.unix_ms.saturating_sub(known.last_ms) > settings.key_stale_ms();
    (!is_stale && !from.is_derived_from(&shown)).then_some(Finding::SharedKey { holder })
}

fn signature(now: Now, facts: &Facts<'_>, memory: &Memory) -> Option<Finding> {
    match facts.signature {
        SignatureState::Malformed => return Some(Finding::SignatureMalformed),
        SignatureState::Unchecked => {
            let is_wrong = memory.signatures.latest() == Some(Checked::Wrong);
            return is_wrong.then_some(Finding::SignatureWrong);
        }
        SignatureState::None => {}
    }
    let (packet, data) = (facts.packet?, facts.data.as_ref()?);
    let has_room = facts.frame_bytes.is_some_and(|bytes| bytes + SIGNATURE_ROOM <= 255);
    // Map reports never go over the air, and what a gateway sends of its own may be made for MQTT only.
    let is_broadcast = packet.to == NodeNum::BROADCAST && !facts.is_own_packet() && is_signed_kind(data);
    if !has_room || !is_broadcast {
        return None;
    }
    let signed_ms = memory.nodes.get(packet.from.0)?.signed_ms;
    let signs = signed_ms != 0 && now.unix_ms.saturating_sub(signed_ms) <= SIGNS_MS;
    signs.then_some(Finding::SignatureMissing)
}

/// Whether firmware signs packets like this at all: not what relays rewrite on the way.
fn is_signed_kind(data: &DataView<'_>) -> bool {
    data.payload.len() + SIGNATURE_BYTES < 237
        && !matches!(data.port, PortNum::TRACEROUTE | PortNum::NEIGHBORINFO | PortNum::MAP_REPORT)
}

fn own_id_heard(facts: &Facts<'_>) -> Option<Finding> {
    (facts.is_own_packet() && heard_over_the_air(facts)).then_some(Finding::OwnIdHeard)
}

fn impossible_travel(
    settings: &IdentitySettings,
    now: Now,
    facts: &Facts<'_>,
    memory: &Memory,
) -> Option<Finding> {
    let place = Place::of(facts.position.as_ref()?)?;
    let before = memory.nodes.get(facts.packet?.from.0)?.place?;
    let km = before.place.gap_m(place) / 1_000.0;
    // The broker's clock at arrival counts: clocks of nodes are wrong by days.
    let within_s = now.unix_ms.saturating_sub(before.at_ms).max(0) / 1_000;
    let hours = (within_s as f64 + f64::from(settings.travel_slack_s)) / 3_600.0;
    let is_impossible =
        km > f64::from(settings.travel_km_min) && km / hours > f64::from(settings.travel_kmh_max);
    let within_s = u32::try_from(within_s).unwrap_or(u32::MAX);
    is_impossible.then_some(Finding::ImpossibleTravel { km: km as u32, within_s })
}

/// Gateways of one island hear each other's traffic, however far apart they say they are.
fn two_islands(settings: &IdentitySettings, now: Now, facts: &Facts<'_>, memory: &Memory) -> Option<Finding> {
    if !heard_directly(facts) {
        return None;
    }
    let here = heard_by(facts)?;
    let place = memory.profiles.place_of(here)?;
    let node = memory.nodes.get(facts.packet?.from.0)?;
    node.heard_by().find_map(|heard| {
        let within_s = now.unix_ms.saturating_sub(heard.at_ms).max(0) / 1_000;
        if heard.gateway == here || within_s > i64::from(settings.at_once_s) {
            return None;
        }
        let island = memory.islands.island_of(here);
        let is_same_island = island.is_some() && memory.islands.island_of(heard.gateway) == island;
        let km = memory.profiles.place_of(heard.gateway)?.gap_m(place) / 1_000.0;
        let is_too_far = km > f64::from(settings.direct_km_max) && !is_same_island;
        let within_s = u32::try_from(within_s).unwrap_or(u32::MAX);
        is_too_far.then_some(Finding::TwoIslands { gateway: heard.gateway, km: km as u32, within_s })
    })
}
