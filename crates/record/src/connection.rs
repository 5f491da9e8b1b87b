//! A client came, was turned away, or went. Values only; client addresses are for the operator, never for public pages.

use std::sync::Arc;

/// One change of a client's connection.
#[derive(Debug, Clone)]
pub struct ConnectionEvent {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// MQTT client identifier; empty when none was given.
    pub client_id: Arc<str>,
    /// Name of the credential; `None` for guests and for refused clients whose name is not ours.
    pub username: Option<Arc<str>>,
    /// Node number, when the client is a gateway.
    pub gateway: Option<u32>,
    /// Network address without port.
    pub address: Arc<str>,
    /// What happened.
    pub what: ConnectionWhat,
}

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionWhat {
    /// Signed in; the text is the MQTT version, `3.1.1` or `5.0`.
    Connected(&'static str),
    /// Turned away at CONNECT, with the reason.
    Refused(&'static str),
    /// Gone, with the reason in plain words.
    Disconnected(&'static str),
    /// The gateway is not where it was, and gets nothing until the operator has looked at it; the text is what tells it.
    Moved(&'static str),
}
