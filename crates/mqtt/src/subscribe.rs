//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (§ 3.8–3.11).

use crate::Version;
use crate::error::DecodeError;
use crate::property::{Properties, Value, id, place, put_section};
use crate::wire::{Reader, put_binary, put_packet, put_u16};

/// What a client asks for with one Topic Filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Highest QoS, 0–2.
    pub qos: u8,
    /// Not to get its own messages back.
    pub no_local: bool,
    /// Keep the RETAIN flag as published.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only for a subscription that is new; 2: never.
    pub retain_handling: u8,
}

impl Options {
    fn decode(byte: u8, version: Version) -> Result<Self, DecodeError> {
        let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
        if byte & reserved != 0 {
            return Err(DecodeError::malformed("reserved Subscription Options are set")); // [MQTT-3.8.3-5]
        }
        if byte & 3 == 3 || (byte >> 4) & 3 == 3 {
            return Err(DecodeError::protocol("Maximum QoS or Retain Handling is 3")); // § 3.8.3.1
        }
        Ok(Self {
            qos: byte & 3,
            no_local: byte & 4 != 0,
            retain_as_published: byte & 8 != 0,
            retain_handling: (byte >> 4) & 3,
        })
    }

    const fn encode(self) -> u8 {
        self.qos
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | self.retain_handling << 4
    }
}

/// SUBSCRIBE, checked to its end.
#[derive(Debug, Clone, Copy)]
pub struct Subscribe<'a> {
    /// Packet Identifier.
    pub packet_id: u16,
    /// Properties; empty for 3.1.1.
    pub properties: Properties<'a>,
    filters: &'a [u8],
    version: Version,
}

impl<'a> Subscribe<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// As § 3.8 demands. Filters are checked for being strings, not for being valid filters.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let packet_id = r.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(&mut r, place::SUBSCRIBE)?,
            Version::V31 | Version::V311 => Properties::default(),
        };
        let filters = r.rest();
        if filters.is_empty() {
            return Err(DecodeError::protocol("SUBSCRIBE without a Topic Filter")); // [MQTT-3.8.3-2]
        }
        while !r.is_empty() {
            let filter = r.string("Topic Filter")?;
            let options = Options::decode(r.u8("Subscription Options")?, version)?;
            if options.no_local && crate::topic::is_shared(filter) {
                return Err(DecodeError::protocol("No Local on a Shared Subscription")); // [MQTT-3.8.3-4]
            }
        }
        Ok(Self { packet_id, properties, filters, version })
    }

    /// The filters and their options, in order.
    pub fn filters(&self) -> impl Iterator<Item = (&'a str, Options)> {
        let (mut r, version) = (Reader::new(self.filters), self.version);
        // Checked when decoded, so the first error is the end.
        std::iter::from_fn(move || {
            let filter = r.string("").ok()?;
            Some((filter, Options::decode(r.u8("").ok()?, version).ok()?))
        })
    }
}

/// Appends a SUBSCRIBE.
pub fn encode_subscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    filters: &[(&str, Options)],
    properties: &[(u32, Value<'_>)],
) {
    put_packet(out, 0x82, |out| {
        put_u16(out, packet_id);
        if version == Version::V5 {
            put_section(out, properties);
        }
        for (filter, options) in filters {
            put_binary(out, filter.as_bytes());
            out.push(if version == Version::V5 { options.encode() } else { options.qos });
        }
    });
}

/// UNSUBSCRIBE, checked to its end.
#[derive(Debug, Clone, Copy)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub packet_id: u16,
    filters: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// As § 3.10 demands.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let packet_id = r.packet_id()?;
        if version == Version::V5 {
            Properties::read(&mut r, place::UNSUBSCRIBE)?;
        }
        let filters = r.rest();
        if filters.is_empty() {
            return Err(DecodeError::protocol("UNSUBSCRIBE without a Topic Filter")); // [MQTT-3.10.3-2]
        }
        while !r.is_empty() {
            r.string("Topic Filter")?;
        }
        Ok(Self { packet_id, filters })
    }

    /// The filters, in order.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> {
        let mut r = Reader::new(self.filters);
        std::iter::from_fn(move || if r.is_empty() { None } else { r.string("").ok() })
    }
}

/// Appends an UNSUBSCRIBE.
pub fn encode_unsubscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, filters: &[&str]) {
    put_packet(out, 0xa2, |out| {
        put_u16(out, packet_id);
        if version == Version::V5 {
            put_section(out, &[]);
        }
        filters.iter().for_each(|filter| put_binary(out, filter.as_bytes()));
    });
}

/// Appends a SUBACK; `codes` are the Reason Codes, or 3.1.1's 0, 1, 2 and 0x80, and `why` is a Reason String for people.
pub fn encode_suback(out: &mut Vec<u8>, version: Version, packet_id: u16, codes: &[u8], why: Option<&str>) {
    put_packet(out, 0x90, |out| {
        put_u16(out, packet_id);
        match version {
            Version::V5 => {
                put_why(out, why);
                out.extend_from_slice(codes);
            }
            Version::V31 | Version::V311 => {
                out.extend(codes.iter().map(|code| if *code >= 0x80 { 0x80 } else { *code }))
            }
        }
    });
}

/// Appends an UNSUBACK; 3.1.1 has no codes. `why` is a Reason String for people.
pub fn encode_unsuback(out: &mut Vec<u8>, version: Version, packet_id: u16, codes: &[u8], why: Option<&str>) {
    put_packet(out, 0xb0, |out| {
        put_u16(out, packet_id);
        if version == Version::V5 {
            put_why(out, why);
            out.extend_from_slice(codes);
        }
    });
}

fn put_why(out: &mut Vec<u8>, why: Option<&str>) {
    match why {
        Some(why) => put_section(out, &[(id::REASON_STRING, Value::Text(why))]),
        None => put_section(out, &[]),
    }
}
