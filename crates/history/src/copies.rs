//! The copies of one release as compact bytes: for each, who, what kind, and what became of it.
//!
//! Per copy: varint word of the receiver, one byte (kind in the upper three bits, then whether there are observed rules and
//! details, outcome in the lower three), one byte more where the outcome has a number, a varint of observed rules, and the
//! details: their length in bytes, the number of the reason, then varints of island + 1, airtime, budget left + 1, time
//! waited, whose budget it is and airtime wanted, of which zeros at the end are left out. Readers stop at outcomes that they do not know and skip details beyond
//! those they know. Before there were details, their bit was 0.

use policy::decision::Outcome;
use policy::downlink::details::{BudgetOf, CopyDetails, Why};
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
    /// What stands behind it.
    pub details: CopyDetails,
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
    let has_details = u8::from(copy.details != CopyDetails::default()) << 3;
    out.push(copy.kind.code() << 5 | has_observed | has_details | code);
    out.extend(number);
    if has_observed != 0 {
        mesh::wire::put_varint(out, copy.observed.0);
    }
    if has_details != 0 {
        put_details(out, &copy.details);
    }
}

fn put_details(out: &mut Vec<u8>, details: &CopyDetails) {
    let numbers = [
        details.island.map_or(0, |island| u64::from(island) + 1),
        u64::from(details.airtime_us),
        details.budget_left_us.map_or(0, |left| left.saturating_add(1)),
        u64::from(details.waited_ms),
        details.budget_of.map_or(0, |of| u64::from(of.code())),
        u64::from(details.wanted_us),
    ];
    let start = out.len();
    out.extend([0, details.why.code()]);
    let told = numbers.iter().rposition(|number| *number != 0).map_or(0, |last| last + 1);
    numbers[..told].iter().for_each(|number| mesh::wire::put_varint(out, *number));
    // Six varints of at most ten bytes and a number: the length is one byte.
    out[start] = (out.len() - start - 1) as u8;
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
    let outcome = match head & 0x07 {
        0 => Outcome::Delivered,
        1 => Outcome::DeliveredWithHopLimit(byte(bytes)?),
        2 => Outcome::Withheld(RuleId::from_code(byte(bytes)?)?),
        3 => Outcome::Dropped,
        _ => return None,
    };
    let observed = if head & 0x10 != 0 { RuleSet(varint(bytes)?) } else { RuleSet::default() };
    let details = if head & 0x08 != 0 { read_details(bytes)? } else { CopyDetails::default() };
    Some(Copy { receiver, kind, outcome, observed, details })
}

fn read_details(bytes: &mut &[u8]) -> Option<CopyDetails> {
    let length = byte(bytes)?;
    let (mut told, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    // A reason that came later than this program is no reason to lose the numbers.
    let why = Why::from_code(byte(&mut told)?).unwrap_or_default();
    let mut number = || if told.is_empty() { Some(0) } else { varint(&mut told) };
    Some(CopyDetails {
        why,
        island: number()?.checked_sub(1).and_then(|island| u32::try_from(island).ok()),
        airtime_us: u32::try_from(number()?).unwrap_or(u32::MAX),
        budget_left_us: number()?.checked_sub(1),
        waited_ms: u32::try_from(number()?).unwrap_or(u32::MAX),
        budget_of: BudgetOf::from_code(number()?),
        wanted_us: u32::try_from(number()?).unwrap_or(u32::MAX),
    })
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

    fn details() -> impl Strategy<Value = CopyDetails> {
        let numbers =
            (any::<Option<u32>>(), any::<u32>(), any::<Option<u32>>(), any::<u32>(), 0..9_u8, 0..6_u64);
        let told = numbers.prop_map(|(island, airtime_us, left, waited_ms, why, of)| CopyDetails {
            island,
            airtime_us,
            budget_left_us: left.map(|left| u64::from(left) << 20),
            waited_ms,
            why: Why::from_code(why).unwrap(),
            budget_of: BudgetOf::from_code(of),
            wanted_us: airtime_us / 2,
        });
        prop_oneof![Just(CopyDetails::default()), told]
    }

    /// As files of the first version have them.
    #[test]
    fn copies_without_details_are_still_read() {
        let bytes = [5, 0x00, 6, 0x11, 1, 0x80, 0x80, 0x80, 0x02, 7, 0x22, 20, 8, 0x63];
        let outcomes: Vec<_> =
            read(&bytes).into_iter().map(|c| (c.receiver, c.outcome, c.observed.0)).collect();
        assert_eq!(
            outcomes,
            [
                (5, Outcome::Delivered, 0),
                (6, Outcome::DeliveredWithHopLimit(1), 1 << 22),
                (7, Outcome::Withheld(RuleId::Echo), 0),
                (8, Outcome::Dropped, 0),
            ]
        );
        assert!(read(&bytes).iter().all(|copy| copy.details == CopyDetails::default()));
    }

    #[test]
    fn details_of_a_later_program_are_skipped() {
        // A reason and a number that nobody here knows, then a plain copy.
        let bytes = [5, 0x08, 6, 99, 0, 7, 0, 3, 42, 6, 0x00];
        let copies = read(&bytes);
        let known = CopyDetails { airtime_us: 7, waited_ms: 3, ..CopyDetails::default() };
        assert_eq!((copies.len(), copies[0].details, copies[1].receiver), (2, known, 6));
    }

    proptest! {
        #[test]
        fn copies_come_back(
            copies in prop::collection::vec(
                (0i64..1_000_000, 0u8..4, 0u8..4, 0u8..8, prop::bool::ANY, details()), 0..20
            )
        ) {
            let copies: Vec<Copy> = copies.into_iter().map(|(receiver, kind, outcome, hops, observed, details)| Copy {
                receiver,
                kind: ReceiverKind::from_code(kind).unwrap(),
                outcome: match outcome {
                    0 => Outcome::Delivered,
                    1 => Outcome::DeliveredWithHopLimit(hops),
                    2 => Outcome::Withheld(RuleId::Echo),
                    _ => Outcome::Dropped,
                },
                observed: if observed { RuleSet(1 << 22) } else { RuleSet::default() },
                details,
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
