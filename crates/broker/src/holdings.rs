//! What the broker holds at one moment, as numbers: what tests compare with nothing, and limits with their bounds.

use crate::Broker;

/// Everything that clients make the broker keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Network Connections.
    pub connections: usize,
    /// Sessions of connected and absent clients.
    pub sessions: usize,
    /// Addresses and credentials that connections are counted under.
    pub addresses_and_credentials: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// QoS 1 and 2 messages in flight and waiting.
    pub queued_messages: usize,
    /// Topic and payload bytes of those.
    pub queued_bytes: usize,
    /// Bytes in outboxes.
    pub outbox_bytes: usize,
    /// Bytes of control packets whose rest has not arrived.
    pub partial_bytes: usize,
    /// Packet Identifiers of incoming QoS 2 messages that are not released.
    pub incoming_qos2: usize,
    /// Acknowledgements that wait for the history or the store.
    pub held_acknowledgements: usize,
    /// Retained messages.
    pub retained: usize,
    /// Topic and payload bytes of those.
    pub retained_bytes: usize,
}

impl Broker {
    /// Counts what is held, by looking at all of it.
    pub fn holdings(&self) -> Holdings {
        let sessions = || self.sessions.iter().map(|(_, s)| s);
        let connections = || self.connections.iter().map(|(_, c)| c);
        Holdings {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            addresses_and_credentials: self.gate.len(),
            subscriptions: self.subscriptions.len() + self.shared.len(),
            queued_messages: sessions().map(|s| s.queue.len() + s.inflight.len()).sum(),
            queued_bytes: sessions().map(|s| s.queued_bytes).sum(),
            outbox_bytes: connections().map(|c| c.outbox.len()).sum(),
            partial_bytes: connections().map(|c| c.partial.len()).sum(),
            incoming_qos2: sessions().map(|s| s.incoming_qos2.len()).sum(),
            held_acknowledgements: sessions().map(|s| s.held.len()).sum(),
            retained: self.retained.len(),
            retained_bytes: self.retained.bytes(),
        }
    }
}
