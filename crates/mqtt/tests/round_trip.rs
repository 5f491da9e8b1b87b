//! Everything that can be written is read back as it was, in both versions; and no bytes make the decoder fall over.

mod specification;

use mqtt::auth::Auth;
use mqtt::client_packet::{self, ClientPacket};
use mqtt::connect::{Connect, ConnectWill, encode_connack};
use mqtt::property::{Properties, Value, place, put};
use mqtt::publish::{Ack, AckKind, PublishOut};
use mqtt::reason_code::carrier;
use mqtt::server_packet::{self, ServerPacket, encode_disconnect};
use mqtt::subscribe::{Options, encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe};
use mqtt::{ReasonCode, Version, frame};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use specification::{Holds, holds, properties_of};

proptest! {
    #[test]
    fn connect(
        version in version(), clean_start: bool, keep_alive_s: u16, client_id in text(),
        will in option::of((topic(), vec(any::<u8>(), 0..40), 0u8..3, any::<bool>())),
        username in option::of(text()), password in option::of(vec(any::<u8>(), 0..40)),
        properties in properties(place::CONNECT), will_properties in properties(place::WILL),
    ) {
        // 3.1.1 has no Password without a User Name. [MQTT-3.1.2-22] of 3.1.1
        let password = password.filter(|_| version == Version::V5 || username.is_some());
        let sent = Connect {
            version,
            clean_start,
            keep_alive_s,
            client_id: &client_id,
            will: will.as_ref().map(|(topic, payload, qos, retain)| ConnectWill {
                topic, payload, qos: *qos, retain: *retain, properties: Properties::default(),
            }),
            username: username.as_deref(),
            password: password.as_deref(),
            properties: Properties::default(),
        };
        let mut out = Vec::new();
        sent.encode(&mut out, &lent(&properties), &lent(&will_properties));
        // The version of a CONNECT is its own, whatever the connection was thought to be.
        for assumed in [Version::V311, Version::V5] {
            let frame = whole(&out);
            let ClientPacket::Connect(got) = client_packet::decode(&frame, assumed).unwrap() else {
                panic!("not a CONNECT")
            };
            same(got.properties, version, &properties)?;
            if let Some(will) = got.will {
                same(will.properties, version, &will_properties)?;
            }
            let bare = Connect {
                properties: Properties::default(),
                will: got.will.map(|w| ConnectWill { properties: Properties::default(), ..w }),
                ..got
            };
            prop_assert!(bare == sent, "{bare:?} is not {sent:?}");
        }
    }

    #[test]
    fn nothing_secret_is_shown(secret in "[a-z]{12}") {
        let sent = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 1,
            client_id: "c",
            will: Some(ConnectWill {
                topic: "t", payload: secret.as_bytes(), qos: 0, retain: false, properties: Properties::default(),
            }),
            username: Some("u"),
            password: Some(secret.as_bytes()),
            properties: Properties::default(),
        };
        let method = (0x15, Value::Text("m"));
        let mut out = Vec::new();
        sent.encode(&mut out, &[method, (0x16, Value::Binary(secret.as_bytes()))], &[(0x26, Value::Pair("k", &secret))]);
        let frame = whole(&out);
        let shown = format!("{:?}", client_packet::decode(&frame, Version::V5).unwrap());
        let as_bytes = format!("{:?}", secret.as_bytes());
        let as_bytes = as_bytes.trim_matches(['[', ']']);
        prop_assert!(!shown.contains(&secret) && !shown.contains(as_bytes), "{}", shown);
    }

    #[test]
    fn connack(version in version(), present: bool, reason in reason(carrier::CONNACK), properties in properties(place::CONNACK)) {
        let mut out = Vec::new();
        encode_connack(&mut out, version, present, reason, &lent(&properties));
        let frame = whole(&out);
        let ServerPacket::Connack(got) = server_packet::decode(&frame, version).unwrap() else {
            panic!("not a CONNACK")
        };
        prop_assert_eq!(got.session_present, present && reason == ReasonCode::Success);
        let code = if version == Version::V5 { reason.code() } else { reason.connack_v311() };
        prop_assert_eq!(got.code, code);
        same(got.properties, version, &properties)?;
    }

    #[test]
    fn publish(
        version in version(), flags in (any::<bool>(), 0u8..3, any::<bool>()), topic in topic(), packet_id in 1u16..,
        properties in properties(place::PUBLISH), expiry_s in option::of(any::<u32>()),
        alias in option::of(1u16..),
        identifiers in vec(1u32..=268_435_455, 0..4), payload in vec(any::<u8>(), 0..300), before in 0usize..5,
    ) {
        let (dup, qos, retain) = (flags.0 && flags.1 > 0, flags.1, flags.2);
        let packet_id = if qos > 0 { packet_id } else { 0 };
        // What is the same for every receiver; the rest is said by its own fields.
        let shared: Vec<_> = properties.into_iter().filter(|(id, _)| !matches!(id, 0x02 | 0x0b | 0x23)).collect();
        let mut shared_properties = Vec::new();
        lent(&shared).into_iter().for_each(|(id, value)| put(&mut shared_properties, id, value));
        let sent = PublishOut {
            dup, qos, retain, topic: &topic, alias, packet_id, shared_properties: &shared_properties, expiry_s,
            identifiers: &identifiers, payload: &payload,
        };
        let mut out = vec![0; before];
        let payload_at = sent.encode(&mut out, version);
        prop_assert_eq!(sent.len(version), out.len() - before);
        prop_assert_eq!(&out[payload_at..], &payload);
        let frame = whole(&out[before..]);
        let got = match (client_packet::decode(&frame, version), server_packet::decode(&frame, version)) {
            (Ok(ClientPacket::Publish(a)), Ok(ServerPacket::Publish(b))) => {
                prop_assert_eq!(a, b);
                a
            }
            other => panic!("not a PUBLISH: {other:?}"),
        };
        prop_assert_eq!((got.dup, got.qos, got.retain, got.packet_id), (dup, qos, retain, packet_id));
        prop_assert_eq!((got.topic, got.payload), (topic.as_str(), payload.as_slice()));
        let mut all = shared;
        all.extend(expiry_s.map(|s| (0x02, Held::Four(s))));
        all.extend(alias.map(|a| (0x23, Held::Two(a))));
        all.extend(identifiers.iter().map(|i| (0x0b, Held::Variable(*i))));
        same(got.properties, version, &all)?;
        let mut copied = Vec::new();
        got.properties.copy_user_properties(&mut copied);
        let mut expected = Vec::new();
        let user = lent(&all).into_iter().filter(|(id, _)| version == Version::V5 && *id == 0x26);
        user.for_each(|(id, value)| put(&mut expected, id, value));
        prop_assert_eq!(copied, expected);
    }

    #[test]
    fn acknowledgements(version in version(), kind in 0..4, packet_id in 1u16.., reason in reason(carrier::PUBLISH_ACK), why in option::of(text())) {
        let kind = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp][kind as usize];
        let reason = match kind {
            AckKind::Puback | AckKind::Pubrec => reason,
            AckKind::Pubrel | AckKind::Pubcomp if reason.is_error() => ReasonCode::PacketIdentifierNotFound,
            AckKind::Pubrel | AckKind::Pubcomp => ReasonCode::Success,
        };
        let sent = Ack { kind, packet_id, reason };
        let mut out = Vec::new();
        sent.encode_why(&mut out, version, why.as_deref());
        let frame = whole(&out);
        let expected = if version == Version::V5 { sent } else { Ack { reason: ReasonCode::Success, ..sent } };
        match (client_packet::decode(&frame, version), server_packet::decode(&frame, version)) {
            (Ok(ClientPacket::Ack(a)), Ok(ServerPacket::Ack(b))) => prop_assert_eq!([a, b], [expected; 2]),
            other => panic!("not an acknowledgement: {other:?}"),
        }
    }

    #[test]
    fn subscribe(
        version in version(), packet_id in 1u16.., filters in vec((text(), options()), 1..20),
        properties in properties(place::SUBSCRIBE),
    ) {
        let filters: Vec<_> = filters.iter().map(|(f, o)| (f.as_str(), *o)).collect();
        let mut out = Vec::new();
        encode_subscribe(&mut out, version, packet_id, &filters, &lent(&properties));
        let frame = whole(&out);
        let ClientPacket::Subscribe(got) = client_packet::decode(&frame, version).unwrap() else {
            panic!("not a SUBSCRIBE")
        };
        prop_assert_eq!(got.packet_id, packet_id);
        same(got.properties, version, &properties)?;
        let in_v311 = |o: Options| Options { qos: o.qos, ..Options::default() };
        let as_sent = |o: Options| if version == Version::V5 { o } else { in_v311(o) };
        let expected: Vec<_> = filters.iter().map(|(f, o)| (*f, as_sent(*o))).collect();
        prop_assert_eq!(got.filters().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn unsubscribe(version in version(), packet_id in 1u16.., filters in vec(text(), 1..20)) {
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        let mut out = Vec::new();
        encode_unsubscribe(&mut out, version, packet_id, &filters);
        let frame = whole(&out);
        let ClientPacket::Unsubscribe(got) = client_packet::decode(&frame, version).unwrap() else {
            panic!("not an UNSUBSCRIBE")
        };
        prop_assert_eq!((got.packet_id, got.filters().collect::<Vec<_>>()), (packet_id, filters));
    }

    #[test]
    fn suback_and_unsuback(
        version in version(), packet_id in 1u16.., granted in vec(reason(carrier::SUBACK), 1..200),
        gone in vec(reason(carrier::UNSUBACK), 1..200), why in option::of(text()),
    ) {
        let granted: Vec<_> = granted.into_iter().map(ReasonCode::code).collect();
        let gone: Vec<_> = gone.into_iter().map(ReasonCode::code).collect();
        let mut out = Vec::new();
        encode_suback(&mut out, version, packet_id, &granted, why.as_deref());
        match server_packet::decode(&whole(&out), version).unwrap() {
            ServerPacket::Suback(id, codes) => {
                let in_v311 = |code: &u8| if *code >= 0x80 { 0x80 } else { *code };
                let is_v5 = version == Version::V5;
                let expected: Vec<_> = granted.iter().map(|c| if is_v5 { *c } else { in_v311(c) }).collect();
                prop_assert_eq!((id, codes), (packet_id, expected.as_slice()));
            }
            other => panic!("not a SUBACK: {other:?}"),
        }
        out.clear();
        encode_unsuback(&mut out, version, packet_id, &gone, why.as_deref());
        match server_packet::decode(&whole(&out), version).unwrap() {
            ServerPacket::Unsuback(id, codes) => {
                let expected = if version == Version::V5 { gone.as_slice() } else { &[] };
                prop_assert_eq!((id, codes), (packet_id, expected));
            }
            other => panic!("not an UNSUBACK: {other:?}"),
        }
    }

    #[test]
    fn auth(reason in reason(carrier::CLIENT_AUTH), method in text(), data in option::of(vec(any::<u8>(), 0..300))) {
        let sent = Auth { reason, method: &method, data: data.as_deref() };
        let mut out = Vec::new();
        sent.encode(&mut out);
        match client_packet::decode(&whole(&out), Version::V5) {
            Ok(ClientPacket::Auth(got)) => prop_assert_eq!(got, sent),
            other => panic!("not an AUTH: {other:?}"),
        }
        let from_server = server_packet::decode(&whole(&out), Version::V5);
        prop_assert_eq!(from_server.is_ok(), reason == ReasonCode::ContinueAuthentication);
    }

    #[test]
    fn disconnect(reason in reason(carrier::SERVER_DISCONNECT), why in option::of(prop_oneof![text(), Just(String::new())])) {
        let mut out = Vec::new();
        encode_disconnect(&mut out, reason, why.as_deref());
        match server_packet::decode(&whole(&out), Version::V5).unwrap() {
            ServerPacket::Disconnect(got) => prop_assert_eq!((got.reason, got.session_expiry_s), (reason, None)),
            other => panic!("not a DISCONNECT: {other:?}"),
        }
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_arrive(
        payloads in vec(vec(any::<u8>(), 0..300), 1..6), cuts in vec(1usize..80, 1..60),
    ) {
        let mut stream = Vec::new();
        for payload in &payloads {
            PublishOut { topic: "t", payload, ..PublishOut::default() }.encode(&mut stream, Version::V311);
        }
        let (mut buffer, mut got, mut at) = (Vec::new(), Vec::new(), 0);
        let mut sizes = cuts.iter().cycle();
        while at < stream.len() {
            let end = stream.len().min(at + sizes.next().unwrap());
            buffer.extend_from_slice(&stream[at..end]);
            at = end;
            while let Some(frame) = frame::split(&buffer, 1000).unwrap() {
                got.push(frame.body[3..].to_vec());
                let used = frame.len;
                buffer.drain(..used);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(got, payloads);
    }

    #[test]
    fn any_bytes_have_an_outcome(bytes in vec(any::<u8>(), 0..200), limit in 0u32..300) {
        outcome(&bytes, limit)?;
    }

    #[test]
    fn any_body_has_an_outcome(header: u8, body in vec(prop_oneof![3 => 0u8..6, 1 => any::<u8>()], 0..60)) {
        let mut bytes = Vec::new();
        mqtt::wire::put_packet(&mut bytes, header, |out| out.extend_from_slice(&body));
        outcome(&bytes, 1000)?;
    }

    #[test]
    fn lawful_packets_with_bytes_changed_have_an_outcome(
        version in version(), properties in properties(place::CONNECT), topic in topic(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let will = ConnectWill { topic: &topic, payload: b"gone", qos: 1, retain: true, properties: Properties::default() };
        let connect = Connect {
            version, clean_start: true, keep_alive_s: 60, client_id: "c", will: Some(will), username: Some("u"),
            password: Some(b"p"), properties: Properties::default(),
        };
        let mut packets = vec![Vec::new(); 3];
        connect.encode(&mut packets[0], &lent(&properties), &[(0x26, Value::Pair("k", "v"))]);
        encode_subscribe(&mut packets[1], version, 1, &[(&topic, Options::default())], &[(0x0b, Value::Variable(7))]);
        let shared_properties = [0x26, 0, 1, b'k', 0, 1, b'v'];
        let publish = PublishOut { topic: &topic, shared_properties: &shared_properties, payload: b"hi", ..Default::default() };
        publish.encode(&mut packets[2], version);
        for mut packet in packets {
            for (at, byte) in &changes {
                let at = at.index(packet.len());
                packet[at] = *byte;
            }
            outcome(&packet, 10_000)?;
        }
    }
}

/// Decodes as either side and in both versions, and walks through all that came of it.
fn outcome(bytes: &[u8], limit: u32) -> Result<(), TestCaseError> {
    let Ok(Some(frame)) = frame::split(bytes, limit) else { return Ok(()) };
    prop_assert!(frame.len <= bytes.len() && frame.len <= limit as usize && frame.body.len() < frame.len);
    for version in [Version::V311, Version::V5] {
        match client_packet::decode(&frame, version) {
            Ok(ClientPacket::Connect(c)) => {
                prop_assert!(c.properties.iter().count() < frame.len);
                prop_assert!(c.will.is_none_or(|w| w.qos < 3 && !w.topic.is_empty()));
            }
            Ok(ClientPacket::Publish(p)) => {
                prop_assert!(
                    p.qos < 3 && (p.qos == 0) == (p.packet_id == 0) && !p.topic.contains(['+', '#', '\0'])
                );
                prop_assert!(p.properties.iter().count() < frame.len);
            }
            Ok(ClientPacket::Subscribe(s)) => {
                prop_assert!(s.packet_id > 0 && s.filters().count() > 0);
                prop_assert!(s.filters().all(|(_, o)| o.qos < 3 && o.retain_handling < 3));
            }
            Ok(ClientPacket::Unsubscribe(u)) => prop_assert!(u.packet_id > 0 && u.filters().count() > 0),
            Ok(ClientPacket::Ack(a)) => prop_assert!(a.packet_id > 0),
            Ok(ClientPacket::Pingreq | ClientPacket::Disconnect(_) | ClientPacket::Auth(_)) => {}
            Err(error) => prop_assert!(error.reason.is_error() && !error.what.is_empty()),
        }
        match server_packet::decode(&frame, version) {
            Ok(ServerPacket::Suback(id, codes)) => prop_assert!(id > 0 && !codes.is_empty()),
            Ok(ServerPacket::Unsuback(id, codes)) => {
                prop_assert!(id > 0 && codes.is_empty() == (version == Version::V311));
            }
            Ok(ServerPacket::Connack(c)) => prop_assert!(c.code == 0 || !c.session_present),
            Ok(_) => {}
            Err(error) => prop_assert!(error.reason.is_error() && !error.what.is_empty()),
        }
    }
    Ok(())
}

/// A property's value that owns what it holds.
#[derive(Debug, Clone)]
enum Held {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

fn lent(properties: &[(u32, Held)]) -> Vec<(u32, Value<'_>)> {
    properties.iter().map(|(id, held)| (*id, held.lend())).collect()
}

impl Held {
    fn lend(&self) -> Value<'_> {
        match self {
            Self::Byte(v) => Value::Byte(*v),
            Self::Two(v) => Value::TwoBytes(*v),
            Self::Four(v) => Value::FourBytes(*v),
            Self::Variable(v) => Value::Variable(*v),
            Self::Text(v) => Value::Text(v),
            Self::Binary(v) => Value::Binary(v),
            Self::Pair(k, v) => Value::Pair(k, v),
        }
    }
}

fn same(got: Properties<'_>, version: Version, sent: &[(u32, Held)]) -> Result<(), TestCaseError> {
    let expected = if version == Version::V5 { lent(sent) } else { Vec::new() };
    prop_assert_eq!(got.iter().collect::<Vec<_>>(), expected);
    Ok(())
}

/// Any of the properties that a packet may carry, in any order, each as often as it may stand.
fn properties(place: u32) -> impl Strategy<Value = Vec<(u32, Held)>> {
    let ids = properties_of(place);
    let some = prop::sample::subsequence(ids, 0..=ids.len()).prop_shuffle();
    some.prop_flat_map(move |mut ids| {
        if ids.contains(&0x16) && !ids.contains(&0x15) {
            ids.push(0x15); // data comes with a method
        }
        if ids.contains(&0x26) {
            ids.push(0x26);
        }
        ids.into_iter().map(|id| held(id).prop_map(move |held| (id, held))).collect::<Vec<_>>()
    })
}

fn held(id: u32) -> BoxedStrategy<Held> {
    match holds(id).expect("one of the listed") {
        Holds::Flag => (0u8..2).prop_map(Held::Byte).boxed(),
        Holds::Two(least) => (least..).prop_map(Held::Two).boxed(),
        Holds::Four(least) => (least..).prop_map(Held::Four).boxed(),
        Holds::Variable => (1u32..=268_435_455).prop_map(Held::Variable).boxed(),
        Holds::Text if id == 0x08 => topic().prop_map(Held::Text).boxed(),
        Holds::Text => text().prop_map(Held::Text).boxed(),
        Holds::Binary => vec(any::<u8>(), 0..20).prop_map(Held::Binary).boxed(),
        Holds::Pair => (text(), text()).prop_map(|(k, v)| Held::Pair(k, v)).boxed(),
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,20}"
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0+#]{1,20}", "[a-z]{1,5}(/[a-z!0-9]{0,9}){0,6}"]
}

fn options() -> impl Strategy<Value = Options> {
    let parts = (0u8..3, any::<bool>(), any::<bool>(), 0u8..3);
    parts.prop_map(|(qos, no_local, retain_as_published, retain_handling)| Options {
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    })
}

fn reason(carrier: u16) -> impl Strategy<Value = ReasonCode> {
    let reasons: Vec<_> = ReasonCode::ALL.iter().copied().filter(|r| r.may_stand_in(carrier)).collect();
    prop::sample::select(reasons)
}

/// The one packet that the bytes are.
fn whole(bytes: &[u8]) -> frame::Frame<'_> {
    let frame = frame::split(bytes, u32::MAX).expect("lawful").expect("whole");
    assert_eq!(frame.len, bytes.len());
    frame
}
