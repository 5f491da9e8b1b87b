//! A gateway's turn: copies that end on a radio leave at once where nothing speaks against it, and wait in the gateway's
//! queue where something does. When their turn comes, policy is asked again, since much may have been learned meanwhile.

use std::sync::Arc;

use policy::decision::Outcome;
use policy::downlink::class::Class;
use policy::downlink::details::{CopyDetails, Why};
use policy::downlink::queue::{Offered, Queue, Waited, Waits};
use policy::release::Passing;
use policy::rule::{RuleId, RuleSet, RuleState};
use policy::uplink::Permit;
use record::{Record, Release, ReleasedCopy};

use crate::deliver::Route;
use crate::message::Message;
use crate::observe::Observed;
use crate::session::{Identifiers, Queued, Session, SessionId};
use crate::timers::{Timer, Whose};
use crate::{Broker, Now};

/// A packet that was accepted: all that the release rules need of it, now and when its turn comes.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// Number of its reception in the history.
    pub seq: Option<u64>,
    pub permit: Permit,
    pub uplinked_by: Option<u32>,
    pub observed: Observed,
    pub can_lower: bool,
    /// Size of the whole MQTT packet toward a gateway.
    pub mqtt_packet_bytes: usize,
}

impl Bound {
    /// What the release rules ask about; `None` for what is no packet.
    pub fn passing(&self) -> Option<Passing<'_>> {
        let observed = &self.observed;
        let packet = observed.packet?;
        Some(Passing {
            permit: &self.permit,
            uplinked_by: self.uplinked_by,
            from: packet.from,
            to: packet.to,
            key: observed.key,
            has_consent: observed.consent == record::Consent::Yes,
            hop_limit: packet.hop_limit,
            can_lower: self.can_lower,
            port: observed.port,
            request_id: packet.request_id,
            channel: observed.channel.as_deref(),
            variant: observed.variant,
            frame_bytes: observed.frame_bytes,
            airtime_us: observed.airtime_us,
            mqtt_packet_bytes: self.mqtt_packet_bytes,
        })
    }
}

/// The copies of one message on their way through steps 7 and 8.
pub(crate) struct Copies<'a> {
    pub message: &'a Arc<Message>,
    /// The packet in it; `None` for messages that are no mesh traffic.
    pub bound: Option<&'a Bound>,
    pub passing: Option<Passing<'a>>,
    /// The packet as those copies share it that have to wait; made with the first of them.
    waiting: Option<Arc<Bound>>,
    /// What became of those that are settled; empty where nothing is recorded.
    pub settled: Vec<ReleasedCopy>,
}

impl<'a> Copies<'a> {
    pub fn new(message: &'a Arc<Message>, bound: Option<&'a Bound>, receivers: usize) -> Self {
        let passing = bound.and_then(Bound::passing);
        let is_recorded = bound.is_some_and(|bound| bound.seq.is_some());
        let settled = Vec::with_capacity(if is_recorded { receivers } else { 0 });
        Self { message, bound, passing, waiting: None, settled }
    }

    pub fn is_recorded(&self) -> bool {
        self.bound.is_some_and(|bound| bound.seq.is_some())
    }
}

/// What became of one copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    pub outcome: Outcome,
    pub observed: RuleSet,
    pub details: CopyDetails,
}

impl Settled {
    /// For a receiver that costs no airtime.
    pub fn free(outcome: Outcome, observed: RuleSet) -> Self {
        Self { outcome, observed, details: CopyDetails::default() }
    }

    fn never_sent(outcome: Outcome, observed: RuleSet, waited_ms: u64, why: Why) -> Self {
        let details = CopyDetails { waited_ms: short(waited_ms), why, ..CopyDetails::default() };
        Self { outcome, observed, details }
    }
}

/// One copy that waits.
#[derive(Debug)]
struct Waiting {
    bound: Arc<Bound>,
    message: Arc<Message>,
    qos: u8,
    retain: bool,
    identifiers: Identifiers,
    /// Rules in state `observe` that would have made something else of it so far.
    observed: RuleSet,
    why: Why,
}

/// What a gateway's session has beside those of other clients.
#[derive(Debug)]
pub(crate) struct Downlink {
    queue: Queue<Waiting>,
    /// When a timer will have it looked at, on the broker's clock in ms; `u64::MAX` when none does.
    looked_at_ms: u64,
    /// When the gateway is to be asked to prove that it can be reached, on the broker's clock in ms.
    pub ask_at_ms: Option<u64>,
}

impl Default for Downlink {
    fn default() -> Self {
        Self { queue: Queue::default(), looked_at_ms: u64::MAX, ask_at_ms: None }
    }
}

impl Session {
    /// Copies that wait for the gateway's turn, and their bytes.
    pub(crate) fn downlink_waiting(&self) -> (usize, usize) {
        self.downlink.as_ref().map_or((0, 0), |downlink| (downlink.queue.len(), downlink.queue.bytes()))
    }

    /// Of each class, how many copies wait and since when, on the broker's clock in ms.
    pub(crate) fn downlink_by_class(&self) -> [Option<(usize, u64)>; Class::ALL.len()] {
        self.downlink.as_ref().map_or([None; Class::ALL.len()], |downlink| downlink.queue.by_class())
    }
}

impl Broker {
    /// 7. Release and 8. deliver for one receiver.
    pub(crate) fn release_copy(&mut self, now: Now, route: &Route, copies: &mut Copies<'_>) {
        let (outcome, observed) =
            self.decide_copy(now, route.session, copies.passing.as_ref(), copies.bound.is_some());
        let is_withheld = matches!(outcome, Outcome::Withheld(_) | Outcome::Dropped);
        let gateway = self.gateway_of(route.session).filter(|_| copies.passing.is_some());
        let settled = match gateway {
            Some(gateway) if !is_withheld => self.down(now, route, gateway, copies, outcome, observed),
            Some(gateway) => {
                let outcome = self.deliver_by(now, route, copies.message, outcome);
                let passing = copies.passing.as_ref().filter(|_| copies.is_recorded());
                Some(Settled {
                    outcome,
                    observed,
                    details: self.why_withheld(now, passing, gateway, outcome),
                })
            }
            None => Some(Settled::free(self.deliver_by(now, route, copies.message, outcome), observed)),
        };
        if let Some(settled) = settled.filter(|_| copies.is_recorded()) {
            self.note_copy(&mut copies.settled, route.session, settled);
        }
    }

    fn why_withheld(
        &self,
        now: Now,
        passing: Option<&Passing<'_>>,
        gateway: u32,
        outcome: Outcome,
    ) -> CopyDetails {
        match (passing, outcome) {
            (Some(passing), Outcome::Withheld(rule)) => {
                self.policy.why_withheld(now, passing, gateway, rule, &self.options.directory)
            }
            _ => CopyDetails::default(),
        }
    }

    /// A copy toward a gateway: it leaves in this turn, or waits, and then it is not settled yet.
    fn down(
        &mut self,
        now: Now,
        route: &Route,
        gateway: u32,
        copies: &mut Copies<'_>,
        outcome: Outcome,
        mut observed: RuleSet,
    ) -> Option<Settled> {
        let (Some(passing), Some(bound)) = (copies.passing, copies.bound) else { return None };
        let settings = self.policy.settings().clone();
        let (hold_ms, would_hold) = self.policy.hold(now, &passing, gateway);
        observed.0 |= would_hold.0;
        let waits = Waits::of(&settings, &passing, hold_ms);
        let is_reading = self.is_reading(route.session);
        let qos = route.qos.min(copies.message.qos);
        let retain = copies.message.retain && route.retain_as_published;
        let session = self.session(route.session)?;
        let queue = &mut session.downlink.get_or_insert_default().queue;
        if is_reading && queue.may_leave_at_once(&settings.queue, now.mono_ms, &waits) {
            let copy = Leaving {
                message: copies.message.clone(),
                qos,
                retain,
                identifiers: route.identifiers.clone(),
                age_left_ms: waits.age_max_ms,
            };
            return Some(self.send_down(now, route.session, &passing, copy, outcome, observed));
        }
        let why = match (hold_ms, is_reading) {
            (1.., _) => Why::RadioFirst,
            (0, true) => Why::Pace,
            (0, false) => Why::Away,
        };
        let waiting = Waiting {
            bound: copies.waiting.get_or_insert_with(|| Arc::new(bound.clone())).clone(),
            message: copies.message.clone(),
            qos,
            retain,
            identifiers: route.identifiers.clone(),
            observed,
            why,
        };
        let mut unsettled = None;
        match queue.offer(&settings.queue, now.mono_ms, waits, waiting) {
            Offered::Waits => {}
            Offered::InPlaceOf(older) => {
                let outcome = Outcome::Withheld(RuleId::NewestOnly);
                let settled =
                    Settled::never_sent(outcome, older.handle.observed, older.waited_ms, Why::Newer);
                self.settle(now, route.session, &older.handle, settled);
            }
            Offered::Displaced(other) => {
                let observed = other.handle.observed;
                let settled = Settled::never_sent(Outcome::Dropped, observed, other.waited_ms, Why::NoRoom);
                self.counters.dropped += 1;
                self.settle(now, route.session, &other.handle, settled);
            }
            Offered::Full(back) => {
                self.counters.dropped += 1;
                unsettled = Some(Settled::never_sent(Outcome::Dropped, back.observed, 0, Why::NoRoom));
            }
        }
        self.memory.note_waiting(passing.mqtt_packet_bytes);
        self.watch_downlink(now, route.session);
        unsettled
    }

    /// Looks at what waits for a gateway: overdue acknowledgements, copies that are too old, copies whose turn it is.
    pub(crate) fn take_turn(&mut self, now: Now, to: SessionId) {
        let settings = self.policy.settings().clone();
        self.verify_downlink(now, to);
        while let Some(order) = self.queue_of(to).and_then(|q| q.take_overdue(&settings.queue, now.mono_ms)) {
            self.give_up(to, order);
        }
        while let Some(old) = self.queue_of(to).and_then(|q| q.take_too_old(now.mono_ms)) {
            let outcome = Outcome::Withheld(RuleId::DownlinkAge);
            let settled = Settled::never_sent(outcome, old.handle.observed, old.waited_ms, Why::TooOld);
            self.settle(now, to, &old.handle, settled);
        }
        while self.is_reading(to)
            && let Some(next) = self.queue_of(to).and_then(|q| q.take(&settings.queue, now.mono_ms))
        {
            self.send_waited(now, to, next);
        }
        self.watch_downlink(now, to);
    }

    /// The turn of one copy has come: policy is asked again.
    fn send_waited(&mut self, now: Now, to: SessionId, next: Waited<Waiting>) {
        let Waited { handle: waiting, waited_ms } = next;
        let bound = waiting.bound.clone();
        let Some(passing) = bound.passing() else { return };
        let (outcome, observed) = self.decide_copy(now, to, Some(&passing), true);
        let mut observed = RuleSet(waiting.observed.0 | observed.0);
        let waits = Waits::of(self.policy.settings(), &passing, 0);
        let settings = self.policy.settings();
        if settings.state(RuleId::DownlinkAge) == RuleState::Observe
            && waited_ms >= settings.queue.ages.of(waits.class)
        {
            observed.insert(RuleId::DownlinkAge);
        }
        let settled = if matches!(outcome, Outcome::Withheld(_) | Outcome::Dropped) {
            let gateway = self.gateway_of(to).unwrap_or(0);
            let why = self.why_withheld(now, Some(&passing), gateway, outcome);
            let details = CopyDetails { waited_ms: short(waited_ms), why: waiting.why, ..why };
            Settled { outcome, observed, details }
        } else {
            let copy = Leaving {
                message: waiting.message.clone(),
                qos: waiting.qos,
                retain: waiting.retain,
                identifiers: waiting.identifiers.clone(),
                age_left_ms: waits.age_max_ms.saturating_sub(waited_ms),
            };
            let mut settled = self.send_down(now, to, &passing, copy, outcome, observed);
            (settled.details.waited_ms, settled.details.why) = (short(waited_ms), waiting.why);
            settled
        };
        self.settle(now, to, &waiting, settled);
    }

    /// Hands one copy over and charges its airtime.
    pub(crate) fn send_down(
        &mut self,
        now: Now,
        to: SessionId,
        passing: &Passing<'_>,
        copy: Leaving,
        outcome: Outcome,
        observed: RuleSet,
    ) -> Settled {
        let hop_limit = match outcome {
            Outcome::DeliveredWithHopLimit(hops) => Some(hops),
            Outcome::Delivered | Outcome::Withheld(_) | Outcome::Dropped => None,
        };
        let Leaving { message, qos, retain, identifiers, age_left_ms } = copy;
        let stale_at_ms = Some(now.mono_ms.saturating_add(age_left_ms));
        let copy =
            Queued { message, qos, retain, hop_limit, identifiers, group: None, order: 0, stale_at_ms };
        if !self.deliver(now, to, copy) {
            return Settled::free(Outcome::Dropped, observed);
        }
        let settings = self.policy.settings().clone();
        let Some(session) = self.session(to) else { return Settled::free(outcome, observed) };
        let awaits = (qos > 0).then(|| session.next_order - 1);
        let gateway = session.principal.gateway().unwrap_or(0);
        let queue = &mut session.downlink.get_or_insert_default().queue;
        queue.note_sent(&settings.queue, now.mono_ms, passing.mqtt_packet_bytes, awaits);
        if awaits.is_some() {
            self.watch_downlink(now, to);
        }
        let hop_limit = hop_limit.unwrap_or(passing.hop_limit);
        let details = self.policy.charge(now, passing, gateway, hop_limit, &self.options.directory);
        Settled { outcome, observed, details }
    }

    /// A gateway has acknowledged a message: the next may leave.
    pub(crate) fn downlink_acknowledged(&mut self, now: Now, from: SessionId, order: u64) {
        let Some(queue) = self.queue_of(from) else { return };
        queue.note_acknowledged(order);
        if !queue.is_empty() {
            self.take_turn(now, from);
        }
    }

    /// A client has connected. What is sent again on this connection counts as in flight; what waited goes on.
    pub(crate) fn resume_downlink(&mut self, now: Now, to: SessionId) {
        self.plan_round_trip(now, to);
        let Some(session) = self.session(to) else { return };
        let Some(downlink) = &mut session.downlink else { return };
        for entry in session.inflight.iter().filter(|entry| entry.copy.is_some()) {
            downlink.queue.note_sent_again(now.mono_ms, entry.order);
        }
        self.take_turn(now, to);
    }

    /// The connection of a client is gone.
    pub(crate) fn pause_downlink(&mut self, from: SessionId) {
        if let Some(queue) = self.queue_of(from) {
            queue.forget_in_flight();
        }
    }

    /// The session is over, and what waited in it with it.
    pub(crate) fn end_downlink(&mut self, now: Now, session: &mut Session) {
        let Some(mut downlink) = session.downlink.take() else { return };
        for left in downlink.queue.take_all(now.mono_ms) {
            let observed = left.handle.observed;
            let settled = Settled::never_sent(Outcome::Dropped, observed, left.waited_ms, Why::Gone);
            self.counters.dropped += 1;
            self.note_settled(now, &left.handle, released(session, settled), settled);
        }
    }

    /// Sees to it that the gateway's queue is looked at when something is due.
    pub(crate) fn watch_downlink(&mut self, now: Now, id: SessionId) {
        let is_connected = self.sessions.get(id.index()).is_some_and(|s| s.connection.is_some());
        let settings = self.policy.settings();
        let Some(downlink) = self.sessions.get_mut(id.index()).and_then(|s| s.downlink.as_mut()) else {
            return;
        };
        let turn = downlink.queue.next_ms(&settings.queue, now.mono_ms, is_connected);
        let Some(at_ms) = turn.into_iter().chain(downlink.ask_at_ms.filter(|_| is_connected)).min() else {
            return;
        };
        if at_ms < downlink.looked_at_ms {
            downlink.looked_at_ms = at_ms;
            self.timers.put(at_ms, Whose::Downlink(id));
        }
    }

    pub(crate) fn look_at_downlink(&mut self, now: Now, id: SessionId, timer: Timer) {
        let Some(downlink) = self.session(id).and_then(|s| s.downlink.as_mut()) else { return };
        if downlink.looked_at_ms == timer.at_ms {
            downlink.looked_at_ms = u64::MAX;
            self.take_turn(now, id);
        }
    }

    /// What was settled after its reception goes to the history, reception by reception.
    pub(crate) fn record_settled(&mut self) {
        let mut settled = std::mem::take(&mut self.settled);
        settled.sort_by_key(|(seq, ..)| *seq);
        for (reception_seq, at_ms, copy) in settled.drain(..) {
            if let Some(Record::Release(last)) = self.records.last_mut()
                && last.reception_seq == reception_seq
                && let Some(last) = Arc::get_mut(last)
            {
                last.copies.push(copy);
            } else {
                let release = Release { reception_seq, at_ms, copies: vec![copy] };
                self.records.push(Record::Release(Arc::new(release)));
            }
        }
        self.settled = settled;
    }

    /// A copy that waited is settled.
    fn settle(&mut self, now: Now, to: SessionId, waiting: &Waiting, settled: Settled) {
        if let Some(session) = self.sessions.get(to.index()) {
            let copy = released(session, settled);
            self.note_settled(now, waiting, copy, settled);
        }
    }

    fn note_settled(&mut self, now: Now, waiting: &Waiting, copy: ReleasedCopy, settled: Settled) {
        self.count_copy(&settled);
        self.settled.extend(waiting.bound.seq.map(|seq| (seq, now.unix_ms, copy)));
    }

    /// An acknowledgement is overdue. Firmware never sends it for what it could not take, and a copy that arrives all the
    /// same harms nobody.
    fn give_up(&mut self, to: SessionId, order: u64) {
        let Some(session) = self.session(to) else { return };
        let Some(index) = session.inflight.iter().position(|entry| entry.order == order) else { return };
        if let Some(copy) = session.inflight.remove(index).and_then(|entry| entry.copy) {
            session.release_bytes(&copy);
        }
        self.counters.downlink_unacknowledged += 1;
        self.note_finished(to, order);
    }

    /// Whether the client is there, has nothing of another kind before it, and reads what it is sent.
    pub(crate) fn is_reading(&self, to: SessionId) -> bool {
        let unsent_max = self.policy.settings().queue.pace.bytes_at_once as usize;
        let Some(session) = self.sessions.get(to.index()) else { return false };
        let connection = session.connection.and_then(|id| self.connections.get(id.index()));
        session.queue.is_empty() && connection.is_some_and(|c| !c.is_closing && c.outbox.len() <= unsent_max)
    }

    fn gateway_of(&self, id: SessionId) -> Option<u32> {
        self.sessions.get(id.index()).and_then(|session| session.principal.gateway())
    }

    fn queue_of(&mut self, id: SessionId) -> Option<&mut Queue<Waiting>> {
        self.session(id).and_then(|session| session.downlink.as_mut()).map(|downlink| &mut downlink.queue)
    }
}

/// A copy that leaves.
pub(crate) struct Leaving {
    pub message: Arc<Message>,
    pub qos: u8,
    pub retain: bool,
    pub identifiers: Identifiers,
    /// How long it stays worth sending again, in ms.
    pub age_left_ms: u64,
}

pub(crate) fn released(session: &Session, settled: Settled) -> ReleasedCopy {
    let Settled { outcome, observed, details } = settled;
    ReleasedCopy { receiver: session.receiver.clone(), kind: session.kind(), outcome, observed, details }
}

fn short(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}
