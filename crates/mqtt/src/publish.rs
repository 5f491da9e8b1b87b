//! PUBLISH (§ 3.3) and the four packets that acknowledge it (§ 3.4–3.7).

use std::fmt;

use crate::Version;
use crate::error::DecodeError;
use crate::property::{Properties, Value, id, place, put_section};
use crate::reason_code::{ReasonCode, carrier};
use crate::wire::{Reader, put_binary, put_packet, put_u16, put_variable, variable_len};

/// PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before.
    pub dup: bool,
    /// QoS, 0–2.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; empty only with a Topic Alias.
    pub topic: &'a str,
    /// Packet Identifier; 0 for QoS 0.
    pub packet_id: u16,
    /// Properties; empty for 3.1.1.
    pub properties: Properties<'a>,
    /// Application payload.
    pub payload: &'a [u8],
}

impl fmt::Debug for Publish<'_> {
    /// Without the payload, which may be what people wrote to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = (self.dup, self.qos, self.retain);
        f.debug_struct("Publish")
            .field("dup_qos_retain", &flags)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

impl<'a> Publish<'a> {
    /// Decodes a PUBLISH from its flags and body.
    ///
    /// # Errors
    /// As § 3.3 demands.
    pub fn decode(flags: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (dup, qos, retain) = (flags & 8 != 0, (flags >> 1) & 3, flags & 1 != 0);
        if qos == 3 {
            return Err(DecodeError::malformed("QoS is 3")); // [MQTT-3.3.1-4]
        }
        if dup && qos == 0 {
            return Err(DecodeError::malformed("DUP with QoS 0")); // [MQTT-3.3.1-2]
        }
        let mut r = Reader::new(body);
        let topic = r.string("Topic Name")?;
        let packet_id = if qos > 0 { r.packet_id()? } else { 0 };
        let properties = match version {
            Version::V5 => Properties::read(&mut r, place::PUBLISH)?,
            Version::V31 | Version::V311 => Properties::default(),
        };
        let has_alias = properties.number(id::TOPIC_ALIAS).is_some();
        if topic.is_empty() && !has_alias {
            return Err(DecodeError::protocol("Topic Name is empty and there is no Topic Alias"));
        }
        if !topic.is_empty() && !crate::topic::is_valid_name(topic, usize::MAX) {
            return Err(DecodeError::with(ReasonCode::TopicNameInvalid, "Topic Name holds a wildcard"));
        }
        check_response_topic(properties)?;
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: r.rest() })
    }
}

/// The Response Topic of a PUBLISH or of a Will, when there is one, is a Topic Name. [MQTT-3.3.2-14]
pub(crate) fn check_response_topic(properties: Properties<'_>) -> Result<(), DecodeError> {
    match properties.text(id::RESPONSE_TOPIC) {
        Some(topic) if !crate::topic::is_valid_name(topic, usize::MAX) => {
            Err(DecodeError::protocol("Response Topic is not a Topic Name"))
        }
        _ => Ok(()),
    }
}

/// A PUBLISH to write: the same message goes to many receivers, each with its own flags and identifiers.
#[derive(Clone, Copy, Default)]
pub struct PublishOut<'a> {
    /// Sent before.
    pub dup: bool,
    /// QoS, 0–2.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; empty only with a Topic Alias that the receiver knows.
    pub topic: &'a str,
    /// Topic Alias; ignored for 3.1.1.
    pub alias: Option<u16>,
    /// Packet Identifier; 0 for QoS 0.
    pub packet_id: u16,
    /// Property bytes that are the same for every receiver, without their length; ignored for 3.1.1.
    pub shared_properties: &'a [u8],
    /// Message Expiry Interval left, seconds.
    pub expiry_s: Option<u32>,
    /// Subscription Identifiers of this receiver.
    pub identifiers: &'a [u32],
    /// Application payload.
    pub payload: &'a [u8],
}

impl PublishOut<'_> {
    fn properties_len(&self) -> usize {
        let identifiers: usize = self.identifiers.iter().map(|i| 1 + variable_len(*i as usize)).sum();
        self.shared_properties.len()
            + if self.expiry_s.is_some() { 5 } else { 0 }
            + if self.alias.is_some() { 3 } else { 0 }
            + identifiers
    }

    fn body_len(&self, version: Version) -> usize {
        let fixed = 2 + self.topic.len() + if self.qos > 0 { 2 } else { 0 } + self.payload.len();
        match version {
            Version::V31 | Version::V311 => fixed,
            Version::V5 => {
                let properties = self.properties_len();
                fixed + variable_len(properties) + properties
            }
        }
    }

    /// Bytes of the whole packet.
    pub fn len(&self, version: Version) -> usize {
        let body = self.body_len(version);
        1 + variable_len(body) + body
    }

    /// Appends the packet. Returns where in `out` the payload begins.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) -> usize {
        debug_assert!(
            self.qos <= 2 && (self.qos == 0) == (self.packet_id == 0),
            "QoS 0 alone has no identifier"
        );
        debug_assert!(self.topic.len() <= usize::from(u16::MAX), "longer than a Topic Name can be");
        out.reserve(self.len(version));
        out.push(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain));
        put_variable(out, self.body_len(version));
        put_binary(out, self.topic.as_bytes());
        if self.qos > 0 {
            put_u16(out, self.packet_id);
        }
        if version == Version::V5 {
            put_variable(out, self.properties_len());
            out.extend_from_slice(self.shared_properties);
            if let Some(expiry_s) = self.expiry_s {
                out.push(id::MESSAGE_EXPIRY as u8);
                out.extend_from_slice(&expiry_s.to_be_bytes());
            }
            if let Some(alias) = self.alias {
                out.push(id::TOPIC_ALIAS as u8);
                put_u16(out, alias);
            }
            for identifier in self.identifiers {
                out.push(id::SUBSCRIPTION_IDENTIFIER as u8);
                put_variable(out, *identifier as usize);
            }
        }
        let payload_at = out.len();
        out.extend_from_slice(self.payload);
        payload_at
    }
}

/// The four packets that acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    /// QoS 1, from the receiver.
    Puback,
    /// QoS 2, first answer of the receiver.
    Pubrec,
    /// QoS 2, from the sender.
    Pubrel,
    /// QoS 2, last answer of the receiver.
    Pubcomp,
}

impl AckKind {
    const fn header(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62, // [MQTT-3.6.1-1]
            Self::Pubcomp => 0x70,
        }
    }

    const fn carrier(self) -> u16 {
        match self {
            Self::Puback | Self::Pubrec => carrier::PUBLISH_ACK,
            Self::Pubrel | Self::Pubcomp => carrier::RELEASE_ACK,
        }
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Which of the four.
    pub kind: AckKind,
    /// Packet Identifier.
    pub packet_id: u16,
    /// Reason Code; always `Success` in 3.1.1.
    pub reason: ReasonCode,
}

impl Ack {
    /// Decodes the body. A Reason String and User Properties are checked and let go.
    ///
    /// # Errors
    /// As § 3.4–3.7 demand.
    pub fn decode(kind: AckKind, body: &[u8], version: Version) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let packet_id = r.packet_id()?;
        let mut reason = ReasonCode::Success;
        if version == Version::V5 && !r.is_empty() {
            let code = r.u8("Reason Code")?;
            reason = ReasonCode::read(code, kind.carrier())
                .ok_or(DecodeError::protocol("a Reason Code that this packet may not carry"))?;
            if !r.is_empty() {
                Properties::read(&mut r, place::ACK)?;
            }
        }
        r.end()?;
        Ok(Self { kind, packet_id, reason })
    }

    /// Appends the packet with a Reason String for people; without one it is as [`Ack::encode`] writes it.
    pub fn encode_why(&self, out: &mut Vec<u8>, version: Version, why: Option<&str>) {
        let Some(why) = why.filter(|_| version == Version::V5) else { return self.encode(out, version) };
        put_packet(out, self.kind.header(), |out| {
            put_u16(out, self.packet_id);
            out.push(self.reason.code());
            put_section(out, &[(id::REASON_STRING, Value::Text(why))]);
        });
    }

    /// Appends the packet; the Reason Code is left out where it says nothing.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let has_reason = version == Version::V5 && self.reason != ReasonCode::Success;
        out.push(self.kind.header());
        out.push(2 + u8::from(has_reason));
        put_u16(out, self.packet_id);
        if has_reason {
            out.push(self.reason.code());
        }
    }
}
