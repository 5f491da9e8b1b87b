//! The copies of one release as compact bytes: for each, who, what kind, and what became of it.
//!
//! Per copy: varint word of the receiver, one byte (kind in the upper three bits, outcome in the lower), one byte more
//! where the outcome has a number, and a varint of observed rules. Version 1; readers ignore outcomes they do not know.

use policy::decision::Outcome;
use policy::rule::{RuleId, RuleSet};
use record::ReceiverKind;

/// One copy with its receiver as a word's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Word of the receiver.
    pub receiver: i64,
    /// Kind of client.
    pub kind: ReceiverKind,
    /// What became of it.
    pub outcome: Outcome,
    /// Rules in state `observe` that would have withheld or changed it.
    pub observed: RuleSet,
}

/// Appends a copy.
pub fn put(out: &mut Vec<u8>, copy: &Copy) {
    let (code, number) = match copy.outcome {
        Outcome::Delivered => (0, None),
        Outcome::DeliveredWithHopLimit(hops) => (1, Some(hops)),
        Outcome::Withheld(rule) => (2, Some(rule.code())),
        Outcome::Dropped => (3, None),
    };
    let has_observed = u8::from(copy.observed != RuleSet::default()) << 4;
    mesh::wire::put_varint(out, copy.receiver as u64);
    out.push(copy.kind.code() << 5 | has_observed | code);
    out.extend(number);
    if has_observed != 0 {
        mesh::wire::put_varint(out, copy.observed.0);
    }
}

/// Reads copies; stops at the first that this program does not understand.
pub fn read(mut bytes: &[u8]) -> Vec<Copy> {
    let mut copies = Vec::new();
    while let Some(copy) = read_one(&mut bytes) {
        copies.push(copy);
    }
    copies
}

fn read_one(bytes: &mut &[u8]) -> Option<Copy> {
    let receiver = i64::try_from(varint(bytes)?).ok()?;
    let head = byte(bytes)?;
    let kind = ReceiverKind::from_code(head >> 5)?;
    let outcome = match head & 0x0f {
        0 => Outcome::Delivered,
        1 => Outcome::DeliveredWithHopLimit(byte(bytes)?),
        2 => Outcome::Withheld(RuleId::from_code(byte(bytes)?)?),
        3 => Outcome::Dropped,
        _ => return None,
    };
    let observed = if head & 0x10 != 0 { RuleSet(varint(bytes)?) } else { RuleSet::default() };
    Some(Copy { receiver, kind, outcome, observed })
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..10 {
        let byte = byte(bytes)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn copies_come_back(
            copies in prop::collection::vec((0i64..1_000_000, 0u8..4, 0u8..4, 0u8..8, prop::bool::ANY), 0..20)
        ) {
            let copies: Vec<Copy> = copies.into_iter().map(|(receiver, kind, outcome, hops, observed)| Copy {
                receiver,
                kind: ReceiverKind::from_code(kind).unwrap(),
                outcome: match outcome {
                    0 => Outcome::Delivered,
                    1 => Outcome::DeliveredWithHopLimit(hops),
                    2 => Outcome::Withheld(RuleId::Echo),
                    _ => Outcome::Dropped,
                },
                observed: if observed { RuleSet(1 << 22) } else { RuleSet::default() },
            }).collect();
            let mut bytes = Vec::new();
            copies.iter().for_each(|c| put(&mut bytes, c));
            prop_assert_eq!(read(&bytes), copies);
        }

        #[test]
        fn junk_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            read(&bytes);
        }
    }
}
