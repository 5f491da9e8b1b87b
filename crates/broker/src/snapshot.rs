//! What is going on, as values for pages and metrics. Holds client addresses: for the operator only.

use std::net::IpAddr;
use std::sync::Arc;

use record::ReceiverKind;

use crate::Broker;
use crate::Now;
use crate::counters::Counters;

/// The broker at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When, Unix ms.
    pub at_ms: i64,
    /// Clients that are connected or whose session is kept.
    pub clients: Vec<ClientSnapshot>,
    /// Network Connections, those included that have not sent CONNECT.
    pub connections: usize,
    /// The listeners, by number.
    pub listeners: Vec<crate::ListenerSnapshot>,
    /// Number of the broker's own node; 0 when it has none.
    pub own_node: u32,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Totals since the start.
    pub counters: Counters,
    /// Number of the last reception.
    pub last_seq: u64,
    /// Changes of kept sessions and retained messages that wait for the disk.
    pub unkept_changes: u64,
    /// Whether anyone on this machine may connect without a credential.
    pub is_open_to_loopback: bool,
    /// Where the operator has stopped downlink.
    pub downlink: directory::Downlink,
    /// What is known of each gateway's downlink.
    pub proofs: Vec<(u32, policy::memory::proof::Proof)>,
}

/// One client.
#[derive(Debug, Clone)]
pub struct ClientSnapshot {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Name of its credential.
    pub username: Option<Arc<str>>,
    /// Node number, when it is a gateway.
    pub gateway: Option<u32>,
    /// What kind of client it is.
    pub kind: ReceiverKind,
    /// Whether it is connected.
    pub is_connected: bool,
    /// When it came or went, Unix ms.
    pub since_ms: i64,
    /// MQTT version, for connected clients.
    pub version: Option<&'static str>,
    /// Network address, for connected clients.
    pub address: Option<IpAddr>,
    /// Topic Filters.
    pub subscriptions: Vec<Box<str>>,
    /// Messages it published.
    pub messages_in: u64,
    /// Messages sent to it.
    pub messages_out: u64,
    /// Messages lost because it reads too slowly.
    pub dropped: u64,
    /// Messages waiting for it.
    pub queued: usize,
}

impl Broker {
    /// What is going on.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let clients = self.sessions.iter().map(|(_, session)| {
            let connection = session.connection.and_then(|c| self.connections.get(c.index()));
            ClientSnapshot {
                client_id: session.client_id.clone(),
                username: session.principal.username().cloned(),
                gateway: session.principal.gateway(),
                kind: session.kind(),
                is_connected: connection.is_some(),
                since_ms: session.since_unix_ms,
                version: connection.map(|c| crate::connect::version_text(c.version)),
                address: connection.map(|c| c.address),
                subscriptions: session.subscriptions.keys().cloned().collect(),
                messages_in: session.messages_in,
                messages_out: session.messages_out,
                dropped: session.dropped,
                queued: session.queue.len() + session.inflight.len() + session.downlink_waiting().0,
            }
        });
        Snapshot {
            at_ms: now.unix_ms,
            clients: clients.collect(),
            connections: self.connections.len(),
            listeners: self.entrances.snapshot(),
            own_node: self.policy.memory.proofs.own_node(),
            subscriptions: self.subscriptions.len() + self.shared.len(),
            retained: self.retained.len(),
            counters: self.counters.clone(),
            last_seq: self.last_seq,
            unkept_changes: self.journal.behind(),
            is_open_to_loopback: !self.options.lab && !self.options.directory.has_credentials(),
            downlink: self.options.directory.downlink().clone(),
            proofs: self.policy.memory.proofs.iter().map(|(gateway, proof)| (gateway, *proof)).collect(),
        }
    }
}
