//! What sets two policies apart, in words: shown before a policy is applied, and recorded when it is.

use std::fmt;

use crate::parameters::parameters;
use crate::rule::{RULES, RuleId, RuleState};
use crate::settings::Settings;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The rule that it is about; `None` for parameters that are no single rule's.
    pub rule: Option<RuleId>,
    /// What differs.
    pub what: What,
}

/// What differs about a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Its state.
    State {
        /// In the first policy.
        old: RuleState,
        /// In the second.
        new: RuleState,
    },
    /// A parameter that it goes by.
    Parameter {
        /// Its key in the policy.
        key: &'static str,
        /// In the first policy.
        old: String,
        /// In the second.
        new: String,
        /// Whether only the operator may see it.
        is_private: bool,
    },
}

impl Difference {
    /// Whether only the operator may see the values.
    pub const fn is_private(&self) -> bool {
        matches!(self.what, What::Parameter { is_private: true, .. })
    }

    fn about(&self) -> String {
        self.rule.map_or(String::new(), |rule| format!("rule {}: ", rule.name()))
    }

    /// The sentence for everybody: what is private is left out.
    pub fn public_words(&self) -> String {
        match &self.what {
            What::Parameter { key, is_private: true, .. } => {
                format!("{}{key} was changed", self.about())
            }
            What::Parameter { .. } | What::State { .. } => self.to_string(),
        }
    }
}

/// `rule consent: observe → enforce`, `rule hop-limit: hop_limit_max 1 → 2`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.about();
        match &self.what {
            What::State { old, new } => write!(f, "{about}{} → {}", old.word(), new.word()),
            What::Parameter { key, old, new, .. } => write!(f, "{about}{key} {old} → {new}"),
        }
    }
}

/// Everything that sets two policies apart, in the order in which rules are asked.
pub fn differences(old: &Settings, new: &Settings) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut seen: Vec<&'static str> = Vec::new();
    for rule in RULES {
        let states = (old.state(rule.id), new.state(rule.id));
        if states.0 != states.1 {
            found
                .push(Difference { rule: Some(rule.id), what: What::State { old: states.0, new: states.1 } });
        }
        for (before, after) in parameters(old, rule.id).into_iter().zip(parameters(new, rule.id)) {
            debug_assert_eq!(before.key, after.key, "a rule's parameters do not depend on their values");
            // Several rules may go by one parameter; it is told once.
            if before.value != after.value && !seen.contains(&before.key) {
                seen.push(before.key);
                let (key, is_private) = (before.key, before.is_private || after.is_private);
                let what = What::Parameter { key, old: before.value, new: after.value, is_private };
                found.push(Difference { rule: Some(rule.id), what });
            }
        }
    }
    for ((key, before), (_, after)) in
        old.told.iter().zip(&new.told).filter(|(before, after)| before != after)
    {
        if !seen.contains(key) {
            // Whether it names somebody is not known here.
            let (old, new) = (before.clone(), after.clone());
            found.push(Difference { rule: None, what: What::Parameter { key, old, new, is_private: true } });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_sets_a_policy_apart_from_itself() {
        assert_eq!(differences(&Settings::default(), &Settings::default()), []);
    }

    #[test]
    fn a_parameter_that_no_rule_lists_is_told_too_and_once() {
        let settings = |pace: &str, hops: &str| {
            let told = vec![("pace", pace.to_owned()), ("hop_limit_max", hops.to_owned())];
            let mut settings = Settings::default();
            settings.told = told;
            settings.downlink.hop_limit_max = hops.parse().unwrap();
            settings
        };
        let found = differences(&settings("10", "1"), &settings("5", "2"));
        let all: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["rule hop-limit: hop_limit_max 1 → 2", "pace 10 → 5"]);
    }

    #[test]
    fn states_and_parameters_are_told_in_words_and_what_is_private_only_to_the_operator() {
        let old = Settings::default();
        let mut new = Settings::default();
        new.set_state(RuleId::Consent, RuleState::Observe);
        new.downlink.hop_limit_max = 2;
        new.who.blocked_nodes = vec![0x7c5a_0a01];
        let found = differences(&old, &new);
        let all: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(all.contains(&"rule consent: enforce → observe".to_owned()), "{all:?}");
        assert!(all.contains(&"rule hop-limit: hop_limit_max 1 → 2".to_owned()), "{all:?}");
        assert!(all.contains(&"rule blocked-node: blocked_nodes none → !7c5a0a01".to_owned()), "{all:?}");
        assert_eq!(all.len(), 3);
        let public: Vec<String> = found.iter().map(Difference::public_words).collect();
        assert!(public.iter().all(|line| !line.contains("7c5a0a01")), "{public:?}");
        assert!(public.contains(&"rule blocked-node: blocked_nodes was changed".to_owned()), "{public:?}");
    }
}
