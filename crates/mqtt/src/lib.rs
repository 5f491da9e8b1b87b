//! MQTT 3.1, 3.1.1 and 5.0 control packets: bytes to values and back. Knows no sockets, no clock and no Meshtastic.
//!
//! Decoding borrows from the bytes it is given and never allocates by a length it was told. Encoding appends to a
//! buffer. Reading order: errors and reason codes, frames, properties, then what each side may send.

pub mod auth;
pub mod client_packet;
pub mod connect;
pub mod error;
pub mod frame;
pub mod property;
pub mod publish;
pub mod reason_code;
pub mod server_packet;
pub mod subscribe;
pub mod topic;
pub mod wire;

pub use error::DecodeError;
pub use reason_code::ReasonCode;

/// Protocol version of a Network Connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Protocol Version 3 of the name MQIsdp, which is nearly 3.1.1.
    V31,
    /// Protocol Level 4.
    V311,
    /// Protocol Version 5.
    V5,
}
