//! The decision ladder: for one reception, what became of each uplink rule, in the order in which rules are asked.

use crate::decision::Decision;
use crate::rule::{RULES, RuleId, Stage};

/// What became of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asked, and it had nothing against the packet.
    Passed,
    /// It decided.
    Decided,
    /// In state `observe`: it would have decided.
    WouldHave,
    /// In state `off`.
    Off,
    /// Not asked, because another had decided.
    NotReached,
}

impl Step {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Decided => "decided",
            Self::WouldHave => "would have decided (observe)",
            Self::Off => "off",
            Self::NotReached => "not reached",
        }
    }
}

/// The ladder of a decision.
pub fn ladder(decision: &Decision) -> impl Iterator<Item = (RuleId, Step)> + '_ {
    let uplink = || RULES.iter().filter(|r| r.stage == Stage::Uplink);
    let decided_at = uplink().position(|r| Some(r.id) == decision.rule);
    uplink().enumerate().map(move |(index, rule)| {
        let step = if decision.observed.contains(rule.id) {
            Step::WouldHave
        } else if decision.off.contains(rule.id) {
            Step::Off
        } else if decided_at == Some(index) {
            Step::Decided
        } else if decided_at.is_some_and(|at| index > at) {
            Step::NotReached
        } else {
            Step::Passed
        };
        (rule.id, step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Verdict;
    use crate::rule::RuleSet;

    #[test]
    fn a_ladder_stops_at_the_rule_that_decided_and_shows_observed_ones_beyond() {
        let mut observed = RuleSet::default();
        observed.insert(RuleId::PublicKey);
        let mut off = RuleSet::default();
        off.insert(RuleId::ViaMqtt);
        let rule = Some(RuleId::Consent);
        let decision = Decision { verdict: Verdict::RecordOnly, rule, sentence: "".into(), observed, off };
        let step_of = |rule| ladder(&decision).find(|(id, _)| *id == rule).map(|(_, step)| step);
        assert_eq!(step_of(RuleId::TopicRights), Some(Step::Passed));
        assert_eq!(step_of(RuleId::ViaMqtt), Some(Step::Off));
        assert_eq!(step_of(RuleId::Consent), Some(Step::Decided));
        assert_eq!(step_of(RuleId::PublicKey), Some(Step::WouldHave));
        assert_eq!(step_of(RuleId::Duplicate), Some(Step::NotReached));
        assert_eq!(step_of(RuleId::Echo), None, "release rules are asked per copy");
    }
}
