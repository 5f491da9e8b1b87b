//! How much may cross in one direction: messages a minute, airtime an hour.

use std::collections::VecDeque;

/// What was agreed. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Messages within any minute.
    pub messages_per_minute: Option<u32>,
    /// Time on air of the packets within any hour, ms.
    pub airtime_ms_per_hour: Option<u32>,
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// Amounts are kept for steps of this many parts of their window; a window is at most one step longer than it says.
const STEPS: u64 = 60;

/// What has crossed lately, against the quota.
#[derive(Debug)]
pub(crate) struct Spent {
    quota: Quota,
    messages: Window,
    airtime_us: Window,
}

/// Which part of a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Messages,
    Airtime,
}

impl Spent {
    pub fn new(quota: Quota) -> Self {
        Self { quota, messages: Window::new(MINUTE_MS), airtime_us: Window::new(HOUR_MS) }
    }

    /// Charges one message, if it fits.
    pub fn charge(&mut self, now_ms: u64, airtime_us: u64) -> Result<(), Over> {
        let messages_max = self.quota.messages_per_minute.map(u64::from);
        if messages_max.is_some_and(|max| self.messages.sum(now_ms) + 1 > max) {
            return Err(Over::Messages);
        }
        let airtime_max = self.quota.airtime_ms_per_hour.map(|ms| u64::from(ms) * 1000);
        if airtime_max.is_some_and(|max| self.airtime_us.sum(now_ms) + airtime_us > max) {
            return Err(Over::Airtime);
        }
        self.messages.add(now_ms, 1);
        self.airtime_us.add(now_ms, airtime_us);
        Ok(())
    }

    /// Airtime of what crossed within the last hour, us.
    pub fn airtime_us(&mut self, now_ms: u64) -> u64 {
        self.airtime_us.sum(now_ms)
    }
}

/// A sum over the recent past, forgotten step by step.
#[derive(Debug)]
struct Window {
    step_ms: u64,
    /// Number of the step, and its amount; oldest first.
    steps: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    fn new(length_ms: u64) -> Self {
        Self { step_ms: length_ms / STEPS, steps: VecDeque::new(), sum: 0 }
    }

    fn sum(&mut self, now_ms: u64) -> u64 {
        let step = now_ms / self.step_ms;
        while let Some((at, amount)) = self.steps.front().copied()
            && at + STEPS < step
        {
            self.steps.pop_front();
            self.sum -= amount;
        }
        self.sum
    }

    fn add(&mut self, now_ms: u64, amount: u64) {
        let step = now_ms / self.step_ms;
        self.sum += amount;
        match self.steps.back_mut() {
            Some((at, sum)) if *at >= step => *sum += amount,
            _ => self.steps.push_back((step, amount)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_minute_holds_so_many_messages_and_the_next_as_many() {
        let mut spent = Spent::new(Quota { messages_per_minute: Some(2), airtime_ms_per_hour: None });
        assert_eq!(spent.charge(0, 1), Ok(()));
        assert_eq!(spent.charge(10, 1), Ok(()));
        assert_eq!(spent.charge(59_000, 1), Err(Over::Messages));
        assert_eq!(spent.charge(62_000, 1), Ok(()));
    }

    #[test]
    fn what_does_not_fit_costs_nothing() {
        let mut spent = Spent::new(Quota { messages_per_minute: None, airtime_ms_per_hour: Some(1) });
        assert_eq!(spent.charge(0, 1001), Err(Over::Airtime));
        assert_eq!(spent.charge(0, 1000), Ok(()));
        assert_eq!(spent.airtime_us(0), 1000);
        assert_eq!(spent.airtime_us(2 * HOUR_MS), 0);
    }

    proptest! {
        #[test]
        fn no_hour_holds_more_than_agreed(steps in proptest::collection::vec((0u64..600_000, 0u64..400_000), 1..200)) {
            let mut spent = Spent::new(Quota { messages_per_minute: None, airtime_ms_per_hour: Some(1000) });
            let (mut now_ms, mut crossed) = (0, Vec::new());
            for (later_ms, airtime_us) in steps {
                now_ms += later_ms;
                if spent.charge(now_ms, airtime_us).is_ok() {
                    crossed.push((now_ms, airtime_us));
                }
                let hour: u64 = crossed.iter().filter(|(at, _)| at + HOUR_MS > now_ms).map(|(_, us)| us).sum();
                prop_assert!(hour <= 1_000_000, "{hour} us within an hour");
            }
        }
    }
}
