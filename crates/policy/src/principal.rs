//! Who a client is, once it has signed in. The proof is made in `admission`; nothing here looks at passwords.

use std::sync::Arc;

/// What the user name of our own bridges begins with.
const OWN_BRIDGE: &str = "bridge:";

/// The identity of a connected client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Signed in with a gateway's credential: a node, or a phone acting for it.
    Gateway {
        /// Name of the credential.
        username: Arc<str>,
        /// Node number.
        gateway: u32,
    },
    /// Signed in to read only.
    Observer {
        /// Name of the credential.
        username: Arc<str>,
    },
    /// Signed in with topics of its own.
    Service {
        /// Name of the credential.
        username: Arc<str>,
        /// It publishes on this topic and below.
        prefix: Arc<str>,
    },
    /// From this machine, before the first credential exists.
    Guest {
        /// Node number, when its client identifier names one the way firmware and phones do.
        gateway: Option<u32>,
    },
    /// A bridge to another broker, ours or theirs. What it gets leaves the community.
    Bridge {
        /// Name of the credential; for a bridge of our own, which needs none, `bridge:` and its name, which no credential
        /// can be called.
        username: Arc<str>,
    },
    /// Any client of the plain-broker profile.
    Lab,
}

impl Principal {
    /// Node number, when copies toward this client end on a radio.
    pub const fn gateway(&self) -> Option<u32> {
        match self {
            Self::Gateway { gateway, .. } => Some(*gateway),
            Self::Guest { gateway } => *gateway,
            Self::Observer { .. } | Self::Service { .. } | Self::Bridge { .. } | Self::Lab => None,
        }
    }

    /// Name of the credential.
    pub const fn username(&self) -> Option<&Arc<str>> {
        match self {
            Self::Gateway { username, .. }
            | Self::Observer { username }
            | Self::Service { username, .. }
            | Self::Bridge { username } => Some(username),
            Self::Guest { .. } | Self::Lab => None,
        }
    }

    /// Our own bridge of that name.
    pub fn own_bridge(name: &str) -> Self {
        Self::Bridge { username: format!("{OWN_BRIDGE}{name}").into() }
    }

    /// Whether it is a bridge of our own, which signs in by being ours.
    pub fn is_our_own(&self) -> bool {
        matches!(self, Self::Bridge { username } if username.starts_with(OWN_BRIDGE))
    }

    /// Whether it may use this client identifier's session: only the one who made it may. Guests share theirs.
    pub fn may_take_over(&self, owner: &Self) -> bool {
        match (self, owner) {
            (Self::Guest { .. }, Self::Guest { .. }) | (Self::Lab, Self::Lab) => true,
            _ => self.username().is_some() && self.username() == owner.username(),
        }
    }
}

/// The node that a client identifier names, the way firmware (`!7c5a0a01`) and the phone applications
/// (`MeshtasticAndroidMqttProxy-!7c5a0a01-…`) write it. It is a claim, not a proof.
pub fn gateway_named_by(client_id: &str) -> Option<u32> {
    let claim = match client_id.split_once("MqttProxy-") {
        Some((app, rest)) if app.starts_with("Meshtastic") => rest.strip_prefix('!').unwrap_or(rest),
        Some(_) => return None,
        None => client_id.strip_prefix('!').filter(|digits| digits.len() == 8)?,
    };
    let digits = claim.get(..8)?;
    if !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_and_phone_client_identifiers_name_a_node() {
        for (client_id, node) in [
            ("!7c5a0a01", Some(0x7c5a_0a01)),
            ("MeshtasticAndroidMqttProxy-!7c5a0a01-0b7e", Some(0x7c5a_0a01)),
            ("MeshtasticAppleMqttProxy-!7c5a0a01-ABCD", Some(0x7c5a_0a01)),
            ("MeshtasticAndroidMqttProxy-7c5a0a01", Some(0x7c5a_0a01)),
            ("MeshtasticAndroidMqttProxy-unknown-0b7e", None),
            ("!7C5A0A01", None),
            ("!7c5a0a0", None),
            ("!7c5a0a011", None),
            ("homeassistant", None),
            ("MqttProxy-!7c5a0a01", None),
            ("MeshtasticAppleMqttProxy-äää", None),
            ("", None),
        ] {
            assert_eq!(gateway_named_by(client_id), node, "{client_id}");
        }
    }

    #[test]
    fn a_session_belongs_to_the_credential_that_made_it() {
        let gateway = |name: &str| Principal::Gateway { username: name.into(), gateway: 1 };
        assert!(gateway("a").may_take_over(&gateway("a")));
        assert!(!gateway("a").may_take_over(&gateway("b")));
        assert!(!gateway("a").may_take_over(&Principal::Guest { gateway: Some(1) }));
        assert!(!Principal::Guest { gateway: Some(1) }.may_take_over(&gateway("a")));
    }
}
