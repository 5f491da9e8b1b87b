//! Who was heard where lately: which gateways hear a node, over how many hops, and when they did last.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Nodes remembered. When there are more, those that were silent longest make room.
const NODES_MAX: usize = 20_000;
/// Gateways remembered for one node: the best ones.
const GATEWAYS_PER_NODE: usize = 6;
/// Hops of a packet that does not say how many it took.
const HOPS_UNKNOWN: u8 = 4;

/// One gateway that hears a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardAt {
    /// The gateway.
    pub gateway: u32,
    /// Hops between them, 0 for directly.
    pub hops: u8,
    /// When it heard the node last, on the monotonic clock in ms.
    pub at_ms: u64,
}

impl HeardAt {
    /// Fewer hops are better, and so is later.
    const fn rank(&self) -> (u8, std::cmp::Reverse<u64>) {
        (self.hops, std::cmp::Reverse(self.at_ms))
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Node {
    heard: [Option<HeardAt>; GATEWAYS_PER_NODE],
    at_ms: u64,
}

/// Who was heard where, as it is kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptReach(Vec<(u32, Node)>);

/// Where nodes are heard.
#[derive(Debug)]
pub struct Reach {
    nodes: HashMap<u32, Node, FixedState>,
}

impl Reach {
    /// Nobody heard yet.
    pub fn new(seed: u64) -> Self {
        Self { nodes: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Who was heard where, as it is kept across a restart.
    pub fn kept(&self) -> KeptReach {
        let mut nodes: Vec<_> = self.nodes.iter().map(|(node, heard)| (*node, *heard)).collect();
        nodes.sort_unstable_by_key(|(node, _)| *node);
        KeptReach(nodes)
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: KeptReach) {
        self.nodes.clear();
        self.nodes.extend(kept.0.into_iter().take(NODES_MAX));
    }

    /// A gateway heard a node over the radio.
    pub fn note_heard(&mut self, now_ms: u64, node: u32, gateway: u32, hops: Option<u8>) {
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node) {
            self.make_room();
        }
        let known = self.nodes.entry(node).or_default();
        known.at_ms = now_ms;
        let new = HeardAt { gateway, hops: hops.unwrap_or(HOPS_UNKNOWN), at_ms: now_ms };
        let place = known
            .heard
            .iter()
            .position(|heard| heard.is_some_and(|h| h.gateway == gateway))
            .or_else(|| known.heard.iter().position(Option::is_none))
            .or_else(|| {
                let oldest = known.heard.iter().enumerate().min_by_key(|(_, h)| h.map(|h| h.at_ms));
                oldest.map(|(place, _)| place)
            });
        if let Some(place) = place {
            known.heard[place] = Some(new);
        }
    }

    /// Forgets a node, where it was heard and what it heard.
    pub fn forget_node(&mut self, node: u32) {
        self.nodes.remove(&node);
        self.forget_gateway(node);
    }

    /// A gateway is not where it was: what it heard there says nothing any more.
    pub fn forget_gateway(&mut self, gateway: u32) {
        for heard in self.nodes.values_mut().flat_map(|node| &mut node.heard) {
            *heard = heard.filter(|heard| heard.gateway != gateway);
        }
    }

    /// Whether that gateway heard the node within `within_ms`.
    pub fn hears(&self, now_ms: u64, gateway: u32, node: u32, within_ms: u64) -> bool {
        self.heard_at(now_ms, node, within_ms).any(|heard| heard.gateway == gateway)
    }

    /// The gateways that heard a node within `within_ms`, in no order.
    pub fn heard_at(&self, now_ms: u64, node: u32, within_ms: u64) -> impl Iterator<Item = HeardAt> + '_ {
        let heard = self.nodes.get(&node).map(|node| node.heard.iter());
        heard
            .into_iter()
            .flatten()
            .flatten()
            .copied()
            .filter(move |h| now_ms.saturating_sub(h.at_ms) <= within_ms)
    }

    /// The place of a gateway among those that heard a node within `within_ms`, the best being 0.
    pub fn place(&self, now_ms: u64, gateway: u32, node: u32, within_ms: u64) -> Option<usize> {
        let own = self.heard_at(now_ms, node, within_ms).find(|heard| heard.gateway == gateway)?;
        let better = |h: &HeardAt| (h.rank(), h.gateway) < (own.rank(), own.gateway);
        Some(self.heard_at(now_ms, node, within_ms).filter(better).count())
    }

    fn make_room(&mut self) {
        let mut times: Vec<u64> = self.nodes.values().map(|node| node.at_ms).collect();
        let tenth = times.len() / 10;
        let (_, limit, _) = times.select_nth_unstable(tenth);
        let limit = *limit;
        self.nodes.retain(|_, node| node.at_ms > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn the_gateway_with_the_fewest_hops_is_the_best_and_the_latest_of_equals() {
        let mut reach = Reach::new(0);
        reach.note_heard(10, 7, 1, Some(2));
        reach.note_heard(20, 7, 2, Some(0));
        reach.note_heard(30, 7, 3, Some(2));
        reach.note_heard(40, 7, 4, None);
        let place = |gateway| reach.place(50, gateway, 7, DAY_MS);
        assert_eq!(
            [place(2), place(3), place(1), place(4), place(9)],
            [Some(0), Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut reach = Reach::new(0);
        reach.note_heard(0, 7, 1, Some(0));
        assert!(reach.hears(DAY_MS, 1, 7, DAY_MS) && !reach.hears(DAY_MS + 1, 1, 7, DAY_MS));
        assert_eq!(reach.place(DAY_MS + 1, 1, 7, DAY_MS), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_silent_go_first() {
        let mut reach = Reach::new(0);
        for node in 0..30_000u32 {
            reach.note_heard(u64::from(node), node, 1, None);
        }
        assert!(reach.nodes.len() <= NODES_MAX && reach.hears(30_000, 1, 29_999, DAY_MS));
        for gateway in 0..20 {
            reach.note_heard(40_000 + u64::from(gateway), 5, gateway, Some(1));
        }
        assert_eq!(reach.heard_at(40_100, 5, DAY_MS).count(), GATEWAYS_PER_NODE);
        assert!(reach.hears(40_100, 19, 5, DAY_MS), "the latest is kept");
    }
}
