//! Faults planted around the broker, to prove that the checks can fail.

use crate::Promise;

/// One way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The broker does not ask for consent.
    IgnoreConsent,
    /// A copy on its way to a gateway gets a higher hop limit.
    RaiseHopLimit,
    /// One byte of a copy's payload is changed.
    DamageCopy,
    /// The broker does not know which gateways heard a packet.
    ForgetWhoHeard,
    /// The broker does not count airtime against budgets.
    IgnoreBudgets,
    /// A copy is sent twice.
    RepeatCopy,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::IgnoreConsent,
        Self::RaiseHopLimit,
        Self::DamageCopy,
        Self::ForgetWhoHeard,
        Self::IgnoreBudgets,
        Self::RepeatCopy,
    ];

    /// The promise that it breaks.
    pub const fn breaks(self) -> Promise {
        match self {
            Self::IgnoreConsent => Promise::Consent,
            Self::RaiseHopLimit => Promise::HopLimit,
            Self::DamageCopy => Promise::ExactBytes,
            Self::ForgetWhoHeard => Promise::NotHeardBefore,
            Self::IgnoreBudgets => Promise::Budget,
            Self::RepeatCopy => Promise::Once,
        }
    }
}
