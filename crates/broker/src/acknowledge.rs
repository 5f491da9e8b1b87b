//! PUBACK, PUBREC, PUBREL and PUBCOMP in both directions. An answer may wait until the history has what it
//! answers to.

use std::borrow::Cow;

use mqtt::publish::AckKind;
use mqtt::reason_code::ReasonCode;
use policy::decision::{Decision, Verdict};

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
    /// The reception that must be durable first.
    pub after: Option<u64>,
}

impl Answer {
    pub fn of(arrived: &Arrived<'_>, decision: &Decision, after: Option<u64>) -> Self {
        // MQTT 3.1.1 has no reason: the message is acknowledged all the same, or it would come for ever.
        let (reason, why) = match decision.verdict {
            Verdict::Refuse => (ReasonCode::NotAuthorized, decision.sentence.clone()),
            Verdict::Accept | Verdict::Rewrite | Verdict::RecordOnly => (ReasonCode::Success, "".into()),
        };
        Self { qos: arrived.qos, packet_id: arrived.packet_id, reason, why, after }
    }

    /// For a message that nobody wanted and nothing keeps: the publisher may know that it went nowhere.
    pub fn nobody_wanted(arrived: &Arrived<'_>) -> Self {
        let (reason, why) = (ReasonCode::NoMatchingSubscribers, "".into());
        Self { qos: arrived.qos, packet_id: arrived.packet_id, reason, why, after: None }
    }
}

/// An answer that waits for the history.
#[derive(Debug)]
pub(crate) struct HeldAcknowledgement {
    seq: u64,
    session: SessionId,
    connection: ConnectionId,
    serial: u64,
    qos: u8,
    packet_id: u16,
    reason: ReasonCode,
    why: Cow<'static, str>,
}

impl HeldAcknowledgement {
    /// Whether it answers that session.
    pub fn is_of(&self, session: SessionId) -> bool {
        self.session == session
    }
}

impl Broker {
    /// 5. Answer. QoS 0 has none; messages of the broker's own making have no Packet Identifier.
    pub(crate) fn answer(&mut self, sender: SessionId, answer: Answer) {
        if answer.qos == 0 || answer.packet_id == 0 {
            return;
        }
        let Some(connection) = self.sessions.get(sender.index()).and_then(|s| s.connection) else { return };
        let Some(serial) = self.connections.get(connection.index()).map(|c| c.serial) else { return };
        let held = HeldAcknowledgement {
            seq: answer.after.unwrap_or(0),
            session: sender,
            connection,
            serial,
            qos: answer.qos,
            packet_id: answer.packet_id,
            reason: answer.reason,
            why: answer.why,
        };
        if self.options.acknowledge_when_durable && answer.after.is_some() {
            self.held.push_back(held);
        } else {
            self.send_answer(&held);
        }
    }

    /// An incoming QoS 2 PUBLISH whose Packet Identifier is known: the sender missed our PUBREC. [MQTT-4.3.3-10]
    pub(crate) fn answer_again(&mut self, sender: SessionId, connection: ConnectionId, packet_id: u16) {
        let Some(serial) = self.connections.get(connection.index()).map(|c| c.serial) else { return };
        let waiting =
            self.held.iter_mut().find(|h| h.session == sender && h.qos == 2 && h.packet_id == packet_id);
        if let Some(held) = waiting {
            (held.connection, held.serial) = (connection, serial);
        } else {
            self.send_ack(connection, AckKind::Pubrec, packet_id, ReasonCode::Success, "");
        }
    }

    /// The history has every reception up to `seq`.
    pub(crate) fn on_durable(&mut self, seq: u64) {
        while self.held.front().is_some_and(|h| h.seq <= seq) {
            let Some(held) = self.held.pop_front() else { return };
            self.send_answer(&held);
        }
    }

    /// The history could not keep this reception. An acknowledgement would promise that we have it: MQTT 5.0 can say
    /// that we have not; a 3.1.1 client hears nothing and sends again when it reconnects.
    pub(crate) fn on_lost(&mut self, seq: u64) {
        let Ok(index) = self.held.binary_search_by_key(&seq, |h| h.seq) else { return };
        let Some(mut held) = self.held.remove(index) else { return };
        self.counters.unacknowledged += 1;
        if let Some(session) = self.session(held.session) {
            session.incoming_qos2.remove(&held.packet_id);
        }
        let speaks_v5 =
            self.connections.get(held.connection.index()).is_some_and(|c| c.version == mqtt::Version::V5);
        if speaks_v5 {
            held.reason = ReasonCode::UnspecifiedError;
            held.why = "The server could not keep this message; please send it again later.".into();
            self.send_answer(&held);
        }
    }

    fn send_answer(&mut self, held: &HeldAcknowledgement) {
        let is_same = self.connections.get(held.connection.index()).is_some_and(|c| c.serial == held.serial);
        if !is_same {
            return;
        }
        if held.qos == 1 {
            let (kind, packet_id) = (AckKind::Puback, held.packet_id);
            return self.send_ack(held.connection, kind, packet_id, held.reason, &held.why);
        }
        if held.reason.is_error()
            && let Some(session) = self.session(held.session)
        {
            // A PUBREC with an error ends the exchange. [MQTT-4.3.3-4]
            session.incoming_qos2.remove(&held.packet_id);
        }
        self.send_ack(held.connection, AckKind::Pubrec, held.packet_id, held.reason, &held.why);
    }

    /// PUBACK or PUBREC with an error from the client: the message is done.
    pub(crate) fn on_finished(
        &mut self,
        now: Now,
        from: SessionId,
        packet_id: u16,
        waited_for: Step,
    ) -> bool {
        let Some(session) = self.session(from) else { return false };
        let found = session.inflight.iter().position(|i| i.packet_id == packet_id && i.step == waited_for);
        let Some(index) = found else { return false };
        if let Some(entry) = session.inflight.remove(index)
            && let Some(copy) = entry.copy
        {
            session.release_bytes(&copy);
        }
        self.send_waiting(now, from);
        true
    }

    /// PUBREC from the client: from here on only PUBREL is repeated. [MQTT-4.3.3-1]
    pub(crate) fn on_pubrec(&mut self, id: ConnectionId, from: SessionId, packet_id: u16) {
        let Some(session) = self.session(from) else { return };
        let known = session.inflight.iter_mut().find(|i| i.packet_id == packet_id && i.step != Step::Puback);
        let is_known = known.is_some();
        let copy = known.and_then(|entry| {
            entry.step = Step::Pubcomp;
            entry.copy.take()
        });
        if let Some(copy) = copy {
            session.release_bytes(&copy);
        }
        if is_known {
            self.send_pubrel(id, packet_id);
        } else {
            // The client acknowledges what we did not send; the exchange is finished so that it can forget it.
            let reason = ReasonCode::PacketIdentifierNotFound;
            self.send_ack(
                id,
                AckKind::Pubrel,
                packet_id,
                reason,
                "No message with this identifier was sent.",
            );
        }
    }

    /// PUBREL from the client. [MQTT-4.3.3-11]
    pub(crate) fn on_pubrel(&mut self, id: ConnectionId, from: SessionId, packet_id: u16) {
        let was_known = self.session(from).is_some_and(|s| s.incoming_qos2.remove(&packet_id));
        let (reason, why) = match was_known {
            true => (ReasonCode::Success, ""),
            false => (ReasonCode::PacketIdentifierNotFound, "No message with this identifier was received."),
        };
        self.send_ack(id, AckKind::Pubcomp, packet_id, reason, why);
    }

    pub(crate) fn send_pubrel(&mut self, id: ConnectionId, packet_id: u16) {
        self.send_ack(id, AckKind::Pubrel, packet_id, ReasonCode::Success, "");
    }
}
