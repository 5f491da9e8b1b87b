//! Nodes that are erased: orders to delete what is held of one, and the tombstones that keep it out afterwards. A tombstone
//! is a keyed print of the node's number, so that the number itself need not be kept to keep it out.

use std::collections::BTreeSet;
use std::fmt;

use crate::{GatewayId, TokenKey};

/// Bytes of a print: two numbers out of all that exist hardly ever have the same.
pub const PRINT_BYTES: usize = 16;
/// Most orders and tombstones.
pub const ERASURES_MAX: usize = 10_000;
/// Most requests by owners that wait for an operator.
pub const ERASURE_REQUESTS_MAX: usize = 200;

/// What stands for a node's number where the number must not stand. It cannot be told without the installation's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePrint(pub [u8; PRINT_BYTES]);

impl fmt::Display for NodePrint {
    /// The first bytes in hex: enough to tell tombstones apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodePrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePrint({self})")
    }
}

impl TokenKey {
    /// The print of a node's number in this installation.
    pub fn print_of(&self, node: u32) -> NodePrint {
        let hash = self.derive(b"erased node", &node.to_be_bytes(), b"");
        let mut print = [0; PRINT_BYTES];
        print.copy_from_slice(&hash[..PRINT_BYTES]);
        NodePrint(print)
    }
}

/// The nodes that are kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones(BTreeSet<NodePrint>);

impl Tombstones {
    /// Tombstones of these nodes.
    pub fn of(prints: impl IntoIterator<Item = NodePrint>) -> Self {
        Self(prints.into_iter().collect())
    }

    /// Whether nobody is kept out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are kept out.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the node with this print is kept out.
    pub fn has(&self, print: NodePrint) -> bool {
        self.0.contains(&print)
    }
}

/// How far an erasure has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureState {
    /// Somebody asked for it; an operator has to confirm it. Nothing is kept out yet.
    Asked,
    /// It is to be done, or under way; the node is kept out.
    Ordered,
    /// Everything is deleted; the node is kept out.
    Done,
    /// An operator said no to who asked.
    Refused,
    /// The node may come in again; what was deleted stays so.
    Lifted,
}

impl ErasureState {
    const ALL: [Self; 5] = [Self::Asked, Self::Ordered, Self::Done, Self::Refused, Self::Lifted];

    /// The word for it, also in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Ordered => "ordered",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Lifted => "lifted",
        }
    }

    /// The state with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether the node is kept out.
    pub const fn keeps_out(self) -> bool {
        matches!(self, Self::Ordered | Self::Done)
    }
}

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its number, from 1.
    pub number: i64,
    /// The print of the node's number.
    pub print: NodePrint,
    /// The node, until everything is deleted.
    pub node: Option<GatewayId>,
    /// How far it has come.
    pub state: ErasureState,
    /// When it was asked for or ordered, Unix ms.
    pub asked_ms: i64,
    /// Who asked for it or ordered it, in words without the node's number.
    pub asked_by: String,
    /// What was found when it began, as JSON; `None` before that.
    pub found: Option<String>,
    /// What hinders it at the moment.
    pub problem: Option<String>,
    /// When everything was deleted, Unix ms.
    pub done_ms: Option<i64>,
    /// What was done, as JSON, without the node's number.
    pub receipt: Option<String>,
}

/// Why an erasure is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureRefused {
    /// The number is nobody's or everybody's.
    NotANode,
    /// It is asked for, ordered or done already.
    Already(i64),
    /// There are too many.
    TooMany,
    /// None has this number, or it is past that.
    Unknown(i64),
    /// No tombstone keeps this node out.
    NotErased,
}

impl fmt::Display for ErasureRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANode => f.write_str("this number stands for nobody or for everybody"),
            Self::Already(number) => write!(f, "erasure {number} is of this node already"),
            Self::TooMany => f.write_str("there are too many erasures"),
            Self::Unknown(number) => write!(f, "no erasure {number} waits for that"),
            Self::NotErased => f.write_str("no tombstone keeps this node out"),
        }
    }
}

impl std::error::Error for ErasureRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_is_of_one_node_in_one_installation() {
        let (here, there) = (TokenKey::new([7; 32]), TokenKey::new([8; 32]));
        assert_eq!(here.print_of(5), here.print_of(5));
        assert_ne!(here.print_of(5), here.print_of(6));
        assert_ne!(here.print_of(5), there.print_of(5));
        let stones = Tombstones::of([here.print_of(5)]);
        assert!(stones.has(here.print_of(5)) && !stones.has(here.print_of(6)));
    }

    #[test]
    fn words_and_states_go_both_ways() {
        for state in ErasureState::ALL {
            assert_eq!(ErasureState::from_word(state.word()), Some(state));
        }
    }
}
