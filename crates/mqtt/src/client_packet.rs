//! What a client may send to a server.

use crate::Version;
use crate::connect::Connect;
use crate::error::DecodeError;
use crate::frame::Frame;
use crate::property::{Properties, id, place};
use crate::publish::{Ack, AckKind, Publish};
use crate::reason_code::ReasonCode;
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
    /// AUTH.
    Auth,
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
    /// Decodes the body.
    ///
    /// # Errors
    /// As § 3.14 demands.
    pub fn decode(body: &[u8], version: Version) -> Result<Self, DecodeError> {
        Self::decode_from(body, version, Side::Client)
    }

    pub(crate) fn decode_from(body: &[u8], version: Version, sender: Side) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let mut disconnect = Self { reason: ReasonCode::Success, session_expiry_s: None };
        if version == Version::V5 && !r.is_empty() {
            let code = r.u8("Disconnect Reason Code")?;
            disconnect.reason = ReasonCode::from_code(code)
                .filter(|r| sender.may_disconnect_with(*r)) // [MQTT-3.14.2-1]
                .ok_or(DecodeError::protocol("a Reason Code that DISCONNECT may not carry"))?;
            if !r.is_empty() {
                let properties = Properties::read(&mut r, place::DISCONNECT)?;
                disconnect.session_expiry_s = properties.number(id::SESSION_EXPIRY);
                let is_misplaced = match sender {
                    Side::Client => properties.get(id::SERVER_REFERENCE).is_some(),
                    Side::Server => disconnect.session_expiry_s.is_some(), // [MQTT-3.14.2-2]
                };
                if is_misplaced {
                    return Err(DecodeError::protocol("a property that only the other side may send"));
                }
            }
        }
        r.end()?;
        Ok(disconnect)
    }
}

/// Who sends: DISCONNECT differs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    /// Table 3-10 of 5.0. A server that says *Success* is let be, though the table gives that to clients.
    const fn may_disconnect_with(self, reason: ReasonCode) -> bool {
        use ReasonCode as R;
        match reason {
            R::Success
            | R::UnspecifiedError
            | R::MalformedPacket
            | R::ProtocolError
            | R::ImplementationSpecificError
            | R::TopicNameInvalid
            | R::ReceiveMaximumExceeded
            | R::TopicAliasInvalid
            | R::PacketTooLarge
            | R::MessageRateTooHigh
            | R::QuotaExceeded
            | R::AdministrativeAction
            | R::PayloadFormatInvalid => true,
            R::DisconnectWithWill => matches!(self, Self::Client),
            R::NotAuthorized
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::KeepAliveTimeout
            | R::SessionTakenOver
            | R::TopicFilterInvalid
            | R::RetainNotSupported
            | R::QosNotSupported
            | R::UseAnotherServer
            | R::ServerMoved
            | R::SharedSubscriptionsNotSupported
            | R::ConnectionRateExceeded
            | R::MaximumConnectTime
            | R::SubscriptionIdentifiersNotSupported
            | R::WildcardSubscriptionsNotSupported => matches!(self, Self::Server),
            R::GrantedQos1
            | R::GrantedQos2
            | R::NoMatchingSubscribers
            | R::NoSubscriptionExisted
            | R::ContinueAuthentication
            | R::ReAuthenticate
            | R::UnsupportedProtocolVersion
            | R::ClientIdentifierNotValid
            | R::BadUserNameOrPassword
            | R::ServerUnavailable
            | R::Banned
            | R::BadAuthenticationMethod
            | R::PacketIdentifierInUse
            | R::PacketIdentifierNotFound => false,
        }
    }
}

/// Checks the body of an AUTH (§ 3.15); nothing in it is kept, since no Authentication Method is offered.
pub(crate) fn check_auth(body: &[u8]) -> Result<(), DecodeError> {
    let mut r = Reader::new(body);
    if r.is_empty() {
        return Ok(());
    }
    let code = ReasonCode::from_code(r.u8("Authenticate Reason Code")?);
    use ReasonCode as R;
    if !matches!(code, Some(R::Success | R::ContinueAuthentication | R::ReAuthenticate)) {
        return Err(DecodeError::protocol("a Reason Code that AUTH may not carry")); // [MQTT-3.15.2-1]
    }
    if !r.is_empty() {
        let properties = Properties::read(&mut r, place::AUTH)?;
        if properties.get(id::AUTHENTICATION_METHOD).is_none() {
            return Err(DecodeError::protocol("AUTH without an Authentication Method")); // § 3.15.2.2.2
        }
    }
    r.end()
}

/// Flags that the fixed header of a packet must have; those of PUBLISH mean something. [MQTT-2.1.3-1]
pub(crate) fn check_flags(frame: &Frame<'_>) -> Result<(), DecodeError> {
    let expected = match frame.packet_type() {
        3 => return Ok(()),
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if frame.flags() == expected {
        Ok(())
    } else {
        Err(DecodeError::malformed("flags of the fixed header are not as reserved"))
    }
}

/// Decodes a packet from a client; `version` is that of its CONNECT and is ignored for CONNECT itself.
///
/// # Errors
/// When the packet is malformed, breaks a rule, or is one that only servers send.
pub fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<ClientPacket<'a>, DecodeError> {
    let (body, flags) = (frame.body, frame.flags());
    check_flags(frame)?;
    Ok(match frame.packet_type() {
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
        15 if version == Version::V5 => {
            check_auth(body)?;
            ClientPacket::Auth
        }
        _ => return Err(DecodeError::protocol("a packet that a client may not send")),
    })
}
