//! Round trips for every packet type in both versions, and bytes that mean nothing: what is encoded is decoded to the
//! same, and no bytes make the decoders panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mqtt::client_packet::{self, ClientPacket};
use mqtt::connect::{Connect, ConnectWill, encode_connack};
use mqtt::frame::{Frame, split};
use mqtt::property::{Properties, Value, id, put};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::server_packet::{self, PINGREQ, PINGRESP, ServerPacket, encode_disconnect};
use mqtt::subscribe::{Options, encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe};
use mqtt::{ReasonCode, Version};
use proptest::prelude::*;

proptest! {
    #[test]
    fn connect(
        version in version(),
        (clean_start, keep_alive_s) in any::<(bool, u16)>(),
        client_id in text(),
        credentials in proptest::option::of((text(), proptest::option::of(bytes(40)))),
        will in proptest::option::of((name(), bytes(300), 0u8..3, any::<bool>(), any::<u32>())),
        (expiry_s, receive_maximum) in (any::<u32>(), 1u16..),
    ) {
        let properties = [
            (id::SESSION_EXPIRY, Value::FourBytes(expiry_s)),
            (id::RECEIVE_MAXIMUM, Value::TwoBytes(receive_maximum)),
            (id::USER_PROPERTY, Value::Pair("a", &client_id)),
        ];
        let will_properties = [(id::WILL_DELAY, Value::FourBytes(will.as_ref().map_or(0, |w| w.4)))];
        let sent = Connect {
            version,
            clean_start,
            keep_alive_s,
            client_id: &client_id,
            will: will.as_ref().map(|(topic, payload, qos, retain, _)| ConnectWill {
                topic,
                payload,
                qos: *qos,
                retain: *retain,
                properties: Properties::default(),
            }),
            username: credentials.as_ref().map(|(name, _)| name.as_str()),
            password: credentials.as_ref().and_then(|(_, password)| password.as_deref()),
            properties: Properties::default(),
        };
        let mut out = Vec::new();
        sent.encode(&mut out, &properties, &will_properties);
        let ClientPacket::Connect(mut got) = from_client(&out, version) else { panic!("another packet") };
        if version == Version::V5 {
            prop_assert_eq!(got.properties.iter().collect::<Vec<_>>(), properties);
            if let Some(will) = &got.will {
                prop_assert_eq!(will.properties.iter().collect::<Vec<_>>(), will_properties);
            }
        } else {
            prop_assert!(got.properties.is_empty());
        }
        got.properties = Properties::default();
        got.will.iter_mut().for_each(|will| will.properties = Properties::default());
        prop_assert!(got == sent, "{got:?} {sent:?}");
    }

    #[test]
    fn connack(version in version(), is_present: bool, reason in error_or_success(), keep_alive_s: u16) {
        let properties = [(id::SERVER_KEEP_ALIVE, Value::TwoBytes(keep_alive_s))];
        let mut out = Vec::new();
        encode_connack(&mut out, version, is_present, reason, &properties);
        let ServerPacket::Connack(got) = from_server(&out, version) else { panic!("another packet") };
        prop_assert_eq!(got.session_present, is_present && reason == ReasonCode::Success);
        match version {
            Version::V5 => {
                prop_assert_eq!(got.code, reason.code());
                prop_assert_eq!(got.properties.iter().collect::<Vec<_>>(), properties);
            }
            Version::V311 => prop_assert_eq!(got.code, reason.connack_v311()),
        }
    }

    #[test]
    fn publish(
        version in version(),
        qos in 0u8..3,
        (again, retain) in any::<(bool, bool)>(),
        topic in name(),
        packet_id in 1u16..,
        payload in bytes(40_000),
        expiry_s: Option<u32>,
        identifiers in prop::collection::vec(1u32..=268_435_455, 0..4),
        content_type in text(),
    ) {
        let mut shared = Vec::new();
        put(&mut shared, id::CONTENT_TYPE, Value::Text(&content_type));
        let sent = PublishOut {
            dup: again && qos > 0,
            qos,
            retain,
            topic: &topic,
            packet_id: if qos > 0 { packet_id } else { 0 },
            shared_properties: &shared,
            expiry_s,
            identifiers: &identifiers,
            payload: &payload,
        };
        let mut out = vec![1, 2, 3];
        let payload_at = sent.encode(&mut out, version);
        prop_assert_eq!(&out[payload_at..], &payload[..]);
        prop_assert_eq!(out.len() - 3, sent.len(version));
        // Both sides publish.
        let ClientPacket::Publish(got) = from_client(&out[3..], version) else { panic!("another packet") };
        let ServerPacket::Publish(same) = from_server(&out[3..], version) else { panic!("another packet") };
        prop_assert_eq!(got, same);
        prop_assert_eq!((got.dup, got.qos, got.retain, got.packet_id), (sent.dup, qos, retain, sent.packet_id));
        prop_assert_eq!((got.topic, got.payload), (&*topic, &*payload));
        if version == Version::V5 {
            prop_assert_eq!(got.properties.number(id::MESSAGE_EXPIRY), expiry_s);
            prop_assert_eq!(got.properties.text(id::CONTENT_TYPE), Some(&*content_type));
            let ids = got.properties.iter().filter(|(id, _)| *id == id::SUBSCRIPTION_IDENTIFIER);
            let expected = identifiers.iter().map(|i| (id::SUBSCRIPTION_IDENTIFIER, Value::Variable(*i)));
            prop_assert_eq!(ids.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        } else {
            prop_assert!(got.properties.is_empty());
        }
    }

    #[test]
    fn acknowledgements(version in version(), packet_id in 1u16.., (kind, reason) in acknowledgement()) {
        let sent = Ack { kind, packet_id, reason };
        let mut out = Vec::new();
        sent.encode(&mut out, version);
        let told = if version == Version::V5 { reason } else { ReasonCode::Success };
        let expected = Ack { reason: told, ..sent };
        let ClientPacket::Ack(got) = from_client(&out, version) else { panic!("another packet") };
        prop_assert_eq!(got, expected);
        let ServerPacket::Ack(got) = from_server(&out, version) else { panic!("another packet") };
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn subscribe(
        version in version(),
        packet_id in 1u16..,
        filters in prop::collection::vec((text(), options()), 1..20),
        identifier in 1u32..=268_435_455,
    ) {
        let asked: Vec<_> = filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
        let properties = [(id::SUBSCRIPTION_IDENTIFIER, Value::Variable(identifier))];
        let mut out = Vec::new();
        encode_subscribe(&mut out, version, packet_id, &asked, &properties);
        let ClientPacket::Subscribe(got) = from_client(&out, version) else { panic!("another packet") };
        prop_assert_eq!(got.packet_id, packet_id);
        let is_v5 = version == Version::V5;
        let kept = |options: Options| if is_v5 { options } else { Options { qos: options.qos, ..Options::default() } };
        let expected: Vec<_> = asked.iter().map(|(filter, options)| (*filter, kept(*options))).collect();
        prop_assert_eq!(got.filters().collect::<Vec<_>>(), expected);
        prop_assert_eq!(got.properties.number(id::SUBSCRIPTION_IDENTIFIER), is_v5.then_some(identifier));
    }

    #[test]
    fn unsubscribe(version in version(), packet_id in 1u16.., filters in prop::collection::vec(text(), 1..20)) {
        let asked: Vec<&str> = filters.iter().map(String::as_str).collect();
        let mut out = Vec::new();
        encode_unsubscribe(&mut out, version, packet_id, &asked);
        let ClientPacket::Unsubscribe(got) = from_client(&out, version) else { panic!("another packet") };
        prop_assert_eq!((got.packet_id, got.filters().collect::<Vec<_>>()), (packet_id, asked));
    }

    #[test]
    fn suback_and_unsuback(
        version in version(),
        packet_id in 1u16..,
        codes in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0x80, 0x87, 0x8f]), 1..20),
    ) {
        let told = |code: &u8| if version == Version::V311 { (*code).min(0x80) } else { *code };
        let expected: Vec<u8> = codes.iter().map(told).collect();
        let mut out = Vec::new();
        encode_suback(&mut out, version, packet_id, &codes);
        let ServerPacket::Suback(got_id, got) = from_server(&out, version) else { panic!("another packet") };
        prop_assert_eq!((got_id, got), (packet_id, &*expected));
        out.clear();
        encode_unsuback(&mut out, version, packet_id, &codes);
        let ServerPacket::Unsuback(got_id, got) = from_server(&out, version) else { panic!("another packet") };
        let expected = if version == Version::V5 { &*codes } else { &[] };
        prop_assert_eq!((got_id, got), (packet_id, expected));
    }

    #[test]
    fn disconnect_of_a_server(why in text(), reason in prop::sample::select(vec![
        ReasonCode::MalformedPacket, ReasonCode::ServerShuttingDown, ReasonCode::SessionTakenOver,
        ReasonCode::KeepAliveTimeout, ReasonCode::PacketTooLarge, ReasonCode::NotAuthorized,
    ])) {
        let mut out = Vec::new();
        encode_disconnect(&mut out, reason, &why);
        let ServerPacket::Disconnect(got) = from_server(&out, Version::V5) else { panic!("another packet") };
        prop_assert_eq!((got.reason, got.session_expiry_s), (reason, None));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in bytes(400), packet_bytes_max: u32) {
        let _ = split(&bytes, packet_bytes_max);
        decode_everything(&bytes);
    }

    #[test]
    fn arbitrary_bodies_do_not_panic(header: u8, body in bytes(120), version in version()) {
        look_into(&Frame { header, body: &body, len: body.len() + 2 }, version);
    }

    #[test]
    fn changed_packets_do_not_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut packets = lawful_packets();
        let mut bytes = packets.swap_remove(which.index(packets.len()));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        decode_everything(&bytes);
        // The body alone, so that a wrong Remaining Length does not hide it.
        if let [header, _, body @ ..] = &*bytes {
            for version in [Version::V311, Version::V5] {
                look_into(&Frame { header: *header, body, len: bytes.len() }, version);
            }
        }
    }

    #[test]
    fn packets_are_found_whatever_the_portions(
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        portions in prop::collection::vec(1usize..200, 1..20),
    ) {
        let packets = lawful_packets();
        let sent: Vec<&Vec<u8>> = order.iter().map(|index| index.get(&packets)).collect();
        let stream: Vec<u8> = sent.iter().flat_map(|packet| packet.iter().copied()).collect();
        let (mut buffer, mut got, mut rest) = (Vec::new(), Vec::new(), &stream[..]);
        for portion in portions.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (arrived, later) = rest.split_at((*portion).min(rest.len()));
            buffer.extend_from_slice(arrived);
            rest = later;
            while let Some(frame) = split(&buffer, 65_536).unwrap() {
                let len = frame.len;
                got.push(buffer.drain(..len).collect::<Vec<u8>>());
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(got.iter().collect::<Vec<_>>(), sent);
    }
}

#[test]
fn pings_and_goodbyes_are_what_they_are() {
    for version in [Version::V311, Version::V5] {
        assert!(matches!(from_client(&PINGREQ, version), ClientPacket::Pingreq));
        assert!(matches!(from_server(&PINGRESP, version), ServerPacket::Pingresp));
        let goodbye = from_client(&server_packet::DISCONNECT, version);
        assert!(matches!(goodbye, ClientPacket::Disconnect(d) if d.reason == ReasonCode::Success));
    }
    let auth = [0xf0, 6, 0x18, 4, 0x15, 0, 1, b'x'];
    assert!(matches!(from_client(&auth, Version::V5), ClientPacket::Auth));
    assert!(matches!(from_server(&auth, Version::V5), ServerPacket::Auth));
}

fn from_client(bytes: &[u8], version: Version) -> ClientPacket<'_> {
    let frame = split(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len());
    client_packet::decode(&frame, version).unwrap()
}

fn from_server(bytes: &[u8], version: Version) -> ServerPacket<'_> {
    let frame = split(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len());
    server_packet::decode(&frame, version).unwrap()
}

fn decode_everything(bytes: &[u8]) {
    if let Ok(Some(frame)) = split(bytes, u32::MAX) {
        assert!(frame.len <= bytes.len());
        look_into(&frame, Version::V311);
        look_into(&frame, Version::V5);
    }
}

/// Decodes as both sides and walks through everything that is lazy.
fn look_into(frame: &Frame<'_>, version: Version) {
    match client_packet::decode(frame, version) {
        Ok(ClientPacket::Subscribe(subscribe)) => assert!(subscribe.filters().count() > 0),
        Ok(ClientPacket::Unsubscribe(unsubscribe)) => assert!(unsubscribe.filters().count() > 0),
        Ok(ClientPacket::Connect(connect)) => walk(connect.properties),
        Ok(ClientPacket::Publish(publish)) => walk(publish.properties),
        Ok(packet) => assert!(!format!("{packet:?}").is_empty()),
        Err(error) => assert!(error.reason.is_error() && !error.what.is_empty()),
    }
    match server_packet::decode(frame, version) {
        Ok(ServerPacket::Connack(connack)) => walk(connack.properties),
        Ok(packet) => assert!(!format!("{packet:?}").is_empty()),
        Err(error) => assert!(error.reason.is_error() && !error.what.is_empty()),
    }
}

fn walk(properties: Properties<'_>) {
    let mut again = Vec::new();
    properties.iter().for_each(|(id, value)| put(&mut again, id, value));
    assert_eq!(again.is_empty(), properties.is_empty());
}

/// One or two of every type and version.
fn lawful_packets() -> Vec<Vec<u8>> {
    let mut packets = vec![PINGREQ.to_vec(), PINGRESP.to_vec(), server_packet::DISCONNECT.to_vec()];
    packets.push(vec![0xf0, 6, 0x18, 4, 0x15, 0, 1, b'x']);
    let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        packets.push(out);
    };
    add(&|out| encode_disconnect(out, ReasonCode::ServerBusy, "busy"));
    for version in [Version::V311, Version::V5] {
        let will = ConnectWill {
            topic: "w",
            payload: b"gone",
            qos: 1,
            retain: true,
            properties: Properties::default(),
        };
        let connect = Connect {
            version,
            clean_start: true,
            keep_alive_s: 15,
            client_id: "!7c5a0a01",
            will: Some(will),
            username: Some("meshdev"),
            password: Some(b"large4cats"),
            properties: Properties::default(),
        };
        let pair = (id::USER_PROPERTY, Value::Pair("k", "v"));
        add(&|out| connect.encode(out, &[(id::SESSION_EXPIRY, Value::FourBytes(60)), pair], &[pair]));
        add(&|out| encode_connack(out, version, true, ReasonCode::Success, &[pair]));
        for (qos, payload_len) in [(0, 20), (1, 300), (2, 20_000)] {
            let payload = vec![7; payload_len];
            let publish = PublishOut {
                qos,
                topic: "msh/2/e/LongFast/!7c5a0a01",
                packet_id: u16::from(qos),
                expiry_s: Some(9),
                identifiers: &[200],
                payload: &payload,
                ..PublishOut::default()
            };
            add(&|out| _ = publish.encode(out, version));
        }
        for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
            add(&|out| Ack { kind, packet_id: 9, reason: ReasonCode::Success }.encode(out, version));
        }
        let all = [("msh/#", Options { qos: 1, ..Options::default() }), ("a/+/b", Options::default())];
        add(&|out| encode_subscribe(out, version, 2, &all, &[pair]));
        add(&|out| encode_unsubscribe(out, version, 3, &["msh/#", "a"]));
        add(&|out| encode_suback(out, version, 2, &[1, 0x80]));
        add(&|out| encode_unsuback(out, version, 3, &[0, 0x11]));
    }
    packets
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V311, Version::V5])
}

/// A string without the null character, sometimes empty.
fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{0,40}"
}

/// A Topic Name.
fn name() -> impl Strategy<Value = String> {
    "[^\\x00+#]{1,40}"
}

fn bytes(count_max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=count_max)
}

fn error_or_success() -> impl Strategy<Value = ReasonCode> {
    let all = ReasonCode::ALL.iter().copied();
    prop::sample::select(all.filter(|r| r.is_error() || *r == ReasonCode::Success).collect::<Vec<_>>())
}

fn acknowledgement() -> impl Strategy<Value = (AckKind, ReasonCode)> {
    use ReasonCode as R;
    let first =
        prop::sample::select(vec![R::Success, R::NoMatchingSubscribers, R::NotAuthorized, R::QuotaExceeded]);
    let later = prop::sample::select(vec![R::Success, R::PacketIdentifierNotFound]);
    prop_oneof![
        (prop::sample::select(vec![AckKind::Puback, AckKind::Pubrec]), first),
        (prop::sample::select(vec![AckKind::Pubrel, AckKind::Pubcomp]), later),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    (0u8..3, any::<bool>(), any::<bool>(), 0u8..3).prop_map(
        |(qos, no_local, retain_as_published, handling)| Options {
            qos,
            no_local,
            retain_as_published,
            retain_handling: handling,
        },
    )
}
