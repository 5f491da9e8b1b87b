//! How often one address may try the operator's password.

use std::net::IpAddr;

use policy::throttle::{Patience, Throttle as Tries, network};

/// Failed tries by address.
#[derive(Debug)]
pub struct Throttle {
    tries: Tries<IpAddr>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { tries: Tries::new(Patience { free_tries: 4, wait_max_ms: 15 * 60_000, keys_max: 4096 }) }
    }
}

impl Throttle {
    /// Counts a try before it is judged, so that tries at the same moment count too.
    ///
    /// # Errors
    /// Seconds to wait, when it comes too early; such a try does not count.
    pub fn begin(&mut self, address: IpAddr, now_ms: i64) -> Result<(), u64> {
        let (address, now_ms) = (network(address), u64::try_from(now_ms).unwrap_or(0));
        match self.tries.wait_ms(&address, now_ms) {
            0 => {
                self.tries.count(address, now_ms);
                Ok(())
            }
            wait_ms => Err(wait_ms.div_ceil(1000)),
        }
    }

    /// Forgets an address that knew the password.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.tries.forget(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_network_and_forgotten_after_success() {
        let (mut throttle, address) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]));
        for _ in 0..4 {
            assert_eq!(throttle.begin(address, 0), Ok(()));
        }
        assert_eq!(throttle.begin(address, 0), Err(1));
        assert_eq!(throttle.begin(IpAddr::from([192, 0, 2, 2]), 0), Ok(()));
        throttle.succeeded(address);
        assert_eq!(throttle.begin(address, 0), Ok(()));
    }
}
