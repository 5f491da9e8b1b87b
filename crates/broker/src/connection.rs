//! One Network Connection as the broker sees it: framing state, deadlines and bytes to write.

use std::net::IpAddr;
use std::sync::Arc;

use mqtt::Version;

use crate::origin::Origin;
use crate::outbox::Outbox;
use crate::session::SessionId;
use crate::sign_in::SignIn;
use crate::topic_alias::{IncomingAliases, OutgoingAliases};

/// Number of a connection; free again once the shell has called `closed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SessionId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub address: IpAddr,
    /// Number of the listener it came through.
    pub listener: u8,
    /// Common name of its client certificate.
    pub certificate_name: Option<Arc<str>>,
    /// Name of our own bridge whose connection it is.
    pub bridge: Option<Arc<str>>,
    /// Tells this connection from an earlier one with the same number.
    pub serial: u64,
    pub opened_ms: u64,
    /// When the last whole control packet came, on the broker's clock in ms.
    pub last_packet_ms: u64,
    /// When a timer will have it looked at, on the broker's clock in ms; `u64::MAX` when none does.
    pub looked_at_ms: u64,
    /// One and a half Keep Alive in ms; 0 for none. [MQTT-3.1.2-22]
    pub patience_ms: u64,
    pub version: Version,
    /// The session, once CONNECT was accepted.
    pub session: Option<SessionId>,
    /// A sign-in by extended authentication that is under way.
    pub sign_in: Option<Box<SignIn>>,
    /// Whether it signed in by extended authentication, so that it may do so again.
    pub uses_scram: bool,
    /// Largest control packet the client takes.
    pub client_packet_bytes_max: u32,
    /// Whether the client wants Reason Strings in every packet that can carry one. [MQTT-3.1.2-29]
    pub wants_problem_information: bool,
    pub incoming_aliases: IncomingAliases,
    /// `None` for a client that takes no Topic Aliases.
    pub outgoing_aliases: Option<Box<OutgoingAliases>>,
    /// First bytes of a control packet whose rest has not arrived.
    pub partial: Vec<u8>,
    pub outbox: Outbox,
    pub is_dirty: bool,
    /// Nothing is written before the store has this change.
    pub barred_until: u64,
    pub is_closing: bool,
    /// Whether it left with DISCONNECT, so that its Will is not published.
    pub said_goodbye: bool,
}

impl Connection {
    pub fn new(origin: Origin, now_ms: u64, serial: u64) -> Self {
        Self {
            address: origin.address,
            listener: origin.listener,
            certificate_name: origin.certificate_name,
            bridge: origin.bridge,
            serial,
            opened_ms: now_ms,
            last_packet_ms: now_ms,
            looked_at_ms: u64::MAX,
            patience_ms: 0,
            version: Version::V311,
            session: None,
            sign_in: None,
            uses_scram: false,
            client_packet_bytes_max: u32::MAX,
            wants_problem_information: true,
            incoming_aliases: IncomingAliases::default(),
            outgoing_aliases: None,
            partial: Vec::new(),
            outbox: Outbox::default(),
            is_dirty: false,
            barred_until: 0,
            is_closing: false,
            said_goodbye: false,
        }
    }
}
