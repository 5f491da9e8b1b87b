//! How long to wait before the other broker is tried again.

/// First pause, ms.
const FIRST_MS: u64 = 1_000;
/// Longest pause, ms.
const LONGEST_MS: u64 = 300_000;

/// Pauses that double, so that a broker which comes back is not met by everyone at once.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure, ms. `random` is any number; the pause is between half and the whole of its step.
    pub fn next_ms(&mut self, random: u64) -> u64 {
        let step = FIRST_MS.saturating_mul(1 << self.failures.min(20)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        step / 2 + random % (step / 2 + 1)
    }

    /// Failures since it worked last.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..12).map(|_| backoff.next_ms(u64::MAX)).collect();
        assert!(pauses.iter().all(|ms| (500..=LONGEST_MS).contains(ms)));
        assert!(pauses.windows(2).all(|two| two[0] <= two[1] * 2));
        assert!(pauses[11] >= LONGEST_MS / 2);
        backoff.reset();
        assert!(backoff.next_ms(0) <= FIRST_MS);
    }
}
