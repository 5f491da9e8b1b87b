//! Why bytes are not the control packet they should be, and what to answer.

use std::fmt;

use crate::reason_code::ReasonCode;

/// What is wrong with bytes from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// The Reason Code to close the connection with.
    pub reason: ReasonCode,
    /// What was wrong, naming the field; fixed text, so that it can be counted and shown.
    pub what: &'static str,
}

impl DecodeError {
    /// Bytes that cannot be parsed as the specification says (§ 1.2 Malformed Packet).
    pub const fn malformed(what: &'static str) -> Self {
        Self { reason: ReasonCode::MalformedPacket, what }
    }

    /// Bytes that parse and break a rule (§ 1.2 Protocol Error).
    pub const fn protocol(what: &'static str) -> Self {
        Self { reason: ReasonCode::ProtocolError, what }
    }

    /// Another failure with its own Reason Code.
    pub const fn with(reason: ReasonCode, what: &'static str) -> Self {
        Self { reason, what }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name().to_lowercase(), self.what)
    }
}

impl std::error::Error for DecodeError {}
