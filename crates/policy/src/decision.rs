//! What policy says: a verdict on a reception, an outcome for one receiver. Values only; the rules are elsewhere.

use std::borrow::Cow;

use crate::rule::{RuleId, RuleSet};

/// What policy said of a reception. The numbers are stored; they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Passed on to everyone who subscribed and may have it.
    Accept = 0,
    /// Passed on; copies toward gateways leave with a lower hop limit.
    Rewrite = 1,
    /// Kept in the history and passed on to nobody.
    RecordOnly = 2,
    /// Kept in the history, passed on to nobody, and answered as refused where MQTT can say so.
    Refuse = 3,
}

impl Verdict {
    /// Every verdict, in the order of its stored number.
    pub const ALL: [Verdict; 4] = [Self::Accept, Self::Rewrite, Self::RecordOnly, Self::Refuse];

    /// The word used in history, metrics, logs and pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Rewrite => "rewrite",
            Self::RecordOnly => "record only",
            Self::Refuse => "refuse",
        }
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The verdict with that stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The verdict with that word; `record-only` is understood too, since a URL has no spaces.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.word() == word || v.word().replace(' ', "-") == word)
    }
}

/// The decision on one reception: the verdict, the rule that gave it and one sentence for the gateway's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at is a packet nobody judged"]
pub struct Decision {
    /// What happens to the packet.
    pub verdict: Verdict,
    /// The rule that decided; `None` when no rule objected.
    pub rule: Option<RuleId>,
    /// One plain sentence. Holds no key, password, text or position.
    pub sentence: Cow<'static, str>,
    /// Rules in state `observe` that would have decided otherwise.
    pub observed: RuleSet,
    /// Rules that were `off` when this was decided.
    pub off: RuleSet,
}

/// What became of one copy toward one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Sent as it came.
    Delivered,
    /// Sent with this lower hop limit (0–7), everything else as it came.
    DeliveredWithHopLimit(u8),
    /// Not sent, by this rule.
    Withheld(RuleId),
    /// Policy allowed it, but the receiver reads too slowly and its queue is full.
    Dropped,
}
