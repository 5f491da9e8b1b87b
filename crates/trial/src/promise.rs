//! What the policy promises; each of them is checked at every step.

/// A promise of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nobody outside is sent a packet whose sender did not agree to MQTT.
    Consent,
    /// A copy's hop limit is never higher than that of the envelope it is a copy of.
    HopLimit,
    /// A copy differs from the envelope as received in its hop limit at most.
    ExactBytes,
    /// What a gateway is sent stays within its share of airtime, in every hour that one looks at.
    Budget,
    /// A gateway is not sent a packet that its island had uplinked before.
    NotHeardBefore,
    /// A gateway is sent a packet once.
    Once,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// When, ms since the start.
    pub at_ms: u64,
    /// What happened.
    pub what: String,
}
