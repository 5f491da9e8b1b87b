//! How one packet floods an island: each node transmits it once at most, the far ones first, and keeps quiet when it
//! hears another do it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fastrand::Rng;

use crate::radio::{FADING_DB, SNR_LIMIT_DB, SNR_MAX_DB, Signal};

/// Which nodes hear which, and how: for each node, those that can hear it.
pub type Links = Vec<Vec<(usize, Signal)>>;

/// The first copy of a packet that a node got.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// After the first transmission began, in ms.
    pub after_ms: u64,
    /// Who transmitted that copy.
    pub relay: usize,
    /// Hop limit in that copy.
    pub hop_limit: u32,
    /// How it arrived.
    pub signal: Signal,
}

/// What a flood did.
#[derive(Debug, Default)]
pub struct Flood {
    /// First copies, by node.
    pub heard: BTreeMap<usize, Heard>,
    /// Transmissions, the first included.
    pub transmissions: u32,
}

/// One transmission's wait between hearing and relaying: the contention window of the firmware, coarsely. Weak
/// signals come from afar, so those who heard weakly go first; routers go before all.
fn wait_ms(signal: Signal, is_router: bool, rng: &mut Rng) -> u64 {
    const SLOT_MS: u64 = 28;
    let spread = if is_router { 2 } else { 8 };
    let strength = ((signal.snr_db - SNR_LIMIT_DB).max(0.0) / 30.0 * 8.0) as u64;
    let base = if is_router { 0 } else { 16 + strength * 4 };
    (base + rng.u64(0..=spread)) * SLOT_MS
}

/// Floods a packet from `origin` with `hop_limit`, each copy taking `airtime_ms` on the air.
pub fn flood(
    links: &Links,
    routers: &[bool],
    origin: usize,
    hop_limit: u32,
    airtime_ms: u64,
    rng: &mut Rng,
) -> Flood {
    let mut result = Flood::default();
    let mut planned = BinaryHeap::from([Reverse((0u64, origin, hop_limit))]);
    let mut overheard: BTreeMap<usize, u32> = BTreeMap::new();
    while let Some(Reverse((at_ms, sender, hops_left))) = planned.pop() {
        let was_relayed_by_another = overheard.get(&sender).is_some_and(|copies| *copies > 1);
        if sender != origin && was_relayed_by_another && !routers[sender] {
            continue;
        }
        result.transmissions += 1;
        let done_ms = at_ms + airtime_ms;
        for (listener, signal) in &links[sender] {
            let fading = (rng.f32() + rng.f32() - 1.0) * 2.0 * FADING_DB;
            let snr_db = (signal.snr_db + fading).min(SNR_MAX_DB);
            let signal = Signal { rssi_dbm: signal.rssi_dbm + fading, snr_db };
            if signal.snr_db < SNR_LIMIT_DB || *listener == origin {
                continue;
            }
            *overheard.entry(*listener).or_default() += 1;
            if result.heard.contains_key(listener) {
                continue;
            }
            let heard = Heard { after_ms: done_ms, relay: sender, hop_limit: hops_left, signal };
            result.heard.insert(*listener, heard);
            if hops_left > 0 {
                let wait = wait_ms(signal, routers[*listener], rng);
                planned.push(Reverse((done_ms + wait, *listener, hops_left - 1)));
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Signal = Signal { rssi_dbm: -90.0, snr_db: 8.0 };

    /// A row of nodes that hear their neighbours only.
    fn row(count: usize) -> Links {
        (0..count)
            .map(|n| {
                [n.checked_sub(1), (n + 1 < count).then_some(n + 1)]
                    .into_iter()
                    .flatten()
                    .map(|m| (m, GOOD))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn a_packet_goes_as_far_as_its_hops() {
        let flood = flood(&row(10), &[false; 10], 0, 3, 500, &mut Rng::with_seed(1));
        assert_eq!(flood.heard.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(flood.transmissions, 4);
        let far = flood.heard[&4];
        assert_eq!((far.hop_limit, far.relay), (0, 3));
        assert!(far.after_ms > 4 * 500);
    }

    #[test]
    fn hop_limit_zero_is_heard_and_not_relayed() {
        let flood = flood(&row(5), &[false; 5], 2, 0, 500, &mut Rng::with_seed(1));
        assert_eq!(flood.heard.len(), 2);
        assert_eq!(flood.transmissions, 1);
    }

    #[test]
    fn in_a_crowd_most_keep_quiet() {
        let crowd: Links =
            (0..30).map(|n| (0..30).filter(|m| *m != n).map(|m| (m, GOOD)).collect()).collect();
        let flood = flood(&crowd, &[false; 30], 0, 3, 500, &mut Rng::with_seed(1));
        assert_eq!(flood.heard.len(), 29);
        assert!(flood.transmissions < 10, "{} of 30 transmitted", flood.transmissions);
    }
}
