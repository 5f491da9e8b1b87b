//! Budgets of airtime: how much of an hour downlink may take up, and how much less when the channel is busy.

use crate::downlink::class::Class;
use crate::memory::airtime::{Account, Airtime, Charge};

const HOUR_US: u64 = 3_600_000_000;

/// Shares of an hour, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSettings {
    /// What goes down to one island.
    pub island: u32,
    /// What one gateway transmits.
    pub gateway: u32,
    /// What one channel takes up on one island.
    pub channel: u32,
    /// What one sender takes up.
    pub node: u32,
    /// How much of the island's budget the classes may use up, by stored number, in hundredths. The first class may
    /// use all of it; what the others may not is kept for it.
    pub classes: [u8; Class::ALL.len()],
    /// Utilisation of the channel up to which the whole budget is there, percent.
    pub quiet_percent: u8,
    /// Utilisation from which the least of it is there, percent.
    pub busy_percent: u8,
    /// How much of the budget is there on a busy channel, in hundredths.
    pub busy_share: u8,
    /// Transmissions by others that every hop beyond the gateway's own costs.
    pub relays_per_hop: u8,
}

impl Default for BudgetSettings {
    /// Firmware stops sending position and telemetry at 25 % of utilisation and everything but what is urgent at 40 %
    /// (`airtime.h`): downlink is to be noticed before that.
    fn default() -> Self {
        Self {
            island: 150,
            gateway: 100,
            channel: 150,
            node: 40,
            classes: [100, 80, 50, 40, 30, 20],
            quiet_percent: 15,
            busy_percent: 40,
            busy_share: 10,
            relays_per_hop: 3,
        }
    }
}

impl BudgetSettings {
    /// Time on the air of all transmissions that a copy is expected to cause, in µs: none with hop limit 0, the
    /// gateway's own with 1, and with every further hop those of some relays. Managed flooding keeps them few: a node
    /// that hears another repeat a packet stays silent.
    pub fn expected_us(&self, airtime_us: u32, hop_limit: u8) -> u32 {
        let transmissions = match hop_limit {
            0 => 0,
            hops => 1 + u32::from(self.relays_per_hop) * (u32::from(hops) - 1),
        };
        airtime_us.saturating_mul(transmissions)
    }

    /// How much of the budgets is there at this utilisation, in thousandths.
    fn share_at(&self, utilisation_percent: Option<f32>) -> u64 {
        let least = f32::from(self.busy_share) / 100.0;
        let (quiet, busy) = (f32::from(self.quiet_percent), f32::from(self.busy_percent));
        let share = match utilisation_percent {
            None => 1.0,
            Some(percent) if percent <= quiet => 1.0,
            Some(percent) if percent >= busy => least,
            Some(percent) => 1.0 - (percent - quiet) / (busy - quiet) * (1.0 - least),
        };
        (share * 1000.0) as u64
    }

    /// The limit of an account within an hour, in µs, at this utilisation. What was on the air anyway has none.
    pub fn limit_us(&self, account: Account, utilisation_percent: Option<f32>) -> u64 {
        self.limit_with(account, self.share_at(utilisation_percent))
    }

    /// The limit of an account within an hour, in µs, with so many thousandths of the budgets there.
    fn limit_with(&self, account: Account, share: u64) -> u64 {
        let thousandths = match account {
            Account::Class(_, class) => {
                let share = self.classes.get(usize::from(class)).copied().unwrap_or(0);
                u64::from(self.island) * u64::from(share)
            }
            Account::Gateway(_) => u64::from(self.gateway) * 100,
            Account::Channel(..) => u64::from(self.channel) * 100,
            Account::Node(_) => u64::from(self.node) * 100,
            Account::Heard(_) | Account::Granted(_) => return u64::MAX,
        };
        HOUR_US / 100_000 * thousandths * share / 1000
    }
}

/// What a budget says of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The account with the least left.
    pub account: Account,
    /// What is left in it before the copy, in µs.
    pub left_us: u64,
}

/// The tightest budget of a copy, and whether the copy fits into all of them. `agreed_us` is what its gateway may be
/// sent within an hour by agreement, where that is less than what every gateway may.
pub fn tightest(
    settings: &BudgetSettings,
    airtime: &Airtime,
    now_ms: u64,
    charge: &Charge,
    utilisation_percent: Option<f32>,
    agreed_us: u64,
) -> (Budget, bool) {
    let share = settings.share_at(utilisation_percent);
    let mut tightest = Budget { account: Account::Class(charge.island, 0), left_us: u64::MAX };
    for account in charge.accounts() {
        let mut limit = settings.limit_with(account, share);
        if matches!(account, Account::Gateway(_)) {
            limit = limit.min(agreed_us);
        }
        let left_us = limit.saturating_sub(airtime.used_us(now_ms, account));
        if left_us < tightest.left_us {
            tightest = Budget { account, left_us };
        }
    }
    (tightest, u64::from(charge.airtime_us) <= tightest.left_us)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn charge(class: Class, airtime_us: u32) -> Charge {
        Charge { gateway: 1, island: 1, channel: 7, node: 9, class, airtime_us }
    }

    #[test]
    fn phones_cost_nothing_and_every_hop_costs_relays() {
        let settings = BudgetSettings::default();
        assert_eq!([0, 1, 2, 3].map(|hops| settings.expected_us(1_000, hops)), [0, 1_000, 4_000, 7_000]);
    }

    #[test]
    fn a_busy_channel_tightens_every_budget() {
        let settings = BudgetSettings::default();
        let limit = |percent| settings.limit_us(Account::Class(1, 0), percent);
        assert_eq!(limit(None), 540_000_000, "15 % of an hour");
        assert_eq!(limit(Some(15.0)), 540_000_000);
        assert_eq!(limit(Some(90.0)), 54_000_000);
        assert!(limit(Some(20.0)) > limit(Some(30.0)) && limit(Some(30.0)) > limit(Some(40.0)));
        assert_eq!(settings.limit_us(Account::Heard(1), Some(90.0)), u64::MAX);
    }

    #[test]
    fn telemetry_cannot_use_up_what_is_kept_for_texts() {
        let settings =
            BudgetSettings { node: 1000, gateway: 1000, channel: 1000, ..BudgetSettings::default() };
        let mut airtime = Airtime::new(0);
        let mut sent = 0;
        while tightest(&settings, &airtime, 0, &charge(Class::Telemetry, 500_000), None, u64::MAX).1 {
            airtime.charge(0, &charge(Class::Telemetry, 500_000));
            sent += 1;
        }
        assert_eq!(sent, 324, "30 % of 540 s");
        let (budget, fits) =
            tightest(&settings, &airtime, 0, &charge(Class::Message, 500_000), None, u64::MAX);
        assert!(fits && budget.left_us > 100_000_000, "{budget:?}");
    }

    proptest! {
        /// Whatever is sent, as long as it is asked before: no account ever holds more than its limit in any hour.
        #[test]
        fn no_budget_is_exceeded_in_any_window(
            copies in prop::collection::vec((0u64..600_000, 0u8..6, 1u32..20_000_000, 0u32..3, 0u32..2), 1..150),
        ) {
            let settings = BudgetSettings::default();
            let (mut airtime, mut now_ms, mut sent) = (Airtime::new(0), 0, Vec::new());
            for (pause_ms, class, airtime_us, node, gateway) in copies {
                now_ms += pause_ms;
                let class = Class::from_code(class).unwrap_or(Class::Other);
                let charge = Charge { gateway, island: 1, channel: 7, node, class, airtime_us };
                if tightest(&settings, &airtime, now_ms, &charge, None, u64::MAX).1 {
                    airtime.charge(now_ms, &charge);
                    sent.push((now_ms, charge));
                }
            }
            for (end_ms, last) in &sent {
                for account in last.accounts() {
                    let within = sent.iter().filter(|(at, c)| {
                        at <= end_ms && end_ms - at < 3_600_000 && c.accounts().any(|a| a == account)
                    });
                    let used: u64 = within.map(|(_, c)| u64::from(c.airtime_us)).sum();
                    prop_assert!(used <= settings.limit_us(account, None), "{account:?}");
                }
            }
        }
    }
}
