//! Single changes of a policy that people make without writing its file.

use crate::downlink::model::Model;
use crate::memory::islands::IslandId;
use crate::rule::{RuleId, RuleState};

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// A rule gets another state.
    Rule(RuleId, RuleState),
    /// A gateway is on this island, whatever it hears; `None` where what it hears decides again.
    Pin {
        /// The gateway's node number.
        gateway: u32,
        /// The island's number.
        island: Option<IslandId>,
    },
    /// Another model for an island; `None` for that of all islands.
    ModelOfIsland {
        /// The island's number.
        island: IslandId,
        /// The model.
        model: Option<Model>,
    },
}
