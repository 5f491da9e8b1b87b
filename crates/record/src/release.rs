//! What became of the copies of one reception: delivered, withheld or dropped, receiver by receiver. Values only.

use std::sync::Arc;

use policy::decision::Outcome;
use policy::downlink::details::CopyDetails;
use policy::rule::RuleSet;

/// Copies of one accepted reception: those that were settled at once, or some that had waited and were settled later.
#[derive(Debug, Clone)]
pub struct Release {
    /// The reception that was released.
    pub reception_seq: u64,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// One entry for each receiver whose subscription matched and whose copy does not wait, in no promised order.
    pub copies: Vec<ReleasedCopy>,
}

/// One copy toward one receiver.
#[derive(Debug, Clone)]
pub struct ReleasedCopy {
    /// Who: the gateway's id for gateways, the credential's name or the client identifier for others.
    pub receiver: Arc<str>,
    /// What kind of client it is.
    pub kind: ReceiverKind,
    /// What became of it.
    pub outcome: Outcome,
    /// Rules in state `observe` that would have withheld or changed it.
    pub observed: RuleSet,
    /// What stands behind it; all unset for receivers that cost no airtime.
    pub details: CopyDetails,
}

/// What kind of client a receiver is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReceiverKind {
    /// Copies cost airtime.
    Gateway = 0,
    /// Reads only.
    Observer = 1,
    /// Has topics of its own.
    Service = 2,
    /// A loopback client from before the first credential.
    Guest = 3,
    /// A bridge to another broker, which is outside the community.
    Bridge = 4,
}

impl ReceiverKind {
    /// Every kind, in the order of its stored number.
    pub const ALL: [ReceiverKind; 5] =
        [Self::Gateway, Self::Observer, Self::Service, Self::Guest, Self::Bridge];

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Observer => "observer",
            Self::Service => "service",
            Self::Guest => "guest",
            Self::Bridge => "bridge",
        }
    }

    /// The kind with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The stored number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind with that stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}
