//! Who may open a connection: how many at a time, in all, from one address and under one credential, and how fast. Counts
//! only; knows no sockets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policy::throttle::network;

use crate::limits::Limits;
use crate::reached::Reached;

/// Addresses whose connect rate is remembered. Those who come beyond are held to the rate of all together only.
const ADDRESSES_MAX: usize = 8_192;

/// Who is in, and who came lately.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    by_address: BTreeMap<IpAddr, u32>,
    by_credential: BTreeMap<Arc<str>, u32>,
    rate: Bucket,
    rates: BTreeMap<IpAddr, Bucket>,
}

/// A token bucket that counts what is missing: empty means that as many may come as it holds.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// What is missing, in thousandths of a token per unit of time, so that nothing is lost to rounding.
    used: u64,
    at_ms: u64,
}

impl Bucket {
    /// Takes one, unless it holds no more. It holds `size` and is refilled within `refill_ms`.
    fn take(&mut self, now_ms: u64, size: u64, refill_ms: u64) -> bool {
        self.refill(now_ms, size);
        if self.used.saturating_add(refill_ms) > size.saturating_mul(refill_ms) {
            return false;
        }
        self.used += refill_ms;
        true
    }

    fn refill(&mut self, now_ms: u64, size: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        self.used = self.used.saturating_sub(elapsed_ms.saturating_mul(size));
        self.at_ms = now_ms;
    }
}

const MINUTE_MS: u64 = 60_000;
/// A burst of this many seconds' connections is taken at once: after a power cut everybody comes together.
const BURST_MS: u64 = 2_000;

impl Gate {
    /// Takes a connection in, or says which limit is reached. This machine is held to the totals only: a proxy on it
    /// brings everybody under one address.
    pub fn enter(
        &mut self,
        now_ms: u64,
        address: IpAddr,
        open: usize,
        limits: &Limits,
    ) -> Result<(), Reached> {
        if open >= limits.connections_max {
            return Err(Reached::Connections);
        }
        let address = network(address);
        if !address.is_loopback() {
            let neighbours = self.by_address.get(&address).copied().unwrap_or(0);
            if neighbours >= limits.connections_per_address_max {
                return Err(Reached::ConnectionsPerAddress);
            }
            let size = u64::from(limits.connects_per_address_per_minute_max);
            if let Some(bucket) = self.bucket_of(now_ms, address, size)
                && !bucket.take(now_ms, size, MINUTE_MS)
            {
                return Err(Reached::ConnectRatePerAddress);
            }
        }
        let size = u64::from(limits.connects_per_second_max).saturating_mul(BURST_MS / 1000);
        if !self.rate.take(now_ms, size, BURST_MS) {
            return Err(Reached::ConnectRate);
        }
        *self.by_address.entry(address).or_default() += 1;
        Ok(())
    }

    fn bucket_of(&mut self, now_ms: u64, address: IpAddr, size: u64) -> Option<&mut Bucket> {
        if self.rates.len() >= ADDRESSES_MAX && !self.rates.contains_key(&address) {
            self.forget_the_quiet(now_ms, size);
            if self.rates.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        Some(self.rates.entry(address).or_default())
    }

    fn forget_the_quiet(&mut self, now_ms: u64, size: u64) {
        self.rates.retain(|_, bucket| {
            bucket.refill(now_ms, size);
            bucket.used > 0
        });
    }

    /// A connection is gone.
    pub fn leave(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Connections under a credential.
    pub fn under(&self, credential: &str) -> u32 {
        self.by_credential.get(credential).copied().unwrap_or(0)
    }

    /// A client is connected under a credential.
    pub fn sign_in(&mut self, credential: &Arc<str>) {
        *self.by_credential.entry(credential.clone()).or_default() += 1;
    }

    /// A client under a credential is gone.
    pub fn sign_out(&mut self, credential: &str) {
        if let Some(count) = self.by_credential.get_mut(credential) {
            *count -= 1;
            if *count == 0 {
                self.by_credential.remove(credential);
            }
        }
    }

    /// Addresses and credentials that are in.
    pub fn len(&self) -> usize {
        self.by_address.len() + self.by_credential.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_size_at_once_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let taken =
            |bucket: &mut Bucket, now_ms| (0..1_000).filter(|_| bucket.take(now_ms, 120, MINUTE_MS)).count();
        assert_eq!(taken(&mut bucket, 5), 120);
        assert_eq!(taken(&mut bucket, 504), 0);
        assert_eq!(taken(&mut bucket, 505), 1, "two a second");
        assert_eq!(taken(&mut bucket, 505 + MINUTE_MS), 120);
    }

    #[test]
    fn addresses_that_are_quiet_are_forgotten() {
        let (mut gate, limits) = (Gate::default(), Limits::default());
        for number in 0..20_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            assert_eq!(gate.enter(u64::from(number), address, 0, &limits), Ok(()), "{number}");
            gate.leave(address);
            assert!(gate.rates.len() <= ADDRESSES_MAX);
        }
        assert_eq!(gate.len(), 0);
    }
}
