//! Whether a packet can have come over the radio, as far as it shows by itself.

use mesh::observe::{Facts, Flags};

use super::{Objection, object};
use crate::decision::Verdict;

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
