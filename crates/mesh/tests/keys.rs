//! Which key opens a packet: seen from outside, for channels we have keys for and channels we have not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::key::{ChannelKey, KeyClass};
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Flags, PayloadState, Scratch, observe};

#[test]
fn the_key_that_fits_opens() {
    use KeyClass::{Default, Known, Private, Simple, Unencrypted, Unknown};
    use PayloadState::{Decrypted, Opaque, Plaintext};
    let ours =
        [("Ops", vec![7; 16]), ("Ops", vec![8; 32]), ("Field", vec![9; 16]), ("MediumFast", vec![5; 32])];
    for (channel, psk, is_aead, expected) in [
        ("Ops", &[7; 16][..], false, (Decrypted, Private)),
        ("Ops", &[8; 32], false, (Decrypted, Private)),
        ("Ops", &[8; 32], true, (Decrypted, Private)),
        ("Event", &[6; 32], false, (Decrypted, Known)),
        // Under a name we do not know, one of our keys, or a public one.
        ("Renamed", &[9; 16], false, (Decrypted, Private)),
        ("Renamed", &[9; 16], true, (Decrypted, Private)),
        ("LongFast", &[1], false, (Decrypted, Default)),
        ("LongFast", &[1], true, (Decrypted, Default)),
        ("Town", &[1], false, (Decrypted, Default)),
        ("Town", &[2], false, (Decrypted, Simple)),
        ("Town", &[255], false, (Decrypted, Simple)),
        ("Town", &[0], false, (Plaintext, Unencrypted)),
        ("Town", &[], false, (Plaintext, Unencrypted)),
        // Our MediumFast is private; that of others is not.
        ("MediumFast", &[5; 32], false, (Decrypted, Private)),
        ("MediumFast", &[1], false, (Decrypted, Default)),
        // Names we know are not guessed at, and direct messages are not tried.
        ("Ops", &[2], false, (Opaque, Unknown)),
        ("Ops", &[9; 16], false, (Opaque, Unknown)),
        ("Town", &[77; 16], false, (Opaque, Unknown)),
        ("PKI", &[1], false, (Opaque, KeyClass::Pki)),
    ] {
        let mut keyring = Keyring::default();
        for (name, psk) in &ours {
            keyring.add(name, ChannelKey::from_psk(psk).unwrap());
        }
        keyring.add("Event", ChannelKey::from_psk(&[6; 32]).unwrap().published());
        let key = ChannelKey::from_psk(psk).unwrap();
        let closed = if is_aead { Closed::Authenticated(&key) } else { Closed::Encrypted(&key) };
        let (topic, payload) = publish(channel, closed);
        let mut scratch = Scratch::default();
        let facts = observe(&topic, &payload, &keyring, &mut scratch);
        let case = format!("{channel} {psk:?} {is_aead}");
        assert_eq!((facts.payload, facts.key_class), expected, "{case}");
        let is_open = expected.0 != Opaque;
        assert_eq!(facts.data.map(|d| d.payload), is_open.then_some(&b"hello"[..]), "{case}");
        assert_eq!(facts.flags.contains(Flags::AEAD), is_aead, "{case}");
        assert_eq!(facts.flags.contains(Flags::OPAQUE), !is_open, "{case}");
        assert_eq!(facts.flags.contains(Flags::CLEARTEXT_IN_ENCRYPTED), expected.0 == Plaintext, "{case}");
        assert!(!facts.flags.contains(Flags::AEAD_AUTH_FAILED), "{case}");
    }
}

#[test]
fn junk_is_not_taken_for_a_packet() {
    // A channel of strangers whose hash is that of the default key under the same name: every packet is tried.
    let strangers = ChannelKey::from_psk(&[2; 16]).unwrap();
    let default = ChannelKey::default_key();
    let name = "Strangers";
    let mut taken = 0;
    for id in 1..20_000u32 {
        let (topic, mut payload) = publish_id(name, Closed::Encrypted(&strangers), id);
        // The hash follows sender and destination; both hashes are one byte long.
        assert_eq!(payload[12..14], [3 << 3, strangers.channel_hash(name, false)]);
        payload[13] = default.channel_hash(name, false);
        let mut scratch = Scratch::default();
        let facts = observe(&topic, &payload, &Keyring::default(), &mut scratch);
        taken += usize::from(facts.data.is_some());
    }
    assert!(taken <= 1, "{taken} of 20000 were taken for packets of the default key");
}

#[test]
fn a_changed_packet_of_an_authenticated_channel_stays_closed() {
    let key = ChannelKey::from_psk(&[7; 16]).unwrap();
    let (topic, payload) = publish("Ops", Closed::Authenticated(&key));
    let mut ours = Keyring::default();
    ours.add("Ops", key);
    let is_refused = |payload: &[u8], keyring: &Keyring| {
        let mut scratch = Scratch::default();
        let facts = observe(&topic, payload, keyring, &mut scratch);
        assert_eq!(facts.data.is_none(), facts.flags.contains(Flags::OPAQUE));
        facts.flags.contains(Flags::AEAD_AUTH_FAILED)
    };
    assert!(!is_refused(&payload, &ours));
    // Sender and destination are the packet's first two fields, five bytes each after the packet's own tag and length.
    for at in [3, 8] {
        let mut changed = payload.clone();
        changed[at] ^= 1;
        assert!(is_refused(&changed, &ours), "byte {at}");
    }
    // Without the key there is no telling.
    assert!(!is_refused(&payload, &Keyring::default()));
}

/// A text on a channel, as a gateway publishes it.
fn publish(channel: &str, closed: Closed<'_>) -> (String, Vec<u8>) {
    publish_id(channel, closed, 77)
}

fn publish_id(channel: &str, closed: Closed<'_>, id: u32) -> (String, Vec<u8>) {
    let (port, payload) = text("hello");
    let content = Content { port: port.0, payload, bitfield: Some(1), ..Content::default() };
    let (from, gateway) = (NodeNum(0x4b00_0001), NodeNum(0x4b00_0002));
    let packet = Packet { from, to: NodeNum::BROADCAST, id, hop_limit: 3, ..Packet::default() };
    (format!("msh/2/e/{channel}/!4b000002"), envelope(&packet, &content, channel, closed, gateway))
}
