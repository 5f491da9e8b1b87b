//! The ledgers of airtime: who was charged how much on the air within the last hour, in microseconds.
//!
//! An hour is kept as minutes. What counts is everything that may still be within an hour, so that no window of an hour
//! ever holds more than a limit that every charge was checked against.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::downlink::class::Class;
use crate::memory::islands::IslandId;

/// Minutes kept: the sixty whole ones of an hour, and the one that goes on.
const MINUTES: usize = 61;
const MINUTE_MS: u64 = 60_000;

/// One hour that moves on.
#[derive(Debug, Clone)]
pub struct Hour {
    minutes: [u32; MINUTES],
    /// The minute that goes on, since the clock's beginning.
    minute: u64,
    sum_us: u64,
}

impl Default for Hour {
    fn default() -> Self {
        Self { minutes: [0; MINUTES], minute: 0, sum_us: 0 }
    }
}

impl Hour {
    /// What was charged within the hour before `now_ms`, in µs; up to a minute more than an hour counts.
    pub fn used_us(&self, now_ms: u64) -> u64 {
        let passed = (now_ms / MINUTE_MS).saturating_sub(self.minute);
        if passed == 0 {
            return self.sum_us;
        }
        if passed >= MINUTES as u64 {
            return 0;
        }
        let gone: u64 = (1..=passed).map(|m| u64::from(self.minutes[place(self.minute + m)])).sum();
        self.sum_us - gone
    }

    /// Charges.
    pub fn charge(&mut self, now_ms: u64, airtime_us: u32) {
        let minute = now_ms / MINUTE_MS;
        if minute > self.minute {
            for m in self.minute + 1..=minute.min(self.minute + MINUTES as u64) {
                let gone = std::mem::take(&mut self.minutes[place(m)]);
                self.sum_us -= u64::from(gone);
            }
            self.minute = minute;
        }
        let now = &mut self.minutes[place(self.minute)];
        let before = *now;
        *now = now.saturating_add(airtime_us);
        self.sum_us += u64::from(*now - before);
    }
}

const fn place(minute: u64) -> usize {
    (minute % MINUTES as u64) as usize
}

/// Who is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Account {
    /// What goes down to an island in this class, by its stored number, and in those that are worth less. The first
    /// class holds all that goes down to the island.
    Class(IslandId, u8),
    /// What one gateway transmits.
    Gateway(u32),
    /// What a channel takes up on an island.
    Channel(IslandId, u32),
    /// What a sender takes up on all islands but its own.
    Node(u32),
    /// What was on the air of an island anyway.
    Heard(IslandId),
    /// Measurements and positions of a gateway whose owner agreed with the operator on an amount of them.
    Granted(u32),
}

/// Accounts kept. When there are more, those that owe nothing any more make room, then nodes.
const ACCOUNTS_MAX: usize = 20_000;

/// What a copy is charged to.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    /// The gateway that transmits it.
    pub gateway: u32,
    /// Its island.
    pub island: IslandId,
    /// The channel, as [`channel_number`] gives it.
    pub channel: u32,
    /// The packet's sender.
    pub node: u32,
    /// Its class.
    pub class: Class,
    /// Time on the air of all transmissions that are to be expected, in µs.
    pub airtime_us: u32,
}

impl Charge {
    /// The accounts of a copy. It counts in every class that is worth more, so that what is worth less can never use
    /// up what is kept for the others.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + use<> {
        let Self { gateway, island, channel, node, class, .. } = *self;
        let classes = (0..=class.code()).map(move |class| Account::Class(island, class));
        classes.chain([Account::Gateway(gateway), Account::Channel(island, channel), Account::Node(node)])
    }
}

/// A channel as a number, for accounts.
pub fn channel_number(name: Option<&str>) -> u32 {
    // FNV-1a: channels are few and their names the operator's own.
    name.unwrap_or_default()
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The ledgers as they are kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptAirtime(Vec<KeptHour>);

#[derive(Debug, Serialize, Deserialize)]
struct KeptHour {
    account: Account,
    /// The minute that goes on.
    minute: u64,
    /// Places that hold something, and what.
    minutes: Vec<(u8, u32)>,
}

/// All ledgers.
#[derive(Debug)]
pub struct Airtime {
    accounts: HashMap<Account, Hour, FixedState>,
}

impl Airtime {
    /// Nothing charged yet.
    pub fn new(seed: u64) -> Self {
        Self { accounts: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// The ledgers as they are kept across a restart.
    pub fn kept(&self) -> KeptAirtime {
        let hour = |(account, hour): (&Account, &Hour)| {
            let minutes = hour.minutes.iter().zip(0_u8..).filter(|(us, _)| **us > 0);
            let minutes = minutes.map(|(us, place)| (place, *us)).collect();
            KeptHour { account: *account, minute: hour.minute, minutes }
        };
        let mut kept: Vec<_> = self.accounts.iter().map(hour).collect();
        kept.sort_unstable_by_key(|hour| hour.account);
        KeptAirtime(kept)
    }

    /// Forgets the accounts of a node. What an island owes that is called after it, the same island owes under its other
    /// name: nobody is erased to get a budget back.
    pub fn forget_node(&mut self, node: u32, island_becomes: Option<IslandId>) {
        let of_island: Vec<Account> = self
            .accounts
            .keys()
            .copied()
            .filter(|account| match account {
                Account::Class(of, _) | Account::Channel(of, _) | Account::Heard(of) => *of == node,
                Account::Gateway(_) | Account::Node(_) | Account::Granted(_) => false,
            })
            .collect();
        for account in of_island {
            let owed = self.accounts.remove(&account);
            if let (Some(island), Some(owed)) = (island_becomes, owed) {
                let renamed = match account {
                    Account::Class(_, class) => Account::Class(island, class),
                    Account::Channel(_, channel) => Account::Channel(island, channel),
                    Account::Heard(_) => Account::Heard(island),
                    Account::Gateway(_) | Account::Node(_) | Account::Granted(_) => account,
                };
                self.accounts.insert(renamed, owed);
            }
        }
        for account in [Account::Gateway(node), Account::Node(node), Account::Granted(node)] {
            self.accounts.remove(&account);
        }
    }

    /// Takes over what an earlier run charged.
    pub fn take_over(&mut self, kept: KeptAirtime) {
        self.accounts.clear();
        for KeptHour { account, minute, minutes } in kept.0.into_iter().take(ACCOUNTS_MAX) {
            let mut hour = Hour { minute, ..Hour::default() };
            for (place, us) in minutes {
                if let Some(charged) = hour.minutes.get_mut(usize::from(place)) {
                    *charged = us;
                }
            }
            hour.sum_us = hour.minutes.iter().copied().map(u64::from).sum();
            self.accounts.insert(account, hour);
        }
    }

    /// What an account was charged within the last hour, in µs.
    pub fn used_us(&self, now_ms: u64, account: Account) -> u64 {
        self.accounts.get(&account).map_or(0, |hour| hour.used_us(now_ms))
    }

    /// Charges a copy that has left to all its accounts.
    pub fn charge(&mut self, now_ms: u64, charge: &Charge) {
        if charge.airtime_us == 0 {
            return;
        }
        for account in charge.accounts() {
            self.add(now_ms, account, charge.airtime_us);
        }
    }

    /// A packet was on the air of an island, whoever sent it.
    pub fn note_heard(&mut self, now_ms: u64, island: IslandId, airtime_us: u32) {
        self.add(now_ms, Account::Heard(island), airtime_us);
    }

    /// Charges one account.
    pub fn add(&mut self, now_ms: u64, account: Account, airtime_us: u32) {
        if self.accounts.len() >= ACCOUNTS_MAX && !self.accounts.contains_key(&account) {
            self.accounts.retain(|_, hour| hour.used_us(now_ms) > 0);
            if self.accounts.len() >= ACCOUNTS_MAX {
                self.accounts.retain(|account, _| !matches!(account, Account::Node(_)));
            }
        }
        self.accounts.entry(account).or_default().charge(now_ms, airtime_us);
    }

    /// Every account that owes something, for the airtime board.
    pub fn accounts(&self, now_ms: u64) -> Vec<(Account, u64)> {
        let mut owing: Vec<(Account, u64)> = self
            .accounts
            .iter()
            .map(|(account, hour)| (*account, hour.used_us(now_ms)))
            .filter(|(_, used)| *used > 0)
            .collect();
        owing.sort_unstable();
        owing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_hour_later_nothing_is_owed_and_a_minute_before_all_of_it() {
        let mut hour = Hour::default();
        hour.charge(59_999, 500);
        assert_eq!(hour.used_us(59_999 + 3_600_000), 500);
        assert_eq!(hour.used_us(59_999 + 3_660_001), 0);
        hour.charge(10 * 3_600_000, 7);
        assert_eq!(hour.used_us(10 * 3_600_000), 7);
    }

    proptest! {
        /// Whoever charges only what the ledger says is left stays within the limit in every window of an hour.
        #[test]
        fn no_window_of_an_hour_holds_more_than_the_limit(
            steps in prop::collection::vec((0u64..900_000, 1u32..400_000), 1..200),
        ) {
            const LIMIT_US: u64 = 1_000_000;
            let (mut hour, mut now_ms, mut charged) = (Hour::default(), 0, Vec::new());
            for (pause_ms, airtime_us) in steps {
                now_ms += pause_ms;
                if hour.used_us(now_ms) + u64::from(airtime_us) <= LIMIT_US {
                    hour.charge(now_ms, airtime_us);
                    charged.push((now_ms, u64::from(airtime_us)));
                }
            }
            for (end_ms, _) in &charged {
                let within = charged.iter().filter(|(at, _)| at <= end_ms && end_ms - at < 3_600_000);
                prop_assert!(within.map(|(_, us)| us).sum::<u64>() <= LIMIT_US);
            }
        }

        /// The sum that is kept is the sum of the minutes.
        #[test]
        fn the_sum_is_right_whenever_it_is_asked(steps in prop::collection::vec((0u64..4_000_000, 0u32..1_000), 1..60)) {
            let (mut hour, mut now_ms, mut charged) = (Hour::default(), 0u64, Vec::new());
            for (pause_ms, airtime_us) in steps {
                now_ms += pause_ms;
                hour.charge(now_ms, airtime_us);
                charged.push((now_ms / MINUTE_MS, u64::from(airtime_us)));
                let minute = now_ms / MINUTE_MS;
                let kept = charged.iter().filter(|(at, _)| minute - at < MINUTES as u64).map(|(_, us)| us).sum::<u64>();
                prop_assert_eq!(hour.used_us(now_ms), kept);
            }
        }
    }
}
