//! Another policy came into force: when, by whom, and what it changed. Values only.

use std::sync::Arc;

/// One change of the policy in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// When it came into force, Unix milliseconds.
    pub at_ms: i64,
    /// Who did it and by what way, in words: "operator, on the page".
    pub who: Arc<str>,
    /// What it changed, one sentence each, without what is private: for everybody.
    pub changes: Vec<String>,
    /// The same with all values: for the operator.
    pub private_changes: Vec<String>,
    /// The whole policy file that came into force; empty for one that says nothing. For the operator.
    pub text: Arc<str>,
}
