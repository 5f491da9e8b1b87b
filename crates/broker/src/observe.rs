//! Step 2 of the journey written down: facts about one publish as the history keeps them. Facts, never verdicts.

use std::sync::Arc;

use mesh::observe::Facts;
use policy::memory::seen::PacketKey;
use record::{Consent, KeyClass, PacketSummary};

/// The facts that outlive the publish: what the history keeps and what the release rules need.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub gateway: Option<u32>,
    pub packet: Option<PacketSummary>,
    pub key: Option<PacketKey>,
    pub channel: Option<Arc<str>>,
    pub port: Option<u32>,
    /// Which measurements a telemetry packet has: the number of the first message in it; else 0.
    pub variant: u8,
    pub consent: Consent,
    pub key_class: KeyClass,
    pub flags: u64,
    pub frame_bytes: Option<u16>,
    pub airtime_us: Option<u32>,
    pub hop_limit_at: Option<usize>,
}

/// Writes down the facts.
pub(crate) fn write_down(facts: &Facts<'_>, preset: mesh::airtime::ModemPreset) -> Observed {
    let in_topic = facts.topic.as_ref().and_then(|t| t.gateway_node());
    let channel = facts.channel_id.or(facts.topic.as_ref().and_then(|t| t.channel));
    let preset = channel.and_then(mesh::airtime::ModemPreset::of_channel_name).unwrap_or(preset);
    Observed {
        gateway: in_topic.or(facts.gateway).map(|n| n.0),
        packet: facts.packet.as_ref().map(|header| PacketSummary::of(header, facts)),
        key: policy::uplink::packet_key(facts),
        channel: channel.map(Arc::from),
        port: facts.port.map(|p| p.0),
        variant: policy::release::variant(facts),
        consent: facts.consent.into(),
        key_class: facts.key_class.into(),
        flags: facts.flags.0,
        frame_bytes: facts.frame_bytes,
        airtime_us: facts.frame_bytes.map(|bytes| preset.time_on_air_us(usize::from(bytes))),
        hop_limit_at: facts.hop_limit_at,
    }
}
