//! The queue of one gateway: copies wait in it until the radio has had its chance, until the gateway can read, and until
//! what is worth more has left. Knows nothing of what it holds: the handle is the caller's.
//!
//! - What leaves is the best class first, and within a class the longest waiting.
//! - Nothing leaves that is older than its class allows.
//! - Nothing leaves while as many acknowledgements are outstanding as may be, nor faster than the pace.
//! - A newer copy of a kind takes the place of the older one.

use std::collections::VecDeque;

use super::class::{AgeLimits, Class, Kind};
use crate::release::Passing;
use crate::rule::{RuleId, RuleState};
use crate::settings::Settings;

/// How copies wait for a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long each class stays worth sending.
    pub ages: AgeLimits,
    /// How fast copies leave.
    pub pace: Pace,
    /// Copies without their acknowledgement at a time, 1 at least. Firmware has room for four packets behind its MQTT
    /// client and drops the oldest.
    pub in_flight_max: usize,
    /// After this time without an acknowledgement a copy is not waited for, in ms: firmware acknowledges nothing that
    /// it could not take, and never asks again.
    pub patience_ms: u64,
    /// Copies that wait at a time.
    pub waiting_max: usize,
    /// How long a copy waits for the radio to bring the packet first, in ms; 0 does not wait.
    pub hold_ms: u64,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            ages: AgeLimits::default(),
            pace: Pace::default(),
            in_flight_max: 4,
            patience_ms: 20_000,
            waiting_max: 64,
            hold_ms: 3_000,
        }
    }
}

/// How fast a gateway is given copies. Firmware reads one MQTT packet every 20 ms at best, and the four places behind
/// are emptied at the speed of its radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Copies per second in the long run, 1 at least.
    pub messages_per_s: u32,
    /// Copies at once after a pause, 1 at least.
    pub messages_at_once: u32,
    /// Bytes per second in the long run, 1 at least.
    pub bytes_per_s: u32,
    /// Bytes at once after a pause. A copy that is larger leaves after a full pause.
    pub bytes_at_once: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { messages_per_s: 10, messages_at_once: 4, bytes_per_s: 4_096, bytes_at_once: 4_096 }
    }
}

/// What the queue needs to know of a copy.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Its class.
    pub class: Class,
    /// What a newer copy of replaces it; `None` for what is never replaced.
    pub kind: Option<Kind>,
    /// Bytes of the MQTT packet.
    pub bytes: usize,
    /// How long the radio has the first chance, in ms.
    pub hold_ms: u64,
    /// How long it stays worth sending, in ms; `u64::MAX` for ever.
    pub age_max_ms: u64,
}

impl Waits {
    /// How a packet waits under these settings.
    pub fn of(settings: &Settings, passing: &Passing<'_>, hold_ms: u64) -> Self {
        let is_enforced = |rule| settings.state(rule) == RuleState::Enforce;
        let class = Class::of(passing.port, passing.to);
        let kind = Kind::of(passing.from, passing.to, passing.port, passing.variant);
        Self {
            class,
            kind: kind.filter(|_| is_enforced(RuleId::NewestOnly)),
            bytes: passing.mqtt_packet_bytes,
            hold_ms,
            age_max_ms: match is_enforced(RuleId::DownlinkAge) {
                true => settings.queue.ages.of(class),
                false => u64::MAX,
            },
        }
    }
}

/// What became of a copy that was offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Offered<H> {
    /// It waits.
    Waits,
    /// It waits in place of this older one of its kind.
    InPlaceOf(Waited<H>),
    /// It waits, and this one of a lower class has no room any more.
    Displaced(Waited<H>),
    /// Nothing that waits is worth less, and there is no room: here it is back.
    Full(H),
}

/// A copy that waited.
#[derive(Debug, PartialEq, Eq)]
pub struct Waited<H> {
    /// What the caller put in.
    pub handle: H,
    /// How long it waited, in ms.
    pub waited_ms: u64,
}

#[derive(Debug)]
struct Entry<H> {
    handle: H,
    waits: Waits,
    since_ms: u64,
}

impl<H> Entry<H> {
    fn waited(self, now_ms: u64) -> Waited<H> {
        Waited { handle: self.handle, waited_ms: now_ms.saturating_sub(self.since_ms) }
    }

    const fn ready_ms(&self) -> u64 {
        self.since_ms.saturating_add(self.waits.hold_ms)
    }

    const fn too_old_ms(&self) -> u64 {
        self.since_ms.saturating_add(self.waits.age_max_ms)
    }
}

/// The copies that wait for one gateway, and what it has not acknowledged.
#[derive(Debug)]
pub struct Queue<H> {
    waiting: VecDeque<Entry<H>>,
    /// What was sent and not acknowledged: the caller's number and when.
    in_flight: VecDeque<(u64, u64)>,
    messages: Bucket,
    bytes: Bucket,
}

impl<H> Default for Queue<H> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            messages: Bucket::default(),
            bytes: Bucket::default(),
        }
    }
}

impl<H> Queue<H> {
    /// Copies that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the copies that wait.
    pub fn bytes(&self) -> usize {
        self.waiting.iter().map(|e| e.waits.bytes).sum()
    }

    /// Of each class, how many copies wait and since when the oldest of them does, on the broker's clock in ms.
    pub fn by_class(&self) -> [Option<(usize, u64)>; Class::ALL.len()] {
        let mut classes = [None; Class::ALL.len()];
        for entry in &self.waiting {
            let class = &mut classes[usize::from(entry.waits.class.code())];
            let (copies, since_ms) = class.unwrap_or((0, u64::MAX));
            *class = Some((copies + 1, entry.since_ms.min(since_ms)));
        }
        classes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a copy that comes now may leave at once: nothing stands before it, and it replaces nothing.
    pub fn may_leave_at_once(&self, settings: &QueueSettings, now_ms: u64, waits: &Waits) -> bool {
        let stands_back =
            |e: &Entry<H>| e.ready_ms() > now_ms && (e.waits.kind.is_none() || e.waits.kind != waits.kind);
        waits.hold_ms == 0
            && self.may_send_ms(settings, now_ms, waits.bytes) <= now_ms
            && self.waiting.iter().all(stands_back)
    }

    /// Puts a copy in.
    pub fn offer(&mut self, settings: &QueueSettings, now_ms: u64, waits: Waits, handle: H) -> Offered<H> {
        let entry = Entry { handle, waits, since_ms: now_ms };
        if waits.kind.is_some()
            && let Some(older) = self.waiting.iter_mut().find(|e| e.waits.kind == waits.kind)
        {
            // The place stays: who sends often must not wait for ever.
            return Offered::InPlaceOf(std::mem::replace(older, entry).waited(now_ms));
        }
        if self.waiting.len() < settings.waiting_max {
            self.waiting.push_back(entry);
            return Offered::Waits;
        }
        let worst = self.waiting.iter().map(|e| e.waits.class).max();
        let index = self.waiting.iter().position(|e| Some(e.waits.class) == worst);
        match index.filter(|_| worst > Some(waits.class)).and_then(|index| self.waiting.remove(index)) {
            Some(displaced) => {
                self.waiting.push_back(entry);
                Offered::Displaced(displaced.waited(now_ms))
            }
            None => Offered::Full(entry.handle),
        }
    }

    /// Takes out one copy that is too old to leave, if there is one.
    pub fn take_too_old(&mut self, now_ms: u64) -> Option<Waited<H>> {
        let index = self.waiting.iter().position(|e| e.too_old_ms() <= now_ms)?;
        self.take_at(index, now_ms)
    }

    /// Takes out the copy whose turn it is, if one may leave; those that are too old are taken out before. It counts only when [`Self::note_sent`] says so.
    pub fn take(&mut self, settings: &QueueSettings, now_ms: u64) -> Option<Waited<H>> {
        let is_fresh = |e: &Entry<H>| e.too_old_ms() > now_ms;
        let (index, _) = self
            .first_ready(now_ms)
            .filter(|(_, e)| is_fresh(e) && self.may_send_ms(settings, now_ms, e.waits.bytes) <= now_ms)?;
        self.take_at(index, now_ms)
    }

    /// Takes out everything, in the order of arrival.
    pub fn take_all(&mut self, now_ms: u64) -> impl Iterator<Item = Waited<H>> {
        self.waiting
            .drain(..)
            .map(move |e| Waited { handle: e.handle, waited_ms: now_ms.saturating_sub(e.since_ms) })
    }

    /// A copy has left. `awaits` is the number under which its acknowledgement will come, if one will.
    pub fn note_sent(&mut self, settings: &QueueSettings, now_ms: u64, bytes: usize, awaits: Option<u64>) {
        let pace = &settings.pace;
        self.messages.spend(now_ms, pace.messages_per_s, pace.messages_at_once, 1);
        self.bytes.spend(now_ms, pace.bytes_per_s, pace.bytes_at_once, size(bytes));
        self.in_flight.extend(awaits.map(|number| (number, now_ms)));
    }

    /// What was sent on an earlier connection is sent again, and its acknowledgement awaited.
    pub fn note_sent_again(&mut self, now_ms: u64, awaits: u64) {
        self.in_flight.push_back((awaits, now_ms));
    }

    /// The acknowledgement came.
    pub fn note_acknowledged(&mut self, number: u64) {
        self.in_flight.retain(|(sent, _)| *sent != number);
    }

    /// Gives up on one acknowledgement that is overdue, if there is one; says which.
    pub fn take_overdue(&mut self, settings: &QueueSettings, now_ms: u64) -> Option<u64> {
        let overdue = |(_, sent_ms): &(u64, u64)| sent_ms.saturating_add(settings.patience_ms) <= now_ms;
        let index = self.in_flight.iter().position(overdue)?;
        self.in_flight.remove(index).map(|(number, _)| number)
    }

    /// The connection is gone: no acknowledgement will come on it.
    pub fn forget_in_flight(&mut self) {
        self.in_flight.clear();
    }

    /// When the queue is to be looked at again: a copy may leave or is too old, or an acknowledgement is overdue.
    pub fn next_ms(&self, settings: &QueueSettings, now_ms: u64, is_connected: bool) -> Option<u64> {
        let too_old = self.waiting.iter().map(Entry::too_old_ms).filter(|at| *at != u64::MAX).min();
        let overdue = self.in_flight.iter().map(|(_, sent)| sent.saturating_add(settings.patience_ms)).min();
        let turn = self.next_turn_ms(settings, now_ms).filter(|_| is_connected);
        too_old.into_iter().chain(overdue).chain(turn).min()
    }

    /// When the next copy may leave as far as is known now; `None` while too much is in flight.
    fn next_turn_ms(&self, settings: &QueueSettings, now_ms: u64) -> Option<u64> {
        let first = self.first_ready(now_ms).map(|(_, e)| self.may_send_ms(settings, now_ms, e.waits.bytes));
        if first == Some(u64::MAX) {
            return None;
        }
        // What becomes ready before then may be worth more.
        let held = self.waiting.iter().map(Entry::ready_ms).filter(|at| *at > now_ms);
        held.chain(first).min()
    }

    /// The copy whose turn it is once the pace allows it.
    fn first_ready(&self, now_ms: u64) -> Option<(usize, &Entry<H>)> {
        let ready = self.waiting.iter().enumerate().filter(|(_, e)| e.ready_ms() <= now_ms);
        ready.min_by_key(|(_, e)| e.waits.class)
    }

    /// When a copy of this size may be sent; `u64::MAX` while too much is in flight.
    fn may_send_ms(&self, settings: &QueueSettings, now_ms: u64, bytes: usize) -> u64 {
        if self.in_flight.len() >= settings.in_flight_max {
            return u64::MAX;
        }
        let pace = &settings.pace;
        let messages = self.messages.holds_ms(now_ms, pace.messages_per_s, pace.messages_at_once, 1);
        messages.max(self.bytes.holds_ms(now_ms, pace.bytes_per_s, pace.bytes_at_once, size(bytes)))
    }

    fn take_at(&mut self, index: usize, now_ms: u64) -> Option<Waited<H>> {
        self.waiting.remove(index).map(|entry| entry.waited(now_ms))
    }
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What may be spent at once, filling up steadily. Kept as what is missing, so that a fresh one is full.
#[derive(Debug, Default)]
struct Bucket {
    /// Missing at `at_ms`, in thousandths.
    missing: u64,
    at_ms: u64,
}

impl Bucket {
    fn missing_at(&self, now_ms: u64, per_s: u32) -> u64 {
        let filled = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(per_s));
        self.missing.saturating_sub(filled)
    }

    /// From when on it holds that much, or is full if it never can.
    fn holds_ms(&self, now_ms: u64, per_s: u32, at_once: u32, amount: u32) -> u64 {
        let room = u64::from(at_once.saturating_sub(amount.min(at_once))) * 1000;
        let excess = self.missing_at(now_ms, per_s).saturating_sub(room);
        now_ms.saturating_add(excess.div_ceil(u64::from(per_s.max(1))))
    }

    fn spend(&mut self, now_ms: u64, per_s: u32, at_once: u32, amount: u32) {
        let spent = u64::from(amount.min(at_once)) * 1000;
        *self = Self { missing: self.missing_at(now_ms, per_s).saturating_add(spent), at_ms: now_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(class: Class) -> Waits {
        let age_max_ms = AgeLimits::default().of(class);
        Waits { class, kind: None, bytes: 100, hold_ms: 0, age_max_ms }
    }

    fn position_of(node: u32) -> Waits {
        let kind = Kind::of(node, u32::MAX, Some(3), 0);
        Waits { kind, ..waits(Class::Position) }
    }

    fn quick() -> QueueSettings {
        let pace = Pace {
            messages_per_s: 1000,
            messages_at_once: 1000,
            bytes_per_s: 1 << 30,
            bytes_at_once: 1 << 30,
        };
        QueueSettings { pace, in_flight_max: 1000, ..QueueSettings::default() }
    }

    fn taken<H>(queue: &mut Queue<H>, settings: &QueueSettings, now_ms: u64) -> Vec<H> {
        std::iter::from_fn(|| {
            let waited = queue.take(settings, now_ms)?;
            queue.note_sent(settings, now_ms, 100, None);
            Some(waited.handle)
        })
        .collect()
    }

    #[test]
    fn texts_leave_before_telemetry_and_each_class_in_its_order() {
        let (settings, mut queue) = (quick(), Queue::default());
        let classes = [Class::Telemetry, Class::Message, Class::Other, Class::Route, Class::Message];
        for (number, class) in classes.into_iter().enumerate() {
            assert_eq!(queue.offer(&settings, 0, waits(class), number), Offered::Waits);
        }
        assert_eq!(taken(&mut queue, &settings, 1), [1, 4, 3, 0, 2]);
    }

    #[test]
    fn the_newest_replaces_the_older_and_keeps_its_place() {
        let (settings, mut queue) = (quick(), Queue::default());
        assert_eq!(queue.offer(&settings, 0, position_of(1), "old"), Offered::Waits);
        assert_eq!(queue.offer(&settings, 0, position_of(2), "other"), Offered::Waits);
        let older = Waited { handle: "old", waited_ms: 5 };
        assert_eq!(queue.offer(&settings, 5, position_of(1), "new"), Offered::InPlaceOf(older));
        assert_eq!(taken(&mut queue, &settings, 5), ["new", "other"]);
    }

    #[test]
    fn a_copy_is_held_for_the_radio() {
        let (settings, mut queue) = (quick(), Queue::default());
        let held = Waits { hold_ms: 3000, ..waits(Class::Message) };
        assert!(!queue.may_leave_at_once(&settings, 0, &held));
        queue.offer(&settings, 0, held, "held");
        assert_eq!(queue.next_ms(&settings, 0, true), Some(3000));
        assert_eq!(queue.take(&settings, 2999), None);
        // What needs no hold is not delayed by what does.
        assert!(queue.may_leave_at_once(&settings, 1, &waits(Class::Other)));
        assert_eq!(queue.take(&settings, 3000), Some(Waited { handle: "held", waited_ms: 3000 }));
    }

    #[test]
    fn what_is_too_old_does_not_leave() {
        let (settings, mut queue) = (quick(), Queue::default());
        queue.offer(&settings, 0, waits(Class::Position), "position");
        queue.offer(&settings, 0, waits(Class::Message), "text");
        let age = settings.ages.of(Class::Position);
        assert_eq!(queue.next_ms(&settings, 0, false), Some(age));
        assert_eq!(queue.take_too_old(age - 1), None);
        assert_eq!(queue.take_too_old(age).map(|w| w.handle), Some("position"));
        assert_eq!(taken(&mut queue, &settings, age), ["text"]);
    }

    #[test]
    fn a_few_are_in_flight_and_overdue_ones_are_given_up() {
        let settings = QueueSettings { in_flight_max: 2, ..quick() };
        let mut queue = Queue::default();
        for number in 0..3_u64 {
            queue.offer(&settings, 0, waits(Class::Message), number);
        }
        for number in 0..2 {
            assert_eq!(queue.take(&settings, 0).map(|w| w.handle), Some(number));
            queue.note_sent(&settings, 0, 100, Some(number));
        }
        assert_eq!(queue.take(&settings, 0), None);
        assert_eq!(queue.next_ms(&settings, 0, true), Some(settings.patience_ms));
        assert_eq!(queue.take_overdue(&settings, settings.patience_ms), Some(0));
        queue.note_acknowledged(1);
        assert_eq!(queue.take_overdue(&settings, settings.patience_ms), None);
        assert_eq!(queue.take(&settings, settings.patience_ms).map(|w| w.handle), Some(2));
    }

    #[test]
    fn the_pace_is_kept_in_messages_and_in_bytes() {
        let pace = Pace { messages_per_s: 10, messages_at_once: 2, bytes_per_s: 100, bytes_at_once: 500 };
        let settings = QueueSettings { pace, ..quick() };
        let mut queue = Queue::default();
        for number in 0..5 {
            queue.offer(&settings, 0, waits(Class::Message), number);
        }
        assert_eq!(taken(&mut queue, &settings, 0), [0, 1]);
        assert_eq!(queue.next_ms(&settings, 0, true), Some(100));
        assert_eq!(taken(&mut queue, &settings, 100), [2]);
        assert_eq!(taken(&mut queue, &settings, 300), [3, 4]);
        // Ten copies a second would be a thousand bytes, but only a hundred are read.
        for number in 5..8 {
            queue.offer(&settings, 300, waits(Class::Message), number);
        }
        let sent = taken(&mut queue, &settings, 1300).len() + taken(&mut queue, &settings, 2300).len();
        assert_eq!(sent, 2);
    }

    #[test]
    fn a_full_queue_loses_what_is_worth_least() {
        let settings = QueueSettings { waiting_max: 2, ..quick() };
        let mut queue = Queue::default();
        queue.offer(&settings, 0, waits(Class::Telemetry), "telemetry");
        queue.offer(&settings, 0, waits(Class::Message), "first");
        let offered = queue.offer(&settings, 0, waits(Class::Message), "second");
        assert_eq!(offered, Offered::Displaced(Waited { handle: "telemetry", waited_ms: 0 }));
        assert_eq!(queue.offer(&settings, 0, waits(Class::Message), "third"), Offered::Full("third"));
        assert_eq!(queue.offer(&settings, 0, waits(Class::Other), "other"), Offered::Full("other"));
        assert_eq!(taken(&mut queue, &settings, 0), ["first", "second"]);
    }
}
