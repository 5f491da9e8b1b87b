//! What stands behind the outcome of one copy toward a gateway, for whoever asks later why. Values only.

use crate::memory::airtime::Account;

/// Numbers and reasons of one copy. All unset for receivers that cost no airtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyDetails {
    /// The island that the gateway was on, when known.
    pub island: Option<u32>,
    /// Airtime that the copy was charged with, in µs; 0 where it was not sent or nothing goes on the air.
    pub airtime_us: u32,
    /// Airtime that it would have been charged with, in µs, where a budget withheld it; else 0.
    pub wanted_us: u32,
    /// What was left of the tightest budget, in µs: after a copy that was sent, before one that was not; `None` where
    /// nobody asked.
    pub budget_left_us: Option<u64>,
    /// Whose budget that is; `None` where nobody asked, and in what was written before this was kept.
    pub budget_of: Option<BudgetOf>,
    /// How long it waited for its turn, in ms; 0 where it left in the turn in which it came.
    pub waited_ms: u32,
    /// Why it waited, or why it never left.
    pub why: Why,
}

/// Whose budget of airtime was the tightest. The numbers are stored; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BudgetOf {
    /// All downlink of the island.
    Island = 1,
    /// What the class and those below it may use of the island's.
    Class = 2,
    /// The gateway's.
    Gateway = 3,
    /// The channel's on the island.
    Channel = 4,
    /// The sender's.
    Sender = 5,
}

impl BudgetOf {
    /// Every one, in the order of its stored number.
    pub const ALL: [BudgetOf; 5] = [Self::Island, Self::Class, Self::Gateway, Self::Channel, Self::Sender];

    /// Whose an account is; `None` for accounts without a budget.
    pub const fn of(account: Account) -> Option<Self> {
        match account {
            Account::Class(_, 0) => Some(Self::Island),
            Account::Class(..) => Some(Self::Class),
            Account::Gateway(_) => Some(Self::Gateway),
            Account::Channel(..) => Some(Self::Channel),
            Account::Node(_) => Some(Self::Sender),
            Account::Heard(_) | Account::Granted(_) => None,
        }
    }

    /// The word that follows "budget of the".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Island => "island",
            Self::Class => "class",
            Self::Gateway => "gateway",
            Self::Channel => "channel",
            Self::Sender => "sender",
        }
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one with that stored number.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|one| u64::from(one.code()) == code)
    }
}

/// Why a copy waited or never left. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Why {
    /// It did not wait.
    #[default]
    None = 0,
    /// The radio had the first chance.
    RadioFirst = 1,
    /// The gateway takes no more at a time, or others went first.
    Pace = 2,
    /// The gateway was away.
    Away = 3,
    /// A newer one of the same kind came.
    Newer = 4,
    /// It became too old.
    TooOld = 5,
    /// There was no room for all that waited.
    NoRoom = 6,
    /// The gateway's session ended while it waited.
    Gone = 7,
    /// It is the broker's own, which finds out whether the gateway can be reached.
    RoundTrip = 8,
}

impl Why {
    /// Every reason, in the order of its stored number.
    pub const ALL: [Why; 9] = [
        Self::None,
        Self::RadioFirst,
        Self::Pace,
        Self::Away,
        Self::Newer,
        Self::TooOld,
        Self::NoRoom,
        Self::Gone,
        Self::RoundTrip,
    ];

    /// The reason in words, to follow what became of the copy; empty for none.
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::RadioFirst => "radio had the first chance",
            Self::Pace => "the gateway reads no faster",
            Self::Away => "the gateway was away",
            Self::Newer => "a newer one came",
            Self::TooOld => "it became too old",
            Self::NoRoom => "too much waited for the gateway",
            Self::Gone => "the gateway left",
            Self::RoundTrip => "asks whether the gateway can be reached",
        }
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason with that stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways() {
        for (index, why) in Why::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(why.code()), Why::from_code(why.code())), (index, Some(why)));
        }
        assert_eq!(Why::from_code(200), None);
        for one in BudgetOf::ALL {
            assert_eq!(BudgetOf::from_code(u64::from(one.code())), Some(one));
        }
        assert_eq!(BudgetOf::from_code(0), None);
    }
}
