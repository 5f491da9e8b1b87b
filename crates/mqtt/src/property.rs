//! Properties of MQTT 5.0 (§ 2.2.2): which exist, where they may stand, what they hold.

use std::fmt;

use crate::error::DecodeError;
use crate::reason_code::ReasonCode;
use crate::wire::{Reader, put_binary, put_u16, put_variable, put_with_len};

/// Packets that carry properties, as bits for the table of where a property may stand.
pub mod place {
    /// CONNECT.
    pub const CONNECT: u32 = 1 << 1;
    /// CONNACK.
    pub const CONNACK: u32 = 1 << 2;
    /// PUBLISH.
    pub const PUBLISH: u32 = 1 << 3;
    /// PUBACK, PUBREC, PUBREL and PUBCOMP.
    pub const ACK: u32 = 1 << 4;
    /// SUBSCRIBE.
    pub const SUBSCRIBE: u32 = 1 << 8;
    /// SUBACK and UNSUBACK.
    pub const SUBACK: u32 = 1 << 9;
    /// UNSUBSCRIBE.
    pub const UNSUBSCRIBE: u32 = 1 << 10;
    /// DISCONNECT.
    pub const DISCONNECT: u32 = 1 << 14;
    /// AUTH.
    pub const AUTH: u32 = 1 << 15;
    /// Will Properties within CONNECT.
    pub const WILL: u32 = 1 << 16;
}

/// What a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Byte.
    Byte(u8),
    /// Two Byte Integer.
    TwoBytes(u16),
    /// Four Byte Integer.
    FourBytes(u32),
    /// Variable Byte Integer.
    Variable(u32),
    /// UTF-8 Encoded String.
    Text(&'a str),
    /// Binary Data.
    Binary(&'a [u8]),
    /// UTF-8 String Pair.
    Pair(&'a str, &'a str),
}

#[derive(Clone, Copy)]
enum Kind {
    /// A byte that is 0 or 1.
    Flag,
    TwoBytes,
    /// Two bytes, never 0.
    TwoBytesNotZero,
    /// Two bytes, never 0, with a Reason Code of its own. [MQTT-3.3.2-8]
    TopicAlias,
    FourBytes,
    FourBytesNotZero,
    VariableNotZero,
    Text,
    Binary,
    Pair,
}

macro_rules! properties {
    ($($name:ident = $id:literal, $kind:ident, $($place:ident)|*;)*) => {
        /// Property identifiers.
        #[allow(missing_docs, reason = "the names are those of the specification's table 2-4")]
        pub mod id { $(pub const $name: u32 = $id;)* }

        fn rule(id: u32) -> Option<(Kind, u32)> {
            use place::*;
            match id { $($id => Some((Kind::$kind, $($place)|*)),)* _ => None }
        }
    };
}

properties! {
    PAYLOAD_FORMAT = 0x01, Flag, PUBLISH | WILL;
    MESSAGE_EXPIRY = 0x02, FourBytes, PUBLISH | WILL;
    CONTENT_TYPE = 0x03, Text, PUBLISH | WILL;
    RESPONSE_TOPIC = 0x08, Text, PUBLISH | WILL;
    CORRELATION_DATA = 0x09, Binary, PUBLISH | WILL;
    SUBSCRIPTION_IDENTIFIER = 0x0B, VariableNotZero, PUBLISH | SUBSCRIBE;
    SESSION_EXPIRY = 0x11, FourBytes, CONNECT | CONNACK | DISCONNECT;
    ASSIGNED_CLIENT_IDENTIFIER = 0x12, Text, CONNACK;
    SERVER_KEEP_ALIVE = 0x13, TwoBytes, CONNACK;
    AUTHENTICATION_METHOD = 0x15, Text, CONNECT | CONNACK | AUTH;
    AUTHENTICATION_DATA = 0x16, Binary, CONNECT | CONNACK | AUTH;
    REQUEST_PROBLEM_INFORMATION = 0x17, Flag, CONNECT;
    WILL_DELAY = 0x18, FourBytes, WILL;
    REQUEST_RESPONSE_INFORMATION = 0x19, Flag, CONNECT;
    RESPONSE_INFORMATION = 0x1A, Text, CONNACK;
    SERVER_REFERENCE = 0x1C, Text, CONNACK | DISCONNECT;
    REASON_STRING = 0x1F, Text, CONNACK | ACK | SUBACK | DISCONNECT | AUTH;
    RECEIVE_MAXIMUM = 0x21, TwoBytesNotZero, CONNECT | CONNACK;
    TOPIC_ALIAS_MAXIMUM = 0x22, TwoBytes, CONNECT | CONNACK;
    TOPIC_ALIAS = 0x23, TopicAlias, PUBLISH;
    MAXIMUM_QOS = 0x24, Flag, CONNACK;
    RETAIN_AVAILABLE = 0x25, Flag, CONNACK;
    USER_PROPERTY = 0x26, Pair, CONNECT | CONNACK | PUBLISH | ACK | SUBSCRIBE | SUBACK | UNSUBSCRIBE | DISCONNECT | AUTH | WILL;
    MAXIMUM_PACKET_SIZE = 0x27, FourBytesNotZero, CONNECT | CONNACK;
    WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28, Flag, CONNACK;
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29, Flag, CONNACK;
    SHARED_SUBSCRIPTION_AVAILABLE = 0x2A, Flag, CONNACK;
}

/// A checked property section: every property is allowed here, well formed and not repeated where it must not be.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl fmt::Debug for Properties<'_> {
    /// Identifiers only: the values may be Authentication Data or what people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(id, _)| id)).finish()
    }
}

impl<'a> Properties<'a> {
    /// Reads the section, length included, for a packet in `place`.
    ///
    /// # Errors
    /// As the specification's § 2.2.2 demands.
    pub fn read(reader: &mut Reader<'a>, place: u32) -> Result<Self, DecodeError> {
        let len = reader.variable("Property Length")?;
        let raw = reader.take(len as usize, "Property Length is larger than the packet")?;
        let mut inner = Reader::new(raw);
        let mut seen = 0u64;
        while !inner.is_empty() {
            let (id, _) = read_one(&mut inner, place)?;
            let may_repeat =
                id == id::USER_PROPERTY || (id == id::SUBSCRIPTION_IDENTIFIER && place == place::PUBLISH);
            if seen & (1 << id) != 0 && !may_repeat {
                return Err(DecodeError::protocol("a property stands twice"));
            }
            seen |= 1 << id;
        }
        let has = |id: u32| seen & (1 << id) != 0;
        if has(id::AUTHENTICATION_DATA) && !has(id::AUTHENTICATION_METHOD) {
            return Err(DecodeError::protocol("Authentication Data without Authentication Method")); // § 3.1.2.11.10
        }
        Ok(Self { raw })
    }

    /// The properties, in order.
    pub fn iter(self) -> impl Iterator<Item = (u32, Value<'a>)> {
        let mut reader = Reader::new(self.raw);
        // The section was checked when it was read, so the first error is the end.
        std::iter::from_fn(
            move || if reader.is_empty() { None } else { read_one(&mut reader, u32::MAX).ok() },
        )
    }

    /// The first property with that identifier.
    pub fn get(self, id: u32) -> Option<Value<'a>> {
        self.iter().find(|(i, _)| *i == id).map(|(_, value)| value)
    }

    /// A numeric property.
    pub fn number(self, id: u32) -> Option<u32> {
        match self.get(id)? {
            Value::Byte(v) => Some(u32::from(v)),
            Value::TwoBytes(v) => Some(u32::from(v)),
            Value::FourBytes(v) | Value::Variable(v) => Some(v),
            Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        }
    }

    /// A string property.
    pub fn text(self, id: u32) -> Option<&'a str> {
        match self.get(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A binary property.
    pub fn binary(self, id: u32) -> Option<&'a [u8]> {
        match self.get(id)? {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Appends the User Properties as they came, in order. [MQTT-3.3.2-18]
    pub fn copy_user_properties(self, out: &mut Vec<u8>) {
        for (id, value) in self.iter().filter(|(id, _)| *id == id::USER_PROPERTY) {
            put(out, id, value);
        }
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }
}

fn read_one<'a>(reader: &mut Reader<'a>, place: u32) -> Result<(u32, Value<'a>), DecodeError> {
    let id = reader.variable("property identifier")?;
    let Some((kind, places)) = rule(id) else {
        return Err(DecodeError::malformed("unknown property identifier"));
    };
    if places & place == 0 {
        return Err(DecodeError::malformed("a property that this packet may not carry")); // § 2.2.2.2
    }
    const WHAT: &str = "property value is cut off or not valid";
    let not_zero =
        |ok: bool| if ok { Ok(()) } else { Err(DecodeError::protocol("a property is 0 that must not be")) };
    let value = match kind {
        Kind::Flag => match reader.u8(WHAT)? {
            v @ (0 | 1) => Value::Byte(v),
            _ => return Err(DecodeError::protocol("a property is neither 0 nor 1")),
        },
        Kind::TwoBytes => Value::TwoBytes(reader.u16(WHAT)?),
        Kind::TwoBytesNotZero => {
            let v = reader.u16(WHAT)?;
            not_zero(v != 0)?;
            Value::TwoBytes(v)
        }
        Kind::TopicAlias => match reader.u16(WHAT)? {
            0 => return Err(DecodeError::with(ReasonCode::TopicAliasInvalid, "Topic Alias is 0")),
            v => Value::TwoBytes(v),
        },
        Kind::FourBytes => Value::FourBytes(reader.u32(WHAT)?),
        Kind::FourBytesNotZero => {
            let v = reader.u32(WHAT)?;
            not_zero(v != 0)?;
            Value::FourBytes(v)
        }
        Kind::VariableNotZero => {
            let v = reader.variable(WHAT)?;
            not_zero(v != 0)?;
            Value::Variable(v)
        }
        Kind::Text => Value::Text(reader.string(WHAT)?),
        Kind::Binary => Value::Binary(reader.binary(WHAT)?),
        Kind::Pair => Value::Pair(reader.string(WHAT)?, reader.string(WHAT)?),
    };
    Ok((id, value))
}

/// Appends one property.
pub fn put(out: &mut Vec<u8>, id: u32, value: Value<'_>) {
    put_variable(out, id as usize);
    match value {
        Value::Byte(v) => out.push(v),
        Value::TwoBytes(v) => put_u16(out, v),
        Value::FourBytes(v) => out.extend_from_slice(&v.to_be_bytes()),
        Value::Variable(v) => put_variable(out, v as usize),
        Value::Text(v) => put_binary(out, v.as_bytes()),
        Value::Binary(v) => put_binary(out, v),
        Value::Pair(a, b) => {
            put_binary(out, a.as_bytes());
            put_binary(out, b.as_bytes());
        }
    }
}

/// Appends a property section: its length, then the properties.
pub fn put_section(out: &mut Vec<u8>, properties: &[(u32, Value<'_>)]) {
    put_with_len(out, |out| properties.iter().for_each(|(id, value)| put(out, *id, *value)));
}
