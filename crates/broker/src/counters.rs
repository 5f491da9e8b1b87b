//! What the broker counts. Every refusal and every loss has a name here.

use policy::rule::RULES;

use crate::reached::ReachedCounts;

/// Why bytes from a client were not a control packet it may send.
pub const MALFORMED_REASONS: [&str; 4] = ["malformed", "protocol error", "too large", "unsupported version"];

/// Why a connection never came as far as its first control packet.
pub const DOOR_REASONS: [&str; 5] = [
    "too many half-open",
    "handshake took too long",
    "PROXY header refused",
    "TLS failed",
    "WebSocket failed",
];

/// Totals since the broker started.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Connections turned away before a byte was read.
    pub connections_refused: u64,
    /// Connections that failed before their first control packet, in the order of `DOOR_REASONS`.
    pub doors: [u64; 5],
    /// How often each limit was reached, by name.
    pub reached: ReachedCounts,
    /// CONNECTs accepted.
    pub connected: u64,
    /// CONNECTs with a wrong, unknown or disabled credential, or none where one is needed.
    pub authentication_failed: u64,
    /// Connections closed for what they sent, in the order of `MALFORMED_REASONS`.
    pub malformed: [u64; 4],
    /// Connections closed because nothing came within the keep-alive or connect time.
    pub timed_out: u64,
    /// PUBLISH packets taken from clients.
    pub messages_in: u64,
    /// PUBLISH packets sent to clients, repeats included.
    pub messages_out: u64,
    /// Control packets taken from clients.
    pub packets_in: u64,
    /// Control packets sent to clients.
    pub packets_out: u64,
    /// Bytes of control packets taken.
    pub bytes_in: u64,
    /// Bytes of control packets given to be sent.
    pub bytes_out: u64,
    /// Bytes of the payloads of PUBLISH packets taken.
    pub payload_bytes_in: u64,
    /// Bytes of the payloads of PUBLISH packets sent.
    pub payload_bytes_out: u64,
    /// Network Connections at a time, the most there were.
    pub connections_most: u64,
    /// Sessions of absent clients that were kept until they expired.
    pub sessions_expired: u64,
    /// Receptions by verdict, in the order of `Verdict::ALL`.
    pub by_verdict: [u64; 4],
    /// Receptions decided and copies withheld, by stored number of the rule.
    pub by_rule: RuleCounts,
    /// Receptions on which an observed rule would have decided otherwise, by stored number of the rule.
    pub would_have: RuleCounts,
    /// Copies not sent because a client reads too slowly or its packet size limit is lower.
    pub dropped: u64,
    /// Messages whose expiry interval passed in a queue.
    pub expired: u64,
    /// Copies that a gateway did not acknowledge in time and that are waited for no longer.
    pub downlink_unacknowledged: u64,
    /// Messages that the broker published in its own name, `$SYS` apart.
    pub told: u64,
    /// Messages of the past that were put back.
    pub replayed: u64,
    /// Records that home automation was not told of because it could not keep up.
    pub untold: u64,
    /// Messages and connections of nodes that were erased: they go nowhere.
    pub erased: u64,
    /// Subscriptions refused.
    pub subscriptions_refused: u64,
    /// Messages, subscriptions and sessions refused because the store of sessions is too far behind.
    pub unkept: u64,
    /// Acknowledgements that could not be given because the history could not keep the reception.
    pub unacknowledged: u64,
}

/// One count per rule.
#[derive(Debug, Clone)]
pub struct RuleCounts([u64; 64]);

impl Default for RuleCounts {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl RuleCounts {
    /// Adds one.
    pub fn add(&mut self, rule: policy::rule::RuleId) {
        self.0[usize::from(rule.code())] += 1;
    }

    /// The counts, in the order in which rules are asked.
    pub fn iter(&self) -> impl Iterator<Item = (policy::rule::RuleId, u64)> + '_ {
        RULES.iter().map(|r| (r.id, self.0[usize::from(r.id.code())]))
    }
}
