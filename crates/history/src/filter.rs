//! What of the history is wanted, for programs that go through it in order.

use query::Condition;

/// Conditions on receptions; all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Not before, Unix ms.
    pub since_ms: Option<i64>,
    /// Before, Unix ms.
    pub until_ms: Option<i64>,
    /// Only numbers below: the next page of a newest-first list.
    pub before_seq: Option<u64>,
    /// Only numbers above, and oldest first: following what is stored.
    pub after_seq: Option<u64>,
    /// What must hold of the reception.
    pub condition: Condition,
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
            condition: Condition::ALWAYS,
            limit: 100,
        }
    }
}

impl Filter {
    /// What fulfils a condition.
    pub fn of(condition: Condition) -> Self {
        Self { condition, ..Self::default() }
    }
}
