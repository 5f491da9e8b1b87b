//! Where a packet for one node goes: to the gateways that heard the node lately, the best ones first.

use mesh::node::NodeNum;

use crate::memory::Memory;
use crate::now::Now;
use crate::release::Passing;

/// How packets for one node find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSettings {
    /// How long ago a gateway may have heard a node to be a way to it, in ms.
    pub heard_within_ms: u64,
    /// Gateways that get a packet for one node at most.
    pub gateways_max: usize,
    /// Whether a packet for a node that nobody heard goes to all islands.
    pub unknown_to_all: bool,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { heard_within_ms: 24 * 3_600_000, gateways_max: 2, unknown_to_all: false }
    }
}

/// Whether a packet goes this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is for everybody, or this gateway is a good way to its node.
    Open,
    /// Other gateways are better ways.
    Better,
    /// Its node was heard elsewhere, and not here.
    Elsewhere,
    /// Nobody heard its node.
    Unknown,
}

/// Whether a packet goes by this gateway.
pub fn way(settings: &TargetSettings, memory: &Memory, now: Now, passing: &Passing<'_>, gateway: u32) -> Way {
    if passing.to == NodeNum::BROADCAST.0
        || passing.to == NodeNum::BROADCAST_NO_LORA.0
        || passing.to == gateway
    {
        return Way::Open;
    }
    let within_ms = settings.heard_within_ms;
    match memory.reach.place(now.mono_ms, gateway, passing.to, within_ms) {
        Some(place) if place < settings.gateways_max => Way::Open,
        Some(_) => Way::Better,
        None if memory.reach.heard_at(now.mono_ms, passing.to, within_ms).next().is_some() => Way::Elsewhere,
        // A gateway is a node too, and is found where it is connected.
        None if memory.islands.island_of(passing.to).is_some() => Way::Elsewhere,
        None if settings.unknown_to_all => Way::Open,
        None => Way::Unknown,
    }
}
