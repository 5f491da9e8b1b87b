//! A table by node number that never grows beyond its limit and forgets by age. Knows nothing of what it holds.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Entries looked at when room is needed; the one that was heard longest ago goes.
const CANDIDATES: usize = 16;

/// Values by node number. Once it is full, a new node takes the place of one of those not heard for long.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Stored<V>")]
pub struct NodeTable<V> {
    slots: Vec<Slot<V>>,
    nodes_max: usize,
    seed: u64,
    #[serde(skip)]
    index: HashMap<u32, u32, FixedState>,
    /// Where the next look for what is too old, or can go, begins.
    #[serde(skip)]
    hand: usize,
    /// Entries that went early because there were too many.
    pub forgotten_early: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slot<V> {
    node: u32,
    last_ms: i64,
    value: V,
}

/// What is kept of it in a file.
#[derive(Deserialize)]
struct Stored<V> {
    slots: Vec<Slot<V>>,
    nodes_max: usize,
    seed: u64,
    forgotten_early: u64,
}

impl<V> From<Stored<V>> for NodeTable<V> {
    fn from(stored: Stored<V>) -> Self {
        let mut table = Self::new(stored.nodes_max, stored.seed);
        table.slots = stored.slots;
        table.slots.truncate(table.nodes_max);
        table.forgotten_early = stored.forgotten_early;
        for (at, slot) in table.slots.iter().enumerate() {
            table.index.insert(slot.node, at as u32);
        }
        table
    }
}

impl<V> NodeTable<V> {
    /// An empty table for at most `nodes_max` nodes. `seed` makes hashing unpredictable to those who choose node numbers.
    pub fn new(nodes_max: usize, seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            nodes_max: nodes_max.clamp(1, u32::MAX as usize),
            seed,
            index: HashMap::with_hasher(FixedState::with_seed(seed)),
            hand: 0,
            forgotten_early: 0,
        }
    }

    /// What is known of a node.
    pub fn get(&self, node: u32) -> Option<&V> {
        self.index.get(&node).map(|at| &self.slots[*at as usize].value)
    }

    /// What is known of a node, to change it.
    pub fn get_mut(&mut self, node: u32) -> Option<&mut V> {
        self.index.get(&node).map(|at| &mut self.slots[*at as usize].value)
    }

    /// What is known of a node that was heard just now, made when there is nothing yet.
    pub fn heard(&mut self, now_ms: i64, node: u32) -> &mut V
    where
        V: Default,
    {
        let at = match self.index.get(&node) {
            Some(at) => *at as usize,
            None => self.take_in(node),
        };
        let slot = &mut self.slots[at];
        slot.last_ms = now_ms;
        &mut slot.value
    }

    /// Looks at one entry and forgets it when it was not heard since `oldest_ms`. Called once for each packet, it keeps
    /// the table clean at no cost that grows.
    pub fn forget_one(&mut self, oldest_ms: i64) {
        if self.slots.is_empty() {
            return;
        }
        self.hand = (self.hand + 1) % self.slots.len();
        if self.slots[self.hand].last_ms < oldest_ms {
            let gone = self.slots.swap_remove(self.hand);
            self.index.remove(&gone.node);
            if let Some(moved) = self.slots.get(self.hand) {
                self.index.insert(moved.node, self.hand as u32);
            }
        }
    }

    /// Forgets a node.
    pub fn remove(&mut self, node: u32) {
        let Some(at) = self.index.remove(&node) else { return };
        self.slots.swap_remove(at as usize);
        if let Some(moved) = self.slots.get(at as usize) {
            self.index.insert(moved.node, at);
        }
    }

    /// All values, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.slots.iter_mut().map(|slot| &mut slot.value)
    }

    /// Everything that is known, in no promised order: node number, when it was heard last (Unix ms), value.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64, &V)> {
        self.slots.iter().map(|slot| (slot.node, slot.last_ms, &slot.value))
    }

    /// Number of nodes known.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn take_in(&mut self, node: u32) -> usize
    where
        V: Default,
    {
        let slot = Slot { node, last_ms: 0, value: V::default() };
        let at = if self.slots.len() < self.nodes_max {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let len = self.slots.len();
            let candidates = (0..CANDIDATES.min(len)).map(|step| (self.hand + step) % len);
            let at = candidates.min_by_key(|at| self.slots[*at].last_ms).unwrap_or(0);
            self.hand = (self.hand + CANDIDATES) % len;
            self.index.remove(&self.slots[at].node);
            self.slots[at] = slot;
            self.forgotten_early += 1;
            at
        };
        self.index.insert(node, at as u32);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_those_heard_lately_stay() {
        let mut table: NodeTable<u32> = NodeTable::new(64, 1);
        *table.heard(1_000_000, 7) = 77;
        for stranger in 100..1_100 {
            table.heard(i64::from(stranger), stranger);
        }
        assert_eq!((table.len(), table.forgotten_early), (64, 937));
        assert_eq!(table.get(7), Some(&77));
        for (node, _, _) in table.iter() {
            assert!(table.get(node).is_some());
        }
    }

    #[test]
    fn what_is_old_is_forgotten_one_at_a_time() {
        let mut table: NodeTable<u32> = NodeTable::new(64, 1);
        for node in 1..=10 {
            *table.heard(i64::from(node), node) = node;
        }
        (0..30).for_each(|_| table.forget_one(6));
        let mut left: Vec<_> = table.iter().map(|(node, _, value)| (node, *value)).collect();
        left.sort_unstable();
        assert_eq!(left, [(6, 6), (7, 7), (8, 8), (9, 9), (10, 10)]);
        assert!((6..=10).all(|node| table.get(node) == Some(&node)) && table.get(5).is_none());
    }

    #[test]
    fn it_survives_being_written_down() {
        let mut table: NodeTable<u32> = NodeTable::new(8, 3);
        *table.heard(5, 9) = 90;
        let text = serde_json::to_string(&table).expect("numbers can be written");
        let again: NodeTable<u32> = serde_json::from_str(&text).expect("and read");
        assert_eq!((again.get(9), again.len()), (Some(&90), 1));
    }
}
