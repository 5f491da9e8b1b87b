//! The states of policy rules as the file writes them. Knows no rule.

use crate::table::words;

words! {
    /// Whether a policy rule decides.
    RuleState {
        /// Not asked.
        Off = "off",
        /// Asked; what it would have done is recorded, and nothing follows from it.
        Observe = "observe",
        /// Asked, and its answer stands.
        Enforce = "enforce",
    }
}

/// A policy rule as the configuration needs to know it; the caller brings one for each rule, in order.
#[derive(Clone, Copy, Debug)]
pub struct RuleDoc {
    /// The rule's id, the key in `[policy.rules]`.
    pub id: &'static str,
    /// Its state unless the file says otherwise.
    pub default: RuleState,
    /// What it does, in one sentence.
    pub doc: &'static str,
}
