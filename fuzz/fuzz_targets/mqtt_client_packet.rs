//! Bytes of a client: split into packets and decoded, to the last filter and property. The first byte picks the
//! version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::Version;
use mqtt::client_packet::{ClientPacket, decode};
use mqtt::frame::split;

/// Larger packets than the input can be refused, smaller ones decoded.
const PACKET_BYTES_MAX: u32 = 4096;

fuzz_target!(|bytes: &[u8]| {
    let [choice, stream @ ..] = bytes else { return };
    let version = if choice & 1 == 0 { Version::V311 } else { Version::V5 };
    let mut rest = stream;
    while let Ok(Some(frame)) = split(rest, PACKET_BYTES_MAX) {
        assert!((2..=rest.len()).contains(&frame.len));
        rest = &rest[frame.len..];
        let Ok(packet) = decode(&frame, version) else { continue };
        let _ = format!("{packet:?}");
        match packet {
            ClientPacket::Publish(publish) => {
                assert!(publish.qos < 3 && (publish.qos == 0) == (publish.packet_id == 0))
            }
            ClientPacket::Subscribe(subscribe) => {
                assert!(subscribe.packet_id != 0 && subscribe.filters().count() > 0);
            }
            ClientPacket::Unsubscribe(unsubscribe) => {
                assert!(unsubscribe.packet_id != 0 && unsubscribe.filters().count() > 0);
            }
            ClientPacket::Ack(ack) => {
                let mut out = Vec::new();
                ack.encode(&mut out, version);
                let again = split(&out, PACKET_BYTES_MAX).ok().flatten().expect("our own packet");
                assert!(matches!(decode(&again, version), Ok(ClientPacket::Ack(same)) if same == ack));
            }
            ClientPacket::Connect(_)
            | ClientPacket::Pingreq
            | ClientPacket::Disconnect(_)
            | ClientPacket::Auth => {}
        }
    }
});
