//! Anything may arrive: `observe` and what follows it take all of it, and the one change to a packet stays one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use mesh::json27;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use mesh::packet::lower_hop_limit;
use mesh::signature::verify;
use mesh::tree;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_looked_at(topic in topics(), payload in prop::collection::vec(any::<u8>(), 0..600)) {
        look(&topic, &payload);
    }

    #[test]
    fn damaged_publishes_are_looked_at(
        (topic, payload) in publishes(), damage in damages(), at in 0usize..600, cut in 0usize..600,
    ) {
        look(&topic, &damaged(payload, &damage, at, cut));
    }

    #[test]
    fn lowering_the_hop_limit_changes_that_byte_and_never_raises(
        (topic, payload) in publishes(), damage in damages(), hop_limit: u8,
    ) {
        let payload = damaged(payload, &damage, usize::MAX, usize::MAX);
        let mut scratch = Scratch::default();
        let keyring = keyring();
        let before = observe(&topic, &payload, &keyring, &mut scratch);
        let (Some(at), Some(header)) = (before.hop_limit_at, before.packet) else { return Ok(()) };
        let mut lowered = payload.clone();
        let is_changed = lower_hop_limit(&mut lowered, at, hop_limit);
        let changed: Vec<_> = (0..payload.len()).filter(|i| payload[*i] != lowered[*i]).collect();
        prop_assert_eq!(payload.len(), lowered.len());
        prop_assert_eq!(is_changed, u32::from(hop_limit) < header.hop_limit);
        prop_assert_eq!(changed, if is_changed { vec![at] } else { vec![] });
        let mut scratch = Scratch::default();
        let after = observe(&topic, &lowered, &keyring, &mut scratch).packet.unwrap();
        prop_assert_eq!(after.hop_limit, header.hop_limit.min(hop_limit.into()));
        // Compared as text: a signal-to-noise ratio may be NaN, which is not equal to itself.
        let rest = mesh::packet::PacketHeader { hop_limit: header.hop_limit, ..after };
        prop_assert_eq!(format!("{rest:?}"), format!("{header:?}"));
    }

    #[test]
    fn nothing_is_lowered_outside_the_bytes(
        mut bytes in prop::collection::vec(any::<u8>(), 0..20), at in 0usize..40, hop_limit: u8,
    ) {
        let before = bytes.clone();
        if !lower_hop_limit(&mut bytes, at, hop_limit) {
            prop_assert_eq!(bytes, before);
        } else {
            prop_assert!(bytes[at] < before[at]);
        }
    }
}

/// Does everything that is done with a publish.
fn look(topic: &str, payload: &[u8]) {
    let mut scratch = Scratch::default();
    let facts = observe(topic, payload, &keyring(), &mut scratch);
    let _ = json27::message(&facts, 0, &|_| None);
    if let (Some(header), Some(data)) = (&facts.packet, &facts.data) {
        let _ = tree::read(data.port, data.payload).to_json();
        let _ = verify(header, data, &[9; 32]);
    }
}

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    for (name, psk) in [("LongFast", &[1][..]), ("CityAead", &[1]), ("Open", &[]), ("CityPriv", &[7; 16])] {
        keyring.add(name, ChannelKey::from_psk(psk).unwrap());
    }
    keyring
}

fn topics() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("msh/US/2/e/LongFast/!a5000001".to_owned()),
        Just("msh/US/2/e/Open/!a5000001".to_owned()),
        Just("msh/US/2/map/".to_owned()),
        "[a-z]{0,4}/2/(e|c|json|stat|map)/[A-Za-z]{0,5}/?!?[0-9a-f]{0,8}",
        any::<String>(),
    ]
}

fn publishes() -> impl Strategy<Value = (String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/generated.jsonl");
    let publish = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let payload = hex::decode(line["envelope_hex"].as_str().unwrap()).unwrap();
        (line["topic"].as_str().unwrap().to_owned(), payload)
    };
    prop::sample::select(fs::read_to_string(path).unwrap().lines().map(publish).collect::<Vec<_>>())
}

fn damages() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0usize..400, any::<u8>()), 0..5)
}

/// Overwrites bytes, then takes out those between `at` and `cut`.
fn damaged(mut payload: Vec<u8>, damage: &[(usize, u8)], at: usize, cut: usize) -> Vec<u8> {
    for (at, byte) in damage {
        if let Some(place) = payload.get_mut(*at) {
            *place = *byte;
        }
    }
    let (from, to) = (at.min(cut).min(payload.len()), at.max(cut).min(payload.len()));
    payload.drain(from..to);
    payload
}
