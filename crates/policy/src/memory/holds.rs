//! Holds: who keeps breaking a limit gets nothing through for a while, each time longer, with the evidence at hand.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::memory::seen::PacketKey;
use crate::now::Now;
use crate::rule::RuleId;

/// Who is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Held {
    /// A gateway: nothing that it uplinks is passed on.
    Gateway(u32),
    /// A node: nothing that it sends is passed on, whoever heard it.
    Node(u32),
}

/// When somebody is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSettings {
    /// Objections within the window that lead to a hold.
    pub objections: u32,
    /// The window, in ms.
    pub window_ms: u64,
    /// How long the first hold lasts, the second, and every further one, in ms.
    pub lengths_ms: [u64; 3],
    /// After this time without a hold the next is a first one again, in ms.
    pub forgiven_ms: u64,
}

impl Default for HoldSettings {
    fn default() -> Self {
        Self {
            objections: 200,
            window_ms: 300_000,
            lengths_ms: [900_000, 3_600_000, 86_400_000],
            forgiven_ms: 7 * 86_400_000,
        }
    }
}

/// Packets kept as samples.
const SAMPLES_MAX: usize = 4;
/// Subjects watched. When there are more, those that are not held make room.
const WATCHED_MAX: usize = 8_192;

/// What a hold rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The rule that was broken.
    pub rule: RuleId,
    /// How often, within the window.
    pub objections: u32,
    /// When it began, Unix ms.
    pub since_ms: i64,
    /// Some of the packets.
    pub samples: [Option<PacketKey>; SAMPLES_MAX],
}

/// One hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it began, Unix ms.
    pub from_ms: i64,
    /// When it ends, Unix ms.
    pub until_ms: i64,
    /// Which one in a row it is, from 1.
    pub level: u8,
    /// What it rests on.
    pub evidence: Evidence,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Watched {
    evidence: Evidence,
    /// When the window began, on the monotonic clock in ms.
    window_from_ms: u64,
    hold: Option<Hold>,
}

/// Holds as they are kept across a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptHolds(Vec<(Held, Watched)>);

/// All holds, and who is on the way to one.
#[derive(Debug)]
pub struct Holds {
    watched: HashMap<Held, Watched, FixedState>,
}

impl Holds {
    /// Nobody held.
    pub fn new(seed: u64) -> Self {
        Self { watched: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// Holds as they are kept across a restart.
    pub fn kept(&self) -> KeptHolds {
        KeptHolds(self.watched.iter().map(|(held, watched)| (*held, *watched)).collect())
    }

    /// Forgets a node: what was held against it, and its packets among the samples of others.
    pub fn forget_node(&mut self, node: u32) {
        self.watched.remove(&Held::Gateway(node));
        self.watched.remove(&Held::Node(node));
        let not_its = |sample: Option<PacketKey>| sample.filter(|key| key.from != node);
        for watched in self.watched.values_mut() {
            watched.evidence.samples = watched.evidence.samples.map(not_its);
            if let Some(hold) = &mut watched.hold {
                hold.evidence.samples = hold.evidence.samples.map(not_its);
            }
        }
    }

    /// Takes over what an earlier run knew.
    pub fn take_over(&mut self, kept: KeptHolds) {
        self.watched.clear();
        self.watched.extend(kept.0.into_iter().take(WATCHED_MAX));
    }

    /// The hold that somebody is under at this moment. `released_ms` is when the operator last let them go, Unix ms.
    pub fn on(&self, now: Now, held: Held, released_ms: Option<i64>) -> Option<&Hold> {
        if self.watched.is_empty() {
            return None;
        }
        let hold = self.watched.get(&held)?.hold.as_ref()?;
        let is_released = released_ms.is_some_and(|at| at >= hold.from_ms);
        (now.unix_ms < hold.until_ms && !is_released).then_some(hold)
    }

    /// A rule objected to what somebody did. Returns the hold that it led to, if it did.
    pub fn note_objection(
        &mut self,
        settings: &HoldSettings,
        now: Now,
        held: Held,
        rule: RuleId,
        packet: Option<PacketKey>,
    ) -> Option<Hold> {
        if self.watched.len() >= WATCHED_MAX && !self.watched.contains_key(&held) {
            self.watched.retain(|_, watched| watched.hold.is_some_and(|hold| now.unix_ms < hold.until_ms));
            if self.watched.len() >= WATCHED_MAX {
                return None;
            }
        }
        let fresh = || Evidence { rule, objections: 0, since_ms: now.unix_ms, samples: [None; SAMPLES_MAX] };
        let watched = self.watched.entry(held).or_insert_with(|| Watched {
            evidence: fresh(),
            window_from_ms: now.mono_ms,
            hold: None,
        });
        if now.mono_ms.saturating_sub(watched.window_from_ms) > settings.window_ms {
            (watched.evidence, watched.window_from_ms) = (fresh(), now.mono_ms);
        }
        let evidence = &mut watched.evidence;
        evidence.rule = rule;
        evidence.objections = evidence.objections.saturating_add(1);
        if packet.is_some() && !evidence.samples.contains(&packet) {
            let samples = evidence.samples.iter_mut();
            samples.filter(|sample| sample.is_none()).take(1).for_each(|sample| *sample = packet);
        }
        let is_held = watched.hold.is_some_and(|hold| now.unix_ms < hold.until_ms);
        if watched.evidence.objections < settings.objections || is_held {
            return None;
        }
        let before = watched.hold.filter(|hold| now.unix_ms - hold.until_ms < settings.forgiven_ms as i64);
        let level = before.map_or(1, |hold| hold.level.saturating_add(1));
        let length_ms = settings.lengths_ms[usize::from(level - 1).min(settings.lengths_ms.len() - 1)];
        let hold = Hold {
            from_ms: now.unix_ms,
            until_ms: now.unix_ms.saturating_add(length_ms as i64),
            level,
            evidence: watched.evidence,
        };
        watched.hold = Some(hold);
        (watched.evidence, watched.window_from_ms) = (fresh(), now.mono_ms);
        Some(hold)
    }

    /// Everybody who is held at this moment, released or not, and everybody who was before.
    pub fn all(&self) -> Vec<(Held, Hold)> {
        let mut all: Vec<_> =
            self.watched.iter().filter_map(|(held, watched)| Some((*held, watched.hold?))).collect();
        all.sort_unstable_by_key(|(held, _)| *held);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABUSER: Held = Held::Gateway(7);

    fn at(ms: u64) -> Now {
        Now { mono_ms: ms, unix_ms: 1_790_000_000_000 + ms as i64 }
    }

    fn abuse(holds: &mut Holds, now: Now) -> Option<Hold> {
        let settings = HoldSettings::default();
        let mut last = None;
        for id in 0..settings.objections {
            let packet = Some(PacketKey { from: 1, id: id + 1 });
            last = holds.note_objection(&settings, now, ABUSER, RuleId::Consent, packet);
        }
        last
    }

    #[test]
    fn holds_grow_and_end_by_themselves() {
        let (mut holds, mut now_ms) = (Holds::new(0), 0);
        for (level, minutes) in [(1, 15), (2, 60), (3, 24 * 60), (4, 24 * 60)] {
            let hold = abuse(&mut holds, at(now_ms)).unwrap();
            assert_eq!((hold.level, (hold.until_ms - hold.from_ms) / 60_000), (level, minutes));
            assert_eq!(hold.evidence.samples.iter().flatten().count(), SAMPLES_MAX);
            assert!(holds.on(at(now_ms), ABUSER, None).is_some());
            now_ms += minutes as u64 * 60_000;
            assert!(holds.on(at(now_ms), ABUSER, None).is_none());
        }
        let hold = abuse(&mut holds, at(now_ms + 8 * 86_400_000)).unwrap();
        assert_eq!(hold.level, 1, "a quiet week is forgiven");
    }

    #[test]
    fn an_operator_lets_somebody_go_and_the_next_hold_is_a_longer_one() {
        let mut holds = Holds::new(0);
        abuse(&mut holds, at(0));
        assert!(holds.on(at(1_000), ABUSER, Some(at(500).unix_ms)).is_none());
        assert!(
            holds.on(at(1_000), ABUSER, Some(at(0).unix_ms - 1)).is_some(),
            "an earlier release was of another"
        );
        assert!(holds.on(at(1_000), Held::Node(7), None).is_none());
    }

    #[test]
    fn some_objections_in_a_while_lead_to_nothing() {
        let (mut holds, settings) = (Holds::new(0), HoldSettings::default());
        for minute in 0..1_000 {
            let now = at(minute * 60_000);
            for _ in 0..10 {
                assert_eq!(holds.note_objection(&settings, now, ABUSER, RuleId::Consent, None), None);
            }
        }
    }

    #[test]
    fn who_is_watched_is_bounded() {
        let (mut holds, settings) = (Holds::new(0), HoldSettings::default());
        for gateway in 0..20_000 {
            holds.note_objection(&settings, at(0), Held::Gateway(gateway), RuleId::Consent, None);
        }
        assert!(holds.watched.len() <= WATCHED_MAX);
    }
}
