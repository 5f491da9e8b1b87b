//! Alerts that nobody is told of for a while, because the operator knows.

use std::fmt;

use crate::GatewayId;

/// Longest name of a rule, in characters.
const RULE_CHARS_MAX: usize = 100;
/// Longest silence, ms: 31 days.
pub const SILENCE_MS_MAX: i64 = 31 * 86_400_000;
/// Most silences.
pub const SILENCES_MAX: usize = 200;

/// A rule, or one node of it, that nobody is told of until a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its number, from 1.
    pub number: i64,
    /// Name of the rule.
    pub rule: String,
    /// The node or gateway that it is about; `None` for everything that the rule tells.
    pub node: Option<GatewayId>,
    /// Until when, Unix ms.
    pub until_ms: i64,
    /// Who said so.
    pub by: String,
}

/// Why a silence is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceRefused {
    /// It names no rule.
    Rule,
    /// It is over before it begins, or longer than a month.
    Time,
    /// There are too many.
    TooMany,
    /// None has this number.
    Unknown(i64),
}

impl fmt::Display for SilenceRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule => f.write_str("name a rule of the alerts"),
            Self::Time => f.write_str("an alert is silenced for up to 31 days"),
            Self::TooMany => write!(f, "at most {SILENCES_MAX} silences hold at a time"),
            Self::Unknown(number) => write!(f, "there is no silence {number}"),
        }
    }
}

impl std::error::Error for SilenceRefused {}

impl Silence {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, now_ms: i64) -> Result<(), SilenceRefused> {
        if !(1..=RULE_CHARS_MAX).contains(&self.rule.chars().count())
            || self.rule.chars().any(char::is_control)
        {
            return Err(SilenceRefused::Rule);
        }
        match self.until_ms.checked_sub(now_ms) {
            Some(1..=SILENCE_MS_MAX) => Ok(()),
            _ => Err(SilenceRefused::Time),
        }
    }

    /// Whether it is about this at this moment.
    pub fn holds(&self, rule: &str, node: Option<u32>, now_ms: i64) -> bool {
        self.rule == rule && self.until_ms > now_ms && self.node.is_none_or(|its| Some(its.0) == node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_about_a_rule_or_one_node_of_it_for_a_while() {
        let silence = |rule: &str, node, until_ms| Silence {
            number: 1,
            rule: rule.into(),
            node,
            until_ms,
            by: "ann".into(),
        };
        let all = silence("gateway-silent", None, 10);
        assert_eq!(all.check(5), Ok(()));
        assert_eq!(
            (all.check(10), silence("", None, 10).check(5)),
            (Err(SilenceRefused::Time), Err(SilenceRefused::Rule))
        );
        assert_eq!(silence("a", None, i64::MAX).check(-5), Err(SilenceRefused::Time));
        assert!(all.holds("gateway-silent", Some(7), 9) && all.holds("gateway-silent", None, 9));
        assert!(!all.holds("gateway-silent", None, 10) && !all.holds("other", None, 9));
        let one = silence("gateway-silent", Some(GatewayId(7)), 10);
        assert!(one.holds("gateway-silent", Some(7), 9) && !one.holds("gateway-silent", Some(8), 9));
        assert!(!one.holds("gateway-silent", None, 9));
    }
}
