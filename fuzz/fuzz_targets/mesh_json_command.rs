//! A payload of unknown origin as a JSON command: what is understood fits a packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::json_command::{Asked, TEXT_BYTES_MAX, parse};
use mesh::node::NodeNum;

fuzz_target!(|payload: &[u8]| {
    let Ok(command) = parse(payload, NodeNum(7)) else { return };
    assert!(command.hop_limit <= 7 && command.channel < 8 && command.to.0 != 0);
    match command.what {
        Asked::Text(text) => assert!((1..=TEXT_BYTES_MAX).contains(&text.len())),
        Asked::Position { latitude_i, longitude_i, .. } => {
            assert!(latitude_i.abs() <= 900_000_000 && longitude_i.abs() <= 1_800_000_000);
        }
    }
});
