//! What each gateway alone brought of a window: packets that no other gateway heard. The order does not matter.

use std::collections::{BTreeMap, HashMap};

use crate::survey::Hearing;

/// Packets remembered at most; what is beyond is not counted.
const PACKETS_MAX: usize = 500_000;

/// The fold.
#[derive(Debug, Clone, Default)]
pub struct Alone {
    /// By sender and id: the gateway that heard it, `None` when several did.
    packets: HashMap<(u32, u32), Option<u32>>,
    heard: BTreeMap<u32, u64>,
}

/// What one gateway brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brought {
    /// Receptions of others' packets.
    pub receptions: u64,
    /// Packets of others that no other gateway heard.
    pub alone: u64,
}

impl Alone {
    /// Takes one reception. What a gateway sent itself, what came over MQTT and packets without an id tell nothing.
    pub fn hear(&mut self, hearing: &Hearing) {
        if hearing.from == hearing.gateway || hearing.is_via_mqtt || hearing.packet == 0 {
            return;
        }
        *self.heard.entry(hearing.gateway).or_default() += 1;
        let key = (hearing.from, hearing.packet);
        if self.packets.len() >= PACKETS_MAX && !self.packets.contains_key(&key) {
            return;
        }
        let by = self.packets.entry(key).or_insert(Some(hearing.gateway));
        if *by != Some(hearing.gateway) {
            *by = None;
        }
    }

    /// What each gateway brought, by number.
    pub fn by_gateway(&self) -> BTreeMap<u32, Brought> {
        let mut brought: BTreeMap<u32, Brought> = BTreeMap::new();
        for (gateway, receptions) in &self.heard {
            brought.entry(*gateway).or_default().receptions = *receptions;
        }
        for gateway in self.packets.values().flatten() {
            brought.entry(*gateway).or_default().alone += 1;
        }
        brought
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_counts_for_the_one_gateway_that_heard_it() {
        let hear = |from, packet, gateway| Hearing {
            at_ms: 0,
            from,
            gateway,
            packet,
            hops: Some(1),
            is_via_mqtt: false,
            snr_quarters: None,
        };
        let mut alone = Alone::default();
        // Twice by the same gateway, as when it was repeated, is still alone.
        for hearing in
            [hear(1, 10, 7), hear(1, 10, 7), hear(1, 11, 7), hear(1, 11, 8), hear(8, 12, 7), hear(8, 13, 8)]
        {
            alone.hear(&hearing);
        }
        alone.hear(&Hearing { is_via_mqtt: true, ..hear(1, 14, 8) });
        let of = |receptions, alone| Brought { receptions, alone };
        assert_eq!(alone.by_gateway(), BTreeMap::from([(7, of(4, 2)), (8, of(1, 0))]));
    }
}
