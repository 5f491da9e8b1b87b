//! What the broker owes to whom: a model of sessions, copies, handshakes and Wills that is kept beside the broker and
//! compared with every packet it writes.
//!
//! - A copy is owed from the moment the broker took the message, which the watching client shows.
//! - What is owed to a session ends with the session, at a limit, or at the Message Expiry Interval; nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use mqtt::Version;
use mqtt::property::{Value, id, put};
use mqtt::publish::Publish;
use mqtt::subscribe::Options;

use crate::Promise;
use crate::owed::{Answer, DueAnswer, Owed, Session, Stage, Subscription};

/// A broken promise, on its way to the report.
pub(crate) struct Broken {
    pub promise: Promise,
    pub what: String,
}

pub(crate) type Kept = Result<(), Broken>;

pub(crate) fn broken(promise: Promise, what: impl Into<String>) -> Broken {
    Broken { promise, what: what.into() }
}

/// A message that a client sent or may send (a Will), by its number.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub publisher: usize,
    pub topic: &'static str,
    pub qos: u8,
    pub retain: bool,
    pub payload_len: usize,
    pub expiry_s: Option<u32>,
    pub is_will: bool,
}

/// The state of a Will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WillState {
    Armed { delay_ms: u64 },
    Due { at_ms: u64 },
    Cancelled,
    Published,
}

/// What the broker says of a session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct There {
    /// Copies it dropped.
    pub dropped: u64,
    /// Messages in flight and waiting.
    pub queued: usize,
}

/// A retained message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retained {
    pub number: u64,
    pub expires_at_ms: Option<u64>,
}

/// Sizes that the ledger must know of the broker.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub receive_maximum: u16,
    pub queue_messages_max: usize,
    pub queue_bytes_max: usize,
    pub subscriptions_max: usize,
    pub retained_max: usize,
    pub session_expiry_max_s: u32,
    pub sessions_max: usize,
}

/// Deadlines are looked at this often by the broker, and a bit.
pub(crate) const SLACK_MS: u64 = 1_000;

/// The ledger.
pub(crate) struct Ledger {
    pub bounds: Bounds,
    pub now_ms: u64,
    pub notes: Vec<Note>,
    pub wills: BTreeMap<u64, WillState>,
    pub sessions: BTreeMap<usize, Session>,
    pub retained: BTreeMap<&'static str, Retained>,
    /// Numbers of receptions, by message, of those not yet durable or lost.
    pub receptions: BTreeMap<u64, u64>,
    pub durable: u64,
    pub lost: BTreeSet<u64>,
    pub deliveries: u64,
    is_recorded: fn(&str) -> bool,
    /// Messages fed to the broker in this step, which the watching client must show.
    fed: Vec<u64>,
}

/// Bytes that a Subscription Identifier takes in a PUBLISH.
fn identifier_len(identifier: u32) -> usize {
    let mut property = Vec::new();
    put(&mut property, id::SUBSCRIPTION_IDENTIFIER, Value::Variable(identifier));
    property.len()
}

/// The number a payload begins with; `None` for the empty one.
pub(crate) fn number_of(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

impl Ledger {
    pub fn new(bounds: Bounds, is_recorded: fn(&str) -> bool, now_ms: u64) -> Self {
        Self {
            bounds,
            now_ms,
            notes: Vec::new(),
            wills: BTreeMap::new(),
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            receptions: BTreeMap::new(),
            durable: 0,
            lost: BTreeSet::new(),
            deliveries: 0,
            is_recorded,
            fed: Vec::new(),
        }
    }

    /// Numbers a message.
    pub fn note(&mut self, note: Note) -> u64 {
        self.notes.push(note);
        self.notes.len() as u64 - 1
    }

    fn noted(&self, number: u64) -> Option<&Note> {
        usize::try_from(number).ok().and_then(|index| self.notes.get(index))
    }

    // What clients send.

    /// A PUBLISH is fed to the broker.
    pub fn on_publish(&mut self, session_of: usize, packet_id: u16, number: u64) {
        let Some(qos) = self.noted(number).map(|n| n.qos) else { return };
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        match qos {
            0 => self.fed.push(number),
            1 => {
                self.fed.push(number);
                let answer = Answer::Puback { packet_id, number };
                session.answers.push(DueAnswer { answer, after: None });
            }
            _ => {
                let again = session.incoming.get(&packet_id).copied();
                let answer = Answer::Pubrec { packet_id, number };
                session.answers.push(DueAnswer { answer, after: again.flatten() });
                if again.is_none() {
                    self.fed.push(number);
                    session.incoming.insert(packet_id, None);
                }
            }
        }
    }

    /// The broker gave a fed message a number for the history: its answer waits.
    pub fn on_reception(&mut self, session_of: usize, number: u64, seq: u64) {
        self.receptions.insert(seq, number);
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        let waiting = session.answers.iter_mut().rev().find(|due| match due.answer {
            Answer::Puback { number: n, .. } | Answer::Pubrec { number: n, .. } => {
                n == number && due.after.is_none()
            }
            _ => false,
        });
        if let Some(due) = waiting {
            due.after = Some(seq);
            if let Answer::Pubrec { packet_id, .. } = due.answer {
                session.incoming.insert(packet_id, Some(seq));
            }
        }
    }

    /// The history says that it has lost a reception.
    pub fn on_lost(&mut self, seq: u64) {
        self.lost.insert(seq);
        for session in self.sessions.values_mut() {
            session.incoming.retain(|_, after| *after != Some(seq));
            if session.version == Version::V311 {
                session.answers.retain(|due| due.after != Some(seq));
            }
        }
    }

    pub fn on_subscribe(
        &mut self,
        session_of: usize,
        packet_id: u16,
        filters: &[(&'static str, Options)],
        identifier: Option<u32>,
    ) {
        let (now_ms, bounds) = (self.now_ms, self.bounds.clone());
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        let answer = Answer::Suback { packet_id, count: filters.len() };
        session.answers.push(DueAnswer { answer, after: None });
        let identifier_len = identifier.map_or(0, identifier_len);
        let mut wanted = Vec::new();
        for (filter, options) in filters {
            let is_new = !session.subscriptions.contains_key(filter);
            if is_new && session.subscriptions.len() >= bounds.subscriptions_max {
                continue;
            }
            let subscription = Subscription { options: *options, identifier_len };
            session.subscriptions.insert(filter, subscription);
            if options.retain_handling == 0 || (options.retain_handling == 1 && is_new) {
                wanted.push((*filter, options.qos));
            }
        }
        for (filter, qos) in wanted {
            let matching = self.retained.iter().filter(|(topic, kept)| {
                mqtt::topic::matches(filter, topic) && kept.expires_at_ms.is_none_or(|at| at > now_ms)
            });
            for (number, expires_at_ms) in matching.map(|(_, k)| (k.number, k.expires_at_ms)) {
                let note = &self.notes[usize::try_from(number).unwrap_or(0)];
                session.owe(&bounds, note, number, qos.min(note.qos), true, identifier_len, expires_at_ms);
            }
        }
    }

    pub fn on_unsubscribe(&mut self, session_of: usize, packet_id: u16, filters: &[&'static str]) {
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        filters.iter().for_each(|filter| {
            session.subscriptions.remove(filter);
        });
        let answer = Answer::Unsuback { packet_id, count: filters.len() };
        session.answers.push(DueAnswer { answer, after: None });
    }

    pub fn on_ping(&mut self, session_of: usize) {
        if let Some(session) = self.sessions.get_mut(&session_of) {
            session.answers.push(DueAnswer { answer: Answer::Pingresp, after: None });
        }
    }

    pub fn on_puback(&mut self, session_of: usize, packet_id: u16) {
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        session.finish(packet_id, Stage::Sent);
    }

    pub fn on_pubrec(&mut self, session_of: usize, packet_id: u16, is_error: bool) {
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        if is_error {
            session.finish(packet_id, Stage::Sent);
            return;
        }
        let found = session.owed.iter_mut().find(|o| o.stage != Stage::Waiting && o.packet_id == packet_id);
        if let Some(owed) = found {
            owed.stage = Stage::Received;
        }
        session.answers.push(DueAnswer { answer: Answer::Pubrel { packet_id }, after: None });
    }

    pub fn on_pubrel(&mut self, session_of: usize, packet_id: u16) {
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        session.incoming.remove(&packet_id);
        session.answers.push(DueAnswer { answer: Answer::Pubcomp { packet_id }, after: None });
    }

    pub fn on_pubcomp(&mut self, session_of: usize, packet_id: u16) {
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        session.finish(packet_id, Stage::Received);
    }

    /// DISCONNECT: the Will may be cancelled and the expiry changed.
    pub fn on_goodbye(&mut self, session_of: usize, keeps_will: bool, expiry_s: Option<u32>) {
        let granted_max_s = self.bounds.session_expiry_max_s;
        let Some(session) = self.sessions.get_mut(&session_of) else { return };
        if let Some(expiry_s) = expiry_s {
            session.expiry_ms = u64::from(expiry_s.min(granted_max_s)) * 1000;
        }
        if !keeps_will && let Some(number) = session.will.take() {
            self.wills.insert(number, WillState::Cancelled);
        }
    }

    // What the broker does.

    /// The watching client shows a message that the broker took: from here on copies are owed.
    pub fn on_taken(&mut self, number: u64, topic: &str, retain: bool) -> Kept {
        let Some(note) = self.noted(number).cloned() else {
            return Err(broken(Promise::NothingUnasked, format!("message {number} was never sent")));
        };
        if note.topic != topic {
            let what = format!("message {number} came out on {topic}, not on {}", note.topic);
            return Err(broken(Promise::NothingUnasked, what));
        }
        if note.is_will {
            self.take_will(number)?;
        } else if let Some(index) = self.fed.iter().position(|n| *n == number) {
            self.fed.remove(index);
        } else {
            let promise = if note.qos == 2 { Promise::ExactlyOnce } else { Promise::NothingUnasked };
            return Err(broken(promise, format!("message {number} was passed on again")));
        }
        if note.retain != retain {
            return Err(broken(Promise::Retained, format!("message {number} lost or gained RETAIN")));
        }
        let expires_at_ms = note.expiry_s.map(|s| self.now_ms.saturating_add(u64::from(s) * 1000));
        if retain && !(self.is_recorded)(note.topic) {
            self.retain(&note, number, expires_at_ms);
        }
        let bounds = self.bounds.clone();
        for (session_of, session) in &mut self.sessions {
            let (mut qos, mut keeps_retain, mut identifiers_len) = (None, false, 0);
            for (filter, subscription) in &session.subscriptions {
                let is_own = subscription.options.no_local && *session_of == note.publisher;
                if is_own || !mqtt::topic::matches(filter, note.topic) {
                    continue;
                }
                qos = qos.max(Some(subscription.options.qos));
                keeps_retain |= subscription.options.retain_as_published;
                identifiers_len += subscription.identifier_len;
            }
            let Some(qos) = qos else { continue };
            let retain = note.retain && keeps_retain;
            session.owe(&bounds, &note, number, qos.min(note.qos), retain, identifiers_len, expires_at_ms);
        }
        Ok(())
    }

    fn take_will(&mut self, number: u64) -> Kept {
        match self.wills.get(&number).copied() {
            Some(WillState::Due { at_ms }) if at_ms <= self.now_ms => {
                self.wills.insert(number, WillState::Published);
                let publisher = self.noted(number).map(|n| n.publisher);
                for session in self.sessions.values_mut() {
                    if Some(session.owner) == publisher && session.will == Some(number) {
                        session.will = None;
                    }
                }
                Ok(())
            }
            state => Err(broken(Promise::Will, format!("Will {number} was published while {state:?}"))),
        }
    }

    fn retain(&mut self, note: &Note, number: u64, expires_at_ms: Option<u64>) {
        let now_ms = self.now_ms;
        if note.payload_len == 0 {
            self.retained.remove(note.topic);
        } else if self.retained.len() < self.bounds.retained_max || self.retained.contains_key(note.topic) {
            self.retained.insert(note.topic, Retained { number, expires_at_ms });
        } else {
            // The broker may have forgotten expired ones already; then there is room.
            let expired: Vec<_> = self
                .retained
                .iter()
                .filter(|(_, k)| k.expires_at_ms.is_some_and(|at| at <= now_ms))
                .collect();
            debug_assert!(expired.is_empty(), "scenes with few retained messages have no expiry");
        }
    }

    /// The broker wrote a PUBLISH to a session.
    pub fn on_delivery(&mut self, session_of: usize, wire: usize, publish: &Publish<'_>) -> Kept {
        let (now_ms, notes) = (self.now_ms, &self.notes);
        let Some(session) = self.sessions.get_mut(&session_of) else {
            return Err(broken(Promise::NothingUnasked, "a message for nobody"));
        };
        let is_it = |number: u64| match number_of(publish.payload) {
            Some(n) => n == number,
            None => notes
                .get(usize::try_from(number).unwrap_or(usize::MAX))
                .is_some_and(|n| n.payload_len == 0 && n.topic == publish.topic),
        };
        let name = || match number_of(publish.payload) {
            Some(n) => format!("message {n} (QoS {}) to client {session_of}", publish.qos),
            None => format!("the empty message on {} to client {session_of}", publish.topic),
        };
        if publish.qos == 0 {
            let found = session.at_once.iter().position(|c| is_it(c.number) && c.retain == publish.retain);
            return match found {
                Some(index) => {
                    session.at_once.remove(index);
                    Ok(())
                }
                None => {
                    let what =
                        format!("{} with retain={}, not {:?}", name(), publish.retain, session.at_once);
                    Err(broken(Promise::NothingUnasked, what))
                }
            };
        }
        // A restart may make the broker forget that a message was sent; it is repeated without DUP then.
        if publish.dup || session.is_repeated_unknowingly(wire, publish, &is_it) {
            return session.on_repetition(wire, publish, &is_it, &name);
        }
        let is_due = |o: &Owed| {
            o.stage == Stage::Waiting && is_it(o.number) && o.qos == publish.qos && o.retain == publish.retain
        };
        let is_over = |o: &Owed| o.expires_at_ms.is_some_and(|at| at <= now_ms);
        let lasting = session.owed.iter().position(|o| is_due(o) && !is_over(o));
        let Some(index) = lasting.or_else(|| session.owed.iter().position(is_due)) else {
            let was_sent = session.owed.iter().any(|o| is_it(o.number) && o.qos == publish.qos);
            let is_done = session.once.contains_key(&number_of(publish.payload).unwrap_or(u64::MAX));
            let promise = match publish.qos {
                2 if was_sent || is_done => Promise::ExactlyOnce,
                _ => Promise::NothingUnasked,
            };
            return Err(broken(promise, format!("{} is not due", name())));
        };
        if session.may_be_skipped(notes, &session.owed[index], now_ms)
            && let Some(other) = session.owed.iter_mut().skip(index + 1).find(|o| is_due(o))
        {
            // Owed twice, and one of the copies may have been given up: nobody can say which one this is.
            other.is_optional = true;
        }
        session.check_order(notes, index, now_ms, &name)?;
        let unrepeated = session.owed.iter().find(|o| o.awaits_repeat(wire) && !o.is_optional);
        if let Some(owed) = unrepeated {
            let what = format!("{} came before message {} was repeated", name(), owed.number);
            return Err(broken(Promise::Order, what));
        }
        let in_flight = session.owed.iter().filter(|o| o.stage != Stage::Waiting && !o.awaits_repeat(wire));
        if in_flight.clone().any(|o| o.packet_id == publish.packet_id) {
            let what = format!("{}: Packet Identifier {} is in use", name(), publish.packet_id);
            return Err(broken(Promise::Handshake, what));
        }
        if in_flight.count() >= session.receive_maximum {
            return Err(broken(
                Promise::ReceiveMaximum,
                format!("{}: more than {} in flight", name(), session.receive_maximum),
            ));
        }
        let owed = &mut session.owed[index];
        if owed.expires_at_ms.is_some_and(|at| at <= now_ms) {
            return Err(broken(Promise::Expiry, format!("{} has expired", name())));
        }
        (owed.stage, owed.packet_id, owed.sent_on) = (Stage::Sent, publish.packet_id, wire);
        session.owed.retain(|o| !o.awaits_repeat(wire));
        session.forget_skipped(notes, now_ms);
        Ok(())
    }

    /// The broker wrote an answer.
    pub fn on_answer(&mut self, session_of: usize, given: Answer, is_error: bool) -> Kept {
        let (durable, lost) = (self.durable, &self.lost);
        let Some(session) = self.sessions.get_mut(&session_of) else {
            return Err(broken(Promise::Handshake, "an answer to nobody"));
        };
        let found = session.answers.iter().position(|due| due.answer.is_answered_by(given));
        let Some(index) = found else {
            let what = format!("{given:?} to client {session_of}: nobody asked");
            return Err(broken(Promise::Handshake, what));
        };
        let due = session.answers.remove(index);
        if let Some(seq) = due.after
            && (seq > durable || (lost.contains(&seq) && !is_error))
        {
            let what = format!("{:?} came before reception {seq} was durable", due.answer);
            return Err(broken(Promise::AcknowledgedMeansDurable, what));
        }
        let is_lost = due.after.is_some_and(|seq| lost.contains(&seq));
        if is_error && !is_lost && !matches!(given, Answer::Pubcomp { .. } | Answer::Pubrel { .. }) {
            return Err(broken(Promise::Handshake, format!("{:?} was refused", due.answer)));
        }
        Ok(())
    }

    /// After a step: what was due at once is there.
    pub fn check_step(&mut self, is_writable: impl Fn(usize) -> bool) -> Kept {
        if let Some(number) = self.fed.first() {
            return Err(broken(Promise::NothingIsLost, format!("message {number} was not passed on")));
        }
        for (session_of, session) in &self.sessions {
            let Some(wire) = session.wire.filter(|wire| is_writable(*wire)) else { continue };
            // It may stand behind one that waits. [MQTT-4.6.0-2]
            let mut is_behind = session.unspoken > self.durable;
            let late = session.answers.iter().find(|due| {
                let is_true = due.after.is_none_or(|seq| seq <= self.durable);
                is_behind |= !is_true;
                is_true && !(is_behind && due.answer.keeps_its_turn())
            });
            if let Some(due) = late {
                let what = format!("client {session_of} on wire {wire} waits for {:?}", due.answer);
                return Err(broken(Promise::Handshake, what));
            }
        }
        for (number, state) in &self.wills {
            if let WillState::Due { at_ms } = state
                && at_ms + SLACK_MS <= self.now_ms
            {
                return Err(broken(
                    Promise::Will,
                    format!("Will {number} was due at {at_ms} and is not there"),
                ));
            }
        }
        Ok(())
    }

    /// A client's application got a message.
    pub fn on_received(&mut self, session_of: usize, made_by: Option<usize>, number: u64, qos: u8) -> Kept {
        self.deliveries += 1;
        // What still arrives from a session that is over is nobody's business.
        let session = self.sessions.get_mut(&session_of).filter(|s| Some(s.made_by) == made_by);
        let Some(session) = session.filter(|_| qos == 2) else { return Ok(()) };
        let (owed, received) = session.once.entry(number).or_default();
        *received += 1;
        if *received > *owed {
            let what = format!("client {session_of} got message {number} {received} times");
            return Err(broken(Promise::ExactlyOnce, what));
        }
        Ok(())
    }

    /// When everything is calm: nothing is owed any more.
    pub fn check_calm(&self) -> Kept {
        for (session_of, session) in &self.sessions {
            let Some(wire) = session.wire else { continue };
            let is_open = |o: &&Owed| !session.may_be_skipped(&self.notes, o, self.now_ms);
            if let Some(owed) = session.owed.iter().find(is_open) {
                let what = format!(
                    "client {session_of} on wire {wire} never got message {} or never finished it: {owed:?}",
                    owed.number
                );
                let promise =
                    if owed.stage == Stage::Waiting { Promise::NothingIsLost } else { Promise::Handshake };
                return Err(broken(promise, what));
            }
        }
        Ok(())
    }

    /// Topics that still have a retained message.
    pub fn retained_now(&self) -> BTreeMap<&'static str, u64> {
        let is_there = |k: &Retained| k.expires_at_ms.is_none_or(|at| at > self.now_ms);
        self.retained.iter().filter(|(_, k)| is_there(k)).map(|(topic, k)| (*topic, k.number)).collect()
    }
}
