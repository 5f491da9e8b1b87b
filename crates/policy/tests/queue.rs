//! The promises of a gateway's queue, whatever comes and whenever it is looked at.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up should stop")]

use std::collections::{HashMap, HashSet};

use policy::downlink::class::{AgeLimits, Class, Kind};
use policy::downlink::queue::{Offered, Pace, Queue, QueueSettings, Waits};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// A copy comes: class, node that it is of, bytes, hold.
    Come(u8, u32, usize, u64),
    /// Time passes.
    Pass(u64),
    /// The queue is looked at.
    Look,
    /// The gateway acknowledges the oldest.
    Acknowledge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, 1_u32..4, 1_usize..300, prop_oneof![Just(0), 0_u64..5000])
            .prop_map(|(class, node, bytes, hold)| Step::Come(class, node, bytes, hold)),
        2 => prop_oneof![0_u64..50, 0_u64..2000, 0_u64..40_000].prop_map(Step::Pass),
        3 => Just(Step::Look),
        1 => Just(Step::Acknowledge),
    ]
}

/// A copy as the model knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: u64,
    class: Class,
    kind: Option<Kind>,
    came_ms: u64,
    hold_ms: u64,
}

const PORTS: [u32; 6] = [1, 70, 4, 3, 67, 71];

fn settings() -> QueueSettings {
    QueueSettings {
        ages: AgeLimits([60_000, 10_000, 20_000, 8_000, 8_000, 4_000]),
        pace: Pace { messages_per_s: 5, messages_at_once: 3, bytes_per_s: 400, bytes_at_once: 600 },
        in_flight_max: 3,
        patience_ms: 9_000,
        waiting_max: 12,
        hold_ms: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_keeps_its_promises(steps in prop::collection::vec(step(), 1..250)) {
        let settings = settings();
        let mut queue = Queue::default();
        let mut waiting: Vec<Known> = Vec::new();
        let mut in_flight: Vec<(u64, u64)> = Vec::new();
        let mut sent: Vec<(u64, usize)> = Vec::new();
        let mut sizes = HashMap::new();
        let (mut now, mut number) = (1_000_000, 0);
        for step in steps {
            match step {
                Step::Come(class, node, bytes, hold_ms) => {
                    number += 1;
                    let port = PORTS[usize::from(class)];
                    let (class, kind) = (Class::of(Some(port), u32::MAX), Kind::of(node, u32::MAX, Some(port), 0));
                    sizes.insert(number, bytes);
                    let age_max_ms = settings.ages.of(class);
                    let known = Known { number, class, kind, came_ms: now, hold_ms };
                    let lost = match queue.offer(&settings, now, Waits { class, kind, bytes, hold_ms, age_max_ms }, number) {
                        Offered::Waits => None,
                        Offered::InPlaceOf(older) => {
                            let older = waiting.iter().find(|k| k.number == older.handle).unwrap();
                            prop_assert!(older.kind.is_some() && older.kind == kind, "only its own kind");
                            Some(older.number)
                        }
                        Offered::Displaced(other) => {
                            let other = waiting.iter().find(|k| k.number == other.handle).unwrap();
                            prop_assert!(other.class > class, "{:?} gave way to {class:?}", other.class);
                            Some(other.number)
                        }
                        Offered::Full(back) => {
                            prop_assert_eq!(back, number);
                            prop_assert!(waiting.iter().all(|k| k.class <= class));
                            Some(back)
                        }
                    };
                    waiting.push(known);
                    waiting.retain(|k| Some(k.number) != lost);
                }
                Step::Pass(ms) => now += ms,
                Step::Acknowledge => {
                    if !in_flight.is_empty() {
                        queue.note_acknowledged(in_flight.remove(0).0);
                    }
                }
                Step::Look => {
                    while let Some(overdue) = queue.take_overdue(&settings, now) {
                        let (_, at) = in_flight.iter().find(|(n, _)| *n == overdue).copied().unwrap();
                        prop_assert!(now - at >= settings.patience_ms);
                        in_flight.retain(|(n, _)| *n != overdue);
                    }
                    while let Some(old) = queue.take_too_old(now) {
                        let known = *waiting.iter().find(|k| k.number == old.handle).unwrap();
                        prop_assert!(now - known.came_ms >= settings.ages.of(known.class));
                        waiting.retain(|k| k.number != old.handle);
                    }
                    while let Some(waited) = queue.take(&settings, now) {
                        let known = *waiting.iter().find(|k| k.number == waited.handle).unwrap();
                        prop_assert_eq!(waited.waited_ms, now - known.came_ms);
                        prop_assert!(waited.waited_ms < settings.ages.of(known.class), "too old: {known:?}");
                        prop_assert!(waited.waited_ms >= known.hold_ms, "before the radio had its chance");
                        let is_better = |k: &&Known| k.came_ms + k.hold_ms <= now && k.class < known.class;
                        prop_assert!(!waiting.iter().any(|k| is_better(&k)), "{known:?} before a better one");
                        waiting.retain(|k| k.number != waited.handle);
                        let bytes = sizes[&waited.handle];
                        queue.note_sent(&settings, now, bytes, Some(waited.handle));
                        in_flight.push((waited.handle, now));
                        sent.push((now, bytes));
                        prop_assert!(in_flight.len() <= settings.in_flight_max, "too many in flight");
                    }
                    let next = queue.next_ms(&settings, now, true);
                    prop_assert!(next.is_none_or(|at| at > now), "nothing more may leave now, but {next:?} at {now}");
                    prop_assert!(next.is_some() || waiting.is_empty(), "what waits is looked at again");
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert!(queue.len() <= settings.waiting_max);
            let kinds: Vec<Kind> = waiting.iter().filter_map(|k| k.kind).collect();
            let different: HashSet<Kind> = kinds.iter().copied().collect();
            prop_assert_eq!(kinds.len(), different.len(), "one of a kind waits");
        }
        // In no span of time more than what may leave at once and what the pace gives for the span.
        let pace = settings.pace;
        for (first, (from, _)) in sent.iter().enumerate() {
            let (mut count, mut bytes) = (0, 0);
            for (at, size) in &sent[first..] {
                (count, bytes) = (count + 1, bytes + *size as u64);
                let span = at - from;
                prop_assert!(count * 1000 <= u64::from(pace.messages_at_once) * 1000 + span * u64::from(pace.messages_per_s));
                prop_assert!(bytes * 1000 <= u64::from(pace.bytes_at_once) * 1000 + span * u64::from(pace.bytes_per_s));
            }
        }
    }
}
