//! Faults planted between the broker and its clients, to prove that the ledger notices them.

use crate::Promise;

/// One way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A QoS 1 message on its way to a client disappears.
    DropDelivery,
    /// A QoS 2 message is sent twice, under different Packet Identifiers.
    DuplicateDelivery,
    /// Two messages of one topic change places.
    ReorderDelivery,
    /// A QoS 0 message is sent twice.
    RepeatUnasked,
    /// The broker does not see a PUBREC.
    ForgetPubrec,
    /// The broker is told a larger Receive Maximum than the client has.
    RaiseReceiveMaximum,
    /// The broker is not told the client's Maximum Packet Size.
    RaisePacketSize,
    /// Acknowledgements do not wait for the history.
    AcknowledgeEarly,
    /// The broker does not see that a message is to be retained.
    ForgetRetain,
    /// The broker does not see the Will.
    ForgetWill,
    /// The broker does not see a DISCONNECT and publishes the Will after a normal end.
    ForgetGoodbye,
    /// The broker believes that every session ends with its connection.
    ForgetSession,
    /// The broker is not told that a connection is gone.
    ForgetClose,
    /// The broker does not see the Message Expiry Interval.
    ForgetExpiry,
    /// The broker sees another password than the client sent.
    ForgetPassword,
    /// One byte of a packet to a client is changed.
    DamagePacket,
    /// The broker keeps fewer messages for a client than it was told to.
    LowerQueueLimit,
    /// The store says that it has a turn's changes and has not.
    ForgetChanges,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::DropDelivery,
        Self::DuplicateDelivery,
        Self::ReorderDelivery,
        Self::RepeatUnasked,
        Self::ForgetPubrec,
        Self::RaiseReceiveMaximum,
        Self::RaisePacketSize,
        Self::AcknowledgeEarly,
        Self::ForgetRetain,
        Self::ForgetWill,
        Self::ForgetGoodbye,
        Self::ForgetSession,
        Self::ForgetClose,
        Self::ForgetExpiry,
        Self::ForgetPassword,
        Self::DamagePacket,
        Self::LowerQueueLimit,
        Self::ForgetChanges,
    ];

    /// The promises that it breaks; one of them must be reported.
    pub const fn breaks(self) -> &'static [Promise] {
        match self {
            Self::DropDelivery => &[Promise::NothingIsLost],
            Self::DuplicateDelivery => &[Promise::ExactlyOnce],
            Self::ReorderDelivery => &[Promise::Order],
            Self::RepeatUnasked => &[Promise::NothingUnasked],
            Self::ForgetPubrec => &[Promise::Handshake],
            Self::RaiseReceiveMaximum => &[Promise::ReceiveMaximum],
            Self::RaisePacketSize => &[Promise::MaximumPacketSize],
            Self::AcknowledgeEarly => &[Promise::AcknowledgedMeansDurable],
            Self::ForgetRetain => &[Promise::Retained],
            Self::ForgetWill | Self::ForgetGoodbye => &[Promise::Will],
            Self::ForgetSession => &[Promise::Session],
            Self::ForgetClose => &[Promise::NothingIsKept],
            Self::ForgetExpiry => &[Promise::Expiry],
            Self::ForgetPassword => &[Promise::Admission],
            Self::DamagePacket => &[Promise::Lawful],
            Self::LowerQueueLimit => &[Promise::DroppedAtLimitsOnly],
            Self::ForgetChanges => {
                &[Promise::Survives, Promise::NothingIsLost, Promise::Session, Promise::Retained]
            }
        }
    }
}
