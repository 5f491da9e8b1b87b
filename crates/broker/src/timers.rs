//! Deadlines of many connections and sessions: a wheel of slots, so that a turn costs what is due and not what exists.
//!
//! An entry is a hint: "look at this by then". Whoever it names is looked at, acts if its own deadline has come, and is
//! put in again if not. So a deadline that moves later (every control packet moves the Keep Alive) costs nothing, an
//! entry of something that is gone is looked at once and forgotten, and far deadlines may stand in coarse slots: they
//! come up early and are put into finer ones.

use crate::ConnectionId;
use crate::session::SessionId;

/// Who is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Connection(ConnectionId),
    Session(SessionId),
    /// What waits for a gateway.
    Downlink(SessionId),
}

/// One hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    /// When it was due when it was put in, on the broker's clock in ms.
    pub at_ms: u64,
    pub whose: Whose,
}

/// The hints, by when they are due.
#[derive(Debug)]
pub(crate) struct Timers {
    /// Level by level, `SLOTS` slots each.
    slots: Vec<Vec<Timer>>,
    /// The tick up to which everything has been taken out.
    tick: u64,
}

/// The finest slots, in ms: MQTT's times are whole seconds, and later by this much harms nobody.
pub(crate) const TICK_MS: u64 = 512;
/// Slots per level, as a power of two; each level is that much coarser: 33 s, 35 min, 37 h and 97 days in all.
const SLOT_BITS: u32 = 6;
const SLOTS: u64 = 1 << SLOT_BITS;
const LEVELS: u32 = 4;

impl Default for Timers {
    fn default() -> Self {
        Self { slots: vec![Vec::new(); (SLOTS * u64::from(LEVELS)) as usize], tick: 0 }
    }
}

impl Timers {
    /// Puts a hint in. It comes out at `at_ms` or up to one tick later, or earlier if that is far away.
    pub fn put(&mut self, at_ms: u64, whose: Whose) {
        let due = at_ms.div_ceil(TICK_MS).max(self.tick + 1);
        // The coarsest level takes what lies beyond its end as well; it is put in again from there.
        let level = (0..LEVELS)
            .find(|level| (due >> (level * SLOT_BITS)) - (self.tick >> (level * SLOT_BITS)) < SLOTS)
            .unwrap_or(LEVELS - 1);
        let shift = level * SLOT_BITS;
        let slot = (due >> shift).min((self.tick >> shift) + SLOTS - 1) % SLOTS;
        self.slots[index(level, slot)].push(Timer { at_ms, whose });
    }

    /// Takes out what is due by now, in no particular order.
    pub fn take_due(&mut self, now_ms: u64, due: &mut Vec<Timer>) {
        let until = now_ms / TICK_MS;
        if until.saturating_sub(self.tick) > SLOTS * SLOTS {
            // The clock leapt far: to look at everything is less work than to turn the wheel.
            self.slots.iter_mut().for_each(|slot| due.append(slot));
            self.tick = until;
        }
        while self.tick < until {
            self.tick += 1;
            for level in 0..LEVELS {
                let shift = level * SLOT_BITS;
                if self.tick & ((1 << shift) - 1) != 0 {
                    break; // inside a slot of this level and of all coarser ones
                }
                let slot = &mut self.slots[index(level, (self.tick >> shift) % SLOTS)];
                due.append(slot);
                if slot.capacity() > SLOT_KEPT {
                    *slot = Vec::new();
                }
            }
        }
    }
}

/// A slot's memory is given back above this many entries.
const SLOT_KEPT: usize = 64;

const fn index(level: u32, slot: u64) -> usize {
    (level as u64 * SLOTS + slot) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connection(number: usize) -> Whose {
        Whose::Connection(ConnectionId(u32::try_from(number).unwrap()))
    }

    proptest! {
        #[test]
        fn whoever_is_looked_at_and_put_in_again_is_found_in_time(
            starts in prop::collection::vec((0_u64..100_000, 0_u64..20_000_000_000), 1..50),
            steps in prop::collection::vec(prop_oneof![1_u64..2_000, 1_u64..100_000_000, 1_u64..10_000_000_000], 1..200),
        ) {
            let (mut timers, mut now, mut due) = (Timers::default(), 0, Vec::new());
            let mut deadlines: Vec<Option<u64>> = Vec::new();
            for (start, after) in &starts {
                // Some time passes between putting in one and the next.
                now += start;
                timers.take_due(now, &mut due);
                deadlines.push(Some(now + after));
                timers.put(now + after, connection(deadlines.len() - 1));
            }
            for step in steps {
                now += step;
                timers.take_due(now, &mut due);
                for timer in std::mem::take(&mut due) {
                    let Whose::Connection(ConnectionId(number)) = timer.whose else { unreachable!() };
                    let deadline = &mut deadlines[number as usize];
                    match *deadline {
                        Some(at) if at > now => timers.put(at, timer.whose),
                        _ => *deadline = None,
                    }
                }
                for deadline in deadlines.iter().flatten() {
                    prop_assert!(*deadline + TICK_MS > now, "{deadline} was missed at {now}");
                }
            }
        }
    }

    #[test]
    fn a_hint_comes_out_once_and_not_early_when_it_is_near() {
        let (mut timers, mut due) = (Timers::default(), Vec::new());
        timers.put(10_000, connection(1));
        timers.take_due(9_999, &mut due);
        assert!(due.is_empty());
        timers.take_due(10_000 + TICK_MS, &mut due);
        assert_eq!(due, [Timer { at_ms: 10_000, whose: connection(1) }]);
        timers.take_due(1_000_000, &mut due);
        assert_eq!(due.len(), 1);
    }
}
