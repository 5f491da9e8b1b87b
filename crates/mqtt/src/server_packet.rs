//! What a server sends: encoders for the broker, and the decoder that clients, simulators and tests need.

use crate::Version;
use crate::auth::Auth;
use crate::client_packet::Disconnect;
use crate::connect::Connack;
use crate::error::DecodeError;
use crate::frame::Frame;
use crate::property::{Properties, Value, id, place, put_section};
use crate::publish::{Ack, AckKind, Publish};
use crate::reason_code::{ReasonCode, carrier};
use crate::wire::{Reader, put_packet};

/// A control packet from a server.
#[derive(Debug, Clone, Copy)]
pub enum ServerPacket<'a> {
    /// CONNACK.
    Connack(Connack<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack),
    /// SUBACK: Packet Identifier and one code per filter.
    Suback(u16, &'a [u8]),
    /// UNSUBACK: Packet Identifier and one code per filter; none in 3.1.1.
    Unsuback(u16, &'a [u8]),
    /// PINGRESP.
    Pingresp,
    /// DISCONNECT, 5.0 only.
    Disconnect(Disconnect),
    /// AUTH, 5.0 only.
    Auth(Auth<'a>),
}

/// Decodes a packet from a server.
///
/// # Errors
/// When the packet is malformed, breaks a rule, or is one that only clients send.
pub fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<ServerPacket<'a>, DecodeError> {
    frame.check_flags(version)?;
    frame.check_len(version)?;
    let (body, flags) = (frame.body, frame.flags());
    Ok(match frame.packet_type() {
        2 => ServerPacket::Connack(Connack::decode(body, version)?),
        3 => ServerPacket::Publish(Publish::decode(flags, body, version)?),
        4 => ServerPacket::Ack(Ack::decode(AckKind::Puback, body, version)?),
        5 => ServerPacket::Ack(Ack::decode(AckKind::Pubrec, body, version)?),
        6 => ServerPacket::Ack(Ack::decode(AckKind::Pubrel, body, version)?),
        7 => ServerPacket::Ack(Ack::decode(AckKind::Pubcomp, body, version)?),
        9 => {
            let (packet_id, codes) = decode_suback(body, version)?;
            ServerPacket::Suback(packet_id, codes)
        }
        11 => {
            let (packet_id, codes) = decode_unsuback(body, version)?;
            ServerPacket::Unsuback(packet_id, codes)
        }
        13 => {
            Reader::new(body).end()?;
            ServerPacket::Pingresp
        }
        14 if version == Version::V5 => ServerPacket::Disconnect(Disconnect::decode_from_server(body)?),
        15 if version == Version::V5 => ServerPacket::Auth(Auth::decode_from_server(body)?),
        _ => return Err(DecodeError::protocol("a packet that a server may not send")),
    })
}

fn decode_suback(body: &[u8], version: Version) -> Result<(u16, &[u8]), DecodeError> {
    let mut r = Reader::new(body);
    let packet_id = r.packet_id()?;
    let is_known = |code: &u8| match version {
        Version::V5 => ReasonCode::read(*code, carrier::SUBACK).is_some(), // [MQTT-3.9.3-2]
        Version::V31 | Version::V311 => matches!(code, 0 | 1 | 2 | 0x80),  // [MQTT-3.9.3-2] of 3.1.1
    };
    if version == Version::V5 {
        Properties::read(&mut r, place::SUBACK)?;
    }
    check_codes(r.rest(), is_known)?;
    Ok((packet_id, r.rest()))
}

fn decode_unsuback(body: &[u8], version: Version) -> Result<(u16, &[u8]), DecodeError> {
    let mut r = Reader::new(body);
    let packet_id = r.packet_id()?;
    match version {
        Version::V5 => {
            Properties::read(&mut r, place::SUBACK)?;
            // [MQTT-3.11.3-2]
            check_codes(r.rest(), |code| ReasonCode::read(*code, carrier::UNSUBACK).is_some())?;
        }
        Version::V31 | Version::V311 => r.end()?,
    }
    Ok((packet_id, r.rest()))
}

/// One code for each filter asked about, and nobody may ask about none.
fn check_codes(codes: &[u8], is_known: impl Fn(&u8) -> bool) -> Result<(), DecodeError> {
    if codes.is_empty() {
        return Err(DecodeError::protocol("an answer without a Reason Code"));
    }
    match codes.iter().all(is_known) {
        true => Ok(()),
        false => Err(DecodeError::protocol("a Reason Code that this answer may not carry")),
    }
}

/// PINGRESP, whole.
pub const PINGRESP: [u8; 2] = [0xd0, 0];
/// PINGREQ, whole.
pub const PINGREQ: [u8; 2] = [0xc0, 0];
/// DISCONNECT of a client that leaves in peace, whole, in both versions.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Appends a DISCONNECT with a Reason Code and perhaps a Reason String for people, 5.0 only.
pub fn encode_disconnect(out: &mut Vec<u8>, reason: ReasonCode, why: Option<&str>) {
    put_packet(out, 0xe0, |out| {
        out.push(reason.code());
        if let Some(why) = why {
            put_section(out, &[(id::REASON_STRING, Value::Text(why))]);
        }
    });
}
