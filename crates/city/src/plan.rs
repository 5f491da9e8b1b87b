//! What kind of city to make.

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
    /// MQTT root topic of the gateways.
    pub root: String,
    /// Virtual time at the start, Unix ms.
    pub start_unix_ms: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            islands: 3,
            nodes: 60,
            gateways: 9,
            consenting_percent: 70,
            texts_per_hour: 40,
            root: "msh/US/MO/KC".to_owned(),
            start_unix_ms: 1_795_000_000_000,
        }
    }
}
