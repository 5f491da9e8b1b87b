//! Waiting longer after each failed try, by whatever a try is counted under. Bounded; time is an argument; knows no
//! passwords.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// How patient a throttle is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries that cost no waiting: people mistype.
    pub free_tries: u32,
    /// Waiting doubles with each further try, from a second up to this, in ms.
    pub wait_max_ms: u64,
    /// Keys remembered. At the limit the one that tried longest ago is forgotten.
    pub keys_max: usize,
}

/// Tries by key.
#[derive(Debug)]
pub struct Throttle<K> {
    patience: Patience,
    tries: BTreeMap<K, Tries>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last_ms: u64,
}

impl<K: Ord + Clone> Throttle<K> {
    /// A throttle that has seen nobody.
    pub const fn new(patience: Patience) -> Self {
        Self { patience, tries: BTreeMap::new() }
    }

    /// How long a key still has to wait, in ms; 0 for not at all.
    pub fn wait_ms<Q>(&self, key: &Q, now_ms: u64) -> u64
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let Some(tries) = self.tries.get(key) else { return 0 };
        // A clock that stepped back must not lock anyone out for longer than the wait itself.
        let since = now_ms.saturating_sub(tries.last_ms);
        self.patience.wait_ms(tries.count).saturating_sub(since)
    }

    /// Counts a try.
    pub fn count(&mut self, key: K, now_ms: u64) {
        let forgotten_after_ms = 4 * self.patience.wait_max_ms;
        if let Some(tries) = self.tries.get_mut(&key) {
            let is_long_ago = now_ms.saturating_sub(tries.last_ms) > forgotten_after_ms;
            let count = if is_long_ago { 1 } else { tries.count.saturating_add(1) };
            *tries = Tries { count, last_ms: now_ms };
            return;
        }
        if self.tries.len() >= self.patience.keys_max
            && let Some(oldest) = self.tries.iter().min_by_key(|(_, t)| t.last_ms).map(|(k, _)| k.clone())
        {
            self.tries.remove(&oldest);
        }
        self.tries.insert(key, Tries { count: 1, last_ms: now_ms });
    }

    /// Forgets the tries of a key.
    pub fn forget<Q>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.tries.remove(key);
    }

    /// Number of keys remembered.
    pub fn len(&self) -> usize {
        self.tries.len()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.tries.is_empty()
    }
}

impl Patience {
    fn wait_ms(&self, count: u32) -> u64 {
        match count.checked_sub(self.free_tries) {
            None => 0,
            Some(over) => (1000_u64 << over.min(20)).min(self.wait_max_ms),
        }
    }
}

/// What counts as one address: one subscriber has a whole /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { free_tries: 4, wait_max_ms: 900_000, keys_max: 100 };

    #[test]
    fn waiting_doubles_and_ends() {
        let mut throttle = Throttle::new(PATIENCE);
        for _ in 0..PATIENCE.free_tries {
            assert_eq!(throttle.wait_ms("a", 0), 0);
            throttle.count("a".to_owned(), 0);
        }
        assert_eq!(throttle.wait_ms("a", 0), 1_000);
        assert_eq!(throttle.wait_ms("a", 1_000), 0);
        throttle.count("a".to_owned(), 1_000);
        assert_eq!(throttle.wait_ms("a", 1_000), 2_000);
        assert_eq!(throttle.wait_ms("b", 1_000), 0);
        throttle.forget("a");
        assert_eq!(throttle.wait_ms("a", 1_000), 0);
    }

    #[test]
    fn the_wait_has_a_limit_and_survives_a_clock_step() {
        let mut throttle = Throttle::new(PATIENCE);
        for now_ms in 1_000_000..1_000_060 {
            throttle.count(1, now_ms);
        }
        assert_eq!(throttle.wait_ms(&1, 1_000_059), 900_000);
        assert_eq!(throttle.wait_ms(&1, 0), 900_000);
        throttle.count(1, 1_000_060 + 4 * 900_000 + 1);
        assert_eq!(throttle.wait_ms(&1, 1_000_060 + 4 * 900_000 + 1), 0, "long ago is forgotten");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let mut throttle = Throttle::new(PATIENCE);
        for key in 0..1_000_u64 {
            throttle.count(key, key);
        }
        assert_eq!(throttle.len(), 100);
        assert!(throttle.tries.contains_key(&999) && !throttle.tries.contains_key(&899));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let of = |last| network(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        assert_eq!(of(1), of(2));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), IpAddr::from([192, 0, 2, 1]));
    }
}
