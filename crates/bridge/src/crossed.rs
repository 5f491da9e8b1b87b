//! Which packets have crossed, in either direction: one that did never crosses again, whichever way round it comes back.

use std::collections::{BTreeSet, VecDeque};

use policy::memory::seen::PacketKey;

/// Packets remembered. At ten a second, which is more than two cities say, that is more than two hours; firmware forgets
/// what it has seen much sooner.
const PACKETS_MAX: usize = 80_000;

/// The packets that have crossed lately.
#[derive(Debug, Default)]
pub(crate) struct Crossed {
    known: BTreeSet<(u32, u32)>,
    order: VecDeque<(u32, u32)>,
}

impl Crossed {
    pub fn holds(&self, key: PacketKey) -> bool {
        self.known.contains(&(key.from, key.id))
    }

    pub fn add(&mut self, key: PacketKey) {
        let pair = (key.from, key.id);
        if !self.known.insert(pair) {
            return;
        }
        self.order.push_back(pair);
        if self.order.len() > PACKETS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut crossed = Crossed::default();
        let key = |id: usize| PacketKey { from: 1, id: u32::try_from(id).unwrap() };
        (0..=PACKETS_MAX).for_each(|id| crossed.add(key(id)));
        crossed.add(key(PACKETS_MAX));
        assert!(!crossed.holds(key(0)) && crossed.holds(key(1)) && crossed.holds(key(PACKETS_MAX)));
        assert_eq!((crossed.known.len(), crossed.order.len()), (PACKETS_MAX, PACKETS_MAX));
    }
}
