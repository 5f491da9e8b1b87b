//! What happened: the narrow waist between the broker and everything that learns from it.
//!
//! History, live pages, alerts and replay see receptions, releases and connection events as these values and never
//! look into sessions. Knows no files, sockets or clock.

pub mod connection;
pub mod erased;
pub mod policy_change;
pub mod reception;
pub mod release;

use std::sync::Arc;

pub use connection::{ConnectionEvent, ConnectionWhat};
pub use erased::ErasedNode;
pub use policy_change::PolicyChange;
pub use reception::{Consent, KeyClass, PacketSummary, Reception};
pub use release::{ReceiverKind, Release, ReleasedCopy};

/// One thing that happened, shared between the history and live readers.
#[derive(Debug, Clone)]
pub enum Record {
    /// A gateway's uplink of a packet, or a publish that policy refused.
    Reception(Arc<Reception>),
    /// What became of the copies of one reception.
    Release(Arc<Release>),
    /// A client came or went.
    Connection(Arc<ConnectionEvent>),
    /// Another policy came into force.
    PolicyChange(Arc<PolicyChange>),
    /// A node was erased: what was learned of it is to be forgotten.
    Erased(ErasedNode),
}
