//! What kind of city to make.

use std::ops::Range;

/// The choices that, with the seed, determine a city completely.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The same seed gives the same city and the same traffic.
    pub seed: u64,
    /// Radio islands: groups of nodes that cannot hear the other groups.
    pub islands: usize,
    /// Nodes, gateways included.
    pub nodes: usize,
    /// Nodes with internet.
    pub gateways: usize,
    /// Share of nodes that agree to MQTT, in percent. Most firmware ships with the setting off.
    pub consenting_percent: u32,
    /// Text messages in the whole city per hour.
    pub texts_per_hour: u32,
    /// Direct messages in the whole city per hour; half of them cross to another island.
    pub directs_per_hour: u32,
    /// Traceroutes in the whole city per hour; half of them cross to another island.
    pub traceroutes_per_hour: u32,
    /// When people speak three times as much, ms since the start.
    pub rush_ms: Range<u64>,
    /// Gateways that misbehave.
    pub misfits: Misfits,
    /// MQTT root topic of the gateways.
    pub root: String,
    /// Virtual time at the start, Unix ms.
    pub start_unix_ms: i64,
}

/// Gateways that misbehave. They are the last of the gateways, in this order; each can be told to behave, and the rest of
/// the city is the same.
#[derive(Debug, Clone, Default)]
pub struct Misfits {
    /// Whether there are any. The others count only then.
    pub are_there: bool,
    /// One publishes [`ABUSE_PER_SECOND`] packets of its own a second during this time, ms since the start.
    pub abuser_ms: Option<Range<u64>>,
    /// One uplinks again what came down, as if it had heard it over the radio.
    pub has_bridge: bool,
    /// One moves to the next island at this time, ms since the start.
    pub mobile_at_ms: Option<u64>,
    /// One uplinks packets under the ids of others.
    pub has_spoofer: bool,
}

/// What the abuser publishes.
pub const ABUSE_PER_SECOND: u64 = 300;

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            islands: 3,
            nodes: 60,
            gateways: 9,
            consenting_percent: 70,
            texts_per_hour: 40,
            directs_per_hour: 12,
            traceroutes_per_hour: 4,
            rush_ms: 0..0,
            misfits: Misfits::default(),
            root: "msh/US/MO/KC".to_owned(),
            start_unix_ms: 1_795_000_000_000,
        }
    }
}
