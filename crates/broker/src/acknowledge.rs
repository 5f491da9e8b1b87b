//! PUBACK, PUBREC, PUBREL and PUBCOMP in both directions. Each promises something, and waits until that is true: the
//! history has the reception, the store has the changes.

use std::borrow::Cow;

use mqtt::publish::AckKind;
use mqtt::reason_code::ReasonCode;
use policy::decision::{Decision, Verdict};

use crate::journal::Change;
use crate::publish::Arrived;
use crate::session::{SessionId, Step};
use crate::{Broker, ConnectionId, Now};

/// What is to be answered to a PUBLISH.
pub(crate) struct Answer {
    pub qos: u8,
    pub packet_id: u16,
    pub reason: ReasonCode,
    /// One sentence for the client's owner, where something was refused; else empty.
    pub why: Cow<'static, str>,
    /// The reception that must be in the history first.
    pub after_seq: Option<u64>,
}

impl Answer {
    pub fn of(arrived: &Arrived<'_>, decision: &Decision, after_seq: Option<u64>) -> Self {
        // MQTT 3.1.1 has no reason: the message is acknowledged all the same, or it would come for ever.
        let (reason, why) = match decision.verdict {
            Verdict::Refuse => (ReasonCode::NotAuthorized, decision.sentence.clone()),
            Verdict::Accept | Verdict::Rewrite | Verdict::RecordOnly => (ReasonCode::Success, "".into()),
        };
        Self { qos: arrived.qos, packet_id: arrived.packet_id, reason, why, after_seq }
    }

    /// For a message that nobody wanted and nothing keeps: the publisher may know that it went nowhere.
    pub fn nobody_wanted(arrived: &Arrived<'_>) -> Self {
        let (reason, why) = (ReasonCode::NoMatchingSubscribers, "".into());
        Self { qos: arrived.qos, packet_id: arrived.packet_id, reason, why, after_seq: None }
    }
}

/// An answer that waits.
#[derive(Debug)]
pub(crate) struct Held {
    /// The reception that must be in the history; 0 for none.
    seq: u64,
    /// The change that must be in the store; 0 for none.
    change: u64,
    connection: ConnectionId,
    /// Serial number of the connection: the answer is for no later one.
    serial: u64,
    kind: AckKind,
    packet_id: u16,
    /// `None` when the client can only be told by silence.
    reason: Option<ReasonCode>,
    why: Cow<'static, str>,
}

/// What an answer says.
struct Says {
    kind: AckKind,
    packet_id: u16,
    reason: ReasonCode,
    why: Cow<'static, str>,
}

impl Says {
    fn success(kind: AckKind, packet_id: u16) -> Self {
        Self { kind, packet_id, reason: ReasonCode::Success, why: "".into() }
    }
}

impl Broker {
    /// Step 5, answer. QoS 0 has none; messages of the broker's own making have no Packet Identifier. The answer waits for
    /// the history and for what the message changed since `changes_before`.
    pub(crate) fn answer(&mut self, sender: SessionId, answer: Answer, changes_before: u64) {
        if answer.qos == 0 || answer.packet_id == 0 {
            return;
        }
        let kind = if answer.qos == 1 { AckKind::Puback } else { AckKind::Pubrec };
        if answer.reason.is_error() && answer.qos == 2 {
            // A PUBREC with an error ends the exchange. [MQTT-4.3.3-4]
            self.forget_incoming(sender, answer.packet_id);
        }
        let seq = answer.after_seq.filter(|_| self.options.acknowledge_when_durable).unwrap_or(0);
        let change = if self.journal.last() > changes_before { self.journal.last() } else { 0 };
        let says = Says { kind, packet_id: answer.packet_id, reason: answer.reason, why: answer.why };
        self.promise(sender, says, seq, change);
    }

    /// What the message asked for was not done, because the store is too far behind: MQTT 5.0 can say so; a 3.1.1 client
    /// hears nothing and sends again when it reconnects.
    pub(crate) fn answer_unkept(&mut self, sender: SessionId, qos: u8, packet_id: u16) {
        if qos == 0 || packet_id == 0 {
            return;
        }
        let why = "The disk of the server does not keep up; please send this message again later.".into();
        let answer = Answer { qos, packet_id, reason: ReasonCode::QuotaExceeded, why, after_seq: None };
        let speaks_v5 = self.sessions.get(sender.index()).and_then(|s| s.connection).is_some_and(|id| {
            self.connections.get(id.index()).is_some_and(|c| c.version == mqtt::Version::V5)
        });
        if speaks_v5 {
            self.answer(sender, answer, self.journal.last());
        } else if qos == 2 {
            self.forget_incoming(sender, packet_id);
        }
    }

    /// Says it at once if it is true and nothing said before still waits; else when it has become true.
    fn promise(&mut self, to: SessionId, says: Says, seq: u64, change: u64) {
        let Some(connection) = self.sessions.get(to.index()).and_then(|s| s.connection) else { return };
        let Some(serial) = self.connections.get(connection.index()).map(|c| c.serial) else { return };
        let Says { kind, packet_id, reason, why } = says;
        let held = Held { seq, change, connection, serial, kind, packet_id, reason: Some(reason), why };
        let waits = |h: &Held| h.serial == serial;
        let is_first = self.sessions.get(to.index()).is_some_and(|s| !s.held.iter().any(waits));
        if is_first && self.is_true(&held) {
            return self.send_answer(&held);
        }
        if seq > self.durable_seq {
            self.held_by_seq.push_back((seq, to));
        }
        if !self.journal.has_kept(change) {
            self.journal.await_change(change);
            self.held_by_change.push_back((change, to));
        }
        if let Some(session) = self.session(to) {
            session.held.push_back(held);
        }
    }

    fn is_true(&self, held: &Held) -> bool {
        held.seq <= self.durable_seq && self.journal.has_kept(held.change)
    }

    /// Sends what has become true, in order. What was to be said on an earlier connection stands in nobody's way; of that,
    /// PUBREC stays in case the client sends its PUBLISH again.
    fn send_answers(&mut self, to: SessionId) {
        let mut index = 0;
        while let Some(session) = self.sessions.get(to.index())
            && let Some(held) = session.held.get(index)
        {
            let connection = session.connection.and_then(|id| self.connections.get(id.index()));
            let is_stale = connection.is_none_or(|c| c.serial != held.serial);
            if self.is_true(held) {
                let held = self.session(to).and_then(|s| s.held.remove(index));
                held.iter().for_each(|held| self.send_answer(held));
            } else if is_stale {
                index += 1;
            } else {
                return;
            }
        }
    }

    fn send_answer(&mut self, held: &Held) {
        let is_same = self.connections.get(held.connection.index()).is_some_and(|c| c.serial == held.serial);
        let (true, Some(reason)) = (is_same, held.reason) else { return };
        self.send_ack(held.connection, held.kind, held.packet_id, reason, &held.why);
    }

    /// An incoming QoS 2 PUBLISH whose Packet Identifier is known: the sender missed our PUBREC. [MQTT-4.3.3-10]
    pub(crate) fn answer_again(&mut self, sender: SessionId, connection: ConnectionId, packet_id: u16) {
        let Some(serial) = self.connections.get(connection.index()).map(|c| c.serial) else { return };
        let Some(session) = self.session(sender) else { return };
        let mut waiting = session.held.iter_mut();
        let waiting = waiting.find(|h| h.kind == AckKind::Pubrec && h.packet_id == packet_id);
        if let Some(held) = waiting {
            (held.connection, held.serial) = (connection, serial);
        } else {
            let change = self.latest_change_of(sender);
            self.promise(sender, Says::success(AckKind::Pubrec, packet_id), 0, change);
        }
    }

    /// The history has every reception up to `seq`.
    pub(crate) fn on_durable(&mut self, seq: u64) {
        self.durable_seq = self.durable_seq.max(seq);
        while let Some((waits_for, session)) = self.held_by_seq.front().copied()
            && waits_for <= seq
        {
            self.held_by_seq.pop_front();
            self.send_answers(session);
        }
    }

    /// The store has every change up to that one: answers, barred connections and QoS 2 messages go out.
    pub(crate) fn on_kept(&mut self, now: Now, change: u64) {
        self.journal.note_kept(change);
        while let Some((waits_for, session)) = self.held_by_change.front().copied()
            && waits_for <= change
        {
            self.held_by_change.pop_front();
            self.send_answers(session);
        }
        while let Some((waits_for, connection)) = self.barred.front().copied()
            && waits_for <= change
        {
            self.barred.pop_front();
            self.mark_dirty(connection);
        }
        while let Some((waits_for, key, id)) =
            self.unkept_messages.front().map(|u| (u.change, u.key, u.session))
            && waits_for <= change
        {
            let order = self.unkept_messages.pop_front().map_or(0, |u| u.order);
            // The number may belong to another session by now.
            if let Some(session) = self.session(id).filter(|s| s.key == key) {
                session.kept_to = session.kept_to.max(order);
                self.send_waiting(now, id);
            }
        }
    }

    /// The history could not keep this reception. An acknowledgement would promise that we have it: MQTT 5.0 can say
    /// that we have not; a 3.1.1 client hears nothing and sends again when it reconnects.
    pub(crate) fn on_lost(&mut self, seq: u64) {
        let Ok(index) = self.held_by_seq.binary_search_by_key(&seq, |(seq, _)| *seq) else { return };
        let Some((_, to)) = self.held_by_seq.remove(index) else { return };
        let Some(session) = self.sessions.get_mut(to.index()) else { return };
        let Some(held) = session.held.iter_mut().find(|h| h.seq == seq) else { return };
        self.counters.unacknowledged += 1;
        let version = self.connections.get(held.connection.index()).map(|c| c.version);
        held.seq = 0;
        held.why = "The server could not keep this message; please send it again later.".into();
        held.reason = (version == Some(mqtt::Version::V5)).then_some(ReasonCode::UnspecifiedError);
        let (kind, packet_id) = (held.kind, held.packet_id);
        if kind == AckKind::Pubrec {
            self.forget_incoming(to, packet_id);
        }
        self.send_answers(to);
    }

    /// Forgets the Packet Identifier of an incoming QoS 2 message; returns whether it was known.
    fn forget_incoming(&mut self, from: SessionId, packet_id: u16) -> bool {
        let Some(session) = self.session(from) else { return false };
        let was_known = session.incoming_qos2.remove(&packet_id);
        if let (true, Some(key)) = (was_known, session.kept_key()) {
            self.journal.note(Change::IncomingDone(key, packet_id));
        }
        was_known
    }

    /// PUBACK, PUBCOMP, or PUBREC with an error from the client: the message is done.
    pub(crate) fn on_finished(
        &mut self,
        now: Now,
        from: SessionId,
        packet_id: u16,
        waited_for: Step,
    ) -> bool {
        let Some(session) = self.session(from) else { return false };
        let found = session.inflight.iter().position(|i| i.packet_id() == packet_id && i.step == waited_for);
        let Some(index) = found else { return false };
        let Some(entry) = session.inflight.remove(index) else { return false };
        if let Some(copy) = &entry.copy {
            session.release_bytes(copy);
        }
        self.note_finished(from, entry.order);
        self.send_waiting(now, from);
        self.downlink_acknowledged(now, from, entry.order);
        true
    }

    /// Tells the store that a session needs the message with that order number no more.
    pub(crate) fn note_finished(&mut self, session: SessionId, order: u64) {
        if let Some(key) = self.sessions.get(session.index()).and_then(|s| s.kept_key()) {
            self.journal.note(Change::Finished(key, order));
        }
    }

    /// PUBREC from the client: from here on only PUBREL is repeated. [MQTT-4.3.3-1]
    pub(crate) fn on_pubrec(&mut self, from: SessionId, packet_id: u16) {
        let Some(session) = self.session(from) else { return };
        let key = session.kept_key();
        let mut inflight = session.inflight.iter_mut();
        let known = inflight.find(|i| i.packet_id() == packet_id && i.step != Step::Puback);
        let Some(entry) = known else {
            // The client acknowledges what we did not send; the exchange is finished so that it can forget it.
            let why = "No message with this identifier was sent.";
            return self.send_answer_to_unknown(from, AckKind::Pubrel, packet_id, why);
        };
        entry.step = Step::Pubcomp;
        let order = entry.order;
        if let Some(copy) = entry.copy.take() {
            session.release_bytes(&copy);
            if let Some(key) = key {
                self.journal.note(Change::Released(key, order));
            }
        }
        self.send_pubrel(from, packet_id);
    }

    /// PUBREL lets the client forget the Packet Identifier. It waits until the store knows: else the PUBLISH would be
    /// sent again after a crash, and be a second message to the client.
    pub(crate) fn send_pubrel(&mut self, to: SessionId, packet_id: u16) {
        self.promise(to, Says::success(AckKind::Pubrel, packet_id), 0, self.latest_change_of(to));
    }

    fn send_answer_to_unknown(&mut self, to: SessionId, kind: AckKind, packet_id: u16, why: &'static str) {
        let says = Says { kind, packet_id, reason: ReasonCode::PacketIdentifierNotFound, why: why.into() };
        self.promise(to, says, 0, self.latest_change_of(to));
    }

    /// PUBREL from the client. [MQTT-4.3.3-11] PUBCOMP lets it use the Packet Identifier again, and waits until the store
    /// knows: else the next message with it would be taken for a repeated one after a crash.
    pub(crate) fn on_pubrel(&mut self, from: SessionId, packet_id: u16) {
        if !self.forget_incoming(from, packet_id) {
            let why = "No message with this identifier was received.";
            return self.send_answer_to_unknown(from, AckKind::Pubcomp, packet_id, why);
        }
        self.promise(from, Says::success(AckKind::Pubcomp, packet_id), 0, self.latest_change_of(from));
    }

    /// A change that is certainly not older than the last one of the session; 0 when the store is not told of it.
    pub(crate) fn latest_change_of(&self, session: SessionId) -> u64 {
        let is_kept = self.sessions.get(session.index()).is_some_and(|s| s.kept_key().is_some());
        if is_kept { self.journal.last() } else { 0 }
    }
}
