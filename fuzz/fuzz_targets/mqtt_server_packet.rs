//! A stream of bytes from a server, to its end: every packet has an outcome that a client can act on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::server_packet::{ServerPacket, decode};
use mqtt::{Version, frame};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let version = if first & 1 == 0 { Version::V311 } else { Version::V5 };
    while let Ok(Some(frame)) = frame::split(rest, 1 << 16) {
        let packet = decode(&frame, version);
        let _ = format!("{packet:?}");
        match packet {
            Ok(ServerPacket::Connack(connack)) => assert!(connack.code == 0 || !connack.session_present),
            Ok(ServerPacket::Publish(publish)) => {
                assert!(publish.qos < 3 && !publish.topic.contains(['+', '#', '\0']));
                assert!(publish.properties.iter().count() < frame.len);
            }
            Ok(ServerPacket::Suback(packet_id, codes)) => assert!(packet_id > 0 && !codes.is_empty()),
            Ok(ServerPacket::Unsuback(packet_id, codes)) => {
                assert!(packet_id > 0 && codes.is_empty() == (version == Version::V311));
            }
            Ok(ServerPacket::Ack(ack)) => assert!(ack.packet_id > 0),
            Ok(ServerPacket::Disconnect(d)) => {
                assert!(version == Version::V5 && d.session_expiry_s.is_none())
            }
            Ok(ServerPacket::Pingresp | ServerPacket::Auth(_)) => {}
            Err(error) => assert!(error.reason.is_error()),
        }
        rest = &rest[frame.len..];
    }
});
