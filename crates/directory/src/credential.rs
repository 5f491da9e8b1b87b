//! One credential: who may connect, as what, answered for by whom. Knows no other credential.

use std::fmt;

use crate::{GatewayId, ScramVerifier, TokenHash, TopicPrefix, Username};

/// One client's right to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The MQTT user name.
    pub name: Username,
    /// What the client may be.
    pub role: Role,
    /// The person answerable for it.
    pub owner: Option<Owner>,
    /// Keyed hash of the token that is its password.
    pub token: TokenHash,
    /// What checks the same token by SCRAM-SHA-256; `None` for credentials of a time before that, until they are rotated.
    pub scram: Option<ScramVerifier>,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// Since when it is switched off, in milliseconds since 1970 UTC; `None` while it works.
    pub disabled_ms: Option<u64>,
    /// The operator's own words about it.
    pub note: String,
    /// Rises with each edit that must end the client's connections: rotate, disable, enable.
    ///
    /// Numbers are never used twice in a directory, so that removing a credential and adding it again is a
    /// change too.
    pub generation: u64,
}

impl Credential {
    /// Tells whether the client may connect.
    pub fn is_enabled(&self) -> bool {
        self.disabled_ms.is_none()
    }
}

/// What a client is allowed to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node (or a phone for it) that passes packets between radio and broker.
    Gateway(GatewayId),
    /// A client that only reads.
    Observer,
    /// A client with topics of its own.
    Service {
        /// Where it may publish.
        prefix: TopicPrefix,
    },
    /// Another broker, which brings packets of its gateways and takes those of ours that may leave the community.
    Bridge,
}

impl Role {
    /// The role's word: `gateway`, `observer`, `service` or `bridge`.
    pub fn word(&self) -> &'static str {
        match self {
            Role::Gateway(_) => "gateway",
            Role::Observer => "observer",
            Role::Service { .. } => "service",
            Role::Bridge => "bridge",
        }
    }

    /// The gateway's number, if it is one.
    pub fn gateway_id(&self) -> Option<GatewayId> {
        match self {
            Role::Gateway(id) => Some(*id),
            Role::Observer | Role::Service { .. } | Role::Bridge => None,
        }
    }
}

/// The person answerable for a gateway or another client. A person's data: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    /// What the person is called, at most 100 bytes.
    pub name: String,
    /// How the operator reaches the person (e-mail, call sign, telephone), at most 200 bytes.
    pub contact: Option<String>,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(***)")
    }
}
