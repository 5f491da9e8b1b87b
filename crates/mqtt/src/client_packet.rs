//! What a client may send to a server.

use crate::Version;
use crate::auth::Auth;
use crate::connect::Connect;
use crate::error::DecodeError;
use crate::frame::Frame;
use crate::property::{Properties, id, place};
use crate::publish::{Ack, AckKind, Publish};
use crate::reason_code::{ReasonCode, carrier};
use crate::subscribe::{Subscribe, Unsubscribe};
use crate::wire::Reader;

/// A control packet from a client.
#[derive(Debug, Clone, Copy)]
pub enum ClientPacket<'a> {
    /// CONNECT.
    Connect(Connect<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack),
    /// SUBSCRIBE.
    Subscribe(Subscribe<'a>),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe<'a>),
    /// PINGREQ.
    Pingreq,
    /// DISCONNECT.
    Disconnect(Disconnect),
    /// AUTH, 5.0 only.
    Auth(Auth<'a>),
}

/// DISCONNECT from either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// Reason Code; `Success` in 3.1.1.
    pub reason: ReasonCode,
    /// Session Expiry Interval in seconds, when the client changes it.
    pub session_expiry_s: Option<u32>,
}

impl Disconnect {
    /// Decodes the body of a DISCONNECT from a client.
    ///
    /// # Errors
    /// As § 3.14 demands.
    pub fn decode(body: &[u8], version: Version) -> Result<Self, DecodeError> {
        match version {
            Version::V5 => Self::read(body, carrier::CLIENT_DISCONNECT),
            Version::V31 | Version::V311 => {
                Reader::new(body).end()?;
                Ok(Self { reason: ReasonCode::Success, session_expiry_s: None })
            }
        }
    }

    /// Decodes the body of a DISCONNECT from a server, which 3.1.1 does not have.
    ///
    /// # Errors
    /// As § 3.14 demands.
    pub fn decode_from_server(body: &[u8]) -> Result<Self, DecodeError> {
        let disconnect = Self::read(body, carrier::SERVER_DISCONNECT)?;
        match disconnect.session_expiry_s {
            Some(_) => Err(DecodeError::protocol("Session Expiry Interval from a server")), // [MQTT-3.14.2-2]
            None => Ok(disconnect),
        }
    }

    fn read(body: &[u8], carrier: u16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let mut disconnect = Self { reason: ReasonCode::Success, session_expiry_s: None };
        if r.is_empty() {
            return Ok(disconnect); // § 3.14.2.1: no Reason Code means Normal disconnection.
        }
        let code = r.u8("Disconnect Reason Code")?;
        disconnect.reason = ReasonCode::read(code, carrier)
            .ok_or(DecodeError::protocol("a Reason Code that DISCONNECT may not carry"))?; // [MQTT-3.14.2-1]
        if !r.is_empty() {
            let properties = Properties::read(&mut r, place::DISCONNECT)?;
            disconnect.session_expiry_s = properties.number(id::SESSION_EXPIRY);
        }
        r.end()?;
        Ok(disconnect)
    }
}

/// Decodes a packet from a client; `version` is that of its CONNECT and is ignored for CONNECT itself.
///
/// # Errors
/// When the packet is malformed, breaks a rule, or is one that only servers send.
pub fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<ClientPacket<'a>, DecodeError> {
    frame.check_flags(version)?;
    let (body, flags) = (frame.body, frame.flags());
    let packet = match frame.packet_type() {
        1 => ClientPacket::Connect(Connect::decode(body)?),
        3 => ClientPacket::Publish(Publish::decode(flags, body, version)?),
        4 => ClientPacket::Ack(Ack::decode(AckKind::Puback, body, version)?),
        5 => ClientPacket::Ack(Ack::decode(AckKind::Pubrec, body, version)?),
        6 => ClientPacket::Ack(Ack::decode(AckKind::Pubrel, body, version)?),
        7 => ClientPacket::Ack(Ack::decode(AckKind::Pubcomp, body, version)?),
        8 => ClientPacket::Subscribe(Subscribe::decode(body, version)?),
        10 => ClientPacket::Unsubscribe(Unsubscribe::decode(body, version)?),
        12 => {
            Reader::new(body).end()?;
            ClientPacket::Pingreq
        }
        14 => ClientPacket::Disconnect(Disconnect::decode(body, version)?),
        15 if version == Version::V5 => ClientPacket::Auth(Auth::decode(body)?),
        _ => return Err(DecodeError::protocol("a packet that a client may not send")),
    };
    let version = match &packet {
        ClientPacket::Connect(connect) => connect.version,
        _ => version,
    };
    frame.check_len(version)?;
    Ok(packet)
}
