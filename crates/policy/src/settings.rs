//! What the operator chose: the state of each rule and its parameters. Values only; reading a file is elsewhere.

use crate::decision::Verdict;
use crate::rule::{RULES, RuleId, RuleSet, RuleState};

/// The policy in force.
#[derive(Debug, Clone)]
pub struct Settings {
    states: [RuleState; 64],
    off: RuleSet,
    /// Highest hop limit of a copy toward a gateway, 0–7. 0: the gateway shows it to its phone and sends nothing by
    /// radio. 1: the gateway transmits once and nobody relays.
    pub hop_limit_max: u8,
    /// What happens to a packet whose sender declined.
    pub consent_no: Verdict,
    /// What happens to a packet that can be read and says neither yes nor no (firmware before 2.5).
    pub consent_unknown: Verdict,
    /// What happens to a packet that cannot be read, so that nobody can see what its sender agreed to.
    pub opaque: Verdict,
    /// How long a packet is remembered to recognise further copies, in milliseconds.
    pub duplicate_window_ms: u64,
    /// Largest MQTT packet sent to a gateway, in bytes (firmware's receive buffer: 1024).
    pub downlink_packet_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            states: [RuleState::Off; 64],
            off: RuleSet::default(),
            hop_limit_max: 1,
            consent_no: Verdict::RecordOnly,
            consent_unknown: Verdict::RecordOnly,
            opaque: Verdict::Accept,
            duplicate_window_ms: 3_600_000,
            downlink_packet_bytes_max: 1024,
        };
        RULES.iter().for_each(|r| settings.set_state(r.id, r.default));
        settings
    }
}

impl Settings {
    /// The state of a rule.
    pub const fn state(&self, rule: RuleId) -> RuleState {
        self.states[rule.code() as usize]
    }

    /// Sets the state of a rule.
    pub fn set_state(&mut self, rule: RuleId, state: RuleState) {
        self.states[usize::from(rule.code())] = state;
        if state == RuleState::Off {
            self.off.insert(rule);
        } else {
            self.off.remove(rule);
        }
    }

    /// The rules that are off.
    pub const fn off(&self) -> RuleSet {
        self.off
    }
}
