//! Whether the sender of a packet agreed to MQTT.

use mesh::observe::{Consent, Facts, PayloadState};

use super::{Objection, carries_envelopes, object};
use crate::decision::Verdict;

/// What the operator chose for packets without consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentSettings {
    /// What happens to a packet whose sender declined.
    pub no: Verdict,
    /// What happens to a packet that can be read and says neither yes nor no (firmware before 2.5).
    pub unknown: Verdict,
    /// What happens to a packet that cannot be read, so that nobody can see what its sender agreed to.
    pub opaque: Verdict,
}

impl Default for ConsentSettings {
    fn default() -> Self {
        Self { no: Verdict::RecordOnly, unknown: Verdict::RecordOnly, opaque: Verdict::Accept }
    }
}

pub(super) fn consent(settings: &ConsentSettings, facts: &Facts<'_>) -> Option<Objection> {
    if !carries_envelopes(facts) || facts.packet.is_none() {
        return None;
    }
    let opaque = facts.payload == PayloadState::Opaque;
    let (verdict, sentence) = match facts.consent {
        Consent::Yes => return None,
        Consent::No => (
            settings.no,
            "Its sender has not agreed to MQTT (lora.config_ok_to_mqtt is off on the sending node).",
        ),
        Consent::Unknown if opaque => (
            settings.opaque,
            "It is encrypted with a key we do not have, so nobody can see whether its sender agreed.",
        ),
        Consent::Unknown => (
            settings.unknown,
            "Its sender's firmware is too old to say whether it agrees to MQTT, which counts as no.",
        ),
    };
    if verdict == Verdict::Accept { None } else { object(verdict, sentence) }
}
