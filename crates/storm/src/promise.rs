//! What the broker promises; each of them is checked after every step.

/// A promise of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A QoS 1 or 2 message that was taken reaches every session that is entitled to it.
    NothingIsLost,
    /// Messages of one publisher, topic and QoS reach a session in the order they were taken. [MQTT-4.6.0-5]
    Order,
    /// A QoS 2 message is delivered once. [MQTT-4.3.3-1]
    ExactlyOnce,
    /// Nothing is delivered that nobody sent, or to whom it is not due, or with other flags than due.
    NothingUnasked,
    /// Never more QoS 1 and 2 messages in flight than the client's Receive Maximum. [MQTT-3.3.4-9]
    ReceiveMaximum,
    /// Never a packet larger than the client's Maximum Packet Size. [MQTT-3.1.2-24]
    MaximumPacketSize,
    /// Every acknowledgement answers something that waits for it, and nothing waits for ever.
    Handshake,
    /// PUBACK and PUBREC for a recorded message come after its record is durable, and never when it was lost.
    AcknowledgedMeansDurable,
    /// The retained messages are the last ones of their topics. [MQTT-3.3.1-5]
    Retained,
    /// A Will is published once when it is due, and never after a normal end. [MQTT-3.1.2-8]
    Will,
    /// Sessions last exactly as long as they should, and CONNACK says whether there was one. [MQTT-3.2.2-3]
    Session,
    /// Whoever may come in is let in; nobody else is.
    Admission,
    /// A message past its Message Expiry Interval is not sent. [MQTT-3.3.2-5]
    Expiry,
    /// A copy is only dropped at a limit.
    DroppedAtLimitsOnly,
    /// After everyone has left, the broker holds nothing.
    NothingIsKept,
    /// What the store was told amounts to what must survive a restart.
    Survives,
    /// The broker writes whole, lawful control packets.
    Lawful,
}
