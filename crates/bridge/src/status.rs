//! How a bridge is doing, for pages and monitors: states and counts, no secrets and no packets.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// Why a message did not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It is no packet of the mesh, or on a topic that nothing crosses from: JSON, commands, status.
    NotAPacket,
    /// It was retained, so nobody knows how old it is.
    Retained,
    /// It came through this broker before.
    OwnTrail,
    /// This packet has crossed before, in one direction or the other.
    Crossed,
    /// Its id is 0, so that nobody could tell it from another if it came back.
    NoIdentity,
    /// Its sender has not agreed, or nobody can tell.
    Consent,
    /// Its channel was not agreed on.
    Channel,
    /// What it carries was not agreed on, or nobody can tell.
    Port,
    /// Its sender is not known to be in the agreed area.
    Area,
    /// Its hop limit is higher than agreed, and it cannot be lowered.
    HopLimit,
    /// Its topic does not lie below the agreed root.
    Root,
    /// So many messages have crossed within a minute as were agreed.
    MessageQuota,
    /// So much airtime has crossed within an hour as was agreed.
    AirtimeQuota,
    /// The other side took too long, and newer messages needed the room.
    QueueFull,
    /// The other side took so long that nobody wants it any more.
    Stale,
    /// The other broker refused it.
    Refused,
}

impl Held {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 16] = [
        Self::NotAPacket,
        Self::Retained,
        Self::OwnTrail,
        Self::NoIdentity,
        Self::Crossed,
        Self::Consent,
        Self::Channel,
        Self::Port,
        Self::Area,
        Self::HopLimit,
        Self::Root,
        Self::MessageQuota,
        Self::AirtimeQuota,
        Self::QueueFull,
        Self::Stale,
        Self::Refused,
    ];

    /// A word for monitors and the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAPacket => "not_a_packet",
            Self::Retained => "retained",
            Self::OwnTrail => "own_trail",
            Self::Crossed => "crossed",
            Self::NoIdentity => "no_identity",
            Self::Consent => "consent",
            Self::Channel => "channel",
            Self::Port => "port",
            Self::Area => "area",
            Self::HopLimit => "hop_limit",
            Self::Root => "root",
            Self::MessageQuota => "message_quota",
            Self::AirtimeQuota => "airtime_quota",
            Self::QueueFull => "queue_full",
            Self::Stale => "stale",
            Self::Refused => "refused",
        }
    }

    /// What it means, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotAPacket => "no packet of the mesh",
            Self::Retained => "retained: nobody knows how old it is",
            Self::OwnTrail => "came through this broker before",
            Self::Crossed => "had crossed before",
            Self::NoIdentity => "has no packet id, so it could go round unnoticed",
            Self::Consent => "its sender has not agreed, or nobody can tell",
            Self::Channel => "its channel was not agreed on",
            Self::Port => "what it carries was not agreed on, or nobody can tell",
            Self::Area => "its sender is not known to be in the agreed area",
            Self::HopLimit => "its hop limit is higher than agreed",
            Self::Root => "its topic is not below the agreed root",
            Self::MessageQuota => "the messages agreed for a minute were used up",
            Self::AirtimeQuota => "the airtime agreed for an hour was used up",
            Self::QueueFull => "the other side was too slow, and newer ones needed the room",
            Self::Stale => "the other side was too slow, and it was too old then",
            Self::Refused => "the receiving broker refused it",
        }
    }
}

/// One direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Whether anything may cross in this direction.
    pub is_open: bool,
    /// Messages that the receiving broker took.
    pub crossed: u64,
    /// Messages that wait or are not acknowledged yet.
    pub waiting: usize,
    /// Messages that did not cross, by why.
    pub held: BTreeMap<Held, u64>,
    /// Airtime of what crossed within the last hour, ms.
    pub airtime_ms: u64,
}

/// One end's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// There is none.
    Down,
    /// CONNECT or SUBSCRIBE has not been answered.
    Greeting,
    /// Messages may flow.
    Up,
}

impl Connection {
    /// A word for monitors.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Greeting => "connecting",
            Self::Up => "up",
        }
    }
}

/// A whole bridge at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: Box<str>,
    /// The connection to the other broker.
    pub there: Connection,
    /// The connection to our own.
    pub here: Connection,
    /// Since when the other broker is up or down, ms.
    pub since_ms: u64,
    /// What went wrong last, in words that say what to do.
    pub trouble: Option<Box<str>>,
    /// From here to the other broker.
    pub outward: LaneStatus,
    /// From the other broker to here.
    pub inward: LaneStatus,
}
impl Status {
    /// It for programs: `crossed`, `waiting` and `held` are messages since the start, airtime is of the last hour.
    pub fn to_json(&self) -> Json {
        json!({
            "name": self.name, "state": self.there.word(), "trouble": self.trouble,
            "out": self.outward.to_json(), "in": self.inward.to_json(),
        })
    }
}

impl LaneStatus {
    fn to_json(&self) -> Json {
        let held: Map<String, Json> =
            self.held.iter().map(|(why, count)| (why.word().to_owned(), (*count).into())).collect();
        json!({
            "is_open": self.is_open, "crossed": self.crossed, "waiting": self.waiting, "held": held,
            "airtime_last_hour_ms": self.airtime_ms,
        })
    }
}
