//! What real Meshtastic firmware and the broker it spoke with sent, byte for byte: decoded, written again, the same.

use mqtt::client_packet::{self, ClientPacket};
use mqtt::connect::encode_connack;
use mqtt::server_packet::{self, PINGREQ, PINGRESP, ServerPacket};
use mqtt::subscribe::{encode_suback, encode_subscribe};
use mqtt::{ReasonCode, Version, frame};

#[test]
fn every_captured_control_packet_is_written_again_as_it_was() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/firmware-control-packets.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = from_hex(json["frame_hex"].as_str().unwrap());
        let frame = frame::split(&bytes, 4096).unwrap().unwrap();
        assert_eq!(frame.len, bytes.len(), "{line}");
        let (kind, again) = match json["dir"].as_str().unwrap() {
            "node>broker" => client_again(client_packet::decode(&frame, Version::V311).unwrap()),
            "broker>node" => server_again(server_packet::decode(&frame, Version::V311).unwrap()),
            other => panic!("no such direction: {other}"),
        };
        assert_eq!(json["type"], kind, "{line}");
        assert_eq!(again, bytes, "{line}");
        *counts.entry(kind).or_insert(0) += 1;
    }
    for kind in ["CONNECT", "CONNACK", "SUBSCRIBE", "SUBACK", "PUBACK", "PINGREQ", "PINGRESP"] {
        assert!(counts.get(kind).is_some_and(|count| *count > 0), "no {kind} in {counts:?}");
    }
}

fn client_again(packet: ClientPacket<'_>) -> (&'static str, Vec<u8>) {
    let mut out = Vec::new();
    let kind = match packet {
        ClientPacket::Connect(connect) => {
            assert_eq!(connect.version, Version::V311);
            connect.encode(&mut out, &[], &[]);
            "CONNECT"
        }
        ClientPacket::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.filters().collect();
            encode_subscribe(&mut out, Version::V311, subscribe.packet_id, &filters, &[]);
            "SUBSCRIBE"
        }
        ClientPacket::Ack(ack) => {
            ack.encode(&mut out, Version::V311);
            "PUBACK"
        }
        ClientPacket::Pingreq => {
            out.extend(PINGREQ);
            "PINGREQ"
        }
        other => panic!("not among the captured: {other:?}"),
    };
    (kind, out)
}

fn server_again(packet: ServerPacket<'_>) -> (&'static str, Vec<u8>) {
    let mut out = Vec::new();
    let kind = match packet {
        ServerPacket::Connack(connack) => {
            let reason = match connack.code {
                0 => ReasonCode::Success,
                5 => ReasonCode::NotAuthorized,
                code => panic!("not among the captured: {code}"),
            };
            encode_connack(&mut out, Version::V311, connack.session_present, reason, &[]);
            "CONNACK"
        }
        ServerPacket::Suback(packet_id, codes) => {
            encode_suback(&mut out, Version::V311, packet_id, codes, None);
            "SUBACK"
        }
        ServerPacket::Pingresp => {
            out.extend(PINGRESP);
            "PINGRESP"
        }
        other => panic!("not among the captured: {other:?}"),
    };
    (kind, out)
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
