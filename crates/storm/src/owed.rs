//! A session as it should be: what is owed to it, in what order, and how far each exchange has come.

use std::collections::{BTreeMap, VecDeque};

use mqtt::Version;
use mqtt::publish::{Publish, PublishOut};
use mqtt::subscribe::Options;

use crate::Promise;
use crate::ledger::{Bounds, Kept, Note, broken};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscription {
    pub options: Options,
    /// Bytes that its Subscription Identifier adds to a PUBLISH.
    pub identifier_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Waiting,
    Sent,
    Received,
}

/// One QoS 1 or 2 copy that a session is to get.
#[derive(Debug)]
pub(crate) struct Owed {
    pub number: u64,
    pub qos: u8,
    pub retain: bool,
    pub stage: Stage,
    pub packet_id: u16,
    pub sent_on: usize,
    pub bytes: usize,
    pub identifiers_len: usize,
    pub expires_at_ms: Option<u64>,
    /// Whether a limit may have kept it out.
    pub is_optional: bool,
    /// Whether it was made in this step at a limit.
    pub is_at_limit: bool,
    /// Whether a restart made the broker forget that it was not sent.
    pub may_be_repeated: bool,
}

/// A QoS 0 copy that is due at once.
#[derive(Debug)]
pub(crate) struct AtOnce {
    pub number: u64,
    pub retain: bool,
    pub identifiers_len: usize,
}

/// An answer that the broker has to give on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Puback { packet_id: u16, number: u64 },
    Pubrec { packet_id: u16, number: u64 },
    Pubrel { packet_id: u16 },
    Pubcomp { packet_id: u16 },
    Suback { packet_id: u16, count: usize },
    Unsuback { packet_id: u16, count: usize },
    Pingresp,
}

impl Answer {
    /// Whether it comes after all answers to earlier messages.
    pub(crate) const fn keeps_its_turn(&self) -> bool {
        matches!(self, Self::Puback { .. } | Self::Pubrec { .. } | Self::Pubrel { .. } | Self::Pubcomp { .. })
    }
}

#[derive(Debug)]
pub(crate) struct DueAnswer {
    pub answer: Answer,
    /// The reception that must be durable first.
    pub after: Option<u64>,
}

/// A session as it should be.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who made it.
    pub owner: usize,
    pub wire: Option<usize>,
    /// The connection that made it, which tells it from earlier sessions of the client.
    pub made_by: usize,
    pub version: Version,
    pub expiry_ms: u64,
    pub ends_at_ms: Option<u64>,
    pub will: Option<u64>,
    pub receive_maximum: usize,
    pub packet_bytes_max: u32,
    pub subscriptions: BTreeMap<&'static str, Subscription>,
    pub owed: VecDeque<Owed>,
    pub at_once: Vec<AtOnce>,
    pub incoming: BTreeMap<u16, Option<u64>>,
    pub answers: Vec<DueAnswer>,
    /// The last reception that an answer on an earlier connection waited for; others may stand behind it.
    pub unspoken: u64,
    pub dropped: u64,
    /// QoS 2 messages owed and delivered, by number.
    pub once: BTreeMap<u64, (u32, u32)>,
    /// Whether its credential was taken away.
    pub is_revoked: bool,
}

impl Answer {
    pub fn is_answered_by(self, given: Self) -> bool {
        match (self, given) {
            (Self::Puback { packet_id: a, .. }, Self::Puback { packet_id: b, .. })
            | (Self::Pubrec { packet_id: a, .. }, Self::Pubrec { packet_id: b, .. }) => a == b,
            _ => self == given,
        }
    }
}

impl Owed {
    /// Whether it was sent on an earlier connection and not yet on this one.
    pub fn awaits_repeat(&self, wire: usize) -> bool {
        self.stage == Stage::Sent && self.sent_on != wire
    }
}

impl Session {
    pub fn new(owner: usize, made_by: usize) -> Self {
        Self {
            owner,
            made_by,
            wire: None,
            version: Version::V5,
            expiry_ms: 0,
            ends_at_ms: None,
            will: None,
            receive_maximum: 0,
            packet_bytes_max: u32::MAX,
            subscriptions: BTreeMap::new(),
            owed: VecDeque::new(),
            at_once: Vec::new(),
            incoming: BTreeMap::new(),
            answers: Vec::new(),
            unspoken: 0,
            dropped: 0,
            once: BTreeMap::new(),
            is_revoked: false,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a different fact about one copy")]
    pub fn owe(
        &mut self,
        bounds: &Bounds,
        note: &Note,
        number: u64,
        qos: u8,
        retain: bool,
        identifiers_len: usize,
        expires_at_ms: Option<u64>,
    ) {
        if qos == 0 {
            if self.wire.is_some() {
                self.at_once.push(AtOnce { number, retain, identifiers_len });
            }
            return;
        }
        let bytes = note.topic.len() + note.payload_len;
        let held: usize = self.owed.iter().filter(|o| o.stage != Stage::Received).map(|o| o.bytes).sum();
        let is_at_limit =
            self.owed.len() >= bounds.queue_messages_max || held + bytes > bounds.queue_bytes_max;
        if qos == 2 && note.payload_len > 0 {
            self.once.entry(number).or_default().0 += 1;
        }
        self.owed.push_back(Owed {
            number,
            qos,
            retain,
            stage: Stage::Waiting,
            packet_id: 0,
            sent_on: 0,
            bytes,
            identifiers_len,
            expires_at_ms,
            is_optional: false,
            is_at_limit,
            may_be_repeated: false,
        });
    }

    /// Whether a takeover ends it, since the connection that it ends with is over then.
    pub fn ends_with_its_connection(&self) -> bool {
        self.expiry_ms == 0 && self.wire.is_some()
    }

    pub fn finish(&mut self, packet_id: u16, stage: Stage) {
        if let Some(index) = self.owed.iter().position(|o| o.stage == stage && o.packet_id == packet_id) {
            self.owed.remove(index);
        }
    }

    /// Size of the PUBLISH.
    pub fn packet_bytes(&self, note: &Note, qos: u8, identifiers_len: usize) -> usize {
        let (payload, properties) = (vec![0; note.payload_len], vec![0; identifiers_len]);
        let publish = PublishOut {
            qos,
            topic: note.topic,
            packet_id: u16::from(qos > 0),
            shared_properties: &properties,
            expiry_s: note.expiry_s,
            payload: &payload,
            ..PublishOut::default()
        };
        publish.len(self.version)
    }

    /// Whether a copy need not come: it expired, met a limit, or is larger than the client takes.
    pub fn may_be_skipped(&self, notes: &[Note], owed: &Owed, now_ms: u64) -> bool {
        owed.is_optional
            || owed.expires_at_ms.is_some_and(|at| at <= now_ms)
            || self.is_too_large(notes, owed)
    }

    pub fn is_too_large(&self, notes: &[Note], owed: &Owed) -> bool {
        let note = &notes[usize::try_from(owed.number).unwrap_or(0)];
        self.packet_bytes(note, owed.qos, owed.identifiers_len) > self.packet_bytes_max as usize
    }

    /// No earlier copy of the same publisher, topic and QoS still waits.
    pub fn check_order(&self, notes: &[Note], index: usize, now_ms: u64, name: &dyn Fn() -> String) -> Kept {
        let key = |o: &Owed| {
            let note = &notes[usize::try_from(o.number).unwrap_or(0)];
            (note.publisher, note.topic, o.qos)
        };
        let mine = key(&self.owed[index]);
        let earlier =
            self.owed.iter().take(index).find(|o| {
                o.stage == Stage::Waiting && key(o) == mine && !self.may_be_skipped(notes, o, now_ms)
            });
        match earlier {
            Some(o) => Err(broken(Promise::Order, format!("{} overtook message {}", name(), o.number))),
            None => Ok(()),
        }
    }

    /// Copies that need not come and were overtaken will not come.
    pub fn forget_skipped(&mut self, notes: &[Note], now_ms: u64) {
        let Some(last) = self.owed.iter().rposition(|o| o.stage != Stage::Waiting) else { return };
        let skipped: Vec<usize> = (0..last)
            .filter(|i| {
                let owed = &self.owed[*i];
                owed.stage == Stage::Waiting && self.may_be_skipped(notes, owed, now_ms)
            })
            .collect();
        for index in skipped.into_iter().rev() {
            self.owed.remove(index);
        }
    }

    /// Whether this is a message that was sent before a restart, under the same Packet Identifier.
    pub fn is_repeated_unknowingly(
        &self,
        wire: usize,
        publish: &Publish<'_>,
        is_it: &dyn Fn(u64) -> bool,
    ) -> bool {
        let is_same = |o: &Owed| o.packet_id == publish.packet_id && o.qos == publish.qos && is_it(o.number);
        self.owed.iter().any(|o| o.may_be_repeated && o.awaits_repeat(wire) && is_same(o))
    }

    pub fn on_repetition(
        &mut self,
        wire: usize,
        publish: &Publish<'_>,
        is_it: &dyn Fn(u64) -> bool,
        name: &dyn Fn() -> String,
    ) -> Kept {
        let is_same = |o: &Owed| is_it(o.number) && o.qos == publish.qos;
        let sent = |o: &Owed| o.stage == Stage::Sent && o.packet_id == publish.packet_id && is_same(o);
        let taken_for_sent = |o: &Owed| o.stage == Stage::Waiting && o.may_be_repeated && is_same(o);
        let index = self.owed.iter().position(sent).or_else(|| self.owed.iter().position(taken_for_sent));
        let found = index.and_then(|index| self.owed.get_mut(index));
        let Some(owed) = found else {
            let is_waiting = self.owed.iter().any(|o| o.stage == Stage::Waiting && is_it(o.number));
            let promise = if is_waiting { Promise::NothingIsLost } else { Promise::NothingUnasked };
            return Err(broken(promise, format!("{} is repeated but was not sent", name())));
        };
        if owed.stage == Stage::Waiting {
            (owed.stage, owed.packet_id) = (Stage::Sent, publish.packet_id);
        } else if owed.sent_on == wire {
            // [MQTT-4.4.0-1]: only after a reconnect.
            return Err(broken(Promise::NothingUnasked, format!("{} is repeated on one connection", name())));
        }
        owed.sent_on = wire;
        let on_this_wire = self.owed.iter().filter(|o| o.stage != Stage::Waiting && !o.awaits_repeat(wire));
        if on_this_wire.count() > self.receive_maximum {
            return Err(broken(
                Promise::ReceiveMaximum,
                format!("{}: more than {} in flight again", name(), self.receive_maximum),
            ));
        }
        Ok(())
    }

    /// Compares what the broker says it dropped with what it was allowed to drop in this step.
    pub fn settle_drops(&mut self, notes: &[Note], session_of: usize, dropped: u64, is_full: bool) -> Kept {
        let delta = usize::try_from(dropped.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.dropped = dropped;
        let at_once = std::mem::take(&mut self.at_once);
        if self.wire.is_some() && !is_full {
            let missing = at_once.iter().find(|copy| {
                let note = &notes[usize::try_from(copy.number).unwrap_or(0)];
                self.packet_bytes(note, 0, copy.identifiers_len) <= self.packet_bytes_max as usize
            });
            if let Some(copy) = missing {
                let what = format!("QoS 0 message {} did not reach client {session_of}", copy.number);
                return Err(broken(Promise::NothingIsLost, what));
            }
        }
        let at_limit = self.owed.iter().filter(|o| o.is_at_limit && o.stage == Stage::Waiting).count();
        if delta > at_limit + at_once.len() {
            let what = format!("{delta} copies for client {session_of} were dropped below every limit");
            return Err(broken(Promise::DroppedAtLimitsOnly, what));
        }
        if delta > 0 && delta >= at_limit {
            self.owed.retain(|o| !(o.is_at_limit && o.stage == Stage::Waiting));
        }
        for owed in self.owed.iter_mut().filter(|o| o.is_at_limit) {
            owed.is_at_limit = false;
            owed.is_optional = delta > 0;
        }
        Ok(())
    }
}
