//! What to look for in the log.

use policy::decision::Verdict;
use policy::rule::RuleId;
use record::Consent;

/// Conditions on receptions; all that are set must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Not before, Unix ms.
    pub since_ms: Option<i64>,
    /// Before, Unix ms.
    pub until_ms: Option<i64>,
    /// Only numbers below: the next page of a newest-first list.
    pub before_seq: Option<u64>,
    /// Only numbers above, and oldest first: following what is stored.
    pub after_seq: Option<u64>,
    /// Sender or destination.
    pub node: Option<u32>,
    /// Uplinking gateway.
    pub gateway: Option<u32>,
    /// Channel name.
    pub channel: Option<String>,
    /// Port number.
    pub port: Option<u32>,
    /// Verdict.
    pub verdict: Option<Verdict>,
    /// Rule that decided.
    pub rule: Option<RuleId>,
    /// Consent.
    pub consent: Option<Consent>,
    /// Identity of one packet: sender and id.
    pub packet: Option<(u32, u32)>,
    /// Only what anyone may see: consented, readable by anyone anyway, and passed on.
    pub public_only: bool,
    /// At most so many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            since_ms: None,
            until_ms: None,
            before_seq: None,
            after_seq: None,
            node: None,
            gateway: None,
            channel: None,
            port: None,
            verdict: None,
            rule: None,
            consent: None,
            packet: None,
            public_only: false,
            limit: 100,
        }
    }
}
