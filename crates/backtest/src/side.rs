//! One of the two policies with the queues toward its gateways: what the broker is to the live policy, without clients.
//! Gateways are taken to read at once what they are sent, and to acknowledge it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use directory::Directory;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use policy::decision::Outcome;
use policy::downlink::queue::{Offered, Queue, Waits};
use policy::engine::Policy;
use policy::memory::seen::PacketKey;
use policy::now::Now;
use policy::principal::Principal;
use policy::release::Passing;
use policy::rule::{RuleId, RuleSet};
use policy::uplink::Permit;

use crate::people::People;

/// Gateways with a queue; more are served without one.
const QUEUES_MAX: usize = 10_000;

/// A policy and what waits under it.
pub struct Side {
    pub policy: Policy,
    queues: HashMap<u32, Queue<Waiting>, FixedState>,
    /// When which queue is to be looked at.
    due: BinaryHeap<Reverse<(u64, u32)>>,
}

/// A copy that waits.
struct Waiting {
    seq: u64,
    bound: Arc<Bound>,
    receiver: Principal,
    observed: RuleSet,
}

/// A packet as copies share it that wait.
#[derive(Debug)]
struct Bound {
    permit: Permit,
    uplinked_by: Option<u32>,
    from: u32,
    to: u32,
    key: Option<PacketKey>,
    has_consent: bool,
    hop_limit: u8,
    can_lower: bool,
    port: Option<u32>,
    request_id: u32,
    channel: Option<Arc<str>>,
    variant: u8,
    frame_bytes: Option<u16>,
    airtime_us: Option<u32>,
    mqtt_packet_bytes: usize,
}

impl Bound {
    fn of(p: &Passing<'_>) -> Self {
        Self {
            permit: *p.permit,
            uplinked_by: p.uplinked_by,
            from: p.from,
            to: p.to,
            key: p.key,
            has_consent: p.has_consent,
            hop_limit: p.hop_limit,
            can_lower: p.can_lower,
            port: p.port,
            request_id: p.request_id,
            channel: p.channel.map(Arc::from),
            variant: p.variant,
            frame_bytes: p.frame_bytes,
            airtime_us: p.airtime_us,
            mqtt_packet_bytes: p.mqtt_packet_bytes,
        }
    }

    fn passing(&self) -> Passing<'_> {
        Passing {
            permit: &self.permit,
            uplinked_by: self.uplinked_by,
            from: self.from,
            to: self.to,
            key: self.key,
            has_consent: self.has_consent,
            hop_limit: self.hop_limit,
            can_lower: self.can_lower,
            port: self.port,
            request_id: self.request_id,
            channel: self.channel.as_deref(),
            variant: self.variant,
            frame_bytes: self.frame_bytes,
            airtime_us: self.airtime_us,
            mqtt_packet_bytes: self.mqtt_packet_bytes,
        }
    }
}

/// What became of one copy.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// The reception that it is a copy of.
    pub seq: u64,
    /// The gateway it was for; `None` for receivers that cost no airtime.
    pub gateway: Option<u32>,
    pub outcome: Outcome,
    pub observed: RuleSet,
    /// What it was charged, in µs.
    pub airtime_us: u64,
}

impl Side {
    pub fn new(policy: Policy) -> Self {
        Self { policy, queues: HashMap::default(), due: BinaryHeap::new() }
    }

    /// Copies of one packet to those who wanted it. Gives each that is settled to `told`, and returns how many wait.
    pub fn release<'r>(
        &mut self,
        now: Now,
        seq: u64,
        passing: &Passing<'_>,
        receivers: impl Iterator<Item = &'r Principal>,
        people: &People,
        told: &mut impl FnMut(Settled),
    ) -> u32 {
        let mut bound = None;
        let mut waiting = 0;
        for receiver in receivers {
            let (outcome, mut observed) = self.policy.release(now, passing, receiver, people.directory());
            let gateway = receiver.gateway();
            let is_withheld = matches!(outcome, Outcome::Withheld(_) | Outcome::Dropped);
            let Some(to) = gateway.filter(|_| !is_withheld) else {
                told(Settled { seq, gateway, outcome, observed, airtime_us: 0 });
                continue;
            };
            let (hold_ms, would_hold) = self.policy.hold(now, passing, to);
            observed.0 |= would_hold.0;
            let settings = self.policy.settings().clone();
            let waits = Waits::of(&settings, passing, hold_ms);
            let has_room = self.queues.len() < QUEUES_MAX || self.queues.contains_key(&to);
            let queue = self.queues.entry(to).or_default();
            if !has_room || queue.may_leave_at_once(&settings.queue, now.mono_ms, &waits) {
                told(self.send(now, seq, passing, to, (outcome, observed), people.directory()));
                continue;
            }
            let bound = bound.get_or_insert_with(|| Arc::new(Bound::of(passing))).clone();
            let handle = Waiting { seq, bound, receiver: receiver.clone(), observed };
            let displaced = match queue.offer(&settings.queue, now.mono_ms, waits, handle) {
                Offered::Waits => None,
                Offered::InPlaceOf(older) => Some((older.handle, Outcome::Withheld(RuleId::NewestOnly))),
                Offered::Displaced(other) => Some((other.handle, Outcome::Dropped)),
                Offered::Full(back) => Some((back, Outcome::Dropped)),
            };
            waiting += 1;
            if let Some((out, outcome)) = displaced {
                told(out.settled(outcome));
            }
            self.watch(now, to);
        }
        waiting
    }

    /// Does what is due by the clock: each at its own time, not when the next reception comes.
    pub fn tick(&mut self, now: Now, people: &People, told: &mut impl FnMut(Settled)) {
        while let Some(Reverse((at_ms, gateway))) =
            self.due.peek().copied().filter(|Reverse((at, _))| *at <= now.mono_ms)
        {
            self.due.pop();
            let earlier_ms = now.mono_ms - at_ms;
            let then = Now { mono_ms: at_ms, unix_ms: now.unix_ms.saturating_sub_unsigned(earlier_ms) };
            self.take_turn(then, gateway, people, told);
        }
    }

    fn take_turn(&mut self, now: Now, gateway: u32, people: &People, told: &mut impl FnMut(Settled)) {
        let settings = self.policy.settings().clone();
        while let Some(old) = self.queues.get_mut(&gateway).and_then(|q| q.take_too_old(now.mono_ms)) {
            told(old.handle.settled(Outcome::Withheld(RuleId::DownlinkAge)));
        }
        while let Some(next) =
            self.queues.get_mut(&gateway).and_then(|q| q.take(&settings.queue, now.mono_ms))
        {
            let waiting = next.handle;
            let passing = waiting.bound.passing();
            let (outcome, observed) =
                self.policy.release(now, &passing, &waiting.receiver, people.directory());
            let observed = RuleSet(waiting.observed.0 | observed.0);
            if matches!(outcome, Outcome::Withheld(_) | Outcome::Dropped) {
                told(Settled { observed, ..waiting.settled(outcome) });
            } else {
                let decided = (outcome, observed);
                told(self.send(now, waiting.seq, &passing, gateway, decided, people.directory()));
            }
        }
        self.watch(now, gateway);
    }

    fn send(
        &mut self,
        now: Now,
        seq: u64,
        passing: &Passing<'_>,
        gateway: u32,
        (outcome, observed): (Outcome, RuleSet),
        directory: &Directory,
    ) -> Settled {
        let hop_limit = match outcome {
            Outcome::DeliveredWithHopLimit(hops) => hops,
            Outcome::Delivered | Outcome::Withheld(_) | Outcome::Dropped => passing.hop_limit,
        };
        let settings = self.policy.settings().clone();
        if let Some(queue) = self.queues.get_mut(&gateway) {
            queue.note_sent(&settings.queue, now.mono_ms, passing.mqtt_packet_bytes, None);
        }
        let details = self.policy.charge(now, passing, gateway, hop_limit, directory);
        Settled { seq, gateway: Some(gateway), outcome, observed, airtime_us: u64::from(details.airtime_us) }
    }

    fn watch(&mut self, now: Now, gateway: u32) {
        let settings = self.policy.settings();
        let next = self.queues.get(&gateway).and_then(|q| q.next_ms(&settings.queue, now.mono_ms, true));
        // Later than now, so that a turn that changes nothing does not come again at once.
        self.due.extend(next.map(|at_ms| Reverse((at_ms.max(now.mono_ms + 1), gateway))));
    }
}

impl Waiting {
    fn settled(&self, outcome: Outcome) -> Settled {
        let (seq, observed) = (self.seq, self.observed);
        Settled { seq, gateway: self.receiver.gateway(), outcome, observed, airtime_us: 0 }
    }
}
