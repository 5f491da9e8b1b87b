//! What no contract can loosen: the relay alone, with both brokers played by the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::BTreeSet;

use bridge::contract::Contract;
use bridge::link::LinkSettings;
use bridge::relay::Settings;
use bridge::root::Roots;
use bridge::{End, Held, Relay};
use mesh::airtime::ModemPreset;
use mesh::compose::{Closed, Content, Packet, envelope, text};
use mesh::envelope::EnvelopeView;
use mesh::key::ChannelKey;
use mesh::keyring::Keyring;
use mesh::node::NodeNum;
use mesh::observe::{Consent, Scratch, observe};
use mqtt::client_packet::{self, ClientPacket};
use mqtt::property::{Value, id, put};
use mqtt::publish::PublishOut;
use mqtt::{ReasonCode, Version, connect, frame, subscribe};
use proptest::prelude::*;

fn relay(outward: Contract, inward: Contract) -> Relay {
    let link = |name: &str| LinkSettings {
        version: Version::V5,
        client_id: name.into(),
        username: None,
        password: None,
        keep_alive_s: 60,
        filters: vec!["msh/#".to_owned()],
    };
    let settings = Settings {
        name: "topeka".into(),
        own_id: "kc".into(),
        roots: Roots { here: "msh".into(), there: "msh".into() },
        outward: Some(outward),
        inward: Some(inward),
        here: link("here"),
        there: link("there"),
        waiting_max: 1_000,
        stale_ms: 60_000,
        preset: ModemPreset::LongFast,
        keyring: Keyring::default(),
    };
    let mut relay = Relay::new(settings, 0);
    for end in [End::Here, End::There] {
        relay.connected(0, end);
        let mut hello = Vec::new();
        connect::encode_connack(&mut hello, Version::V5, false, ReasonCode::Success, &[]);
        subscribe::encode_suback(&mut hello, Version::V5, 1, &[1], None);
        relay.receive(0, end, &hello).unwrap();
        let greeting = relay.unsent(end).len();
        relay.advance(end, greeting);
    }
    relay
}

#[derive(Debug, Clone)]
struct Sent {
    from_here: bool,
    id: u32,
    bitfield: Option<u32>,
    is_opaque: bool,
    retain: bool,
    trail: Vec<&'static str>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let trail = proptest::collection::vec(prop_oneof![Just("kc"), Just("wichita")], 0..3);
    let bitfield = prop_oneof![Just(None), Just(Some(0)), Just(Some(1)), Just(Some(1))];
    (any::<bool>(), 0u32..6, bitfield, proptest::bool::weighted(0.2), proptest::bool::weighted(0.1), trail)
        .prop_map(|(from_here, id, bitfield, is_opaque, retain, trail)| Sent {
            from_here,
            id,
            bitfield,
            is_opaque,
            retain,
            trail,
        })
}

fn publish(sent: &Sent) -> Vec<u8> {
    let packet = Packet {
        from: NodeNum(0x4b00_0001),
        to: NodeNum::BROADCAST,
        id: sent.id,
        hop_limit: 3,
        hop_start: 3,
        rx_rssi: -90,
        ..Packet::default()
    };
    let (port, payload) = text("words");
    let content = Content { port: port.0, payload, bitfield: sent.bitfield, ..Content::default() };
    let key =
        if sent.is_opaque { ChannelKey::from_psk(&[9; 32]).unwrap() } else { ChannelKey::default_key() };
    let bytes = envelope(&packet, &content, "LongFast", Closed::Encrypted(&key), NodeNum(0x7c5a_0001));
    let mut trail = Vec::new();
    sent.trail.iter().for_each(|t| put(&mut trail, id::USER_PROPERTY, Value::Pair("backhaul-trail", t)));
    let out = PublishOut {
        topic: "msh/US/2/e/LongFast/!7c5a0001",
        payload: &bytes,
        retain: sent.retain,
        shared_properties: &trail,
        ..PublishOut::default()
    };
    let mut encoded = Vec::new();
    out.encode(&mut encoded, Version::V5);
    encoded
}

/// Envelopes that the relay sends to a side, which acknowledges them.
fn crossed(relay: &mut Relay, end: End) -> Vec<Vec<u8>> {
    let bytes = relay.unsent(end).to_vec();
    relay.advance(end, bytes.len());
    let (mut rest, mut envelopes, mut answers) = (&bytes[..], Vec::new(), Vec::new());
    while let Some(found) = frame::split(rest, u32::MAX).unwrap() {
        if let ClientPacket::Publish(publish) = client_packet::decode(&found, Version::V5).unwrap() {
            envelopes.push(publish.payload.to_vec());
            let kind = mqtt::publish::AckKind::Puback;
            let ack = mqtt::publish::Ack { kind, packet_id: publish.packet_id, reason: ReasonCode::Success };
            ack.encode(&mut answers, Version::V5);
        }
        rest = &rest[found.len..];
    }
    relay.receive(0, end, &answers).unwrap();
    envelopes
}

proptest! {
    /// Whatever the contract says, what leaves has its sender's consent, no packet crosses twice in whatever direction, and
    /// nothing comes back to a broker that it came through.
    #[test]
    fn what_leaves_consented_and_crosses_once(all in proptest::collection::vec(sent(), 1..60)) {
        let loose = Contract { needs_consent: false, ..Contract::default() };
        let mut relay = relay(loose.clone(), loose);
        let mut ids = BTreeSet::new();
        for sent in &all {
            let (from, to) = if sent.from_here { (End::Here, End::There) } else { (End::There, End::Here) };
            relay.receive(0, from, &publish(sent)).unwrap();
            for envelope in crossed(&mut relay, to) {
                let mut scratch = Scratch::default();
                let keyring = Keyring::default();
                let facts = observe("msh/US/2/e/LongFast/!7c5a0001", &envelope, &keyring, &mut scratch);
                prop_assert!(to == End::Here || facts.consent == Consent::Yes, "left without consent: {sent:?}");
                let header = EnvelopeView::parse(&envelope).unwrap().packet.unwrap().header;
                prop_assert!(header.id != 0 && ids.insert(header.id), "crossed twice: {sent:?}");
                prop_assert!(!sent.retain && !sent.trail.contains(&"kc"), "should not have crossed: {sent:?}");
            }
        }
        let status = relay.status(0);
        let seen = status.outward.crossed + status.inward.crossed + status.outward.held_in_all() + status.inward.held_in_all();
        prop_assert_eq!(seen, all.len() as u64, "every message crosses or is counted");
    }

    /// Neither broker can break a bridge: any bytes are an error at most.
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), here in any::<bool>()) {
        let mut relay = relay(Contract::default(), Contract::default());
        let end = if here { End::Here } else { End::There };
        let _ = relay.receive(0, end, &bytes);
        relay.lost(1, end, None);
        relay.connected(2, end);
    }
}

#[test]
fn quotas_hold_back_what_is_too_much_and_say_so() {
    let quota = bridge::quota::Quota { messages_per_minute: Some(2), airtime_ms_per_hour: None };
    let mut relay = relay(Contract { quota, ..Contract::default() }, Contract::default());
    for id in 1..=5 {
        let sent = Sent {
            from_here: true,
            id,
            bitfield: Some(1),
            is_opaque: false,
            retain: false,
            trail: Vec::new(),
        };
        relay.receive(0, End::Here, &publish(&sent)).unwrap();
    }
    assert_eq!(crossed(&mut relay, End::There).len(), 2);
    assert_eq!(relay.status(0).outward.held, [(Held::MessageQuota, 3)].into_iter().collect());
}

#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    let mut relay = relay(Contract::default(), Contract::default());
    relay.lost(0, End::There, None);
    relay.connected(0, End::There);
    assert!(relay.tick(9_999, End::There).is_ok());
    assert!(relay.tick(10_000, End::There).is_err());
}

#[test]
fn a_refused_password_is_told_in_words_that_help() {
    let mut relay = relay(Contract::default(), Contract::default());
    relay.lost(0, End::There, None);
    relay.connected(0, End::There);
    let mut no = Vec::new();
    connect::encode_connack(&mut no, Version::V5, false, ReasonCode::BadUserNameOrPassword, &[]);
    let why = relay.receive(0, End::There, &no).unwrap_err().0;
    assert!(why.contains("password_file"), "{why}");
}
