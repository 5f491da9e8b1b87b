//! What is published: envelopes with a payload, closed, and nothing that commands a node.

use mesh::observe::{EnvelopeState, Facts, Flags, PayloadState};
use mesh::topic::TopicKind;

use super::{Objection, Uplink, carries_envelopes, kind, object};
use crate::decision::Verdict;
use crate::principal::Principal;

pub(super) fn not_an_envelope(facts: &Facts<'_>) -> Option<Objection> {
    if !carries_envelopes(facts) {
        return None;
    }
    match facts.envelope {
        EnvelopeState::Ok => None,
        EnvelopeState::Empty => {
            object(Verdict::Refuse, "The message is empty; an envelope was expected here.")
        }
        EnvelopeState::Malformed => object(
            Verdict::Refuse,
            "This is not a Meshtastic envelope. Phones truncate packets over 435 bytes, and JSON has its own topics.",
        ),
    }
}

pub(super) fn no_payload(facts: &Facts<'_>) -> Option<Objection> {
    if !carries_envelopes(facts) || facts.payload != PayloadState::None {
        return None;
    }
    object(Verdict::Refuse, "The envelope carries no packet or a packet without payload.")
}

pub(super) fn pki_opened(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.flags.contains(Flags::PKI_PLAINTEXT_LEAK) {
        return None;
    }
    object(
        Verdict::Refuse,
        "A direct message was opened before it was uplinked. Turn on MQTT encryption (mqtt.encryption_enabled true).",
    )
}

pub(super) fn remote_control(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.port.is_some_and(|p| p.is_remote_control()) {
        return None;
    }
    object(Verdict::Refuse, "Administration, remote shell and firmware updates never cross MQTT.")
}

pub(super) fn json_uplink(up: &Uplink<'_>) -> Option<Objection> {
    let is_firmware = !matches!(up.sender, Principal::Service { .. });
    if !is_firmware || !matches!(kind(up.facts), Some(TopicKind::Json | TopicKind::JsonCommand)) {
        return None;
    }
    object(
        Verdict::RecordOnly,
        "Firmware JSON does not say whether the sender agreed to MQTT; the packet beside it does and is passed on.",
    )
}

pub(super) fn stat(facts: &Facts<'_>) -> Option<Objection> {
    if kind(facts) != Some(TopicKind::Stat) {
        return None;
    }
    object(Verdict::RecordOnly, "Legacy online/offline messages are kept in the log and not passed on.")
}
