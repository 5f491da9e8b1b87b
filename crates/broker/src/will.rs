//! A Will Message, kept until the client leaves without saying goodbye.

use std::sync::Arc;

/// The Will Message of a session and when it is due.
#[derive(Debug, PartialEq)]
pub struct Will {
    /// Topic Name.
    pub topic: Box<str>,
    /// Application payload.
    pub payload: Box<[u8]>,
    /// QoS, 0–2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Will Delay Interval in ms. [MQTT-3.1.3-9]
    pub delay_ms: u64,
    /// Message Expiry Interval in seconds.
    pub expiry_s: Option<u32>,
    /// Properties that travel with it, encoded.
    pub properties: Option<Arc<[u8]>>,
}
