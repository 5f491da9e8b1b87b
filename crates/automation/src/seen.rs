//! Packets told lately, to tell each once. Bounded, and forgets by age.

use std::collections::{BTreeMap, VecDeque};

/// Packets remembered. At the limit the oldest is forgotten, and a late copy of it would be told again.
const PACKETS_MAX: usize = 50_000;
/// How long a packet is remembered, ms: as long as policy does by default.
const REMEMBERED_MS: i64 = 3_600_000;

/// The packets.
#[derive(Debug, Default)]
pub struct Seen {
    since: BTreeMap<(u32, u32), i64>,
    order: VecDeque<(i64, (u32, u32))>,
}

impl Seen {
    /// Whether this is the first reception of the packet. Packets with id 0 cannot be told apart: each is a first.
    pub fn is_first(&mut self, from: u32, id: u32, at_ms: i64) -> bool {
        if id == 0 {
            return true;
        }
        while let Some((since_ms, key)) = self.order.front().copied()
            && (at_ms - since_ms > REMEMBERED_MS || self.order.len() >= PACKETS_MAX)
        {
            self.order.pop_front();
            self.since.remove(&key);
        }
        let is_first = self.since.insert((from, id), at_ms).is_none();
        if is_first {
            self.order.push_back((at_ms, (from, id)));
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_first_once_an_hour_and_what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        assert!(seen.is_first(1, 1, 0));
        assert!(!seen.is_first(1, 1, REMEMBERED_MS));
        assert!(seen.is_first(1, 1, REMEMBERED_MS + 1));
        assert!(seen.is_first(1, 0, 0) && seen.is_first(1, 0, 0));
        for id in 1..=PACKETS_MAX as u32 * 2 {
            seen.is_first(2, id, 0);
        }
        assert!(seen.since.len() <= PACKETS_MAX && seen.order.len() == seen.since.len());
    }
}
