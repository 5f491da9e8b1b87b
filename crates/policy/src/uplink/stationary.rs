//! When a gateway counts as moved. What it told is in `memory::movement`; the release rule that asks is `moved`.

/// What counts as a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationarySettings {
    /// Metres beyond the coarseness of both positions.
    pub moved_distance_m: u32,
    /// Positions in a row that must be elsewhere, 1–20.
    pub moved_reports: u8,
    /// Hours for which the nodes that a gateway hears directly are put together.
    pub hearing_window_h: u8,
    /// A gateway that hears less than this share of the nodes it hears otherwise, in percent, is elsewhere; 0 leaves
    /// this out.
    pub hearing_same_percent: u8,
}

impl Default for StationarySettings {
    fn default() -> Self {
        Self { moved_distance_m: 500, moved_reports: 2, hearing_window_h: 6, hearing_same_percent: 10 }
    }
}
