//! One direction between two nodes: how often and how well it was heard, and how that is known.

/// How a link is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A gateway heard the node itself, with no hop between.
    Direct,
    /// A traceroute went over it.
    Traceroute,
    /// A node named the other as a neighbour.
    Neighbour,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Traceroute, Self::Neighbour];

    /// The word used in addresses, files and pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Traceroute => "traceroute",
            Self::Neighbour => "neighbour",
        }
    }

    /// The source with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == word)
    }
}

/// Which link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey {
    /// Node number of who was heard.
    pub from: u32,
    /// Node number of who heard.
    pub to: u32,
    /// How it is known.
    pub source: Source,
}

/// What is known of a link within a window. SNR is kept in quarters of a dB, as radios tell it, so that sums do not
/// depend on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Times it was heard.
    pub count: u64,
    /// Heard first, Unix ms.
    pub first_ms: i64,
    /// Heard last, Unix ms.
    pub last_ms: i64,
    /// Best signal-to-noise ratio, quarters of a dB.
    pub best_quarters: Option<i32>,
    snr_sum_quarters: i64,
    snr_count: u64,
}

impl Link {
    /// Heard once.
    pub fn once(at_ms: i64, snr_quarters: Option<i32>) -> Self {
        Self {
            count: 1,
            first_ms: at_ms,
            last_ms: at_ms,
            best_quarters: snr_quarters,
            snr_sum_quarters: snr_quarters.map_or(0, i64::from),
            snr_count: u64::from(snr_quarters.is_some()),
        }
    }

    /// The same link heard more often.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.best_quarters = self.best_quarters.max(other.best_quarters);
        self.snr_sum_quarters += other.snr_sum_quarters;
        self.snr_count += other.snr_count;
    }

    /// Best signal-to-noise ratio, dB.
    pub fn best_snr(&self) -> Option<f64> {
        self.best_quarters.map(|quarters| f64::from(quarters) / 4.0)
    }

    /// Mean signal-to-noise ratio, dB.
    pub fn mean_snr(&self) -> Option<f64> {
        (self.snr_count > 0).then(|| self.snr_sum_quarters as f64 / 4.0 / self.snr_count as f64)
    }
}
