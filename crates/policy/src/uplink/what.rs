//! What is published: envelopes with a payload, closed, and nothing that commands a node.

use mesh::observe::{EnvelopeState, Facts, Flags, PayloadState};
use mesh::portnum::PortNum;
use mesh::topic::TopicKind;

use super::{Objection, Uplink, carries_envelopes, kind, object};
use crate::decision::Verdict;
use crate::principal::Principal;

/// What needs an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhatSettings {
    /// Port numbers of bulk that are passed on all the same.
    pub granted_ports: Vec<u32>,
}

/// Ports of bulk and of streams: what they carry has no end, or is large, or is somebody's own experiment.
const BULK_PORTS: [PortNum; 12] = [
    PortNum::AUDIO,
    PortNum::IP_TUNNEL,
    PortNum::SERIAL,
    PortNum::STORE_FORWARD,
    PortNum::STORE_FORWARD_PLUSPLUS,
    PortNum::RANGE_TEST,
    PortNum::ZPS,
    PortNum::SIMULATOR,
    PortNum::POWERSTRESS,
    PortNum::LORAWAN_BRIDGE,
    PortNum::RETICULUM_TUNNEL,
    PortNum::REMOTE_HARDWARE,
];

pub(super) fn granted_ports(settings: &WhatSettings, up: &Uplink<'_>) -> Option<Objection> {
    let port = up.facts.port.filter(|port| BULK_PORTS.contains(port))?;
    let grant = super::heard_by(up.facts).and_then(|gateway| up.directory.grant(gateway, up.now.unix_ms));
    if settings.granted_ports.contains(&port.0) || grant.is_some_and(|grant| grant.ports.contains(&port.0)) {
        return None;
    }
    let what = port.word();
    object(
        Verdict::RecordOnly,
        format!(
            "Packets of the kind `{what}` are passed on only when the operator has agreed; ask before sending them."
        ),
    )
}

pub(super) fn decoded_on_wire(facts: &Facts<'_>) -> Option<Objection> {
    let is_map_report = facts.port == Some(PortNum::MAP_REPORT);
    // Licensed operators must not encrypt, so theirs come in clear over the air too.
    let is_in_clear_on_air = facts.flags.contains(Flags::LICENSED);
    if !facts.flags.contains(Flags::DECODED_ON_WIRE) || is_map_report || is_in_clear_on_air {
        return None;
    }
    object(
        Verdict::RecordOnly,
        "The gateway opened this packet before uplinking it. Turn on MQTT encryption (mqtt.encryption_enabled true).",
    )
}

/// Finest position that firmware puts into a map report (`MQTT.cpp`), bits.
const MAP_REPORT_BITS_MAX: u32 = 15;

pub(super) fn map_report(facts: &Facts<'_>) -> Option<Objection> {
    if facts.port != Some(PortNum::MAP_REPORT) {
        return None;
    }
    if !facts.is_own_packet() {
        return object(
            Verdict::RecordOnly,
            "A map report speaks for the gateway that sends it and for nobody else.",
        );
    }
    if facts.position.is_some_and(|position| position.is_finer_than(MAP_REPORT_BITS_MAX)) {
        return object(
            Verdict::RecordOnly,
            "This map report tells the place more exactly than firmware would (mqtt.map_report_settings.position_precision).",
        );
    }
    None
}

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

pub(super) fn oversize(facts: &Facts<'_>) -> Option<Objection> {
    if !facts.flags.contains(Flags::OVERSIZE_PACKET) {
        return None;
    }
    object(
        Verdict::Refuse,
        "The packet is larger than a frame of the radio (255 bytes), so it never was on the air.",
    )
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
