//! Every line of the generated vectors, and every envelope that real firmware published, against `observe`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{EnvelopeState, Facts, PayloadState, Scratch, observe};
use mesh::packet::Variant;
use mesh::signature::{Layout, Verification, verify};
use mesh::topic::{MeshTopic, TopicKind};
use mesh::{envelope::EnvelopeView, portnum::PortNum, tree};
use serde_json::{Value as Json, json};

#[test]
fn every_generated_vector_is_seen_as_it_is() {
    let mut gateways_by_packet = HashMap::new();
    let mut wrong = Vec::new();
    let vectors = lines("generated.jsonl");
    assert_eq!(vectors.len(), 111);
    for vector in &vectors {
        let name = text(&vector["name"]);
        let (payload, keyring) = (bytes(&vector["envelope_hex"]), keyring_of(vector));
        let mut scratch = Scratch::default();
        let facts = observe(text(&vector["topic"]), &payload, &keyring, &mut scratch);
        let mut check = |what: &str, found: Json, expected: Json| {
            if found != expected {
                wrong.push(format!("{name}: {what} is {found}, not {expected}"));
            }
        };
        let expect = &vector["expect"];
        check("envelope", json!(envelope_word(facts.envelope)), expect["envelope"].clone());
        check("payload", json!(payload_word(facts.payload)), expect["payload"].clone());
        check("flags", json!(flags_of(&facts, &mut gateways_by_packet)), expect["flags"].clone());
        if vector["decoded"].is_object() {
            check_header(&facts, &payload, &vector["decoded"], &mut check);
            check_data(&facts, &vector["decoded"]["data"], &mut check);
        } else {
            check("packet", json!(facts.packet.is_some()), json!(false));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_envelope_of_real_firmware_parses_and_opens() {
    let mut keyring = Keyring::default();
    for name in ["LongFast", "MediumSlow", "mqtt"] {
        keyring.add(name, ChannelKey::default_key());
    }
    let ops: Vec<u8> = (0..32).collect();
    keyring.add("Ops", ChannelKey::from_psk(&ops).unwrap());
    let mut envelopes = 0;
    for publication in lines("firmware.jsonl") {
        let topic = text(&publication["topic"]);
        let kind = MeshTopic::parse(topic).unwrap_or_else(|| panic!("{topic} is no topic")).kind;
        let payload = bytes(&publication["payload_hex"]);
        let mut scratch = Scratch::default();
        let facts = observe(topic, &payload, &keyring, &mut scratch);
        if matches!(kind, TopicKind::Json | TopicKind::JsonCommand) {
            assert!(serde_json::from_slice::<Json>(&payload).unwrap().is_object(), "{topic}");
            continue;
        }
        envelopes += 1;
        assert_eq!(facts.envelope, EnvelopeState::Ok, "{topic}: {}", publication["payload_hex"]);
        let is_pki = facts.channel_id == Some("PKI");
        let is_open = matches!(facts.payload, PayloadState::Decrypted | PayloadState::Plaintext);
        assert_eq!(is_open, !is_pki, "{topic}: {:?} {}", facts.payload, publication["payload_hex"]);
        if let Some(data) = facts.data {
            assert!(
                !facts.flags.contains(mesh::observe::Flags::APP_PAYLOAD_INVALID),
                "{topic}: {:?} {:02x?}",
                data.port,
                data.payload
            );
        }
        assert_eq!(facts.gateway.map(|g| g.to_string()).as_deref(), publication["client_id"].as_str());
    }
    assert!(envelopes > 80, "only {envelopes} envelopes");
}

#[test]
fn payloads_that_the_vectors_give_as_bytes_alone_have_fields_too() {
    for (name, expected) in [
        ("node_status", json!({ "status": "on air" })),
        // A beacon offers a channel with its key, which is never shown.
        (
            "mesh_beacon",
            json!({
                "message": "join us", "offer_region": "US",
                "offer_channel": { "psk": "***", "name": "CityMesh" },
            }),
        ),
        ("zps", Json::Null),
    ] {
        let vectors = lines("generated.jsonl");
        let vector = vectors.iter().find(|v| v["name"] == name).unwrap();
        let data = &vector["decoded"]["data"];
        let payload = bytes(&data["payload_hex"]);
        let found = tree::read(PortNum(data["portnum"].as_u64().unwrap() as u32), &payload).to_json();
        let expected =
            if expected.is_null() { json!({ "bytes": text(&data["payload_hex"]) }) } else { expected };
        assert_eq!(found, expected, "{name}");
    }
}

/// The facts' flags, and those that need more than one publish or a key to check with.
fn flags_of<'f>(facts: &Facts<'_>, seen: &mut HashMap<(NodeNum, u32), String>) -> BTreeSet<&'f str> {
    let mut flags: BTreeSet<_> = facts.flags.names().collect();
    if let (Some(packet), Some(gateway)) = (facts.packet, facts.gateway_id) {
        // Copies of a packet come from different gateways.
        let first = seen.entry((packet.from, packet.id)).or_insert_with(|| gateway.to_owned());
        if packet.id != 0 && first != gateway {
            flags.insert("duplicate");
        }
    }
    if let (Some(packet), Some(data), Some(key)) = (&facts.packet, &facts.data, public_key(facts)) {
        flags.extend(match verify(packet, data, &key) {
            Some(Verification::Valid(Layout::V0)) => Some("sig_layout_v0"),
            Some(Verification::Valid(Layout::V1)) => Some("sig_layout_v1"),
            Some(Verification::Invalid) => Some("sig_invalid"),
            Some(Verification::Malformed) => Some("sig_malformed"),
            None => None,
        });
    }
    flags
}

fn public_key(facts: &Facts<'_>) -> Option<[u8; 32]> {
    let data = facts.data.filter(|d| d.port == PortNum::NODEINFO)?;
    let tree = tree::read(data.port, data.payload).to_json();
    hex::decode(tree["public_key"].as_str()?).ok()?.try_into().ok()
}

fn check_header(facts: &Facts<'_>, payload: &[u8], decoded: &Json, check: &mut impl FnMut(&str, Json, Json)) {
    let h = facts.packet.unwrap();
    let variant = match EnvelopeView::parse(payload).unwrap().packet.unwrap().variant {
        Variant::None => "none",
        Variant::Decoded(_) => "decoded",
        Variant::Encrypted(_) => "encrypted",
    };
    let found = json!({
        "channel": h.channel, "channel_id": facts.channel_id.unwrap_or(""), "from": h.from.0,
        "gateway_id": facts.gateway_id.unwrap_or(""), "hop_limit": h.hop_limit, "hop_start": h.hop_start,
        "id": h.id, "next_hop": h.next_hop, "pki_encrypted": h.pki_encrypted, "priority": h.priority,
        "relay_node": h.relay_node, "rx_rssi": h.rx_rssi, "rx_snr": h.rx_snr, "rx_time": h.rx_time, "to": h.to.0,
        "transport_mechanism": h.transport, "variant": variant, "via_mqtt": h.via_mqtt, "want_ack": h.want_ack,
    });
    let mut expected = decoded.clone();
    expected.as_object_mut().unwrap().remove("data");
    check("header", found, expected);
}

fn check_data(facts: &Facts<'_>, expected: &Json, check: &mut impl FnMut(&str, Json, Json)) {
    let Some(data) = facts.data else {
        check("data", Json::Null, expected.clone());
        return;
    };
    let port_name = data.port.name().map_or_else(|| format!("UNKNOWN_{}", data.port.0), str::to_owned);
    for (what, found) in [
        ("bitfield", json!(data.bitfield)),
        ("emoji", json!(data.emoji)),
        ("ok_to_mqtt", json!(data.ok_to_mqtt())),
        ("payload_hex", json!(hex::encode(data.payload))),
        ("portnum", json!(data.port.0)),
        ("portnum_name", json!(port_name)),
        ("reply_id", json!(data.reply_id)),
        ("request_id", json!(data.request_id)),
        ("want_response", json!(data.want_response)),
    ] {
        check(what, found, expected[what].clone());
    }
    if let Some(signature) = expected["xeddsa_signature_hex"].as_str() {
        check("signature", json!(hex::encode(data.signature)), json!(signature));
    }
    if let Some(signed) = expected["signed_bytes_hex"].as_str() {
        let layout = if signed.starts_with("01") { Layout::V1 } else { Layout::V0 };
        let header = facts.packet.unwrap();
        let found = hex::encode(mesh::signature::signed_bytes(&header, &data, layout));
        check("signed bytes", json!(found), json!(signed));
    }
    let found = tree::read(data.port, data.payload).to_json();
    if let PortNum::ADMIN | PortNum::KEY_VERIFICATION = data.port {
        check("app", found, json!({ "bytes": hex::encode(data.payload) }));
    } else if !expected["app"].is_null() {
        check("app", in_our_words(&found, &expected["app"]), expected["app"].clone());
    }
}

/// What was found, with each value written as the vectors write it: bytes in base64, 64-bit numbers as text. What has
/// no counterpart stays as it is, and so differs.
fn in_our_words(found: &Json, expected: &Json) -> Json {
    match (found, expected) {
        (Json::Object(found), Json::Object(_)) => {
            found.iter().map(|(k, v)| (k.clone(), in_our_words(v, &expected[k]))).collect()
        }
        (Json::Array(found), Json::Array(_)) => {
            found.iter().enumerate().map(|(i, v)| in_our_words(v, &expected[i])).collect()
        }
        (Json::Number(found), Json::String(_)) => json!(found.to_string()),
        (Json::Number(found), Json::Number(number)) if found.as_f64() == number.as_f64() => expected.clone(),
        (Json::String(found), Json::String(base64)) if found != base64 => {
            hex::decode(found).map_or_else(|_| json!(found), |bytes| json!(BASE64.encode(bytes)))
        }
        _ => found.clone(),
    }
}

fn keyring_of(vector: &Json) -> Keyring {
    let mut keyring = Keyring::default();
    if let Some(psk) = vector["key_b64"].as_str() {
        let channel = MeshTopic::parse(text(&vector["topic"])).and_then(|t| t.channel).unwrap();
        keyring.add(channel, ChannelKey::from_psk(&BASE64.decode(psk).unwrap()).unwrap());
    }
    keyring
}

const fn envelope_word(state: EnvelopeState) -> &'static str {
    match state {
        EnvelopeState::Ok => "ok",
        EnvelopeState::Malformed => "malformed",
        EnvelopeState::Empty => "empty",
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

fn lines(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}
