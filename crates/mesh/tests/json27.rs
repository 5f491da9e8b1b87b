//! The firmware's JSON against the vectors and against what real firmware published beside its envelopes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mesh::json27::message;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Scratch, observe};
use mesh::topic::{MeshTopic, TopicKind};
use mesh::wire::{put_bytes, put_fixed32, put_uint};
use serde_json::{Value as Json, json};

#[test]
fn every_vector_reads_as_firmware_writes_it() {
    let vectors: HashMap<String, Json> =
        lines("generated.jsonl").into_iter().map(|v| (text(&v["name"]).to_owned(), v)).collect();
    let mut wrong = Vec::new();
    let expected = lines("json27_uplink.jsonl");
    assert_eq!(expected.len(), 44);
    for line in expected {
        let vector = &vectors[text(&line["name"])];
        let mut keyring = Keyring::default();
        if let Some(psk) = vector["key_b64"].as_str() {
            let channel = MeshTopic::parse(text(&vector["topic"])).and_then(|t| t.channel).unwrap();
            keyring.add(channel, ChannelKey::from_psk(&BASE64.decode(psk).unwrap()).unwrap());
        }
        let found =
            json_of(text(&vector["topic"]), &bytes(&vector["envelope_hex"]), &keyring, 0).unwrap_or_default();
        if !is_close(&found, &line["json"]) {
            wrong.push(format!("{}: {found}\n  not {}", line["name"], line["json"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn real_firmware_published_the_same_beside_its_envelopes() {
    let mut keyring = Keyring::default();
    for name in ["LongFast", "MediumSlow", "mqtt"] {
        keyring.add(name, ChannelKey::default_key());
    }
    let ops: Vec<u8> = (0..32).collect();
    keyring.add("Ops", ChannelKey::from_psk(&ops).unwrap());
    let publications = lines("firmware.jsonl");
    let mut twins = 0;
    let mut wrong = Vec::new();
    for publication in &publications {
        let topic = MeshTopic::parse(text(&publication["topic"])).unwrap();
        if !matches!(topic.kind, TopicKind::Json | TopicKind::JsonCommand) {
            continue;
        }
        let expected: Json = serde_json::from_slice(&bytes(&publication["payload_hex"])).unwrap();
        let index = ["LongFast", "mqtt", "Ops"].iter().position(|n| topic.channel == Some(n)).unwrap_or(0);
        // Ids repeat between phases: a twin is of the same phase and gateway.
        let twin = publications.iter().find_map(|other| {
            let is_near =
                other["phase"] == publication["phase"] && other["client_id"] == publication["client_id"];
            let found =
                json_of(text(&other["topic"]), &bytes(&other["payload_hex"]), &keyring, index as u32)?;
            (is_near && found["id"] == expected["id"] && found["from"] == expected["from"]).then_some(found)
        });
        let Some(found) = twin else { continue };
        twins += 1;
        if !is_close(&found, &expected) {
            wrong.push(format!("{found}\n  not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(twins >= 30, "only {twins} publications have a twin");
}

#[test]
fn what_has_no_vector() {
    let nodes = |node: NodeNum| (node == NodeNum(0xa)).then(|| "Alpha".to_owned());
    let mut route = Vec::new();
    put_bytes(&mut route, 1, &0xa_u32.to_le_bytes());
    put_bytes(&mut route, 2, &[24, 6]);
    put_bytes(&mut route, 4, &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    let mut celsius = Vec::new();
    put_fixed32(&mut celsius, 1, 21.3_f32.to_bits());
    put_fixed32(&mut celsius, 2, f32::NAN.to_bits());
    let mut environment = Vec::new();
    put_bytes(&mut environment, 3, &celsius);
    for (port, payload, request_id, expected) in [
        (1, &b"42"[..], 0, json!({ "type": "text", "payload": 42 })),
        (1, b"{\"b\":1.5,\"a\":[true]}", 0, json!({ "type": "text", "payload": { "a": [true], "b": 1.5 } })),
        (1, b"cut\0off", 0, json!({ "type": "text", "payload": { "text": "cut" } })),
        (10, b"42", 0, json!({ "type": "detection", "payload": { "text": "42" } })),
        (5, b"\x18\x00", 7, json!({ "type": "" })),
        (70, &route, 0, json!({ "type": "" })),
        (
            70,
            &route,
            7,
            json!({ "type": "traceroute", "payload": {
            "route": ["Unknown", "Alpha", "Unknown"], "route_back": ["Unknown", "Unknown"],
            "snr_towards": [6, 1.5], "snr_back": [-0.75],
        } }),
        ),
        // A 32-bit float in 15 digits of a double, and a number that JSON does not have.
        (
            67,
            &environment,
            0,
            json!({ "type": "telemetry", "payload": {
            "temperature": 21.299_999_237_060_5, "relative_humidity": null,
        } }),
        ),
        (3, b"\x0d\x01", 0, json!({ "type": "position" })),
        (
            2,
            b"\x08\x05\x10\x06\x18\x04",
            0,
            json!({ "type": "gpios_read_reply", "payload": {
            "gpio_mask": 6, "gpio_value": 4,
        } }),
        ),
    ] {
        let (mut data, mut packet, mut envelope) = (Vec::new(), Vec::new(), Vec::new());
        put_uint(&mut data, 1, port);
        put_bytes(&mut data, 2, payload);
        put_fixed32(&mut data, 6, request_id);
        put_fixed32(&mut packet, 1, 2);
        put_fixed32(&mut packet, 2, 3);
        put_bytes(&mut packet, 4, &data);
        put_bytes(&mut envelope, 1, &packet);
        let mut scratch = Scratch::default();
        let keyring = Keyring::default();
        let facts = observe("msh/2/e/LongFast/!0000000a", &envelope, &keyring, &mut scratch);
        let found = message(&facts, 4, &nodes).unwrap();
        assert_eq!(found["type"], expected["type"], "{found}");
        assert_eq!(found.get("payload"), expected.get("payload"), "{found}");
        assert_eq!(found["channel"], json!(4));
        assert!(found.get("hops_away").is_none() && found.get("rssi").is_none(), "{found}");
    }
}

#[test]
fn closed_packets_have_no_json() {
    for vector in lines("generated.jsonl") {
        let found = json_of(text(&vector["topic"]), &bytes(&vector["envelope_hex"]), &Keyring::default(), 0);
        if vector["expect"]["payload"] == "opaque" {
            assert_eq!(found, None, "{}", vector["name"]);
        }
    }
}

fn json_of(topic: &str, payload: &[u8], keyring: &Keyring, channel_index: u32) -> Option<Json> {
    let mut scratch = Scratch::default();
    message(&observe(topic, payload, keyring, &mut scratch), channel_index, &|_| None)
}

fn is_close(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-6 * a.abs().max(b.abs())
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| is_close(v, w)))
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_close(a, b))
        }
        _ => a == b,
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
