//! What the operator decided after looking: nodes in quarantine, and gateways that were found where they belong. Knows
//! no rules.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Directory, GatewayId};

/// Longest reason in bytes.
const REASON_BYTES_MAX: usize = 200;
/// Most nodes in quarantine, and most reviews kept.
const ENTRIES_MAX: usize = 10_000;

/// A node in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Since when, Unix ms.
    pub since_ms: i64,
    /// The operator's reason; may be empty. For the operator only.
    pub reason: String,
}

/// What the operator decided after looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Nodes whose packets are recorded and not passed on.
    pub quarantined: BTreeMap<GatewayId, Quarantine>,
    /// When a gateway was looked at last, Unix ms.
    pub reviews: BTreeMap<GatewayId, i64>,
}

impl Watch {
    /// The quarantine of a node, when it is in one.
    pub fn quarantine(&self, node: GatewayId) -> Option<&Quarantine> {
        if self.quarantined.is_empty() { None } else { self.quarantined.get(&node) }
    }

    /// When a gateway was looked at last, Unix ms.
    pub fn reviewed_ms(&self, gateway: GatewayId) -> Option<i64> {
        if self.reviews.is_empty() { None } else { self.reviews.get(&gateway).copied() }
    }
}

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchCommand {
    /// What the node sends is recorded and not passed on.
    Quarantine {
        /// Which node.
        node: GatewayId,
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// It is passed on again.
    Release(GatewayId),
    /// The gateway is where it belongs, and may have downlink again.
    Review(GatewayId),
}

/// What an accepted command leads to.
#[derive(Clone, Debug)]
pub struct WatchApplied {
    /// The next state.
    pub directory: Directory,
    /// The word in the audit: `quarantine`, `release` or `review`.
    pub action: &'static str,
    /// The node it was done to.
    pub subject: GatewayId,
    /// What happened, in words, for the audit.
    pub event: String,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchRefused {
    /// No device has this number.
    NotADevice(GatewayId),
    /// It is in quarantine already.
    AlreadyQuarantined(GatewayId),
    /// It is not in quarantine.
    NotQuarantined(GatewayId),
    /// No gateway has this number.
    UnknownGateway(GatewayId),
    /// The reason is too long or has control characters.
    Reason,
    /// There are too many already.
    TooMany,
}

impl fmt::Display for WatchRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADevice(id) => write!(f, "`{id}` is reserved and cannot be a node's id"),
            Self::AlreadyQuarantined(id) => write!(f, "node `{id}` is already in quarantine"),
            Self::NotQuarantined(id) => write!(f, "node `{id}` is not in quarantine"),
            Self::UnknownGateway(id) => write!(f, "no gateway has the node id `{id}`"),
            Self::Reason => write!(
                f,
                "reason must be at most {REASON_BYTES_MAX} bytes, without line breaks or other control characters"
            ),
            Self::TooMany => write!(f, "at most {ENTRIES_MAX} nodes can be in quarantine"),
        }
    }
}

impl std::error::Error for WatchRefused {}

impl Directory {
    /// What the operator decided after looking.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The same directory with other decisions, as a store has read them.
    pub fn with_watch(mut self, watch: Watch) -> Directory {
        self.watch = watch.into();
        self
    }

    /// Judges a command at `now_ms` (Unix ms) and gives the next state. `self` stays as it is.
    ///
    /// # Errors
    /// When the command changes nothing, or names what is not there.
    pub fn apply_watch(&self, command: WatchCommand, now_ms: i64) -> Result<WatchApplied, WatchRefused> {
        let mut watch = Watch::clone(&self.watch);
        let (action, subject, event) = match command {
            WatchCommand::Quarantine { node, reason } => {
                if !node.is_a_device() {
                    return Err(WatchRefused::NotADevice(node));
                }
                if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
                    return Err(WatchRefused::Reason);
                }
                if watch.quarantined.len() >= ENTRIES_MAX {
                    return Err(WatchRefused::TooMany);
                }
                if watch.quarantined.insert(node, Quarantine { since_ms: now_ms, reason }).is_some() {
                    return Err(WatchRefused::AlreadyQuarantined(node));
                }
                ("quarantine", node, format!("put node {node} into quarantine"))
            }
            WatchCommand::Release(node) => {
                if watch.quarantined.remove(&node).is_none() {
                    return Err(WatchRefused::NotQuarantined(node));
                }
                ("release", node, format!("released node {node} from quarantine"))
            }
            WatchCommand::Review(gateway) => {
                if self.gateway(gateway).is_none() {
                    return Err(WatchRefused::UnknownGateway(gateway));
                }
                // Reviews of gateways that are gone are of no use.
                watch.reviews.retain(|id, _| self.gateway(*id).is_some());
                watch.reviews.insert(gateway, now_ms);
                ("review", gateway, format!("reviewed gateway {gateway}: it is where it belongs"))
            }
        };
        Ok(WatchApplied { directory: self.clone().with_watch(watch), action, subject, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: GatewayId = GatewayId(0x7c5a_0b02);

    fn quarantine(reason: &str) -> WatchCommand {
        WatchCommand::Quarantine { node: NODE, reason: reason.into() }
    }

    #[test]
    fn a_node_goes_into_quarantine_and_out_of_it() {
        let before = Directory::default();
        let inside = before.apply_watch(quarantine("two keys"), 7).expect("is accepted").directory;
        let kept = inside.watch().quarantine(NODE).expect("is inside");
        assert_eq!((kept.since_ms, kept.reason.as_str()), (7, "two keys"));
        assert_eq!(inside.watch().quarantine(GatewayId(5)), None);
        let out = inside.apply_watch(WatchCommand::Release(NODE), 8).expect("is accepted");
        assert_eq!(out.directory, before);
        assert_eq!(out.event, "released node !7c5a0b02 from quarantine");
    }

    #[test]
    fn what_changes_nothing_or_names_nobody_is_refused() {
        let before = Directory::default();
        let inside = before.apply_watch(quarantine(""), 7).expect("is accepted").directory;
        let refused =
            |directory: &Directory, command| directory.apply_watch(command, 8).expect_err("is refused");
        assert_eq!(refused(&inside, quarantine("")), WatchRefused::AlreadyQuarantined(NODE));
        assert_eq!(refused(&before, WatchCommand::Release(NODE)), WatchRefused::NotQuarantined(NODE));
        assert_eq!(refused(&before, WatchCommand::Review(NODE)), WatchRefused::UnknownGateway(NODE));
        assert_eq!(refused(&before, quarantine("a\nb")), WatchRefused::Reason);
        let everyone = WatchCommand::Quarantine { node: GatewayId(u32::MAX), reason: String::new() };
        assert_eq!(refused(&before, everyone), WatchRefused::NotADevice(GatewayId(u32::MAX)));
    }
}
