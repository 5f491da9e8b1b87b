//! The clock that everything in the core goes by. It never goes back, also from one run to the next, so that what was
//! remembered keeps its times.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use broker::Now;

/// A clock that began at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    began_at_ms: u64,
}

impl Clock {
    /// A clock that begins at Unix time, or later where an earlier run's had come further: the system's clock was put back.
    pub fn not_before(mono_ms: u64) -> Self {
        let began_at_ms = u64::try_from(unix_ms()).unwrap_or(0).max(mono_ms);
        Self { began: Instant::now(), began_at_ms }
    }

    /// The time.
    pub fn now(&self) -> Now {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms: self.began_at_ms.saturating_add(elapsed_ms), unix_ms: unix_ms() }
    }
}

fn unix_ms() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back_from_one_run_to_the_next() {
        let first = Clock::not_before(0).now();
        let far = first.mono_ms + 1_000_000_000;
        assert!(Clock::not_before(far).now().mono_ms >= far);
        assert!(Clock::not_before(first.mono_ms).now().mono_ms >= first.mono_ms);
    }
}
