//! How often one address may try a password. Time is an argument; knows no sockets and no passwords.

use std::collections::HashMap;
use std::net::IpAddr;

/// Tries that cost no waiting: people mistype.
const FREE_TRIES: u32 = 4;
/// Waiting doubles with each further try, up to this.
const WAIT_MAX_MS: i64 = 15 * 60_000;
/// Addresses remembered. At the limit the one that tried longest ago is forgotten.
const ADDRESSES_MAX: usize = 4096;

/// Failed tries by address.
#[derive(Debug, Default)]
pub struct Throttle {
    tries: HashMap<IpAddr, Tries>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last_ms: i64,
}

impl Tries {
    fn wait_ms(self) -> i64 {
        match self.count.checked_sub(FREE_TRIES) {
            None => 0,
            Some(over) => (1000_i64 << over.min(20)).min(WAIT_MAX_MS),
        }
    }
}

impl Throttle {
    /// Counts a try before it is judged, so that tries at the same moment count too.
    ///
    /// # Errors
    /// Seconds to wait, when it comes too early; such a try does not count.
    pub fn begin(&mut self, address: IpAddr, now_ms: i64) -> Result<(), u64> {
        let address = network(address);
        if let Some(tries) = self.tries.get_mut(&address) {
            // A clock that stepped back must not lock anyone out for longer than the wait itself.
            let since = (now_ms - tries.last_ms).max(0);
            if since < tries.wait_ms() {
                return Err((tries.wait_ms() - since).unsigned_abs().div_ceil(1000));
            }
            let is_long_ago = since > 4 * WAIT_MAX_MS;
            *tries = Tries { count: if is_long_ago { 1 } else { tries.count + 1 }, last_ms: now_ms };
            return Ok(());
        }
        if self.tries.len() >= ADDRESSES_MAX
            && let Some(oldest) = self.tries.iter().min_by_key(|(_, t)| t.last_ms).map(|(a, _)| *a)
        {
            self.tries.remove(&oldest);
        }
        self.tries.insert(address, Tries { count: 1, last_ms: now_ms });
        Ok(())
    }

    /// Forgets an address that knew the password.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.tries.remove(&network(address));
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_and_ends() {
        let (mut throttle, address) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..FREE_TRIES {
            assert_eq!(throttle.begin(address, 0), Ok(()));
        }
        assert_eq!(throttle.begin(address, 0), Err(1));
        assert_eq!(throttle.begin(address, 1000), Ok(()));
        assert_eq!(throttle.begin(address, 1000), Err(2));
        assert_eq!(throttle.begin(IpAddr::from([192, 0, 2, 2]), 1000), Ok(()));
        throttle.succeeded(address);
        assert_eq!(throttle.begin(address, 1000), Ok(()));
    }

    #[test]
    fn the_wait_has_a_limit_and_survives_a_clock_step() {
        let (mut throttle, address) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]));
        let mut now = 0;
        for _ in 0..60 {
            while let Err(seconds) = throttle.begin(address, now) {
                assert!(seconds <= 900);
                now += i64::try_from(seconds).unwrap() * 1000;
            }
        }
        assert!(throttle.begin(address, now - 86_400_000).unwrap_err() <= 900);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        for i in 0..=u16::try_from(FREE_TRIES).unwrap() {
            let result = throttle.begin(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, i]), 0);
            assert_eq!(result.is_ok(), u32::from(i) < FREE_TRIES);
        }
        for i in 0..10_000u32 {
            let _ = throttle.begin(IpAddr::from(i.to_be_bytes()), i64::from(i));
        }
        assert!(throttle.tries.len() <= ADDRESSES_MAX);
    }
}
