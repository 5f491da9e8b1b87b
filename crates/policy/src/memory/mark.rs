//! Marks: what makes the identity of a node doubtful, with the evidence for people. Values and words only.

use std::borrow::Cow;

use mesh::node::NodeNum;
use serde::{Deserialize, Serialize};

use crate::decision::Decision;
use crate::rule::RuleId;

/// A doubt about who sent a packet. Each has the rule that finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// One id with two public keys.
    TwoKeys,
    /// One public key with two ids.
    SharedKey,
    /// A signature that is wrong, or missing where there should be one.
    Signature,
    /// A gateway heard its own id over the air.
    OwnIdHeard,
    /// Two positions that nobody travels between in that time.
    ImpossibleTravel,
    /// Heard directly by two gateways that are too far apart.
    TwoIslands,
}

impl Mark {
    /// Every mark, in the order in which their rules are asked.
    pub const ALL: [Mark; 6] = [
        Self::TwoKeys,
        Self::SharedKey,
        Self::Signature,
        Self::OwnIdHeard,
        Self::ImpossibleTravel,
        Self::TwoIslands,
    ];

    /// The rule that finds it; its state says whether a marked packet is passed on.
    pub const fn rule(self) -> RuleId {
        match self {
            Self::TwoKeys => RuleId::TwoKeys,
            Self::SharedKey => RuleId::SharedKey,
            Self::Signature => RuleId::Signature,
            Self::OwnIdHeard => RuleId::OwnIdHeard,
            Self::ImpossibleTravel => RuleId::ImpossibleTravel,
            Self::TwoIslands => RuleId::TwoIslands,
        }
    }

    /// The marks that a decision put on a packet: those of rules that only watch, and of the one that decided.
    pub fn of(decision: &Decision) -> impl Iterator<Item = Mark> {
        let (observed, decided) = (decision.observed, decision.rule);
        Self::ALL.into_iter().filter(move |mark| {
            let rule = mark.rule();
            observed.contains(rule) || decided == Some(rule)
        })
    }
}

/// What was found against a packet's sender. Holds no position: only how far two were apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// It comes with another public key than before.
    TwoKeys {
        /// When the other key was seen first, Unix ms.
        known_since_ms: i64,
    },
    /// It comes with the public key of another node.
    SharedKey {
        /// Whose key it is.
        holder: u32,
    },
    /// Its signature was not made with the node's key over this packet.
    SignatureWrong,
    /// Its signature is neither 0 nor 64 bytes long, which receivers drop.
    SignatureMalformed,
    /// It is not signed, though its sender signs what has room for a signature.
    SignatureMissing,
    /// The gateway says that it heard a packet over the air that it sent itself.
    OwnIdHeard,
    /// Its place is too far from the one before.
    ImpossibleTravel {
        /// Distance at least, km.
        km: u32,
        /// Time between the two, s.
        within_s: u32,
    },
    /// Another gateway heard the same node directly at about the same time, too far away.
    TwoIslands {
        /// The other gateway.
        gateway: u32,
        /// Distance between the two gateways at least, km.
        km: u32,
        /// Time between the two receptions, s.
        within_s: u32,
    },
}

impl Finding {
    /// Whether it tells of that node.
    pub fn names(self, node: u32) -> bool {
        match self {
            Self::SharedKey { holder } => holder == node,
            Self::TwoIslands { gateway, .. } => gateway == node,
            Self::TwoKeys { .. }
            | Self::SignatureWrong
            | Self::SignatureMalformed
            | Self::SignatureMissing
            | Self::OwnIdHeard
            | Self::ImpossibleTravel { .. } => false,
        }
    }

    /// Which mark it is.
    pub const fn mark(self) -> Mark {
        match self {
            Self::TwoKeys { .. } => Mark::TwoKeys,
            Self::SharedKey { .. } => Mark::SharedKey,
            Self::SignatureWrong | Self::SignatureMalformed | Self::SignatureMissing => Mark::Signature,
            Self::OwnIdHeard => Mark::OwnIdHeard,
            Self::ImpossibleTravel { .. } => Mark::ImpossibleTravel,
            Self::TwoIslands { .. } => Mark::TwoIslands,
        }
    }

    /// It in one sentence, for owner and operator.
    pub fn sentence(self) -> Cow<'static, str> {
        match self {
            Self::TwoKeys { .. } => {
                "This node has shown another public key before: it was reset, or somebody else uses its id.".into()
            }
            Self::SharedKey { holder } => {
                format!("The public key in it belongs to {}: two nodes cannot have the same key.", NodeNum(holder))
                    .into()
            }
            Self::SignatureWrong => "Its signature was not made with this node's key over this packet.".into(),
            Self::SignatureMalformed => {
                "Its signature is cut short or too long; nodes with firmware 2.8 drop such packets.".into()
            }
            Self::SignatureMissing => "This node signs what it sends to all, and this packet is not signed.".into(),
            Self::OwnIdHeard => {
                "The gateway heard this packet over the air with its own id as sender: somebody else uses that id."
                    .into()
            }
            Self::ImpossibleTravel { km, within_s } => {
                format!("Its position is at least {km} km from the one before, {}.", span(within_s)).into()
            }
            Self::TwoIslands { gateway, km, within_s } => format!(
                "{} heard this node directly as well, {}, and is at least {km} km away.",
                NodeNum(gateway),
                span(within_s)
            )
            .into(),
        }
    }
}

fn span(seconds: u32) -> String {
    match seconds {
        0..10 => "at the same time".to_owned(),
        10..120 => format!("within {seconds} s"),
        120..7_200 => format!("within {} minutes", seconds / 60),
        _ => format!("within {} hours", seconds / 3_600),
    }
}

/// What is remembered of a mark on a node: the latest finding, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was found first, Unix ms.
    pub first_ms: i64,
    /// When it was found last, Unix ms.
    pub last_ms: i64,
    /// How many packets were marked.
    pub times: u32,
    /// The gateway that uplinked the latest one.
    pub gateway: u32,
    /// Packet id of the latest one; 0 none.
    pub packet_id: u32,
    /// What was found in it.
    pub finding: Finding,
}
