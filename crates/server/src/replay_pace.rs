//! When a moment of the past comes round again: by the clock at a chosen speed, or step by step. Knows no threads; the time
//! comes in as an argument, in ms of a clock that never goes back.

/// Where a replay stands between past and present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// A moment of the past, Unix ms, and when it came round, on the clock.
    past_ms: f64,
    at_ms: u64,
    /// Thousandths of life.
    speed: u32,
    is_running: bool,
}

impl Pace {
    /// The past begins to come round at this moment of it, running or waiting.
    pub fn begin(past_ms: i64, now_ms: u64, speed: u32, is_running: bool) -> Self {
        Self { past_ms: past_ms as f64, at_ms: now_ms, speed, is_running }
    }

    /// The moment of the past that comes round now, Unix ms.
    pub fn position_ms(&self, now_ms: u64) -> i64 {
        let gone_ms = if self.is_running { now_ms.saturating_sub(self.at_ms) } else { 0 };
        (self.past_ms + gone_ms as f64 * f64::from(self.speed) / 1000.0) as i64
    }

    /// In how many ms of the clock a moment of the past comes round, 0 when it has; `None` while it waits.
    pub fn due_in_ms(&self, moment_ms: i64, now_ms: u64) -> Option<u64> {
        if !self.is_running {
            return None;
        }
        let ahead_ms = moment_ms.saturating_sub(self.position_ms(now_ms)).max(0);
        Some((ahead_ms as f64 * 1000.0 / f64::from(self.speed.max(1))).ceil() as u64)
    }

    /// The same place, with another speed, running or waiting.
    pub fn steer(&mut self, now_ms: u64, speed: u32, is_running: bool) {
        if (self.speed, self.is_running) != (speed, is_running) {
            *self = Self::begin(self.position_ms(now_ms), now_ms, speed, is_running);
        }
    }

    /// A step has led to this moment of the past; the clock goes on from there.
    pub fn jump(&mut self, past_ms: i64, now_ms: u64) {
        *self = Self::begin(past_ms, now_ms, self.speed, self.is_running);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_past_comes_round_at_the_chosen_speed() {
        let mut pace = Pace::begin(1_000_000, 50, 10_000, true);
        assert_eq!(pace.due_in_ms(1_001_000, 50), Some(100));
        assert_eq!(pace.due_in_ms(999_000, 50), Some(0));
        assert_eq!(pace.position_ms(150), 1_001_000);
        pace.steer(150, 100, true);
        assert_eq!((pace.position_ms(150), pace.due_in_ms(1_001_001, 150)), (1_001_000, Some(10)));
        pace.steer(250, 100, false);
        assert_eq!((pace.position_ms(10_000), pace.due_in_ms(1_001_011, 10_000)), (1_001_010, None));
        pace.jump(1_005_000, 10_000);
        pace.steer(20_000, 1_000, true);
        assert_eq!(pace.due_in_ms(1_005_500, 20_000), Some(500), "time while it waited does not count");
    }

    proptest! {
        #[test]
        fn what_was_waited_for_is_due(past in 0i64..2_000_000_000_000, ahead in 0i64..86_400_000, speed in 100u32..=1_000_000) {
            let pace = Pace::begin(past, 7, speed, true);
            let wait = pace.due_in_ms(past + ahead, 7).unwrap();
            prop_assert!(pace.due_in_ms(past + ahead, 7 + wait + 1) <= Some(1));
            prop_assert!(wait <= ahead as u64 * 10);
        }
    }
}
