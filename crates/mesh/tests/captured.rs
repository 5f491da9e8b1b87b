//! Packets that strangers' nodes sent, decoded by other programs. They are not ours to publish, so they lie beside the
//! repository (`../shared/vectors/real.jsonl`, or where `BACKHAUL_REAL_VECTORS` says); without them the test says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use mesh::keyring::Keyring;
use mesh::observe::{EnvelopeState, Flags, PayloadState, Scratch, observe};
use mesh::wire::{put_bytes, put_fixed32, put_uint};
use serde_json::{Value as Json, json};

#[test]
fn captured_packets_are_read_as_others_read_them() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/real.jsonl");
    let path = std::env::var_os("BACKHAUL_REAL_VECTORS").map_or(beside, PathBuf::from);
    let Ok(text) = fs::read_to_string(&path) else {
        eprintln!("no captured packets at {}: nothing was checked", path.display());
        return;
    };
    let (mut opened, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let vector: Json = serde_json::from_str(line).unwrap();
        let decoded = &vector["decoded"];
        let (topic, envelope) = publish(&vector);
        let mut scratch = Scratch::default();
        // Every key among them is public.
        let keyring = Keyring::default();
        let facts = observe(&topic, &envelope, &keyring, &mut scratch);
        let mut check = |what: &str, found: Json| {
            if !decoded[what].is_null() && found != decoded[what] {
                wrong.push(format!("{}: {what}", vector["name"]));
            }
        };
        assert_eq!(facts.envelope, EnvelopeState::Ok, "{}", vector["name"]);
        let header = facts.packet.unwrap();
        check("from", json!(header.from.0));
        check("to", json!(header.to.0));
        check("id", json!(header.id));
        check("channel", json!(header.channel));
        check("hop_limit", json!(header.hop_limit));
        check("hop_start", json!(header.hop_start));
        check("rx_time", json!(header.rx_time));
        check("rx_rssi", json!(header.rx_rssi));
        check("rx_snr", json!(header.rx_snr));
        check("want_ack", json!(header.want_ack));
        check("via_mqtt", json!(header.via_mqtt));
        check("relay_node", json!(header.relay_node));
        check("next_hop", json!(header.next_hop));
        check("priority", json!(header.priority));
        check("transport_mechanism", json!(header.transport));
        let expected = &decoded["data"];
        let Some(data) = facts.data else {
            assert_eq!(facts.payload, PayloadState::Opaque);
            if expected["portnum"].is_number() {
                wrong.push(format!("{}: not opened", vector["name"]));
            }
            continue;
        };
        opened += 1;
        let found = json!({
            "bitfield": data.bitfield, "payload_hex": hex::encode(data.payload), "portnum": data.port.0,
            "portnum_name": data.port.name(), "reply_id": data.reply_id, "request_id": data.request_id,
            "want_response": data.want_response,
        });
        if found != *expected {
            wrong.push(format!("{}: data", vector["name"]));
        }
        if facts.flags.contains(Flags::APP_PAYLOAD_INVALID) {
            wrong.push(format!("{}: its payload does not fit its port", vector["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(opened >= 46, "only {opened} opened");
}

/// The topic and envelope of a vector; packets and frames without one are put into one.
fn publish(vector: &Json) -> (String, Vec<u8>) {
    let bytes = |member: &str| vector[member].as_str().map(|hex| hex::decode(hex).unwrap());
    if let Some(envelope) = bytes("envelope_hex") {
        return (vector["topic"].as_str().unwrap().to_owned(), envelope);
    }
    let packet = bytes("mesh_packet_hex").unwrap_or_else(|| packet_of_frame(&bytes("frame_hex").unwrap()));
    let hash = vector["decoded"]["channel"].as_u64().and_then(|hash| u8::try_from(hash).ok());
    let channel = match hash {
        Some(8) => "LongFast".to_owned(),
        Some(31) => "MediumFast".to_owned(),
        // The name is lost, but any with its hash does; this one has a single byte. The default key's hash is 2.
        Some(hash) if vector["key_b64"] == "AQ==" => char::from(hash ^ 2).to_string(),
        _ => "Elsewhere".to_owned(),
    };
    let mut envelope = Vec::new();
    put_bytes(&mut envelope, 1, &packet);
    put_bytes(&mut envelope, 2, channel.as_bytes());
    put_bytes(&mut envelope, 3, b"!00000011");
    (format!("msh/2/e/{channel}/!00000011"), envelope)
}

/// The packet that a gateway makes of a LoRa frame (`RadioInterface.h`).
fn packet_of_frame(frame: &[u8]) -> Vec<u8> {
    let (header, encrypted) = frame.split_at(16);
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let flags = header[12];
    let mut packet = Vec::new();
    put_fixed32(&mut packet, 1, number(4));
    put_fixed32(&mut packet, 2, number(0));
    put_uint(&mut packet, 3, header[13].into());
    put_bytes(&mut packet, 5, encrypted);
    put_fixed32(&mut packet, 6, number(8));
    put_uint(&mut packet, 9, (flags & 7).into());
    put_uint(&mut packet, 10, (flags >> 3 & 1).into());
    put_uint(&mut packet, 14, (flags >> 4 & 1).into());
    put_uint(&mut packet, 15, (flags >> 5).into());
    put_uint(&mut packet, 18, header[14].into());
    put_uint(&mut packet, 19, header[15].into());
    packet
}
