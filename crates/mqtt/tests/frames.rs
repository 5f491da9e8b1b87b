//! What real firmware and its broker said to each other: every captured control packet decodes, and our encoders write
//! the same bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use mqtt::client_packet::{self, ClientPacket};
use mqtt::connect::encode_connack;
use mqtt::frame::split;
use mqtt::publish::AckKind;
use mqtt::server_packet::{self, PINGREQ, PINGRESP, ServerPacket};
use mqtt::subscribe::{encode_suback, encode_subscribe};
use mqtt::{ReasonCode, Version};

#[test]
fn every_captured_control_packet_is_decoded_and_written_again() {
    let mut seen = BTreeMap::new();
    for line in include_str!("../../../testdata/vectors/firmware-control-packets.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (kind, from_node) = (line["type"].as_str().unwrap(), line["dir"] == "node>broker");
        let bytes = unhex(line["frame_hex"].as_str().unwrap());
        let written = if from_node { client_again(kind, &bytes) } else { server_again(kind, &bytes) };
        assert_eq!(hex(&written), hex(&bytes), "{line}");
        *seen.entry(kind.to_owned()).or_insert(0) += 1;
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["CONNACK", "CONNECT", "PINGREQ", "PINGRESP", "PUBACK", "SUBACK", "SUBSCRIBE"]);
    assert_eq!(seen.values().sum::<usize>(), 279);
}

fn client_again(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let frame = split(bytes, 1024).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len());
    let mut out = Vec::new();
    match (kind, client_packet::decode(&frame, Version::V311).unwrap()) {
        ("CONNECT", ClientPacket::Connect(connect)) => {
            assert!(connect.client_id.starts_with('!'), "{connect:?}");
            connect.encode(&mut out, &[], &[]);
        }
        ("SUBSCRIBE", ClientPacket::Subscribe(subscribe)) => {
            let filters: Vec<_> = subscribe.filters().collect();
            encode_subscribe(&mut out, Version::V311, subscribe.packet_id, &filters, &[]);
        }
        ("PUBACK", ClientPacket::Ack(ack)) => {
            assert_eq!(ack.kind, AckKind::Puback);
            ack.encode(&mut out, Version::V311);
        }
        ("PINGREQ", ClientPacket::Pingreq) => out.extend(PINGREQ),
        (_, other) => panic!("{kind} was taken for {other:?}"),
    }
    out
}

fn server_again(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let frame = split(bytes, 1024).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len());
    let mut out = Vec::new();
    match (kind, server_packet::decode(&frame, Version::V311).unwrap()) {
        ("CONNACK", ServerPacket::Connack(connack)) => {
            let reason = ReasonCode::ALL.iter().find(|r| r.connack_v311() == connack.code).unwrap();
            encode_connack(&mut out, Version::V311, connack.session_present, *reason, &[]);
        }
        ("SUBACK", ServerPacket::Suback(packet_id, codes)) => {
            encode_suback(&mut out, Version::V311, packet_id, codes);
        }
        ("PINGRESP", ServerPacket::Pingresp) => out.extend(PINGRESP),
        (_, other) => panic!("{kind} was taken for {other:?}"),
    }
    out
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
