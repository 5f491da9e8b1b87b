//! What the operator has said about downlink: where it is stopped, and which gateways are to prove themselves anew.
//! Knows no rules.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Directory, GatewayId};

/// Number of an island. The smallest node number of its gateways serves as one, so it is written like a gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IslandNumber(pub u32);

impl fmt::Display for IslandNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        GatewayId(self.0).fmt(f)
    }
}

/// Most islands that can be stopped one by one; more is what stopping everything is for.
pub const STOPPED_ISLANDS_MAX: usize = 1_000;
/// Most gateways that can be asked by hand at a time.
const ASKED_GATEWAYS_MAX: usize = 1_000;

/// The operator's word on downlink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downlink {
    /// Since when everything is stopped, in milliseconds since 1970 UTC.
    pub stopped_ms: Option<u64>,
    /// The islands that are stopped, and since when.
    pub stopped_islands: BTreeMap<IslandNumber, u64>,
    /// Gateways whose round trip the operator has asked for, and when last.
    pub asked: BTreeMap<GatewayId, u64>,
}

impl Downlink {
    /// Whether a gateway gets nothing: everything is stopped, or the island it is on.
    pub fn is_stopped_for(&self, island: Option<IslandNumber>) -> bool {
        self.stopped_ms.is_some()
            || (!self.stopped_islands.is_empty()
                && island.is_some_and(|island| self.stopped_islands.contains_key(&island)))
    }

    /// Whether anything is stopped.
    pub fn is_stopped_anywhere(&self) -> bool {
        self.stopped_ms.is_some() || !self.stopped_islands.is_empty()
    }
}

/// What the operator wants done about downlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownlinkCommand {
    /// Nothing goes down any more: nowhere, or not on that island.
    Stop(Option<IslandNumber>),
    /// It goes down again: everywhere, islands that were stopped one by one included, or on that island.
    Start(Option<IslandNumber>),
    /// The gateway is to prove that what is sent down to it arrives.
    Verify(GatewayId),
}

/// What an accepted command about downlink leads to.
#[derive(Clone, Debug)]
pub struct DownlinkApplied {
    /// The next state.
    pub directory: Directory,
    /// The word in the audit: `stop-downlink`, `start-downlink` or `verify-downlink`.
    pub action: &'static str,
    /// What it was done to: `all`, an island or a gateway.
    pub subject: String,
    /// What happened, in words, for the audit.
    pub event: String,
}

/// Why a command about downlink is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownlinkRefused {
    /// Stopping what is stopped.
    AlreadyStopped,
    /// Starting what is not stopped.
    NotStopped,
    /// Starting one island while everything is stopped.
    EverythingStopped,
    /// No gateway has this number.
    UnknownGateway(GatewayId),
    /// There are too many already.
    TooMany,
}

impl fmt::Display for DownlinkRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStopped => f.write_str("downlink is already stopped there"),
            Self::NotStopped => f.write_str("downlink is not stopped there"),
            Self::EverythingStopped => {
                f.write_str("all downlink is stopped; start it without naming an island first")
            }
            Self::UnknownGateway(id) => write!(f, "no gateway has the node id `{id}`"),
            Self::TooMany => write!(f, "at most {STOPPED_ISLANDS_MAX} can be named one by one"),
        }
    }
}

impl std::error::Error for DownlinkRefused {}

impl Directory {
    /// What the operator has said about downlink.
    pub fn downlink(&self) -> &Downlink {
        &self.downlink
    }

    /// The same directory with another word on downlink, as a store has read it.
    pub fn with_downlink(mut self, downlink: Downlink) -> Directory {
        self.downlink = downlink.into();
        self
    }

    /// Judges a command at `now_ms` (milliseconds since 1970 UTC) and gives the next state. `self` stays as it is.
    pub fn apply_downlink(
        &self,
        command: DownlinkCommand,
        now_ms: u64,
    ) -> Result<DownlinkApplied, DownlinkRefused> {
        let mut downlink = Downlink::clone(&self.downlink);
        let (action, subject, event) = match command {
            DownlinkCommand::Stop(None) => {
                if downlink.stopped_ms.replace(now_ms).is_some() {
                    return Err(DownlinkRefused::AlreadyStopped);
                }
                ("stop-downlink", "all".to_owned(), "stopped all downlink".to_owned())
            }
            DownlinkCommand::Stop(Some(island)) => {
                if downlink.stopped_islands.len() >= STOPPED_ISLANDS_MAX {
                    return Err(DownlinkRefused::TooMany);
                }
                if downlink.stopped_islands.insert(island, now_ms).is_some() {
                    return Err(DownlinkRefused::AlreadyStopped);
                }
                ("stop-downlink", island.to_string(), format!("stopped downlink on island {island}"))
            }
            DownlinkCommand::Start(None) => {
                if !downlink.is_stopped_anywhere() {
                    return Err(DownlinkRefused::NotStopped);
                }
                downlink.stopped_ms = None;
                downlink.stopped_islands.clear();
                ("start-downlink", "all".to_owned(), "started all downlink".to_owned())
            }
            DownlinkCommand::Start(Some(island)) => {
                if downlink.stopped_ms.is_some() {
                    return Err(DownlinkRefused::EverythingStopped);
                }
                if downlink.stopped_islands.remove(&island).is_none() {
                    return Err(DownlinkRefused::NotStopped);
                }
                ("start-downlink", island.to_string(), format!("started downlink on island {island}"))
            }
            DownlinkCommand::Verify(gateway) => {
                if self.gateway(gateway).is_none() {
                    return Err(DownlinkRefused::UnknownGateway(gateway));
                }
                // What was asked of gateways that are gone is of no use.
                downlink.asked.retain(|id, _| self.gateway(*id).is_some());
                if downlink.asked.len() >= ASKED_GATEWAYS_MAX && !downlink.asked.contains_key(&gateway) {
                    downlink.asked.pop_first();
                }
                downlink.asked.insert(gateway, now_ms);
                ("verify-downlink", gateway.to_string(), format!("asked gateway {gateway} to prove downlink"))
            }
        };
        Ok(DownlinkApplied { directory: self.clone().with_downlink(downlink), action, subject, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAST: IslandNumber = IslandNumber(0x7c5a_0a01);
    const WEST: IslandNumber = IslandNumber(0x7c5a_0c03);

    fn after(directory: &Directory, command: DownlinkCommand) -> Directory {
        directory.apply_downlink(command, 7).expect("is accepted").directory
    }

    #[test]
    fn the_kill_switch_stops_everything_or_one_island() {
        let all_well = Directory::default();
        assert!(!all_well.downlink().is_stopped_for(Some(EAST)));
        let one = after(&all_well, DownlinkCommand::Stop(Some(EAST)));
        assert!(one.downlink().is_stopped_for(Some(EAST)) && !one.downlink().is_stopped_for(Some(WEST)));
        assert!(!one.downlink().is_stopped_for(None));
        let all = after(&one, DownlinkCommand::Stop(None));
        assert!(all.downlink().is_stopped_for(Some(WEST)) && all.downlink().is_stopped_for(None));
        assert_eq!(after(&all, DownlinkCommand::Start(None)), all_well);
        assert_eq!(after(&one, DownlinkCommand::Start(Some(EAST))), all_well);
    }

    #[test]
    fn what_changes_nothing_is_refused() {
        let all_well = Directory::default();
        let all = after(&all_well, DownlinkCommand::Stop(None));
        let refused = |directory: &Directory, command| directory.apply_downlink(command, 8).unwrap_err();
        assert_eq!(refused(&all_well, DownlinkCommand::Start(None)), DownlinkRefused::NotStopped);
        assert_eq!(refused(&all_well, DownlinkCommand::Start(Some(EAST))), DownlinkRefused::NotStopped);
        assert_eq!(refused(&all, DownlinkCommand::Stop(None)), DownlinkRefused::AlreadyStopped);
        assert_eq!(refused(&all, DownlinkCommand::Start(Some(EAST))), DownlinkRefused::EverythingStopped);
        let unknown = DownlinkCommand::Verify(GatewayId(9));
        assert_eq!(refused(&all_well, unknown), DownlinkRefused::UnknownGateway(GatewayId(9)));
    }
}
