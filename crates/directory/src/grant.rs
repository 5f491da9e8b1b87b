//! What operators have agreed with the owners of single gateways, and whom they have let go from a hold. Knows no rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Directory, GatewayId};

/// Longest note and name of who agreed, bytes.
pub const GRANT_TEXT_BYTES_MAX: usize = 200;
/// Channels that firmware has room for.
pub const GRANT_CHANNELS_MAX: usize = 8;
/// Most releases remembered; the oldest make room.
const RELEASES_MAX: usize = 1_000;

/// What one gateway has been allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Names of the channels that it uplinks; empty for all.
    pub channels: BTreeSet<String>,
    /// Whether packets go down to it.
    pub downlink: bool,
    /// Names of the channels of which packets go down to it; empty for all.
    pub downlink_channels: BTreeSet<String>,
    /// Airtime within an hour, in ms, that what goes down to it may take up. `None` for what every gateway may.
    pub downlink_ms: Option<u32>,
    /// Whether measurements and positions may come more often than is ordinary.
    pub telemetry: bool,
    /// Airtime within an hour, in ms, that measurements and positions of a gateway with such an agreement may take up; what is
    /// beyond comes as seldom as is ordinary. `None` for no limit.
    pub telemetry_ms: Option<u32>,
    /// Port numbers of bulk that it may uplink.
    pub ports: BTreeSet<u32>,
    /// Until when, in milliseconds since 1970 UTC; `None` until it is ended.
    pub until_ms: Option<u64>,
    /// When it was given, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// Who agreed to it.
    pub by: String,
    /// What for, in the operator's words.
    pub note: String,
}

impl Grant {
    /// Whether it holds at that moment, in milliseconds since 1970 UTC.
    pub fn holds_at(&self, now_ms: i64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < i64::try_from(until).unwrap_or(i64::MAX))
    }

    /// Whether it allows uplink on a channel.
    pub fn allows_channel(&self, channel: &str) -> bool {
        self.channels.is_empty() || self.channels.contains(channel)
    }

    /// Whether packets of a channel may go down to it, if downlink is agreed on at all. What is on no known channel goes only
    /// where all channels were agreed on.
    pub fn allows_down(&self, channel: Option<&str>) -> bool {
        self.downlink_channels.is_empty() || channel.is_some_and(|name| self.downlink_channels.contains(name))
    }
}

/// All grants, and the moments at which operators let somebody go from a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// By gateway.
    pub gateways: BTreeMap<GatewayId, Grant>,
    /// Node numbers of gateways and nodes, and when they were let go last.
    pub released: BTreeMap<u32, u64>,
}

/// What the operator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantCommand {
    /// This gateway is allowed this from now on, in place of what it was allowed before.
    Set(GatewayId, Grant),
    /// Nothing beyond the ordinary any more.
    End(GatewayId),
    /// Whatever hold this gateway or node is under ends now.
    ReleaseHold(u32),
}

/// What an accepted command leads to.
#[derive(Clone, Debug)]
pub struct GrantApplied {
    /// The next state.
    pub directory: Directory,
    /// The word in the audit: `set-grant`, `end-grant` or `release-hold`.
    pub action: &'static str,
    /// The gateway or node.
    pub subject: String,
    /// What happened, in words, for the audit.
    pub event: String,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantRefused {
    /// No gateway has this number.
    UnknownGateway(GatewayId),
    /// It has no grant.
    NoGrant(GatewayId),
    /// More channels than a node has.
    TooManyChannels,
    /// A note or a name is too long.
    TooLong,
    /// It would have ended before it began.
    Past,
}

impl fmt::Display for GrantRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownGateway(id) => write!(f, "no gateway has the node id `{id}`; add it first"),
            Self::NoGrant(id) => write!(f, "gateway `{id}` has no grant"),
            Self::TooManyChannels => write!(f, "a node has at most {GRANT_CHANNELS_MAX} channels"),
            Self::TooLong => write!(f, "notes and names have at most {GRANT_TEXT_BYTES_MAX} bytes"),
            Self::Past => f.write_str("the end of the grant lies in the past"),
        }
    }
}

impl std::error::Error for GrantRefused {}

impl Directory {
    /// Everything that was agreed.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The same directory with other grants, as a store has read them.
    pub fn with_grants(mut self, grants: Grants) -> Directory {
        self.grants = grants.into();
        self
    }

    /// What a gateway is allowed beyond the ordinary at that moment, in milliseconds since 1970 UTC.
    pub fn grant(&self, gateway: u32, now_ms: i64) -> Option<&Grant> {
        self.grants.gateways.get(&GatewayId(gateway)).filter(|grant| grant.holds_at(now_ms))
    }

    /// When a gateway or node was let go from a hold last, in milliseconds since 1970 UTC.
    pub fn hold_released_ms(&self, number: u32) -> Option<i64> {
        self.grants.released.get(&number).and_then(|at| i64::try_from(*at).ok())
    }

    /// Judges a command at `now_ms` (milliseconds since 1970 UTC) and gives the next state. `self` stays as it is.
    ///
    /// # Errors
    /// When it makes no sense; nothing has changed then.
    pub fn apply_grant(&self, command: GrantCommand, now_ms: u64) -> Result<GrantApplied, GrantRefused> {
        let mut grants = Grants::clone(&self.grants);
        let (action, subject, event) = match command {
            GrantCommand::Set(id, grant) => {
                self.gateway(id).ok_or(GrantRefused::UnknownGateway(id))?;
                check(&grant, now_ms)?;
                let event = format!("gateway {id} is granted {}", in_words(&grant));
                grants.gateways.insert(id, Grant { since_ms: now_ms, ..grant });
                ("set-grant", id.to_string(), event)
            }
            GrantCommand::End(id) => {
                grants.gateways.remove(&id).ok_or(GrantRefused::NoGrant(id))?;
                ("end-grant", id.to_string(), format!("the grant of gateway {id} is ended"))
            }
            GrantCommand::ReleaseHold(number) => {
                if grants.released.len() >= RELEASES_MAX && !grants.released.contains_key(&number) {
                    let oldest = grants.released.iter().min_by_key(|(_, at)| **at).map(|(number, _)| *number);
                    oldest.map(|number| grants.released.remove(&number));
                }
                grants.released.insert(number, now_ms);
                let id = GatewayId(number);
                ("release-hold", id.to_string(), format!("{id} is let go from its hold"))
            }
        };
        let directory = self.clone().with_grants(grants);
        Ok(GrantApplied { directory, action, subject, event })
    }
}

fn check(grant: &Grant, now_ms: u64) -> Result<(), GrantRefused> {
    if grant.channels.len().max(grant.downlink_channels.len()) > GRANT_CHANNELS_MAX {
        return Err(GrantRefused::TooManyChannels);
    }
    let texts = grant.channels.iter().chain(&grant.downlink_channels).chain([&grant.by, &grant.note]);
    if texts.into_iter().any(|text| text.len() > GRANT_TEXT_BYTES_MAX) {
        return Err(GrantRefused::TooLong);
    }
    if grant.until_ms.is_some_and(|until| until <= now_ms) {
        return Err(GrantRefused::Past);
    }
    Ok(())
}

/// What a grant allows, in words.
pub fn in_words(grant: &Grant) -> String {
    let names = |channels: &BTreeSet<String>| channels.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut parts = vec![match grant.channels.is_empty() {
        true => "uplink on all channels".to_owned(),
        false => format!("uplink on {}", names(&grant.channels)),
    }];
    if grant.downlink {
        let mut downlink = "downlink".to_owned();
        if !grant.downlink_channels.is_empty() {
            downlink += &format!(" of {}", names(&grant.downlink_channels));
        }
        if let Some(ms) = grant.downlink_ms {
            downlink += &format!(", {} s of airtime an hour", ms / 1000);
        }
        parts.push(downlink);
    }
    if grant.telemetry {
        parts.push(match grant.telemetry_ms {
            None => "more telemetry".to_owned(),
            Some(ms) => format!("more telemetry, {} s of airtime an hour", ms / 1000),
        });
    }
    if !grant.ports.is_empty() {
        let ports: Vec<String> = grant.ports.iter().map(u32::to_string).collect();
        parts.push(format!("ports {}", ports.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Token, TokenKey};

    const ID: GatewayId = GatewayId(0x7c5a_0a01);

    fn directory() -> Directory {
        let token = Token::from_random([9; 17]);
        let add = Command::AddGateway { id: ID, owner: None, note: String::new(), token };
        Directory::default().apply(add, &TokenKey::new([7; 32]), 1).unwrap().directory
    }

    #[test]
    fn a_grant_holds_until_its_end_and_can_be_ended() {
        let grant = Grant { downlink: true, until_ms: Some(1_000), ..Grant::default() };
        let applied = directory().apply_grant(GrantCommand::Set(ID, grant.clone()), 10).unwrap();
        assert!(applied.directory.grant(ID.0, 999).is_some_and(|g| g.downlink && g.since_ms == 10));
        assert!(applied.directory.grant(ID.0, 1_000).is_none());
        let ended = applied.directory.apply_grant(GrantCommand::End(ID), 20).unwrap().directory;
        assert!(ended.grant(ID.0, 30).is_none());
        assert_eq!(ended.apply_grant(GrantCommand::End(ID), 20).unwrap_err(), GrantRefused::NoGrant(ID));
        assert_eq!(
            directory().apply_grant(GrantCommand::Set(ID, grant), 1_000).unwrap_err(),
            GrantRefused::Past
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let set = |id, grant| directory().apply_grant(GrantCommand::Set(id, grant), 10).unwrap_err();
        let other = GatewayId(5);
        assert_eq!(set(other, Grant::default()), GrantRefused::UnknownGateway(other));
        let channels = (0..9).map(|n| n.to_string()).collect();
        assert_eq!(set(ID, Grant { channels, ..Grant::default() }), GrantRefused::TooManyChannels);
        assert_eq!(set(ID, Grant { note: "x".repeat(201), ..Grant::default() }), GrantRefused::TooLong);
    }

    #[test]
    fn who_is_let_go_is_remembered_with_the_moment() {
        let released = directory().apply_grant(GrantCommand::ReleaseHold(5), 77).unwrap().directory;
        assert_eq!((released.hold_released_ms(5), released.hold_released_ms(6)), (Some(77), None));
    }
}
