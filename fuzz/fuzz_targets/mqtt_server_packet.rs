//! Bytes of a server: split into packets and decoded. The first byte picks the version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt::Version;
use mqtt::frame::split;
use mqtt::server_packet::decode;

/// Larger packets than the input can be refused, smaller ones decoded.
const PACKET_BYTES_MAX: u32 = 4096;

fuzz_target!(|bytes: &[u8]| {
    let [choice, stream @ ..] = bytes else { return };
    let version = if choice & 1 == 0 { Version::V311 } else { Version::V5 };
    let mut rest = stream;
    while let Ok(Some(frame)) = split(rest, PACKET_BYTES_MAX) {
        assert!((2..=rest.len()).contains(&frame.len));
        rest = &rest[frame.len..];
        if let Ok(packet) = decode(&frame, version) {
            let _ = format!("{packet:?}");
        }
    }
});
