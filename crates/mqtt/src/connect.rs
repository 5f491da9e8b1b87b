//! CONNECT and CONNACK (§ 3.1, § 3.2).

use std::fmt;

use crate::Version;
use crate::error::DecodeError;
use crate::property::{Properties, Value, place, put_section};
use crate::reason_code::{ReasonCode, carrier};
use crate::wire::{Reader, put_binary, put_packet, put_u16};

/// CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol version.
    pub version: Version,
    /// Clean Session (3.1.1) or Clean Start (5.0).
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 turns it off.
    pub keep_alive_s: u16,
    /// Client Identifier; may be empty.
    pub client_id: &'a str,
    /// Will Message.
    pub will: Option<ConnectWill<'a>>,
    /// User Name.
    pub username: Option<&'a str>,
    /// Password. Never shown.
    pub password: Option<&'a [u8]>,
    /// Properties; empty for 3.1.1.
    pub properties: Properties<'a>,
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .field("properties", &self.properties)
            .finish()
    }
}

/// The Will Message of a CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectWill<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Application payload.
    pub payload: &'a [u8],
    /// QoS, 0–2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Will Properties; empty for 3.1.1.
    pub properties: Properties<'a>,
}

impl fmt::Debug for ConnectWill<'_> {
    /// Without the payload, which is nobody's but its receivers'.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectWill")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Connect<'a> {
    /// Decodes the body of a CONNECT.
    ///
    /// # Errors
    /// With reason *Unsupported Protocol Version* when the version is none of 3.1, 3.1.1 and 5.0, else as § 3.1 demands.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let name = r.string("Protocol Name")?;
        let level = r.u8("Protocol Version")?;
        let version = match (name, level) {
            ("MQTT", 4) => Version::V311,
            ("MQTT", 5) => Version::V5,
            ("MQIsdp", 3) => Version::V31,
            ("MQTT" | "MQIsdp", _) => {
                let reason = ReasonCode::UnsupportedProtocolVersion;
                return Err(DecodeError::with(reason, "Protocol Version is neither 3.1, 3.1.1 nor 5.0"));
            }
            _ => return Err(DecodeError::protocol("Protocol Name is not MQTT")), // [MQTT-3.1.2-1]
        };
        let flags = r.u8("Connect Flags")?;
        if flags & 1 != 0 {
            return Err(DecodeError::malformed("reserved Connect Flag is set")); // [MQTT-3.1.2-3]
        }
        let keep_alive_s = r.u16("Keep Alive")?;
        let properties = match version {
            Version::V5 => Properties::read(&mut r, place::CONNECT)?,
            Version::V31 | Version::V311 => Properties::default(),
        };
        let client_id = r.string("Client Identifier")?;
        let will = Self::decode_will(&mut r, flags, version)?;
        let (has_username, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
        if version != Version::V5 && has_password && !has_username {
            return Err(DecodeError::malformed("Password without User Name")); // [MQTT-3.1.2-22] of 3.1.1
        }
        // 3.1 lets both be missing although their flags are set: the Remaining Length decides.
        let may_miss = version == Version::V31;
        let has_username = has_username && !(may_miss && r.is_empty());
        let username = if has_username { Some(r.string("User Name")?) } else { None };
        let has_password = has_password && !(may_miss && r.is_empty());
        let password = if has_password { Some(r.binary("Password")?) } else { None };
        r.end()?;
        let clean_start = flags & 2 != 0;
        Ok(Self { version, clean_start, keep_alive_s, client_id, will, username, password, properties })
    }

    fn decode_will(
        r: &mut Reader<'a>,
        flags: u8,
        version: Version,
    ) -> Result<Option<ConnectWill<'a>>, DecodeError> {
        let (qos, retain) = ((flags >> 3) & 3, flags & 0x20 != 0);
        if flags & 4 == 0 {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13]; 3.1 does not look at them.
            let is_clean = (qos == 0 && !retain) || version == Version::V31;
            return if is_clean {
                Ok(None)
            } else {
                Err(DecodeError::malformed("Will flags without a Will"))
            };
        }
        if qos == 3 {
            return Err(DecodeError::malformed("Will QoS is 3")); // [MQTT-3.1.2-12]
        }
        let properties = match version {
            Version::V5 => Properties::read(r, place::WILL)?,
            Version::V31 | Version::V311 => Properties::default(),
        };
        crate::publish::check_response_topic(properties)?;
        let topic = r.string("Will Topic")?;
        if !crate::topic::is_valid_name(topic, usize::MAX) {
            return Err(DecodeError::with(ReasonCode::TopicNameInvalid, "Will Topic is not a Topic Name"));
        }
        let payload = r.binary("Will Payload")?;
        Ok(Some(ConnectWill { topic, payload, qos, retain, properties }))
    }

    /// Appends the packet; `properties` and the Will's are written as given for 5.0.
    pub fn encode(&self, out: &mut Vec<u8>, properties: &[(u32, Value<'_>)], will: &[(u32, Value<'_>)]) {
        let mut flags = u8::from(self.clean_start) << 1;
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.password.is_some()) << 6 | u8::from(self.username.is_some()) << 7;
        put_packet(out, 0x10, |out| {
            let (name, version): (&[u8], u8) = match self.version {
                Version::V31 => (b"MQIsdp", 3),
                Version::V311 => (b"MQTT", 4),
                Version::V5 => (b"MQTT", 5),
            };
            put_binary(out, name);
            out.push(version);
            out.push(flags);
            put_u16(out, self.keep_alive_s);
            if self.version == Version::V5 {
                put_section(out, properties);
            }
            put_binary(out, self.client_id.as_bytes());
            if let Some(w) = &self.will {
                if self.version == Version::V5 {
                    put_section(out, will);
                }
                put_binary(out, w.topic.as_bytes());
                put_binary(out, w.payload);
            }
            self.username.iter().for_each(|name| put_binary(out, name.as_bytes()));
            self.password.iter().for_each(|password| put_binary(out, password));
        });
    }
}

/// CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server had a session.
    pub session_present: bool,
    /// Connect Reason Code (5.0) or return code (3.1.1).
    pub code: u8,
    /// Properties; empty for 3.1.1.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    /// Decodes the body of a CONNACK.
    ///
    /// # Errors
    /// As § 3.2 demands.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let flags = r.u8("Connect Acknowledge Flags")?;
        if flags > 1 {
            return Err(DecodeError::malformed("reserved Connect Acknowledge Flags are set"));
        }
        let code = r.u8("Connect Reason Code")?;
        let is_known = match version {
            Version::V5 => ReasonCode::read(code, carrier::CONNACK).is_some(), // [MQTT-3.2.2-8]
            Version::V31 | Version::V311 => code <= 5,
        };
        if !is_known {
            return Err(DecodeError::protocol("a Reason Code that CONNACK may not carry"));
        }
        if flags == 1 && code != 0 {
            return Err(DecodeError::protocol("Session Present in a refusal")); // [MQTT-3.2.2-6]
        }
        let properties = match version {
            Version::V5 => Properties::read(&mut r, place::CONNACK)?,
            Version::V31 | Version::V311 => Properties::default(),
        };
        r.end()?;
        Ok(Self { session_present: flags == 1, code, properties })
    }
}

/// Appends a CONNACK.
pub fn encode_connack(
    out: &mut Vec<u8>,
    version: Version,
    session_present: bool,
    reason: ReasonCode,
    properties: &[(u32, Value<'_>)],
) {
    put_packet(out, 0x20, |out| {
        // [MQTT-3.2.2-6]; 3.1 has no such flag.
        let is_told = session_present && !reason.is_error() && version != Version::V31;
        out.push(u8::from(is_told));
        match version {
            Version::V5 => {
                out.push(reason.code());
                put_section(out, properties);
            }
            Version::V31 | Version::V311 => out.push(reason.connack_v311()),
        }
    });
}
