//! AUTH (§ 3.15): one step of extended authentication, from either side. Knows no authentication method.

use std::fmt;

use crate::error::DecodeError;
use crate::property::{Properties, Value, id, place, put_section};
use crate::reason_code::{ReasonCode, carrier};
use crate::wire::{Reader, put_packet};

/// AUTH, 5.0 only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// *Continue authentication* from both sides, *Re-authenticate* from clients, *Success* from servers.
    pub reason: ReasonCode,
    /// Authentication Method; empty only in a server's AUTH that says no more than *Success*.
    pub method: &'a str,
    /// Authentication Data, whose meaning is the method's. Never shown.
    pub data: Option<&'a [u8]>,
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("method", &self.method)
            .field("data", &self.data.map(|_| "***"))
            .finish()
    }
}

impl<'a> Auth<'a> {
    /// Decodes the body of an AUTH from a client.
    ///
    /// # Errors
    /// As § 3.15 demands.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(body, carrier::CLIENT_AUTH)
    }

    /// Decodes the body of an AUTH from a server.
    ///
    /// # Errors
    /// As § 3.15 demands.
    pub fn decode_from_server(body: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(body, carrier::SERVER_AUTH)
    }

    fn read(body: &'a [u8], carrier: u16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        if r.is_empty() {
            // § 3.15.2.1: no Reason Code means Success, which only servers say.
            return match ReasonCode::Success.may_stand_in(carrier) {
                true => Ok(Self { reason: ReasonCode::Success, method: "", data: None }),
                false => Err(DecodeError::protocol("AUTH without a Reason Code from a client")),
            };
        }
        let reason = ReasonCode::read(r.u8("Authenticate Reason Code")?, carrier)
            .ok_or(DecodeError::protocol("a Reason Code that AUTH may not carry"))?; // [MQTT-3.15.2-1]
        let properties = Properties::read(&mut r, place::AUTH)?;
        let method = properties
            .text(id::AUTHENTICATION_METHOD)
            .ok_or(DecodeError::protocol("AUTH without Authentication Method"))?; // § 3.15.2.2.2
        r.end()?;
        Ok(Self { reason, method, data: properties.binary(id::AUTHENTICATION_DATA) })
    }

    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_packet(out, 0xf0, |out| {
            out.push(self.reason.code());
            let method = Some((id::AUTHENTICATION_METHOD, Value::Text(self.method)));
            let data = self.data.map(|data| (id::AUTHENTICATION_DATA, Value::Binary(data)));
            let told: Vec<_> = method.into_iter().chain(data).collect();
            put_section(out, &told);
        });
    }
}
