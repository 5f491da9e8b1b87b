//! Two gateways side by side, and two windows side by side.

use std::collections::{BTreeMap, BTreeSet};

use crate::link::{LinkKey, Source};
use crate::survey::{Hearing, Survey};

/// Packets that a comparison of gateways remembers at most.
const PACKETS_MAX: usize = 500_000;
/// A change of the mean signal worth telling, dB.
const MARGIN_CHANGE_DB: f64 = 1.5;

/// What two gateways heard of the same window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateways {
    a: u32,
    b: u32,
    packets: BTreeMap<(u32, u32), [Option<Heard>; 2]>,
    beyond: u64,
}

/// How one of them heard a packet best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Heard {
    snr_quarters: Option<i32>,
    is_direct: bool,
}

/// What a comparison amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sides {
    /// Packets that both heard.
    pub both: u64,
    /// Packets that only the first heard.
    pub only_a: u64,
    /// Packets that only the second heard.
    pub only_b: u64,
    /// Packets that both heard directly with a measured signal.
    pub measured: u64,
    difference_quarters: i64,
}

impl Sides {
    /// By how much the first hears better on average where both heard the same transmission directly, dB.
    pub fn difference_db(&self) -> Option<f64> {
        (self.measured > 0).then(|| self.difference_quarters as f64 / 4.0 / self.measured as f64)
    }

    /// Packets that either heard.
    pub fn all(&self) -> u64 {
        self.both + self.only_a + self.only_b
    }
}

impl Gateways {
    /// Nothing heard yet.
    pub fn new(a: u32, b: u32) -> Self {
        Self { a, b, packets: BTreeMap::new(), beyond: 0 }
    }

    /// Takes a reception; those of other gateways, and the two's own packets, say nothing.
    pub fn hear(&mut self, hearing: &Hearing) {
        let side = match hearing.gateway {
            gateway if gateway == self.a => 0,
            gateway if gateway == self.b => 1,
            _ => return,
        };
        let key = (hearing.from, hearing.packet);
        if hearing.from == self.a || hearing.from == self.b || hearing.packet == 0 || hearing.is_via_mqtt {
            return;
        }
        if self.packets.len() >= PACKETS_MAX && !self.packets.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let heard = Heard { snr_quarters: hearing.snr_quarters, is_direct: hearing.is_direct() };
        let sides = self.packets.entry(key).or_default();
        sides[side] = sides[side].max(Some(heard));
    }

    /// Sums, over all and by sender.
    pub fn sums(&self) -> (Sides, BTreeMap<u32, Sides>) {
        let (mut all, mut by_node) = (Sides::default(), BTreeMap::<u32, Sides>::new());
        for ((from, _), heard) in &self.packets {
            for sides in [&mut all, by_node.entry(*from).or_default()] {
                match heard {
                    [Some(a), Some(b)] => {
                        sides.both += 1;
                        if let (true, true, Some(snr_a), Some(snr_b)) =
                            (a.is_direct, b.is_direct, a.snr_quarters, b.snr_quarters)
                        {
                            sides.measured += 1;
                            sides.difference_quarters += i64::from(snr_a) - i64::from(snr_b);
                        }
                    }
                    [Some(_), None] => sides.only_a += 1,
                    [None, Some(_)] => sides.only_b += 1,
                    [None, None] => {}
                }
            }
        }
        (all, by_node)
    }

    /// Packets that were not compared because there were too many.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

/// What changed from one window to another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Links that the second window has and the first has not.
    pub gained: Vec<LinkKey>,
    /// Links that the first window has and the second has not.
    pub lost: Vec<LinkKey>,
    /// Links whose mean signal changed, with by how much, dB; the greatest change first.
    pub margin: Vec<(LinkKey, f64)>,
    /// Nodes that some gateway heard directly in the first window, and none in the second.
    pub orphaned: Vec<u32>,
}

/// What changed from an earlier window to a later one.
pub fn windows(earlier: &Survey, later: &Survey) -> Change {
    let (before, after) = (earlier.links(), later.links());
    let gained = after.keys().filter(|key| !before.contains_key(key)).copied().collect();
    let lost = before.keys().filter(|key| !after.contains_key(key)).copied().collect();
    let mut margin: Vec<(LinkKey, f64)> = (before.iter())
        .filter_map(|(key, was)| Some((*key, after.get(key)?.mean_snr()? - was.mean_snr()?)))
        .filter(|(_, change)| change.abs() >= MARGIN_CHANGE_DB)
        .collect();
    margin.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let heard = |links: &BTreeMap<LinkKey, _>| -> BTreeSet<u32> {
        links.keys().filter(|key| key.source == Source::Direct).map(|key| key.from).collect()
    };
    let orphaned = heard(&before).difference(&heard(&after)).copied().collect();
    Change { gained, lost, margin, orphaned }
}
