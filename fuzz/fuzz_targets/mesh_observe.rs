//! A publish of unknown origin: looked at, written as JSON, and its hop limit lowered. The first byte picks the topic
//! and whether we have keys, the second is the hop limit, the rest is the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh::json27;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::observe::{Scratch, observe};
use mesh::packet::lower_hop_limit;
use mesh::signature::verify;

const TOPICS: [&str; 8] = [
    "msh/US/2/e/LongFast/!a5000001",
    "msh/US/2/e/Open/!a5000001",
    "msh/US/2/e/Aead/!a5000001",
    "msh/US/2/e/PKI/!a5000001",
    "msh/US/2/c/LongFast/!a5000001",
    "msh/US/2/map/",
    "msh/US/2/json/LongFast/!a5000001",
    "2/e//",
];

fuzz_target!(|bytes: &[u8]| {
    let [choice, hop_limit, payload @ ..] = bytes else { return };
    let topic = TOPICS[usize::from(choice & 7)];
    let mut keyring = Keyring::default();
    if choice & 8 != 0 {
        for (name, psk) in [("LongFast", &[1][..]), ("Open", &[]), ("Aead", &[7; 32])] {
            if let Some(key) = ChannelKey::from_psk(psk) {
                keyring.add(name, key);
            }
        }
    }
    let mut scratch = Scratch::default();
    let facts = observe(topic, payload, &keyring, &mut scratch);
    let _ = json27::message(&facts, 0, &|_| None);
    if let (Some(header), Some(data)) = (&facts.packet, &facts.data) {
        let _ = verify(header, data, &[9; 32]);
    }
    if let (Some(at), Some(header)) = (facts.hop_limit_at, facts.packet) {
        let mut lowered = payload.to_vec();
        lower_hop_limit(&mut lowered, at, *hop_limit);
        let mut scratch = Scratch::default();
        let after = observe(topic, &lowered, &keyring, &mut scratch).packet.expect("a packet stays a packet");
        assert_eq!(after.hop_limit, header.hop_limit.min(u32::from(*hop_limit)));
        assert!(payload.iter().zip(&lowered).enumerate().all(|(i, (a, b))| i == at || a == b));
    }
});
