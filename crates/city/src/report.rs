//! What became of the air and of people's texts, counted.

/// What became of the air and of people's texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Packets that nodes made themselves.
    pub packets: u64,
    /// Transmissions for them, relays included.
    pub transmissions: u64,
    /// Time on air of those transmissions, ms.
    pub airtime_ms: u64,
    /// Envelopes that gateways uplinked.
    pub uplinks: u64,
    /// Copies that gateways were sent.
    pub downlinks: u64,
    /// Those that were new to the gateway and so had an effect.
    pub downlinks_used: u64,
    /// Transmissions that downlinks caused.
    pub downlink_transmissions: u64,
    /// Time on air of those transmissions, ms.
    pub downlink_airtime_ms: u64,
    /// Texts that people typed.
    pub texts: u64,
    /// Times a text reached an island other than its own.
    pub texts_crossed: u64,
    /// Frames that a node had to throw away because too many waited to be transmitted.
    pub overruns: u64,
    /// The same for each island.
    pub islands: Vec<IslandReport>,
}

/// What became of the air of one island.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IslandReport {
    /// Time on air of what the island's nodes say and relay, µs.
    pub own_airtime_us: u64,
    /// Time on air of what came down from the broker, relays included, µs.
    pub downlink_airtime_us: u64,
    /// Transmissions of both kinds.
    pub transmissions: u64,
    /// Frames received, all listeners together.
    pub received: u64,
    /// Frames that a listener lost to another transmission.
    pub collided: u64,
}
