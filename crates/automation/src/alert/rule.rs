//! What a rule is: what it waits for, of whom, and how it is told.

use std::fmt;

use bridge::area::Area;
use mesh::node::NodeNum;
use query::Condition;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, unlike any other's.
    pub name: Box<str>,
    /// What it means and what to do about it, for whoever is woken by it.
    pub about: Box<str>,
    /// How bad it is.
    pub severity: Severity,
    /// Receptions that it looks at.
    pub condition: Condition,
    /// What it waits for.
    pub trigger: Trigger,
    /// What it is kept apart by.
    pub per: Per,
    /// Names of the targets that are told.
    pub targets: Vec<Box<str>>,
    /// Whether the end is told too.
    pub tells_end: bool,
    /// Beginnings that are told within an hour; more are counted.
    pub per_hour_max: u32,
    /// How long after the last match what happened in a moment is over, ms.
    pub over_after_ms: i64,
}

/// What a rule waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// So many packets within a time.
    Match {
        /// Packets, 1 to [`COUNT_MAX`].
        count: u32,
        /// The time, ms.
        within_ms: i64,
    },
    /// No packet for a time.
    Absence {
        /// The time, ms.
        for_ms: i64,
    },
    /// A number beyond a limit.
    Threshold {
        /// Its name: a measurement in telemetry, or one of [`SAMPLES`].
        measure: Box<str>,
        /// On which side it is bad.
        side: Side,
        /// From where on it is bad.
        limit: f64,
        /// From where on it is good again.
        clear: f64,
        /// How long it must have been bad, ms.
        for_ms: i64,
    },
    /// Something else than before.
    Change(Attribute),
    /// The border of an area is crossed.
    Crossing {
        /// The area.
        area: Area,
        /// In which direction.
        direction: Direction,
    },
}

/// Matches that a rule can count.
pub const COUNT_MAX: u32 = 1_000;

/// Numbers that the broker tells of itself, with what they say. All others come from telemetry.
pub const SAMPLES: &[(&str, &str)] = &[
    ("disk_free_percent", "Free space of the data folder's disk, in percent."),
    ("history_stalled", "1 while nothing can be stored, else 0."),
    ("history_lost", "Records that were lost within the last minute because the disk was too slow."),
    (
        "gateway_offline",
        "For each gateway that has a credential and has connected: 1 while it is not connected, else 0.",
    ),
    ("gateway_moved", "For each gateway: 1 while it has moved and nobody has looked at it, else 0."),
    ("bridge_down", "For each bridge: 1 while it is not up, else 0."),
    ("identity_marks", "For each node: packets so far that it may not have sent itself."),
    ("refused_per_minute", "Packets that policy refused within the last minute."),
    ("dropped_per_minute", "Messages lost within the last minute because their readers were slow."),
];

/// On which side of a limit a number is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl Side {
    /// Whether a number is on this side of a limit.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }
}

/// What may become something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// The node was never heard before.
    Appearance,
    /// Its public key.
    Key,
    /// Its long name.
    Name,
    /// Its hardware model.
    Hardware,
    /// Its role.
    Role,
}

/// In which direction a border is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Inwards.
    Entering,
    /// Outwards.
    Leaving,
}

/// What a rule is kept apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Nothing: one state for the whole mesh.
    Mesh,
    /// The node that sent the packet.
    Node,
    /// The gateway that heard it.
    Gateway,
    /// The channel.
    Channel,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody must look at it, also at night.
    Critical,
}

impl Severity {
    /// The word in files, letters and pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.word() == word)
    }
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The mesh, or the broker.
    Mesh,
    /// A node.
    Node(u32),
    /// A gateway.
    Gateway(u32),
    /// A channel.
    Channel(Box<str>),
    /// A bridge.
    Bridge(Box<str>),
}

impl fmt::Display for Subject {
    /// The form that [`Subject::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh => f.write_str("mesh"),
            Self::Node(node) => write!(f, "node {}", NodeNum(*node)),
            Self::Gateway(node) => write!(f, "gateway {}", NodeNum(*node)),
            Self::Channel(name) => write!(f, "channel {name}"),
            Self::Bridge(name) => write!(f, "bridge {name}"),
        }
    }
}

impl Subject {
    /// Reads what was written by `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
        let number = || u32::from_str_radix(name.strip_prefix('!')?, 16).ok();
        match kind {
            "mesh" => Some(Self::Mesh),
            "node" => number().map(Self::Node),
            "gateway" => number().map(Self::Gateway),
            "channel" => Some(Self::Channel(name.into())),
            "bridge" => Some(Self::Bridge(name.into())),
            _ => None,
        }
    }

    /// The node that it is, as a node or as a gateway.
    pub const fn node(&self) -> Option<u32> {
        match self {
            Self::Node(node) | Self::Gateway(node) => Some(*node),
            Self::Mesh | Self::Channel(_) | Self::Bridge(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_was_written() {
        for subject in [
            Subject::Mesh,
            Subject::Node(0x7c5a_0a01),
            Subject::Gateway(1),
            Subject::Channel("Long Fast".into()),
            Subject::Bridge("topeka".into()),
        ] {
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        for wrong in ["", "node", "node 12", "node !xyz", "planet !00000001"] {
            assert_eq!(Subject::parse(wrong), None, "{wrong}");
        }
    }
}
