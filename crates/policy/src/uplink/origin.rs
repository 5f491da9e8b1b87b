//! Whether a packet can have come over the radio, as far as it shows by itself.

use mesh::observe::{Facts, Flags};
use mesh::packet::PacketHeader;

use super::{Objection, Uplink, carries_envelopes, object};
use crate::decision::Verdict;

/// How far the time of a reception may be from ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginSettings {
    /// Longest time from reception to uplink, seconds.
    pub late_max_s: u32,
    /// How far a gateway's clock may run ahead, seconds.
    pub early_max_s: u32,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self { late_max_s: 600, early_max_s: 120 }
    }
}

/// Ways of arrival that are the radio's (`MeshPacket.TransportMechanism`): LoRa and its alternatives.
const RADIO: std::ops::RangeInclusive<u32> = 1..=4;

/// Whether a packet shows that its gateway heard it over the radio.
pub(crate) fn shows_radio(packet: &PacketHeader) -> bool {
    packet.rx_rssi != 0 || packet.rx_snr != 0.0 || RADIO.contains(&packet.transport)
}

pub(super) fn no_radio_evidence(facts: &Facts<'_>) -> Option<Objection> {
    let packet = facts.packet.as_ref().filter(|_| carries_envelopes(facts) && !facts.is_own_packet())?;
    if shows_radio(packet) {
        return None;
    }
    object(
        Verdict::RecordOnly,
        "Nothing shows that this gateway heard the packet over the radio: it names neither signal strength nor LoRa.",
    )
}

pub(super) fn wrong_time(settings: &OriginSettings, up: &Uplink<'_>) -> Option<Objection> {
    let packet = up.facts.packet.as_ref()?;
    if packet.rx_time == 0 {
        return None; // a gateway without a clock
    }
    let late_s = up.now.unix_ms.div_euclid(1000) - i64::from(packet.rx_time);
    if late_s > i64::from(settings.late_max_s) {
        return object(
            Verdict::RecordOnly,
            format!("It was heard {late_s} s before it came here, or the gateway's clock is wrong."),
        );
    }
    if -late_s > i64::from(settings.early_max_s) {
        return object(
            Verdict::RecordOnly,
            format!("The gateway's clock is {} s ahead.", late_s.unsigned_abs()),
        );
    }
    None
}

pub(super) fn via_mqtt(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.flags.contains(Flags::VIA_MQTT) {
        return None;
    }
    object(Verdict::Refuse, "This packet already crossed MQTT; uplinking it again is a loop.")
}

pub(super) fn impossible_hops(facts: &Facts<'_>) -> Option<Objection> {
    let packet = facts.packet.as_ref()?;
    if facts.flags.contains(Flags::HOP_INVALID) {
        let (limit, start) = (packet.hop_limit, packet.hop_start);
        return object(Verdict::Refuse, format!("Hop limit {limit} of {start}: more than 7 does not exist."));
    }
    if facts.flags.contains(Flags::HOP_INCONSISTENT) {
        let (limit, start) = (packet.hop_limit, packet.hop_start);
        return object(
            Verdict::Refuse,
            format!("Hop limit {limit} is above hop start {start}; a relay cannot add hops."),
        );
    }
    None
}
