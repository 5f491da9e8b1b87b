//! An Application Message inside the broker: made once, shared by every receiver.

use std::sync::Arc;

/// One Application Message. Receivers share it; what differs for them (QoS, packet identifier, hop limit) is written
/// beside it.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// Topic Name.
    pub topic: Arc<str>,
    /// Application payload.
    pub payload: Arc<[u8]>,
    /// QoS of the publisher, 0–2.
    pub qos: u8,
    /// Whether the publisher set RETAIN.
    pub retain: bool,
    /// MQTT 5.0 properties that travel with the message unaltered, encoded once for all receivers: Payload Format
    /// Indicator, Content Type, Response Topic, Correlation Data and User Properties, without the section's length.
    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-17]
    pub properties: Option<Arc<[u8]>>,
    /// When it must not be sent any more, on the broker's clock in ms; `None` for never.
    pub expires_at_ms: Option<u64>,
    /// Where in `payload` the hop limit of a mesh packet stands, when it is one byte that may be lowered.
    pub hop_limit_at: Option<usize>,
}

impl Message {
    /// Whether its time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Message Expiry Interval left, in whole seconds, at least 1 while it is not expired. [MQTT-3.3.2-6]
    pub fn expiry_left_s(&self, now_ms: u64) -> Option<u32> {
        self.expires_at_ms
            .map(|at| u32::try_from(at.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX))
    }
}
