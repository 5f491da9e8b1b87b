//! The facts about one publish as one JSON object. Judges nothing.

use std::collections::BTreeMap;

use mesh::airtime::{FRAME_BYTES_MAX, ModemPreset};
use mesh::data::DataView;
use mesh::key::KeyClass;
use mesh::observe::{Consent, EnvelopeState, Facts, Flags, PayloadState};
use mesh::packet::PacketHeader;
use mesh::portnum::PortNum;
use mesh::signature::{Layout, Verification};
use mesh::topic::TopicKind;
use mesh::tree::{self, Entry, Tree, Value};
use serde_json::{Value as Json, json};

use super::line::Line;
use super::stream::{Identity, Signature};

/// Everything that is known about a publish.
pub fn report(
    line: &Line,
    facts: &Facts<'_>,
    signature: Signature,
    identity: Identity,
    preset: ModemPreset,
) -> Json {
    let mut flags: Vec<_> = facts.flags.names().collect();
    flags.sort_unstable();
    let mut out = json!({
        "envelope": envelope_word(facts),
        "payload": payload_word(facts.payload),
        "flags": flags,
        "packet": facts.packet.map(|header| packet(facts, &header)),
        "time_on_air_ms": time_on_air_us(facts, preset).map(|us| f64::from(us) / 1000.0),
        "consent": consent_word(facts.consent),
        "key_class": key_class_word(facts.key_class),
        "signature": signature_word(signature),
        "identity": identity_word(identity),
    });
    if let Some(name) = &line.name {
        out["name"] = json!(name);
    }
    if let Some(topic) = &line.topic {
        out["topic"] = json!(topic);
    }
    out
}

fn packet(facts: &Facts<'_>, header: &PacketHeader) -> Json {
    let variant = match facts.payload {
        _ if facts.flags.contains(Flags::NO_PAYLOAD) => "none",
        _ if facts.flags.contains(Flags::DECODED_ON_WIRE) => "decoded",
        _ => "encrypted",
    };
    json!({
        "from": header.from.0,
        "from_id": header.from.to_string(),
        "to": header.to.0,
        "to_id": header.to.to_string(),
        "id": header.id,
        "id_hex": format!("{:08x}", header.id),
        "channel": header.channel,
        "channel_id": facts.channel_id,
        "gateway_id": facts.gateway_id,
        "hop_limit": header.hop_limit,
        "hop_start": header.hop_start,
        "hops_away": facts.hops_away,
        "next_hop": header.next_hop,
        "relay_node": header.relay_node,
        "pki_encrypted": header.pki_encrypted,
        "priority": header.priority,
        "rx_rssi": header.rx_rssi,
        "rx_snr": tree::float_to_json(header.rx_snr),
        "rx_time": header.rx_time,
        "transport_mechanism": header.transport,
        "variant": variant,
        "via_mqtt": header.via_mqtt,
        "want_ack": header.want_ack,
        "frame_bytes": facts.frame_bytes,
        "data": facts.data.as_ref().map(data),
    })
}

fn data(data: &DataView<'_>) -> Json {
    let app = tree::read(data.port, data.payload);
    let mut units = BTreeMap::new();
    if let Tree::Message(_, entries) = &app {
        collect_units(entries, "", &mut units);
    }
    json!({
        "portnum": data.port.0,
        "portnum_name": data.port.name(),
        "payload_hex": tree::to_hex(data.payload),
        "want_response": data.want_response,
        "request_id": data.request_id,
        "reply_id": data.reply_id,
        "emoji": data.emoji,
        "bitfield": data.bitfield,
        "ok_to_mqtt": data.ok_to_mqtt(),
        "xeddsa_signature_hex": tree::to_hex(data.signature),
        "app": app.to_json(),
        "units": units,
    })
}

/// Units of the fields that have one, by their path in `app`.
fn collect_units(entries: &[Entry], path: &str, units: &mut BTreeMap<String, &'static str>) {
    for entry in entries {
        let Some(name) = entry.name else { continue };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Value::Message(inner) = &entry.value {
            collect_units(inner, &path, units);
        } else if !entry.unit.is_empty() {
            units.insert(path, entry.unit);
        }
    }
}

/// Time on air with the channel's preset. Nothing for packets that are never sent: map reports, those addressed to
/// other transports alone, and those too long for a frame.
fn time_on_air_us(facts: &Facts<'_>, preset: ModemPreset) -> Option<u32> {
    let bytes = usize::from(facts.frame_bytes?);
    let is_never_sent = facts.port == Some(PortNum::MAP_REPORT)
        || facts.flags.contains(Flags::NO_LORA)
        || bytes > FRAME_BYTES_MAX;
    if is_never_sent {
        return None;
    }
    let channel = facts.channel_id.or(facts.topic.and_then(|t| t.channel));
    let preset = channel.and_then(ModemPreset::of_channel_name).unwrap_or(preset);
    Some(preset.time_on_air_us(bytes))
}

fn envelope_word(facts: &Facts<'_>) -> &'static str {
    match (facts.topic.map(|t| t.kind), facts.envelope) {
        // Other topics carry no envelopes, so there is nothing to judge.
        (None | Some(TopicKind::Json | TopicKind::JsonCommand | TopicKind::Stat), _) => "none",
        (_, EnvelopeState::Ok) => "ok",
        (_, EnvelopeState::Malformed) => "malformed",
        (_, EnvelopeState::Empty) => "empty",
    }
}

const fn payload_word(state: PayloadState) -> &'static str {
    match state {
        PayloadState::Decrypted => "decrypted",
        PayloadState::Plaintext => "plaintext",
        PayloadState::Opaque => "opaque",
        PayloadState::None => "none",
    }
}

const fn consent_word(consent: Consent) -> &'static str {
    match consent {
        Consent::Yes => "yes",
        Consent::No => "no",
        Consent::Unknown => "unknown",
    }
}

const fn key_class_word(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Unknown => "unknown",
        KeyClass::Unencrypted => "unencrypted",
        KeyClass::Default => "default",
        KeyClass::Simple => "simple",
        KeyClass::Known => "known",
        KeyClass::Private => "private",
        KeyClass::Pki => "PKI",
    }
}

const fn signature_word(signature: Signature) -> &'static str {
    match signature {
        Signature::None => "none",
        Signature::Checked(Verification::Valid(Layout::V0)) => "valid v0",
        Signature::Checked(Verification::Valid(Layout::V1)) => "valid v1",
        Signature::Checked(Verification::Invalid) => "invalid",
        Signature::Checked(Verification::Malformed) => "malformed",
        Signature::UnknownKey => "unknown key",
    }
}

const fn identity_word(identity: Identity) -> &'static str {
    match identity {
        Identity::Derived => "number made from key",
        Identity::NotDerived => "number not made from key",
        Identity::UnknownKey => "unknown key",
    }
}
