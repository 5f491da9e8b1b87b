//! Every property in every place and every Reason Code in every packet, against the specification's sections.

mod specification;

use mqtt::property::{Properties, place};
use mqtt::wire::{Reader, put_variable};
use mqtt::{DecodeError, ReasonCode, Version, client_packet, frame, server_packet};
use specification::{Holds, holds, properties_of};

/// Where properties stand, with the name that the specification gives the place.
const PLACES: &[(u32, &str)] = &[
    (place::CONNECT, "CONNECT"),
    (place::CONNACK, "CONNACK"),
    (place::PUBLISH, "PUBLISH"),
    (place::ACK, "PUBACK, PUBREC, PUBREL, PUBCOMP"),
    (place::SUBSCRIBE, "SUBSCRIBE"),
    (place::SUBACK, "SUBACK, UNSUBACK"),
    (place::UNSUBSCRIBE, "UNSUBSCRIBE"),
    (place::DISCONNECT, "DISCONNECT"),
    (place::AUTH, "AUTH"),
    (place::WILL, "Will Properties"),
];

#[test]
fn a_property_stands_where_its_packet_lists_it_and_nowhere_else() {
    for (place, name) in PLACES {
        for id in 0..=0xff {
            let is_listed = properties_of(*place).contains(&id);
            let mut section = one(id);
            if id == 0x16 {
                section.extend(one(0x15)); // data comes with a method
            }
            let result = read(&section, *place);
            assert_eq!(result.is_ok(), is_listed, "property {id:#04x} in {name}: {result:?}");
            if !is_listed {
                assert_eq!(result, Err(ReasonCode::MalformedPacket), "property {id:#04x} in {name}");
            }
        }
    }
}

#[test]
fn only_user_properties_and_a_deliverys_identifiers_repeat() {
    for (place, name) in PLACES {
        for id in properties_of(*place) {
            let mut twice = [one(*id), one(*id)].concat();
            if *id == 0x16 {
                twice.extend(one(0x15));
            }
            let may = *id == 0x26 || (*id == 0x0b && *place == place::PUBLISH);
            let expected = if may { Ok(()) } else { Err(ReasonCode::ProtocolError) };
            assert_eq!(read(&twice, *place), expected, "property {id:#04x} twice in {name}");
        }
    }
}

#[test]
fn a_property_cut_anywhere_is_malformed() {
    for (place, name) in PLACES {
        for id in properties_of(*place) {
            let whole = one(*id);
            for cut in 1..whole.len() {
                assert_eq!(
                    read(&whole[..cut], *place),
                    Err(ReasonCode::MalformedPacket),
                    "property {id:#04x} in {name} cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn numbers_below_the_lowest_are_refused() {
    for (place, name) in PLACES {
        for id in properties_of(*place) {
            let (bytes, reason) = match holds(*id) {
                Some(Holds::Flag) => (vec![2], ReasonCode::ProtocolError),
                Some(Holds::Two(1)) if *id == 0x23 => (vec![0, 0], ReasonCode::TopicAliasInvalid),
                Some(Holds::Two(1)) => (vec![0, 0], ReasonCode::ProtocolError),
                Some(Holds::Four(1)) => (vec![0; 4], ReasonCode::ProtocolError),
                Some(Holds::Variable) => (vec![0], ReasonCode::ProtocolError),
                _ => continue,
            };
            let section = [vec![*id as u8], bytes].concat();
            assert_eq!(read(&section, *place), Err(reason), "property {id:#04x} in {name}");
        }
    }
}

/// Sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1.
#[test]
fn each_packet_takes_its_reason_codes_and_no_others() {
    const PUBLISH_ACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const RELEASE_ACK: &[u8] = &[0x00, 0x92];
    const CONNACK: &[u8] = &[
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
        0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ];
    const SUBACK: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
    const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];
    const BOTH_DISCONNECT: &[u8] =
        &[0x00, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    const CLIENT_DISCONNECT: &[u8] = &[0x04];
    // 0x8C is in table 2-6 of DISCONNECT, though not in table 3-10.
    const SERVER_DISCONNECT: &[u8] =
        &[0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2];
    let method = [vec![7], vec![0x15, 0, 4], b"TEST".to_vec()].concat();
    for code in 0..=0xff_u8 {
        let check = |what: &str, header: u8, body: &[u8], from_client: bool, expected: bool| {
            let frame = frame::Frame { header, body, len: 2 + body.len() };
            let result = if from_client {
                client_packet::decode(&frame, Version::V5).map(|_| ())
            } else {
                server_packet::decode(&frame, Version::V5).map(|_| ())
            };
            assert_eq!(result.is_ok(), expected, "{code:#04x} in {what}: {result:?}");
        };
        for from_client in [true, false] {
            check("PUBACK", 0x40, &[0, 1, code], from_client, PUBLISH_ACK.contains(&code));
            check("PUBREC", 0x50, &[0, 1, code], from_client, PUBLISH_ACK.contains(&code));
            check("PUBREL", 0x62, &[0, 1, code], from_client, RELEASE_ACK.contains(&code));
            check("PUBCOMP", 0x70, &[0, 1, code], from_client, RELEASE_ACK.contains(&code));
            let own = if from_client { CLIENT_DISCONNECT } else { SERVER_DISCONNECT };
            let may = BOTH_DISCONNECT.contains(&code) || own.contains(&code);
            check("DISCONNECT", 0xe0, &[code], from_client, may);
            let own = if from_client { 0x19 } else { 0x00 };
            let body = [vec![code], method.clone()].concat();
            check("AUTH", 0xf0, &body, from_client, code == 0x18 || code == own);
        }
        check("CONNACK", 0x20, &[0, code, 0], false, CONNACK.contains(&code));
        check("SUBACK", 0x90, &[0, 1, 0, code], false, SUBACK.contains(&code));
        check("UNSUBACK", 0xb0, &[0, 1, 0, code], false, UNSUBACK.contains(&code));
    }
}

#[test]
fn reason_codes_are_their_numbers() {
    for code in 0..=0xff_u8 {
        let reason = ReasonCode::from_code(code);
        assert_eq!(reason.map(ReasonCode::code).unwrap_or(code), code);
        assert_eq!(reason.map(ReasonCode::is_error).unwrap_or(code >= 0x80), code >= 0x80);
    }
    assert_eq!(ReasonCode::ALL.len(), 43);
    let unsupported = ReasonCode::UnsupportedProtocolVersion;
    assert_eq!((unsupported.code(), unsupported.connack_v311()), (0x84, 1));
    let refused: Vec<_> = ReasonCode::ALL.iter().filter(|r| **r != ReasonCode::Success).collect();
    assert!(refused.iter().all(|r| (1..=5).contains(&r.connack_v311())), "3.1.1 knows five refusals");
}

/// The property with a value that its section allows.
fn one(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_variable(&mut out, id as usize);
    match holds(id) {
        Some(Holds::Flag | Holds::Variable) => out.push(1),
        Some(Holds::Two(_)) => out.extend([0, 1]),
        Some(Holds::Four(_)) => out.extend([0, 0, 0, 1]),
        Some(Holds::Text | Holds::Binary) => out.extend([0, 1, b'a']),
        Some(Holds::Pair) => out.extend([0, 1, b'a', 0, 1, b'b']),
        None => {}
    }
    out
}

fn read(section: &[u8], place: u32) -> Result<(), ReasonCode> {
    let mut bytes = Vec::new();
    put_variable(&mut bytes, section.len());
    bytes.extend_from_slice(section);
    let mut reader = Reader::new(&bytes);
    let result = Properties::read(&mut reader, place).and_then(|_| reader.end());
    result.map_err(|error: DecodeError| error.reason)
}
